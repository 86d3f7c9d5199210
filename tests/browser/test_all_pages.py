"""Every page as an eye and a thumb meet it: contrast, texts on one another, widths, swipes."""

from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from tests.kit.browser import at_rest, frames
from tests.kit.texts import faint_texts, overlapping_texts, trapped_swipes

WIDTHS = (1920, 1280, 820, 390)
PAGES = {
    "": 1,
    "?task=digits&true_rank=2&rank=2": 1,
    "Every_rank": 4,
    "Inside_the_layer?task=digits&true_rank=2&rank=2": 2,
    "Inside_the_layer?task=digits&true_rank=2&view=Matrices": 2,
    "Inside_the_layer?view=One+input": 1,
    "Inside_the_layer?view=Parts": 2,
    "Inside_the_layer?view=Proofs": 3,
    "A_small_network": 1,
    "On_stage": 0,
    "The_code": 0,
    "The_code?part=Walk+through": 0,
    "The_code?part=What+the+script+gets+wrong": 4,
    "Real_models": 2,
    "Your_adapter": 2,
}
"""Page or view -> the charts of plotly.js that it has at least."""
LEVELS = """() => [...document.querySelectorAll("[data-testid=stMain] :is(h1, h2, h3, h4, h5, h6)")]
  .map((heading) => Number(heading.tagName[1]))"""
WIDE = "() => document.querySelector('[data-testid=stMain]').scrollWidth"


def settle(page: Page, charts: int) -> None:
    """Wait until the page and its charts are there and nothing moves any more."""
    if charts:
        expect(page.locator("[data-testid=stMain] .js-plotly-plot").nth(charts - 1)).to_be_attached()
    at_rest(page)
    frames(page, 10)


def jumps(levels: list[int]) -> list[int]:
    """The levels of an outline that has not one top, first, or that goes down by more than a level."""
    deeper = (after - before for before, after in pairwise(levels))
    return [] if levels[:1] == [1] and levels.count(1) == 1 and max(deeper, default=0) <= 1 else levels or [0]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_read_at_every_width_and_in_both_themes(app, open_page, path: str) -> None:
    page = open_page(f"{app}/{path}", color_scheme="light", has_touch=True)
    settle(page, PAGES[path])
    faults: dict[str, object] = {"faint in the light theme": faint_texts(page)}
    page.emulate_media(color_scheme="dark")
    settle(page, PAGES[path])
    faults["faint in the dark theme"] = faint_texts(page)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        settle(page, PAGES[path])
        faults[f"on one another at {width}"] = overlapping_texts(page)
        faults[f"wider than {width}"] = page.evaluate(WIDE) > width
    faults["levels of headings"] = jumps(page.evaluate(LEVELS))
    faults["swipes that are trapped"] = trapped_swipes(page)
    assert {name: found for name, found in faults.items() if found} == {}
