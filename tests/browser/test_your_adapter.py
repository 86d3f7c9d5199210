"""The page of adapters in a real browser: a file dropped, a cell clicked, a slider moved, a cut taken home.

Run with `-s` to see the measured figures.
"""

import io
import json
import re
import zipfile
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page, WebSocket, expect
from safetensors.torch import load, save_file

from lora_core.adapters.cutting import Cut, cut, one_rank, ranks_for_energy, rounding_words
from lora_core.adapters.file import AdapterFile, open_adapter
from lora_core.adapters.source import find_on_disk
from lora_core.adapters.spectra import Spectrum, measure
from lora_core.figures.adapter.spectrum import spectrum_info, spectrum_words
from pages.adapter.cut import SHARES, numbers_of
from tests.adapters_kit import PREFIX, config, factors, truncated
from tests.kit.browser import at_rest, frames, seen_after

PAGE = "Your_adapter"
PATHS = [f"model.layers.{layer}.self_attn.{name}" for layer in range(6) for name in ("q_proj", "v_proj")]


@pytest.fixture(scope="module")
def app(serve) -> str:
    return serve("app.py")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[str]:
    """An adapter of twelve modules of 768 features, rank 8, as PEFT saves it."""
    folder = tmp_path_factory.mktemp("adapter")
    tensors = {}
    for seed, path in enumerate(PATHS):
        A, B = factors(8, (768, 768), seed)
        tensors |= {f"{PREFIX}{path}.lora_A.weight": A, f"{PREFIX}{path}.lora_B.weight": B}
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config(8, 16)))
    return [str(folder / name) for name in ("adapter_model.safetensors", "adapter_config.json")]


@pytest.fixture(scope="module")
def tab(app, open_shared_page, files) -> Page:
    """The page with that adapter opened."""
    page = open_shared_page(f"{app}/{PAGE}")
    expect(verdict(page)).to_contain_text("Rank 3 is really used", timeout=20_000)
    page.locator("input[type=file]").set_input_files(files)
    expect(verdict(page)).to_contain_text("12 modules, names of PEFT")
    return page


def verdict(page: Page):
    return page.locator(".st-key-verdict")


def metric(page: Page, label: str):
    return page.get_by_test_id("stMetric").filter(has_text=label)


def charts(page: Page):
    return page.locator(".st-key-adapter_map svg .heatmaplayer image")


# Milliseconds from the end of the last upload to the frame in which the map has been drawn.
WATCH = """() => {
  window.shown = null;
  const look = () => {
    const map = document.querySelector(".st-key-adapter_map svg .heatmaplayer image");
    if (!map) return requestAnimationFrame(look);
    const sent = performance.getEntriesByType("resource").filter(({ name }) => name.includes("upload_file"));
    window.shown = performance.now() - Math.max(...sent.map(({ responseEnd }) => responseEnd));
  };
  look();
}"""


def test_a_file_of_twelve_modules_is_on_the_screen_within_a_second(app, open_page, files, within) -> None:
    page = open_page(f"{app}/{PAGE}")
    expect(page.locator(".st-key-adapter_spectrum .barlayer path").first).to_be_visible(timeout=20_000)
    expect(page.get_by_test_id("stMain")).to_contain_text("The adapter that the playground has just trained")
    back = page.get_by_role("button", name="Back to the playground's adapter")

    def measure() -> float:
        if back.is_visible():
            back.click()
            expect(charts(page)).to_have_count(0)
            expect(page.get_by_role("button", name="Remove adapter_config.json")).to_have_count(0)
        page.evaluate(WATCH)
        page.locator("input[type=file]").set_input_files(files)
        expect(charts(page)).to_be_visible()
        page.wait_for_function("shown !== null")
        return page.evaluate("shown")

    within(1000, measure, page, "from the upload to the map, in ms")
    measure()  # back to the playground's and once more, whatever was uploaded before


def test_a_click_on_the_map_shows_its_module(tab: Page) -> None:
    chart = tab.locator(".st-key-adapter_map [data-testid=steady-chart]")
    expect(chart).to_have_attribute(
        "aria-label", re.compile("6 layers by 2 modules, coloured by effective rank, σ²")
    )
    box = charts(tab).bounding_box()
    assert box is not None
    tab.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 5.5 / 6 * box["height"])
    spectrum = tab.locator(".st-key-adapter_spectrum [data-testid=steady-chart]")
    expect(spectrum).to_have_attribute("aria-label", re.compile(r"layers\.5\.self_attn\.v_proj"))
    tab.get_by_role("combobox", name="Colour by").click()
    tab.get_by_role("option", name="rank for 95 %").click()
    expect(chart).to_have_attribute("aria-label", re.compile("coloured by rank for 95 %"))


