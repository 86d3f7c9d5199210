"""The house: which floor may import which, read from the imports themselves."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = (
    "pages.ui", "pages.components", "pages.runtime", "lora_core.figures",
    ("lora_core.findings", "lora_core.talk", "lora_core.export", "lora_core.adapters", "lora_core.models",
     "lora_core.network"),
    "lora_core.training",
    ("lora_core.data", "lora_core.layer", "lora_core.theory", "lora_core.geometry", "lora_core.accounting",
     "lora_core.formatting", "lora_core.reproducible"),
    ("lora_core.presets", "lora_core.choices", "lora_core.experiment", "lora_core.fields"),
)  # fmt: skip
"""From the top to the ground, under the pages' own: a floor imports from itself and from those below."""

DRAWN_WITH = {"streamlit": ("app", "pages"), "plotly": ("lora_core.figures", "pages.components")}


def modules() -> dict[str, Path]:
    """Dotted name -> file of every Python module of the app; tests are none."""
    files = [ROOT / "app.py", *(ROOT / "pages").rglob("*.py"), *(ROOT / "lora_core").rglob("*.py")]
    names = (file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for file in files)
    return {name.removesuffix(".__init__"): file for name, file in zip(names, files, strict=True)}


def imports(file: Path) -> set[str]:
    """Every module that a file imports, anywhere in it; ``from a import b`` names a.b too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


MODULES = modules()
IMPORTS = {name: imports(file) for name, file in MODULES.items()}


def inside(name: str, *folders: str) -> bool:
    return any(name == folder or name.startswith(f"{folder}.") for folder in folders)


def floor(name: str) -> int | None:
    """The floor of a module, 0 at the top; None for what stands on none: doors, pages, packages, commands."""
    for height, folders in enumerate(FLOORS):
        if inside(name, *([folders] if isinstance(folders, str) else folders)):
            return height
    return None


def page(name: str) -> str | None:
    """The page that a module belongs to: the second name of pages.PAGE.module."""
    parts = name.split(".")
    return parts[1] if parts[0] == "pages" and len(parts) == 3 and floor(name) is None else None


def test_a_floor_imports_only_from_itself_and_from_below() -> None:
    known = {name: height for name in MODULES if (height := floor(name)) is not None}
    upward = [
        f"{name} -> {other}"
        for name, height in known.items()
        for other in IMPORTS[name]
        if known.get(other, height) < height or page(other) is not None
    ]
    assert len(known) > 90
    assert not upward


def test_no_page_imports_another_page() -> None:
    pages = {name: found for name in MODULES if (found := page(name)) is not None}
    crossed = [
        f"{name} -> {other}"
        for name, own in pages.items()
        for other in IMPORTS[name]
        if page(other) not in (None, own)
    ]
    assert {"playground", "every_rank", "inside", "stage", "code", "models"} <= set(pages.values())
    assert not crossed


@pytest.mark.parametrize("package", DRAWN_WITH)
def test_a_package_that_draws_is_imported_only_where_it_draws(package: str) -> None:
    users = {name for name, found in IMPORTS.items() if any(inside(each, package) for each in found)}
    assert users
    assert [name for name in users if not inside(name, *DRAWN_WITH[package])] == []


def test_the_frame_of_a_page_loads_neither_torch_nor_plotly() -> None:
    code = """import streamlit, sys  # which loads some of plotly itself
before = set(sys.modules)
import pages.ui.frame
print(sorted(name for name in set(sys.modules) - before if name.partition(".")[0] in ("torch", "plotly")))"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout == "[]\n"


def test_colours_stand_in_the_palette_and_in_the_theme_alone() -> None:
    literal = re.compile(r"""["' (](#[0-9a-fA-F]{6}|#[0-9a-fA-F]{3})\b|\b(?:rgb|hsl)a?\(\s*[\d.]""")
    files = [file for top in ("pages", "lora_core") for file in (ROOT / top).rglob("*")]
    allowed = {"lora_core/figures/palette.py", "pages/components/web/kit/theme.js"}
    coloured = {
        file.relative_to(ROOT).as_posix()
        for file in files
        if file.suffix in (".py", ".js", ".css")
        and "vendor" not in file.parts
        and literal.search(file.read_text())
    }
    assert coloured == allowed
