"""The code page in a real browser: right-to-left prose, left-to-right code, downloads that open."""

import io
import json
import re
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from lora_core import Experiment
from lora_core.export import peft_script, torch_script
from lora_core.findings.original_script import script_facts
from pages.code.words import LANGUAGES, texts
from tests.kit.browser import at_rest, frames

AREA = ".st-key-code_page"
TEXTS = "[data-testid=stMarkdown] p"
FROM_THE_LEFT = ("pre", "code", ".katex", "[data-testid=steady-chart]")

# The order in which a browser puts the letters of an element on the screen, from the left.
SIDES = """element => {
  const range = document.createRange();
  range.selectNodeContents(element);
  const boxes = [...range.getClientRects()].filter(box => box.width > 0);
  const area = element.closest("[data-testid=stMarkdown], [data-testid=stHeading]").getBoundingClientRect();
  return {
    left: Math.min(...boxes.map(box => box.left)) - area.left,
    right: area.right - Math.max(...boxes.map(box => box.right)),
  };
}"""


PARTS = {"home": "take.title", "walk": "words.walk", "wrong": "says.title"}
"""Part of the page -> the text that names its tab."""


@pytest.fixture(scope="module")
def english_tab(app, open_shared_page) -> Page:
    return drawn(open_shared_page(f"{app}/The_code"), "en")


@pytest.fixture(scope="module")
def arabic_tab(app, open_shared_page) -> Page:
    return drawn(open_shared_page(f"{app}/The_code?lang=ar"), "ar")


@pytest.fixture
def english(english_tab: Page) -> Page:
    english_tab.set_viewport_size({"width": 1280, "height": 720})
    return english_tab


@pytest.fixture
def arabic(arabic_tab: Page) -> Page:
    arabic_tab.set_viewport_size({"width": 1280, "height": 720})
    return arabic_tab


def drawn(page: Page, lang: str, part: str = "home") -> Page:
    """The page in a language, on one of its parts, once that is there to its end."""
    expect(page.locator(f"{AREA} h1")).to_have_text(texts(lang)["title"], timeout=30_000)
    expect(page.locator(AREA)).to_have_attribute("lang", lang)  # set by a module that loads beside the text
    page.get_by_role("tab", name=texts(lang)[PARTS[part]], exact=True).click()
    if part == "home":
        expect(page.get_by_role("tab")).to_have_count(6, timeout=30_000)
    elif part == "walk":
        expect(page.get_by_text(texts(lang)["counts.title"])).to_be_visible(timeout=30_000)
    else:
        expect(page.locator("[data-testid=steady-chart][data-run]")).to_have_count(4, timeout=30_000)
    at_rest(page)
    return page


def switch(page: Page, lang: str) -> None:
    page.get_by_role("radio", name=LANGUAGES[lang], exact=True).click()


def part_in_link(page: Page) -> dict[str, list[str]]:
    """The open tab as the link names it."""
    words = parse_qs(urlsplit(page.url).query)
    return {name: value for name, value in words.items() if name.startswith("part")}


def css(locator: Locator, name: str) -> str:
    return locator.evaluate("(element, name) => getComputedStyle(element)[name]", name)


def test_arabic_prose_runs_from_the_right_and_code_from_the_left(arabic: Page) -> None:
    area = arabic.locator(AREA)
    found: dict[str, set[str]] = {}
    # The names of the languages stand in an order of their own, for who reads neither.
    buttons = "button:not([data-testid=stButtonGroup] *)"
    for part in PARTS:
        drawn(arabic, "ar", part)
        for selector in ("h1", "h2", TEXTS, "table", buttons, *FROM_THE_LEFT):
            each = {css(element, "direction") for element in arabic.locator(f"{AREA} {selector}").all()}
            found[selector] = found.get(selector, set()) | each
    for selector, directions in found.items():
        assert directions == {"ltr" if selector in FROM_THE_LEFT else "rtl"}, selector
    assert (area.get_attribute("dir"), area.get_attribute("lang")) == ("rtl", "ar")


def test_arabic_lines_begin_at_the_right_edge_and_english_ones_at_the_left(
    arabic: Page, english: Page
) -> None:
    drawn(arabic, "ar", "walk")
    drawn(english, "en", "walk")
    for selector in ("h1", "h2", TEXTS):
        for page, side in ((arabic, "right"), (english, "left")):
            found = page.locator(f"{AREA} {selector}").first.evaluate(SIDES)
            assert abs(found[side]) <= 2, (selector, found)
    last = arabic.locator(f"{AREA} h2").last.evaluate(SIDES)
    assert last["left"] > 100


def test_the_first_column_is_the_right_one_in_arabic(arabic: Page, english: Page) -> None:
    drawn(arabic, "ar", "walk")
    drawn(english, "en", "walk")
    for page, order in ((arabic, -1), (english, 1)):
        columns = page.locator(f"{AREA} [data-testid=stHorizontalBlock]").first.locator("> *")
        first, second = (columns.nth(index).bounding_box() for index in range(2))
        assert first is not None
        assert second is not None
        assert order * (second["x"] - first["x"]) > 100


