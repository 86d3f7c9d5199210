"""The README against the checkout: its tree names every folder, its paths are there, its dependencies have
reasons."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TREE = README.partition("## The tree")[2].partition("```text\n")[2].partition("```")[0]


def folders() -> set[str]:
    """The folders that a reader of the tree should know, down to one below an app's own: a component's, a
    figure's, a family's and those of test data are like their neighbours."""
    found = set()
    for top in ("lora_core", "pages", "tests"):
        for folder in (ROOT / top, *(ROOT / top).rglob("*")):
            name = folder.relative_to(ROOT).as_posix()
            inner = name.startswith(
                ("pages/components/web/", "lora_core/figures/", "lora_core/models/", "tests/data/")
            )
            if folder.is_dir() and not inner and "__pycache__" not in name and "/." not in name:
                found.add(name)
    return found - {"pages"}


def test_the_tree_names_every_folder_and_no_other() -> None:
    lines = dict(re.split(r" {2,}", line, maxsplit=1) for line in TREE.splitlines())
    assert set(lines) - {"app.py"} == folders()
    assert all(words.strip() for words in lines.values())


def test_every_path_that_the_readme_speaks_of_is_there() -> None:
    paths = re.findall(r"[`(]((?:lora_core|pages|tests)/[\w./]*\w)/?[`)]", README)
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_dependency_of_the_app_has_its_reason() -> None:
    table = README.partition("## Dependencies")[2].partition("\n## ")[0]
    explained = re.findall(r"^\| ([a-z]+) \| .+ \|$", table, re.MULTILINE)
    pinned = re.findall(r"^([a-z]+)==[\d.]+(?:;.*)?$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert set(explained) - {"package"} == set(pinned)
