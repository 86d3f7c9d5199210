"""The modules that the browser loads, read as text: what they import, and that all come at once."""

import re
from pathlib import Path

import pytest

from pages.components import serving

WEB = serving.WEB
SERVED = re.compile(r'component\(\s*(?:module|"\w+"), f?"([\w/{}]+\.js)"')
MODULES = sorted(
    path.replace("{module}", name)
    for file in Path(serving.__file__).parents[1].rglob("*.py")
    for path in SERVED.findall(file.read_text())
    for name in (("rank_chart", "rank_update", "click_chart") if "{module}" in path else ("",))
)


def imports(module: Path) -> set[Path]:
    """The modules that a module imports itself."""
    found = re.findall(r'^(?:import|export)\b[^;]*?"(\.[^"]+)";', module.read_text(), re.MULTILINE)
    return {(module.parent / path).resolve() for path in found}


def reached(module: Path) -> set[Path]:
    """All modules that come with a module."""
    seen, ahead = set(), [module]
    while ahead:
        new = imports(ahead.pop()) - seen
        seen |= new
        ahead.extend(new)
    return seen


def test_every_module_is_loaded_by_a_component() -> None:
    tops = {(WEB / name).resolve() for name in MODULES}
    assert len(tops) > 5
    tops.add((WEB / "navigation/leaving.js").resolve())  # comes with every component
    found = tops.union(*map(reached, tops))
    guard = WEB / "navigation/address.js"  # it rides in a message
    assert found == {path.resolve() for path in WEB.rglob("*.js")} - {guard.resolve()}


@pytest.mark.parametrize("name", MODULES)
def test_a_component_names_all_that_it_loads_so_that_a_browser_fetches_it_at_once(name: str) -> None:
    top = (WEB / name).resolve()
    assert reached(top) == imports(top)
