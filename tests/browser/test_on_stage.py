"""The stage in a real browser: a talk on keys alone, words for the back row, and a code that phones open.

The pictures of the scenes are kept in the folder that STAGE_PICTURES names, else in pytest's own. Run with
`-s` to see the measured figures.
"""

import io
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from lora_core import Experiment, run
from lora_core.talk.scenes import Scene, own_talk
from tests.kit.browser import at_rest, frames, nothing_follows, still
from tests.kit.runs import facts
from tests.kit.texts import faint_texts, overlapping_texts

TALK = own_talk().scenes
CHART = ":is([data-testid=live-chart], [data-testid=steady-chart], [data-testid=scene-view])[data-run]"
SHOWN = f"{CHART}:visible"  # that of the scene before may stay, unseen, while the other scenes are trained
PRESENTER = "hide=sidebar,buttons"

# From a key to the frame in which another chart stands there.
WATCH = """chart => {
  window.answers = [];
  const inSight = (node) => node.checkVisibility();
  const shown = () => [...document.querySelectorAll(chart)].find(inSight)?.dataset.run;
  let since, before;
  const look = () => {
    const now = since === undefined ? before : shown();
    if (now && now !== before) {
      const start = since;
      since = undefined;
      setTimeout(() => answers.push(performance.now() - start));
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  addEventListener("keydown", () => {
    before = shown();
    since = performance.now();
  }, true);
}"""

# Every word in the main part that can be seen, with its size in CSS pixels.
WORDS = """() => {
  const found = [];
  const main = document.querySelector("[data-testid=stMain]");
  const walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement, text = node.textContent.trim();
    const style = getComputedStyle(parent), box = parent.getBoundingClientRect();
    const seen = parent.checkVisibility({visibilityProperty: true, opacityProperty: true});
    const icon = /Symbols|Icons/.test(style.fontFamily);
    const visible = text && seen && !icon && box.width > 2 && box.height > 2;
    const scale = parent.closest("svg.layer")?.getScreenCTM().a ?? 1;
    if (visible) found.push([text, parseFloat(style.fontSize) * scale]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def forgetful(serve) -> str:
    """A server that forgets a session with its line, and not two minutes later."""
    return serve("app.py", "--server.disconnectedSessionTTL", "0")


@pytest.fixture(scope="module")
def stage(forgetful) -> str:
    return f"{forgetful}/On_stage"


@pytest.fixture
def on_stage(stage, open_page) -> Callable[..., Page]:
    """`on_stage(query)` is a tab on the stage, with the keyboard listened to."""

    def opened(query: str = "", **options: object) -> Page:
        page = open_page(
            "about:blank", **options
        )  # not `ready` at once: the first visit trains the whole talk
        page.goto(f"{stage}?{query}" if query else stage)
        return listening(page)

    return opened


@pytest.fixture(scope="module")
def tab(stage, open_shared_page) -> Page:
    """A tab that the tests of single keys use one after another; each begins at its own scene."""
    page = listening(open_shared_page(f"{stage}?scene=one-short"))
    trained_to_the_end(page)
    return page


def listening(page: Page) -> Page:
    expect(page.locator("[data-testid=stage][data-done]")).to_be_attached()
    expect(page.locator(SHOWN)).to_be_visible()
    return page


def trained_to_the_end(page: Page) -> None:
    """No scene of the talk is being trained any more."""
    idle = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
    expect(idle).to_be_attached(timeout=30_000)


def of_rank(scene: Scene, rank: int) -> Scene:
    return replace(scene, experiment=replace(scene.experiment, rank=rank))


def at_scene(page: Page, place: int, scene: Scene | None = None) -> None:
    shown = scene or TALK[place]
    question = facts(shown).filled(shown.question)
    expect(page.locator(".st-key-stage_question")).to_have_text(f"{place + 1}/{len(TALK)} {question}")


def revealed(page: Page, scene: Scene) -> None:
    """The scene's sentence is there, and its run in the chart."""
    found, long = facts(scene), 60_000  # a network may still be trained
    expect(page.locator(".st-key-verdict")).to_have_text(found.filled(scene.sentence), timeout=long)
    if scene.view in ("loss", "words"):
        expect(page.locator(SHOWN)).to_have_attribute("data-run", found.run.fingerprint, timeout=long)
    elif scene.view == "ranks":
        expect(page.locator(SHOWN).get_by_text("LoRA, trained")).to_be_visible()


