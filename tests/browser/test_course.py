"""Changing course: play, raise the rank in motion, and the drawn past does not move by a pixel."""

import io

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from lora_core import Course, Experiment, run
from tests.kit.browser import frames, nothing_follows, still

CHART = "[data-testid=live-chart]"
PLOT = """() => {
  const {left, top, width, height} = document.querySelector(".live-chart .nsewdrag").getBoundingClientRect();
  return [left, top, width, height];
}"""


def painted(page: Page, course: Course | Experiment) -> None:
    """Wait until the chart has drawn this run."""
    fingerprint = run(course).fingerprint
    expect(page.locator(f"{CHART}[data-run='{fingerprint}'][data-painted='{fingerprint}']")).to_be_attached()


def picture(page: Page, hidden: str = "") -> np.ndarray:
    """The curves as the browser paints them, without what lies over them: pixels (height, width, 3)."""
    left, top, width, height = page.evaluate(PLOT)
    hide = ".live-chart :is(.overlay, .shapelayer, .quick) { display: none !important; }"
    style = page.add_style_tag(content=hide + (f"{hidden} {{ display: none; }}" if hidden else ""))
    frames(page, 2)
    clip = {"x": left, "y": top, "width": width, "height": height}
    shot = Image.open(io.BytesIO(page.screenshot(clip=clip, animations="disabled"))).convert("RGB")
    style.evaluate("node => node.remove()")
    return np.asarray(shot).astype(int)


def test_the_rank_is_raised_in_motion_and_the_past_stays(app: str, open_page) -> None:
    page: Page = open_page(app)
    painted(page, Experiment())
    chart = page.locator(CHART)
    page.get_by_label("Changes apply").select_option("here")
    expect(page.locator(f"{CHART} .future")).to_be_visible()
    nothing_follows(page)

    # In motion: the hand holds the playback, which goes on with the new run.
    chart.get_by_role("button", name="Restart").click()
    chart.get_by_role("button", name="Play").click()
    expect(page.locator(f"{CHART}[data-state=playing]")).to_be_attached()
    page.wait_for_function(f"() => Number(document.querySelector('{CHART}').dataset.epoch) >= 60")
    knob = page.locator(".rank-axis .knob").bounding_box()
    assert knob is not None
    x, y = knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    expect(page.locator(f"{CHART}[data-state=paused]")).to_be_attached()
    at = int(chart.get_attribute("data-epoch") or -1)
    before = picture(page)
    expect(page.locator("[data-testid=rank-axis][data-state=trained]")).to_be_attached()
    page.mouse.move(x + 40, y, steps=5)
    held = int(page.locator("[data-testid=rank-axis]").get_attribute("data-rank") or 0)
    assert held > 3
    # The rest of the curve follows the hand, from the update on the screen.
    curve = page.locator(".held-curve").get_attribute("d") or ""
    assert curve.count("L") == 200
    page.mouse.up()
    course = Course(Experiment(), ((at, "rank", held),))
    painted(page, course)
    expect(page.locator(f"{CHART}[data-state=playing]")).to_be_attached()
    chart.get_by_role("button", name="Pause").click()
    nothing_follows(page)
    # Ghost and the floor up to the change, the first and the last drawn, are new in the past by intent.
    after = picture(page, f"{CHART} .scatterlayer > .trace:is(:first-child, :last-child)")
    width = before.shape[1]
    past = int(width * at / 200) - 2  # the line is 2.5 pixels wide
    assert past > 50
    blue = np.array([0, 114, 178])  # LoRA's curves
    lora_before, lora_after = (np.abs(each - blue).sum(2) < 60 for each in (before, after))
    assert lora_before[:, :past].any(0).mean() > 0.9
    assert (lora_before[:, :past] == lora_after[:, :past]).all()
    assert (lora_before[:, past + 8 :] != lora_after[:, past + 8 :]).any(0).mean() > 0.5
    assert f"course={at}" in page.url

    # Its mark: dragged along the axis, then taken back; the run without it stays as the ghost.
    expect(page.locator(f".live-chart .mark[data-update='{at}'] text")).to_have_text(f"rank {held}")
    grip = still(page.locator(".live-chart .grip")).bounding_box()
    assert grip is not None
    middle = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1], steps=4)
    page.mouse.up()
    expect(page.locator(f".live-chart .mark[data-update='{at}']")).to_have_count(0)
    moved = int(page.locator(".live-chart .mark").get_attribute("data-update") or 0)
    assert moved > at
    painted(page, Course(Experiment(), ((moved, "rank", held),)))
    page.get_by_role("button", name=f"{moved}: rank {held}").click()
    painted(page, Experiment())
    expect(page.locator(".live-chart .mark")).to_have_count(0)


def test_a_control_of_the_sidebar_changes_the_rest_of_the_run(app: str, open_page) -> None:
    page: Page = open_page(f"{app}?course=100:rank=4~8:seed=1")
    expect(page.get_by_text("The course in the link was left out")).to_be_visible()
    page.get_by_label("Changes apply").select_option("here")
    expect(page.locator(f"{CHART}[data-epoch='100']")).to_be_attached()
    nothing_follows(page)
    page.locator(".st-key-learning_rate input[type=range]").focus()
    page.keyboard.press("ArrowLeft")
    painted(page, Course(Experiment(), ((100, "learning_rate", 0.005),)))
    expect(page.locator(f"{CHART}[data-epoch='100']")).to_be_attached()
    expect(page.locator(".st-key-learning_rate input[type=range]")).to_have_attribute(
        "aria-valuetext", "0.01"
    )
    expect(page.locator(".live-chart .mark text")).to_have_text("learning rate 0.005")
