"""The README against the checkout: its tree names every file, and every dependency has its reason."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TREE = README.partition("## The tree")[2].partition("```text\n")[2].partition("```")[0]


def files() -> set[str]:
    """What belongs to the project: no caches, no tool settings, and of the pictures their folder."""
    found = set()
    for path in (ROOT / top for top in ("app.py", "requirements.txt", "lora_core", "pages", "tests")):
        for file in [path] if path.is_file() else path.rglob("*"):
            name = file.relative_to(ROOT).as_posix()
            empty = file.name == "__init__.py" and not file.read_text()
            if file.is_file() and not empty and "/." not in name and "__pycache__" not in name:
                found.add("tests/pictures/" if name.startswith("tests/pictures/") else name)
    return found


def test_the_tree_names_every_file_and_no_other() -> None:
    lines = dict(re.split(r" {2,}", line, maxsplit=1) for line in TREE.splitlines())
    assert set(lines) == files()
    assert all(words.strip() for words in lines.values())


def test_every_dependency_of_the_app_has_its_reason() -> None:
    table = README.partition("## Dependencies")[2].partition("\n## ")[0]
    explained = re.findall(r"^\| ([a-z]+) \| .+ \|$", table, re.MULTILINE)
    pinned = re.findall(r"^([a-z]+)==[\d.]+(?:;.*)?$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert set(explained) - {"package"} == set(pinned)