def asked(page: Page, scene: Scene) -> None:
    """The scene's chart is there, and nothing of its run is in it."""
    chart = page.locator(SHOWN)
    expect(chart).to_have_count(1)
    if scene.view in ("loss", "words"):
        named = f"before-{facts(scene).run.fingerprint}"
        expect(chart).to_have_attribute("data-run", named, timeout=60_000)
    elif scene.view == "ranks":
        expect(chart.get_by_text("Base", exact=True)).to_be_visible()
    else:
        expect(chart).to_have_attribute("data-kind", scene.view)
        expect(chart).not_to_contain_text(f"LoRA, rank {scene.experiment.rank}: ")
        return
    if scene.view == "words":  # whose base is drawn as curves
        expect(chart).to_have_attribute("data-epochs", "0")
        expect(page.locator(".network-words")).not_to_contain_text("LoRA")
    else:
        expect(chart.locator(".scatterlayer .trace")).to_have_count(int(scene.view == "ranks"))


def go(page: Page, place: int) -> None:
    """To a scene on keys, from wherever the test before has left."""
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("End")
    at_scene(page, len(TALK) - 1)
    page.keyboard.press("Home")
    for _ in range(place):
        page.keyboard.press("n")
    at_scene(page, place)
    at_rest(page)  # the question comes before what is below it