def test_a_key_on_the_slider_cuts_and_the_cut_goes_home(tab: Page, files) -> None:
    kept, size = metric(tab, "Energy kept"), metric(tab, "File of weights")
    before = size.inner_text()
    slider = tab.get_by_role("slider", name="Rank of every module")
    slider.focus()
    slider.press("ArrowLeft")
    expect(size).not_to_have_text(before)
    expect(metric(tab, "Rank")).to_contain_text("3")
    expect(kept).to_contain_text("%")
    at_rest(tab)  # the button belongs to the cut only once the script has come to its end
    with tab.expect_download() as started:
        tab.get_by_role("button", name="Cut adapter for PEFT").click()
    with zipfile.ZipFile(io.BytesIO(Path(started.value.path()).read_bytes())) as archive:
        tensors = load(archive.read("adapter_model.safetensors"))
        settings = json.loads(archive.read("adapter_config.json"))
    assert (settings["r"], settings["lora_alpha"], settings["rank_pattern"]) == (3, 3, {})
    A, B = factors(8, (768, 768), 0)
    whole = 2 * B.double() @ A.double()
    change = tensors[f"{PREFIX}{PATHS[0]}.lora_B.weight"] @ tensors[f"{PREFIX}{PATHS[0]}.lora_A.weight"]
    torch.testing.assert_close(change.double(), truncated(whole, 3), rtol=0, atol=1e-6 * whole.norm().item())