def test_english_has_no_direction_of_its_own(english: Page) -> None:
    expect(english.locator(AREA)).to_have_attribute("dir", "ltr")
    expect(english.locator(f"{AREA} {TEXTS}").first).to_have_css("direction", "ltr")


@pytest.mark.parametrize("lang", ["en", "ar"])
def test_the_numbers_stand_on_the_page(lang: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue({"en": "english", "ar": "arabic"}[lang])
    known = script_facts()
    text = (
        drawn(page, lang, "walk").locator(AREA).inner_text()
        + drawn(page, lang, "wrong").locator(AREA).inner_text()
    )
    for number in (known.trainable, known.trainable_frozen, known.total, "Epoch 10/10, Loss: 173.2909"):
        assert str(number) in text
    charts = [chart.get_attribute("aria-label") or "" for chart in page.get_by_test_id("steady-chart").all()]
    assert [bool(re.search(r"\d", words)) for words in charts] == [True] * 4


def test_the_switch_turns_the_page_round_and_back_and_is_in_the_link(app, open_page) -> None:
    page = drawn(open_page(f"{app}/The_code?rank=5"), "en")
    drawn(page, "en", "walk")
    switch(page, "ar")
    expect(page.get_by_text(texts("ar")["layer.title"])).to_be_visible()
    at_rest(page)
    assert part_in_link(page) == {"part_ar": [texts("ar")["words.walk"]]}
    drawn(page, "ar", "walk")
    expect(page.locator(AREA)).to_have_attribute("dir", "rtl")
    assert re.search(r"[?&]lang=ar\b", page.url)
    assert re.search(r"[?&]rank=5\b", page.url)
    switch(page, "en")
    expect(page.get_by_text(texts("en")["layer.title"])).to_be_visible()
    at_rest(page)
    assert part_in_link(page) == {"part": [texts("en")["words.walk"]]}
    drawn(page, "en")
    expect(page.locator(AREA)).to_have_attribute("dir", "ltr")
    assert "lang=" not in page.url


def test_another_page_is_not_turned_round_after_this_one(app, open_page) -> None:
    page = drawn(open_page(f"{app}/The_code?lang=ar"), "ar")
    page.get_by_test_id("stSidebar").get_by_text("Playground").click()
    expect(page.locator(".st-key-verdict")).to_be_visible()
    expect(page.locator("[dir=rtl]")).to_have_count(0)
    page.get_by_test_id("stSidebar").get_by_text("The code").click()
    drawn(page, "ar")
    expect(page.locator(AREA)).to_have_attribute("dir", "rtl")


def test_a_try_moves_the_shared_sliders_and_the_scripts(app, open_page) -> None:
    page = drawn(open_page(f"{app}/The_code"), "en", "walk")
    page.get_by_role("button", name="Try rank 6").click()
    expect(page.get_by_text("On the sliders now: rank 6.")).to_be_visible()
    expect(page.get_by_role("button", name="Try rank 12")).to_be_visible()
    assert re.search(r"[?&]rank=6\b", page.url)
    expect(page.locator(".st-key-rank").get_by_role("slider")).to_have_attribute("aria-valuetext", "6")


def downloaded(page: Page, label: str, tmp_path: Path) -> Path:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=label).click()
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)
    return file


def test_scripts_and_adapter_are_downloaded_as_they_are(english: Page, tmp_path: Path) -> None:
    e = Experiment()
    drawn(english, "en")
    assert downloaded(english, "Download lora.py", tmp_path).read_text() == torch_script(e)
    english.get_by_role("tab", name="PEFT script").click()
    assert downloaded(english, "Download lora_peft.py", tmp_path).read_text() == peft_script(e)
    english.get_by_role("tab", name="Adapter").click()
    archive = downloaded(english, "Download adapter.zip", tmp_path).read_bytes()
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert {"adapter_config.json", "adapter_model.safetensors"} <= set(files.namelist())
        assert json.loads(files.read("adapter_config.json"))["r"] == e.rank
    english.get_by_role("tab", name="PyTorch script").click()


@pytest.mark.parametrize("lang", ["en", "ar"])
def test_a_phone_scrolls_in_one_direction_only(lang: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue({"en": "english", "ar": "arabic"}[lang])
    page.bring_to_front()  # a tab behind another is given a frame a second once its size has changed
    page.set_viewport_size({"width": 400, "height": 800})
    drawn(page, lang)
    frames(page, 10)  # the page turns to the width
    main = page.get_by_test_id("stMain")
    assert main.evaluate("element => element.scrollWidth - element.clientWidth") == 0
    for part, selector in (
        ("walk", "h2"),
        ("walk", "pre"),
        ("walk", "table"),
        ("wrong", "[data-testid=steady-chart]"),
    ):
        drawn(page, lang, part)
        boxes = [
            each.bounding_box() for each in page.locator(f"{AREA} {selector}").all() if each.is_visible()
        ]
        assert boxes, selector
        for box in boxes:
            assert box is not None
            assert box["x"] >= 0, selector
            assert box["x"] + box["width"] <= 400.5, selector