def overlay(page: Page, name: str) -> Locator:
    return page.locator(f"dialog.{name}[open]")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = Path(os.environ.get("STAGE_PICTURES") or tmp_path_factory.mktemp("stage"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


ROOMS = ((1280, 720, "dark"), (1920, 1080, "light"))
"""Width, height and theme of a screen on which a talk is held."""


def test_the_whole_talk_on_keys_alone(on_stage, pictures: Path) -> None:
    """Everything that is said is read in both rooms, from one to the other and back."""
    page = on_stage(viewport={"width": 1280, "height": 720}, color_scheme="dark")
    rooms = list(ROOMS)
    at_scene(page, 0)
    page.keyboard.press("h")
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    expect(page.locator(".st-key-stage_buttons")).to_be_hidden()
    for place, scene in enumerate(TALK):
        at_scene(page, place)
        picture = f"{place + 1:02}-{scene.name}"
        if not scene.asks:
            for step in range(len(scene.steps)):
                said = facts(scene).filled(scene.steps[step])
                expect(page.locator(".st-key-stage_below")).to_have_text(said)
                readable_in(rooms, page)
                page.keyboard.press("PageDown")
            continue
        asked(page, scene)
        page.keyboard.press("ArrowUp" if scene.guess else "2")
        page.wait_for_url(f"**scene={scene.name}~*")
        readable_in(rooms, page, pictures / f"{picture}-asked.png")
        page.keyboard.press("PageDown" if place % 2 else "Enter")
        revealed(page, scene)
        skip(page)
        said = page.locator(".st-key-stage_below p").first
        expect(said).to_contain_text("Our guess: ")
        readable_in(rooms, page, pictures / f"{picture}-told.png")
        if scene.name == "one-short":
            plays(page)
        page.keyboard.press("PageDown" if place % 2 else "n")
    at_scene(page, len(TALK) - 1)  # the last scene stays
    page.keyboard.press("PageUp")
    revealed(page, TALK[-2])  # and what was revealed is remembered
    print(f"\npictures of the talk: {pictures}")


def readable_in(rooms: list[tuple[int, int, str]], page: Page, picture: Path | None = None) -> None:
    """All is readable in this room and in the other, in which the talk then goes on, pictured."""
    readable(page, rooms[0][1])
    rooms.reverse()
    width, height, theme = rooms[0]
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": height})
    ground = {"light": "rgb(255, 255, 255)", "dark": "rgb(14, 17, 23)"}[theme]
    expect(page.get_by_test_id("stApp")).to_have_css("background-color", ground)
    frames(page, 15)
    readable(page, height)
    if picture is not None:
        page.screenshot(path=picture.with_name(f"{height}-{picture.name}"))


def skip(page: Page) -> None:
    """See all of a reveal at once, by a key if it is still being played."""
    page.wait_for_function("document.documentElement.dataset.stageTold")
    page.evaluate(
        """() => {
      if (document.documentElement.dataset.stageTold === "all") return;
      document.dispatchEvent(new KeyboardEvent("keydown", {key: "PageDown", cancelable: true}));
    }"""
    )
    expect(page.locator(".st-key-verdict")).to_be_visible()


def test_a_reveal_plays_the_curve_then_says_the_answer_then_the_sentence(on_stage) -> None:
    page = on_stage(f"scene=one-short&{PRESENTER}")
    page.evaluate(
        """() => {
      window.seen = [];
      const look = () => {
        const visible = (name) => {
          const node = document.querySelector(name);
          return node && getComputedStyle(node).visibility === "visible" ? name.split(/[-_]/).at(-1) : "";
        };
        const chart = document.querySelector("[data-testid=live-chart]").dataset;
        const floors = [...document.querySelectorAll(".annotation")].filter((node) =>
          node.textContent.startsWith("floor") && getComputedStyle(node).visibility === "visible");
        const words = [visible(".st-key-stage_answer"), visible(".st-key-verdict")];
        const now = [chart.state, ...words, floors.length].join();
        if (now !== seen.at(-1)) seen.push(now);
        requestAnimationFrame(look);
      };
      look();
    }"""
    )
    page.keyboard.press("PageDown")
    expect(page.locator(".st-key-stage_answer")).to_be_visible()
    expect(page.locator(".st-key-verdict")).to_be_visible()
    seen = [each for each in page.evaluate("seen") if each != "paused,,,0"]  # before the key, and for a frame
    assert seen == ["playing,,,0", "paused,answer,,2", "paused,answer,verdict,2"]
    page.reload()  # it is told once
    listening(page)
    expect(page.locator(".st-key-verdict")).to_be_visible()
    expect(page.locator("[data-testid=live-chart]")).to_have_attribute("data-state", "paused")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("[data-testid=live-chart]")).to_have_attribute("data-state", "playing")
    page.keyboard.press("Space")  # one key skips, and does nothing else
    expect(page.locator(".st-key-verdict")).to_be_visible()
    expect(page.locator("[data-testid=live-chart]")).to_have_attribute("data-epoch", "200")
    expect(page.locator("[data-testid=live-chart]")).to_have_attribute("data-state", "paused")
    at_scene(page, 2)


def readable(page: Page, height: int) -> None:
    """No word is faint, on another or smaller than 24 px at 720 lines, and nothing is outside the window."""
    hard_to_read = overlapping_texts(page) + faint_texts(page)
    if hard_to_read:  # a chart may be on its way to its place
        at_rest(page)
        frames(page, 30)
        hard_to_read = overlapping_texts(page) + faint_texts(page)
    assert hard_to_read == []
    least = 24 * height / 720
    small = [(text, size) for text, size in page.evaluate(WORDS) if size < least - 0.01]
    assert not small
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight <= innerHeight + 1")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def plays(page: Page) -> None:
    """Space plays and pauses, S steps, the arrows move the rank and bring it back."""
    chart = page.locator("[data-testid=live-chart]")
    page.keyboard.press("Space")
    expect(chart).to_have_attribute("data-state", "playing")
    page.keyboard.press("Space")
    expect(chart).to_have_attribute("data-state", "paused")
    before = int(chart.get_attribute("data-epoch") or 0)
    page.keyboard.press("s")
    expect(chart).to_have_attribute("data-epoch", str(before + 1))
    page.keyboard.press("ArrowUp")
    expect(chart).to_have_attribute("data-run", run(Experiment(rank=4)).fingerprint)
    page.keyboard.press("ArrowDown")
    expect(chart).to_have_attribute("data-run", run(Experiment(rank=3)).fingerprint)


def test_a_scene_is_painted_within_four_tenths_of_a_second(app, open_page, within) -> None:
    page = open_page("about:blank")
    page.goto(f"{app}/On_stage?scene={TALK[0].name}&{PRESENTER}")
    listening(page)
    trained_to_the_end(page)
    page.evaluate(WATCH, CHART)
    revealed_too = ["Enter"]

    def walk() -> float:
        """There and back through the talk, revealing it the first time: p95 in ms of key to painted."""
        times: dict[str, list[float]] = {"Enter": [], "n": [], "p": []}
        steps = len(TALK) - 1
        for key in [*revealed_too, *["n", *revealed_too] * steps, *["p"] * steps]:
            times[key].append(answer(page, key))
        revealed_too.clear()
        for key, values in times.items():
            if values:
                print(f"\n{key}: median {sorted(values)[len(values) // 2]:.0f} ms, most {max(values):.0f} ms")
        return quantiles([each for values in times.values() for each in values], n=20)[-1]

    within(400, walk, page, "key to scene painted, p95 in ms")


def answer(page: Page, key: str) -> float:
    before = len(page.evaluate("answers"))
    page.keyboard.press(key)
    page.wait_for_function("count => answers.length > count", arg=before)
    frames(page, 5)
    return float(page.evaluate("answers.at(-1)"))


def at_address(page: Page, address: str) -> None:
    """Set the address for phones; the server of the tests listens to its own machine only."""
    page.get_by_text("Phones in the room", exact=True).click()
    field = page.get_by_label("Address for phones", exact=True)
    field.fill(address)
    field.press("Enter")
    expect(page.locator("dialog.code")).to_have_attribute("data-link", re.compile(re.escape(address)))
    field.blur()


def read_code(page: Page, link: str) -> None:
    """A phone's camera would read this link from the screen."""
    expect(page.locator("dialog.code")).to_have_attribute("data-link", link)
    page.keyboard.press("q")
    expect(overlay(page, "code")).to_be_visible()
    found = zxingcpp.read_barcodes(Image.open(io.BytesIO(page.screenshot())))
    assert len(found) == 1
    assert found[0].format == zxingcpp.BarcodeFormat.QRCode
    code = overlay(page, "code").locator("svg").bounding_box()
    assert code is not None
    assert code["height"] >= 0.8 * page.viewport_size["height"]  # big
    squares = float((overlay(page, "code").locator("svg").get_attribute("viewBox") or "").split()[2])
    assert squares <= 33 + 8  # and of large squares: version 4, with its margin
    assert found[0].text == link
    expect(overlay(page, "code").locator(".link")).to_have_text(link)
    page.keyboard.press("q")


def test_the_code_opens_the_same_scene_on_a_phone(stage, on_stage, open_page) -> None:
    page = on_stage("scene=one-short")
    page.keyboard.press("q")
    expect(overlay(page, "code")).to_have_text(re.compile("^No address for phones is known"))
    page.keyboard.press("q")
    at_address(page, "http://10.0.0.5:8501")
    read_code(page, "http://10.0.0.5:8501/On_stage?scene=one-short")
    secret = page.locator(SHOWN).get_attribute("data-run")
    assert secret == f"before-{run(Experiment()).fingerprint}"
    phone = open_page(f"{stage}?scene=one-short", viewport={"width": 400, "height": 800})
    expect(phone.locator(SHOWN)).to_have_attribute("data-run", secret or "")
    expect(phone.get_by_role("slider", name="Our guess")).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 400
    phone.get_by_role("button", name="Reveal").click()
    expect(phone.locator(SHOWN)).to_have_attribute("data-run", run(Experiment()).fingerprint)
    page.keyboard.press("Enter")
    expect(page.locator(SHOWN)).to_have_attribute("data-run", run(Experiment()).fingerprint)
    page.keyboard.press("ArrowUp")  # not the scene's own experiment, but the one on the screen
    expect(page.locator(SHOWN)).to_have_attribute("data-run", run(Experiment(rank=4)).fingerprint)
    read_code(page, "http://10.0.0.5:8501/On_stage?scene=one-short~revealed~rank4")
    phone.goto(f"{stage}?scene=one-short~revealed~rank4")
    expect(phone.locator(SHOWN)).to_have_attribute("data-run", run(Experiment(rank=4)).fingerprint)


def test_a_question_of_three_lines_stands_clear_of_the_chart_on_a_phone(on_stage) -> None:
    phone = on_stage("scene=original-start", viewport={"width": 400, "height": 800})
    question = phone.locator(".st-key-stage_question h1").bounding_box()
    labels = phone.locator("[data-testid=live-chart] .ytick text")
    expect(labels.first).to_be_visible()
    assert question is not None
    tops = labels.evaluate_all("texts => texts.map(text => text.getBoundingClientRect().top)")
    assert min(tops) >= question["y"] + question["height"]


def test_the_room_gets_dark_on_a_key_and_the_visitor_gets_their_theme_back(on_stage) -> None:
    page = on_stage("scene=knee~revealed")
    ground = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    light, dark = "rgb(255, 255, 255)", "rgb(14, 17, 23)"
    assert page.evaluate(ground) == light
    page.keyboard.press("t")
    page.wait_for_function(f"{ground} === '{dark}'")
    page.reload()
    listening(page)
    page.wait_for_function(f"{ground} === '{dark}'")
    page.get_by_role("link", name="Playground").click()
    expect(page.locator(".st-key-loss")).to_be_visible()
    page.wait_for_function(f"{ground} === '{light}'")
    page.get_by_role("link", name="On stage").click()
    page.wait_for_function(f"{ground} === '{dark}'")
    page.keyboard.press("t")
    page.wait_for_function(f"{ground} === '{light}'")


def test_the_notes_in_a_second_window_follow_the_stage_and_drive_it(on_stage) -> None:
    page = on_stage("scene=one-short")
    with page.expect_popup() as popup:
        page.keyboard.press("w")
    notes = popup.value
    expect(notes.get_by_text("The room does not see it yet")).to_be_visible()
    notes.get_by_role("button", name="Reveal").click()
    revealed(page, TALK[2])
    skip(page)
    expect(notes.get_by_text("The room sees the answer")).to_be_visible()
    page.keyboard.press("n")
    expect(notes.get_by_text(f"4/{len(TALK)} The knee")).to_be_visible()
    assert "notes" not in page.url
    notes.close()


def test_no_key_steals_typing(tab: Page) -> None:
    page = tab
    go(page, 2)
    page.get_by_text("Phones in the room", exact=True).click()
    field = page.get_by_label("Address for phones", exact=True)
    field.press_sequentially("npqfhsbv?12.")
    field.press("Escape")
    expect(field).to_have_value("npqfhsbv?12.")
    at_scene(page, 2)
    assert page.locator("dialog[open]").count() == 0
    expect(page.get_by_test_id("stSidebar")).to_be_visible()


def test_a_slider_in_use_keeps_its_arrows_until_it_is_let_go(tab: Page) -> None:
    page = tab
    go(page, 2)
    slider = page.get_by_role("slider", name="Our guess")
    before = float(slider.get_attribute("aria-valuenow") or slider.input_value())
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**scene=one-short~*")
    at_scene(page, 2)
    after = float(slider.get_attribute("aria-valuenow") or slider.input_value())
    assert after == before + 1
    box = slider.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("!document.activeElement.closest('[data-testid=stMain] *')")
    page.keyboard.press("ArrowRight")
    at_scene(page, 3)


def drag(page: Page, slider: Locator) -> None:
    """Drag a slider's handle with the pointer to another value."""
    at_rest(page)  # a scene that was just come to moves the handle
    handle = still(slider.locator("xpath=../.."))  # the slider itself is hidden within it
    before = slider.get_attribute("aria-valuetext")
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.up()
    expect(slider).not_to_have_attribute("aria-valuetext", before or "")


def test_a_remote_moves_the_talk_after_a_slider_was_dragged(tab: Page) -> None:
    page = tab
    go(page, 2)
    slider = page.get_by_role("slider", name="Our guess")
    drag(page, slider)
    guessed = slider.get_attribute("aria-valuetext")
    slider.focus()
    page.keyboard.press("PageDown")  # reveals
    revealed(page, TALK[2])
    skip(page)
    expect(page.locator(".st-key-stage_answer")).to_contain_text(f"Our guess: {guessed} ·")
    page.keyboard.press("PageDown")
    at_scene(page, 3)
    slider.focus()
    page.keyboard.press("PageUp")
    at_scene(page, 2)
    page.keyboard.press(".")
    expect(overlay(page, "blank")).to_be_visible()
    page.keyboard.press(".")
    page.keyboard.press("0")
    at_scene(page, 0)
    page.keyboard.press("PageDown")  # grows the drawing
    expect(page.locator(".st-key-stage_below")).to_have_text(facts(TALK[0]).filled(TALK[0].steps[1]))
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    at_scene(page, 0)
    go(page, 2)
    expect(page.get_by_role("slider", name="Our guess")).to_be_visible()  # nothing is told any more


@pytest.mark.parametrize("role", ["slider", "radio", "button", "textbox", "tab"])
def test_page_keys_are_the_talks_wherever_the_focus_is(tab: Page, role: str) -> None:
    page = tab
    go(page, 2)
    told = page.evaluate(
        """(role) => {
      const held = document.querySelector("[data-testid=stMain]").appendChild(document.createElement("div"));
      const heard = [];
      Object.assign(held, {tabIndex: 0}).setAttribute("role", role);
      held.addEventListener("keydown", (event) => heard.push(event.key));
      held.focus();
      const press = (key) => {
        const event = new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true, composed: true});
        held.dispatchEvent(event);
        return event.defaultPrevented;
      };
      const found = ["PageDown", "PageUp", "F5", "ArrowRight"].map(press);
      held.remove();
      return [found.slice(0, 3), heard];
    }""",
        role,
    )
    assert told == [[True] * 3, ["ArrowRight"]]
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("stSidebar")).to_be_visible()