def test_nonsense_is_a_sentence_and_the_picture_stays(tab: Page, tmp_path: Path, files) -> None:
    cut_short = tmp_path / "adapter_model.safetensors"
    cut_short.write_bytes(Path(files[0]).read_bytes()[:-1000])
    said, size = verdict(tab).inner_text(), metric(tab, "File of weights").inner_text()
    tab.locator("input[type=file]").set_input_files(str(cut_short))
    expect(tab.get_by_test_id("stAlert")).to_contain_text("it is cut short")
    expect(charts(tab)).to_be_visible()
    assert (verdict(tab).inner_text(), metric(tab, "File of weights").inner_text()) == (said, size)
    tab.get_by_role("link", name="Every rank").first.click()
    expect(tab).to_have_url(re.compile("Every_rank"))
    tab.get_by_role("link", name="Your adapter").first.click()
    expect(verdict(tab)).to_contain_text("12 modules, names of PEFT")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_everything_stacks_and_nothing_is_cut_off(app, open_page, files, scheme: str) -> None:
    page = open_page(f"{app}/{PAGE}", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.locator("input[type=file]").set_input_files(files)
    expect(charts(page)).to_be_visible(timeout=20_000)
    expect(page.locator(".st-key-adapter_sizes .scatterlayer")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    widths = page.locator("[data-testid=steady-chart]").evaluate_all(
        "all => all.map(each => each.offsetWidth)"
    )
    assert len(widths) == 3
    assert all(300 <= width <= 390 for width in widths)


# At each move of the slider, what the page shows in the first frame in which the thumb has moved.
FOLLOW = """() => {
  window.frames_seen = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const look = () => frames_seen.push({
    place: Number(document.querySelector(".st-key-adapter_slider input").value),
    values: all(".st-key-adapter_numbers [data-testid=stMetricValue]").map((each) => each.textContent),
    notes: all(".st-key-adapter_numbers [data-testid=stMetricDelta]").map((each) => each.textContent),
    words: document.querySelector(".st-key-adapter_words").textContent,
    rounding: document.querySelector(".st-key-adapter_rounding").textContent,
    bars: all(".st-key-adapter_spectrum .barlayer .trace.bars").map((trace) =>
      [...trace.querySelectorAll(".point > path")].filter(({ style }) => style.opacity === "1").length),
    pale: document.querySelector(".st-key-adapter_table").style.opacity !== "",
    mark: all(".st-key-adapter_sizes .scatterlayer .trace:last-child .point")[0].getAttribute("transform"),
  });
  const moved = new MutationObserver(() => requestAnimationFrame(look));
  const slider = document.querySelector(".st-key-adapter_slider");
  moved.observe(slider, { subtree: true, attributes: true, attributeFilter: ["aria-valuetext"] });
  look();
}"""


class Finger:
    """A finger on a touch screen, with the ways of a mouse."""

    def __init__(self, page: Page) -> None:
        self.session = page.context.new_cdp_session(page)
        self.at: dict[str, float] = {}
        self.pressed = False

    def move(self, x: float, y: float, steps: int = 1) -> None:
        start = self.at or {"x": x, "y": y}
        for step in range(1, steps + 1):
            self.at = {
                name: start[name] + (to - start[name]) * step / steps for name, to in (("x", x), ("y", y))
            }
            if self.pressed:
                self._send("touchMove", [self.at])

    def down(self) -> None:
        self.pressed = True
        self._send("touchStart", [self.at])

    def up(self) -> None:
        self.pressed = False
        self._send("touchEnd", [])

    def _send(self, kind: str, points: list[dict[str, float]]) -> None:
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


@pytest.fixture(scope="module")
def measured(files) -> tuple[AdapterFile, list[Spectrum]]:
    file = open_adapter(find_on_disk(Path(files[0]).parent))
    return file, list(measure(file.source, file.modules))


@pytest.mark.parametrize(
    ("way", "hand"), [("One rank", "mouse"), ("Energy", "mouse"), ("One rank", "finger"), ("Energy", "keys")]
)
def test_all_follows_the_slider_in_the_same_frame_and_the_server_hears_of_the_release_alone(
    app, open_page, files, measured, way: str, hand: str
) -> None:
    file, spectra = measured
    sent: list[int] = []

    def overheard(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: sent.append(len(frame)))

    options = {"viewport": {"width": 390, "height": 844}, "has_touch": True} if hand == "finger" else {}
    page = open_page("about:blank", **options)
    page.on("websocket", overheard)
    page.goto(f"{app}/{PAGE}?adapter_cut={way.replace(' ', '+')}")
    page.locator("input[type=file]").set_input_files(files)
    expect(verdict(page)).to_contain_text("12 modules, names of PEFT")
    expect(page.locator(".st-key-adapter_sizes .scatterlayer .trace")).to_have_count(3)
    follower = page.get_by_test_id("slider-follower")
    expect(follower).to_have_attribute("data-at", re.compile(r"\d"))
    slider = page.locator(".st-key-adapter_slider input")
    slider.scroll_into_view_if_needed()
    page.evaluate(FOLLOW)
    sent.clear()
    if hand == "keys":
        slider.focus()
        for key in ("ArrowLeft", "ArrowLeft", "ArrowRight"):
            page.keyboard.press(key)
            frames(page)
    else:
        pointer = Finger(page) if hand == "finger" else page.mouse
        box = page.locator(".st-key-adapter_slider [data-rac][role=group]").bounding_box()
        thumb = page.locator(".st-key-adapter_slider [data-rac]:has(> div > input)").bounding_box()
        assert box is not None
        assert thumb is not None
        y = thumb["y"] + thumb["height"] / 2
        pointer.move(thumb["x"] + thumb["width"] / 2, y)
        pointer.down()
        for share in (0.4, 0.2, 0.0, 0.3, 0.7, 1.0):
            pointer.move(box["x"] + share * box["width"], y, steps=4)
            page.evaluate("new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))")
        assert not sent
        for selector in (".st-key-adapter_numbers [data-testid=stMetricValue]", ".st-key-adapter_words p"):
            held = page.locator(selector).first.text_content()
            assert seen_after(page, selector, "of an older answer") == held
        pointer.up()
    expect(follower).to_have_attribute("data-at", slider.input_value())
    assert sent
    # And as all stands after the server's answer.
    page.evaluate(FOLLOW.replace("window.frames_seen = [];", ""))
    looks = page.evaluate("frames_seen")
    assert len({look["place"] for look in looks}) >= (3 if hand == "keys" else 5)
    marks = {(look["place"], look["mark"]) for look in looks}
    assert len(marks) == len({look["place"] for look in looks})  # one of each, whoever has drawn it
    assert len({mark for _, mark in marks}) >= 3
    for look in looks:
        found = cut_at(file, spectra, way, look["place"])
        numbers = numbers_of(file, found)
        assert look["values"] == [value for _, value, _ in numbers]
        assert look["notes"] == [note for _, _, note in numbers]
        kept = found.ranks[0]
        assert look["words"] == spectrum_words(spectrum_info(spectra[0], 8, kept))
        assert look["rounding"] == rounding_words(found)
        assert look["bars"] == [kept, 8 - kept]
    if hand != "keys":
        at = looks[0]["place"]
        assert all(look["pale"] == (look["place"] != at) for look in looks[:-1])
    assert not looks[-1]["pale"]


def cut_at(file: AdapterFile, spectra: list[Spectrum], way: str, place: int) -> Cut:
    ranks = one_rank(file, place + 1) if way == "One rank" else ranks_for_energy(spectra, SHARES[place])
    return cut(file, spectra, ranks)