def test_the_start_key_of_a_remote_presents_and_its_stop_key_ends_that(tab: Page) -> None:
    page = tab
    go(page, 2)
    page.evaluate("window.sameDocument = true")
    for start in ("F5", "Shift+F5"):
        page.keyboard.press(start)
        expect(page.get_by_test_id("stSidebar")).to_be_hidden()
        expect(page.locator(".st-key-stage_buttons")).to_be_hidden()
        page.keyboard.press(start)  # pressed once more it changes nothing
        page.keyboard.press("b")
        page.keyboard.press("Escape")  # ends the black screen, not the presentation
        expect(page.locator("dialog[open]")).to_have_count(0)
        page.keyboard.press("n")
        at_scene(page, 3)
        expect(page.get_by_test_id("stSidebar")).to_be_hidden()
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("stSidebar")).to_be_visible()
        page.keyboard.press("PageUp")
        at_scene(page, 2)
    assert page.evaluate("window.sameDocument")


def test_keys_with_ctrl_and_alt_are_the_browsers(tab: Page) -> None:
    page = tab
    go(page, 2)
    for key in ("Control+p", "Alt+ArrowRight", "Control+f", "Meta+n"):
        page.keyboard.press(key)
    nothing_follows(page)
    at_scene(page, 2)
    assert page.evaluate("document.fullscreenElement") is None


def test_presses_in_quick_succession_all_count(tab: Page) -> None:
    page = tab
    go(page, 0)
    for key in (
        "n",
        "n",
        "ArrowRight",
        "n",
        "p",
        "ArrowUp",
        "ArrowUp",
        "ArrowUp",
        "Enter",
        "+",
        "+",
        "-",
    ):
        page.keyboard.press(key)
    at_scene(page, 3, of_rank(TALK[3], 5))  # the words follow the rank
    expect(page.locator(SHOWN)).to_have_attribute("data-run", run(Experiment(rank=5)).fingerprint)
    guess = TALK[3].guess
    assert guess is not None
    third = guess.text(guess.options[len(guess.options) // 2 + 3])
    expect(page.locator(".st-key-stage_below")).to_contain_text(f"Our guess: {third} ·")
    page.keyboard.press("-")
    revealed(page, TALK[3])
    page.keyboard.press("End")
    at_scene(page, len(TALK) - 1)
    page.keyboard.press("Home")
    at_scene(page, 0)


def test_help_black_screen_and_full_screen(tab: Page) -> None:
    page = tab
    go(page, 2)
    page.keyboard.press("?")
    keys = overlay(page, "help")
    expect(keys).to_contain_text("Page Down")
    expect(keys).to_contain_text("Next scene")
    assert keys.evaluate("dialog => dialog.scrollHeight <= dialog.clientHeight")
    assert all(size >= 24 for size in keys.locator("dd").evaluate_all(SIZES))
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.keyboard.press("b")
    expect(overlay(page, "blank")).to_be_visible()
    page.keyboard.press("n")  # a key that goes on brings the page back
    expect(page.locator("dialog[open]")).to_have_count(0)
    at_scene(page, 3)
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === document.documentElement")
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === null")


SIZES = "nodes => nodes.map(node => parseFloat(getComputedStyle(node).fontSize))"


STAGES = """
  const names = performance.getEntriesByType("resource").map(({name}) => name);
  const served = names.filter((name) => name.includes("/component/"));
  const load = (file) => import(served.find((name) => name.endsWith(file)));
  const stage = await load("/on_stage.js");
  const done = Number(document.querySelector("[data-testid=stage]").dataset.done);
  const texts = {stage: "", telling: "", notes: "", note: ""};
  const data = {...texts, keys: [], done, hidden: [], link: location.href, rows: ["1"]};
  const another = async (more, tell = () => {}) => {
    const parentElement = document.body.appendChild(document.createElement("div"));
    const at = {parentElement, data: {...data, ...more}, setStateValue: (_, value) => tell(value)};
    const leave = await stage.default(at);
    return async () => {
      parentElement.remove();
      leave();
      await new Promise((done) => setTimeout(done, 50));
      return parentElement.childElementCount;
    };
  };
"""


def test_a_stage_that_goes_leaves_the_page_dressed_for_the_one_that_is_there(tab: Page) -> None:
    left = tab.evaluate(f"""async () => {{{STAGES}
      const go = await another();
      return [await go(), document.documentElement.className];
    }}""")
    assert left == [0, "on-stage"]


def test_a_stage_that_is_drawn_anew_knows_the_keys_that_are_under_way(tab: Page) -> None:
    told = tab.evaluate(f"""async () => {{{STAGES}
      const keys = [{{act: "next", keys: ["z"], says: ""}}], told = [];
      const pressed = () => new KeyboardEvent("keydown", {{key: "z", cancelable: true}});
      const press = () => document.dispatchEvent(pressed());
      const goFirst = await another({{keys, done: 5}}, (value) => told.push(value));
      press();
      press();
      const goSecond = await another({{keys, done: 6}}, (value) => told.push(value));
      await goFirst();
      press();
      await (await another({{done: 8}}))(); // all of them done, and back to what this tab has done
      await (await another())();
      await goSecond();
      return told.map(({{first, acts}}) => [first, acts.length]);
    }}""")
    assert told == [[5, 1], [5, 2], [6, 2]]


def test_the_link_says_what_is_hidden_and_the_chart_takes_the_room(stage, on_stage) -> None:
    page = on_stage("scene=knee~revealed&hide=sidebar,buttons")
    chart = page.locator("[data-testid=live-chart] .figure")
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    expect(page.locator("[data-testid=live-chart] .readout")).to_be_visible()
    some = chart.bounding_box()
    page.goto(f"{stage}?scene=knee~revealed&hide=sidebar,buttons,numbers,playback")
    listening(page)
    for hidden in (".readout", ".transport"):
        expect(page.locator(f"[data-testid=live-chart] {hidden}")).to_be_hidden()
    more = chart.bounding_box()
    assert some is not None
    assert more is not None
    assert more["width"] > 0.95 * 1280
    assert more["height"] > some["height"] + 60
    page.keyboard.press("h")
    expect(page.get_by_test_id("stSidebar")).to_be_visible()
    expect(page.locator("[data-testid=live-chart] .transport")).to_be_visible()


def test_a_reload_a_visit_elsewhere_and_back_keep_the_place(on_stage) -> None:
    page = on_stage("rank=17")  # the visitor's own
    at_scene(page, 0)
    for key in ("n", "n", "n", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    revealed(page, TALK[3])
    page.wait_for_url("**scene=knee~*~revealed*")
    page.reload()
    revealed(page, TALK[3])
    guessed = page.locator(".st-key-stage_below p").first.text_content()
    assert guessed is not None
    assert guessed.startswith("Our guess: ")
    page.get_by_role("link", name="Playground").click()
    expect(page.locator(SHOWN).first).to_have_attribute("data-run", run(Experiment(rank=17)).fingerprint)
    assert page.evaluate("document.documentElement.className") == ""
    page.go_back()
    revealed(page, TALK[3])
    expect(page.locator(".st-key-stage_below p").first).to_have_text(guessed)
    page.get_by_role("link", name="Every rank").click()
    page.wait_for_url("**/Every_rank?rank=17*")
    page.get_by_role("link", name="On stage").click()
    revealed(page, TALK[3])


LOCKABLE = """
  const Socket = WebSocket;
  const sockets = [];
  window.WebSocket = class extends Socket {
    constructor(url, protocols) {
      super(url, protocols);
      sockets.push(this);
    }
  };
  window.lock = () => {
    window.locked = sockets.length;
    sockets.forEach((socket) => socket.close());
  };
  window.unlocked = () => sockets.length > window.locked && sockets.at(-1).readyState === Socket.OPEN;
"""


def locked(page: Page) -> None:
    """Lose the session, as the server does two minutes after a phone was locked, and connect again."""
    page.evaluate("lock()")
    page.wait_for_function("unlocked()")
    nothing_follows(page)


def test_a_phone_locked_for_longer_than_its_session_lasts_loses_nothing(stage, open_page) -> None:
    page = open_page("about:blank", viewport={"width": 390, "height": 844})
    page.add_init_script(LOCKABLE)
    page.goto(f"{stage}?scene=one-short&rank=17")
    listening(page)
    trained_to_the_end(page)
    for key in ("ArrowUp", "Enter", "n", "ArrowUp"):
        page.keyboard.press(key)
    page.wait_for_url("**scene=knee~*said=one-short~*~revealed*")
    stage = page.locator("[data-testid=stage]")
    expect(stage).to_have_attribute("data-done", "4")
    slider = page.get_by_role("slider", name="Our guess")
    guess = TALK[3].guess
    assert guess is not None
    half = len(guess.options) // 2
    expect(slider).to_have_attribute("aria-valuetext", guess.text(guess.options[half + 1]))
    locked(page)
    slider.press("ArrowUp")  # what is touched first reaches a new session
    expect(stage).to_have_attribute("data-done", "0")
    at_scene(page, 3)
    page.wait_for_url(f"**scene=knee~{guess.options[half + 2]:g}&*rank=17*")
    locked(page)
    page.get_by_role("button", name="Reveal").click()
    answer = page.locator(".st-key-stage_answer")
    expect(answer).to_contain_text(f"Our guess: {guess.text(guess.options[half + 2])} ·")
    locked(page)
    page.keyboard.press("p")
    revealed(page, TALK[2])
    locked(page)
    page.reload()
    revealed(page, TALK[2])
    assert "rank=17" in page.url


def test_back_leaves_the_stage_in_one_step(forgetful, open_page) -> None:
    page = open_page(forgetful)
    page.get_by_role("link", name="On stage").click()
    at_scene(page, 0)
    listening(page)
    for place in range(1, 4):
        page.keyboard.press("n")
        at_scene(page, place)
    page.go_back()
    expect(page.locator(".st-key-loss")).to_be_visible()
    assert urlsplit(page.url).path == "/"


def test_a_talk_comes_back_from_its_own_download(on_stage, tmp_path) -> None:
    page = on_stage("scene=knee")
    page.get_by_text("A talk of your own", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download this talk").click()
    text = download.value.path().read_text(encoding="utf-8")
    assert text == own_talk().text
    file = tmp_path / "talk.toml"
    file.write_text(text.replace("Twice the rank: {rank}", "Two times the rank: {rank}"), encoding="utf-8")
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_role("button", name="Back to the playground's talk")).to_be_visible()
    at_scene(page, 0)
    for _ in range(4):
        page.keyboard.press("n")
    expect(page.locator(".st-key-stage_question")).to_contain_text("Two times the rank: 8")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace("knee = true_rank", "knee > true_rank"), encoding="utf-8")
    page.locator("input[type=file]").set_input_files(wrong)
    expect(page.get_by_test_id("stAlert").filter(has_text="was not opened")).to_contain_text(
        "scene knee: claims"
    )
    expect(page.locator(".st-key-stage_question")).to_contain_text("Two times the rank: 8")


def test_a_chart_begun_before_the_stage_is_dressed_is_as_large_as_the_stage(stage, open_page) -> None:
    page = open_page("about:blank")
    held: dict[str, Route] = {}
    for name in ("on_stage.css", "plotly-cartesian.min.js"):
        page.route(f"**/{name}", lambda route: held.update({route.request.url.rpartition("/")[2]: route}))
    with page.expect_request("**/on_stage.css"), page.expect_request("**/plotly-cartesian.min.js"):
        page.goto(f"{stage}?scene=one-short~0.079~revealed")
    expect(page.locator(".live-chart .quick")).to_be_attached(timeout=30_000)  # drawn in small letters
    held["on_stage.css"].continue_()
    expect(page.locator(".live-chart")).to_have_css("font-size", re.compile(r"2\d"))
    held["plotly-cartesian.min.js"].continue_()
    expect(page.locator(".live-chart .ytick text").first).to_have_css("font-size", re.compile(r"2\d"))
