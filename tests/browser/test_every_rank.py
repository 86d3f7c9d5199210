"""The page of all ranks in a real browser: a sweep in a moment, a rank at once, a handle without the server.

Run with `-s` to see the measured figures.
"""

from statistics import median, quantiles

import pytest
from playwright.sync_api import Locator, Page, expect

CHART = "[data-testid=rank-chart]"
STILL = "[data-testid=steady-chart]"
SENT: list[object] = []
"""Messages from the shared tab to the server."""

# From a key to the frame in which every part named has changed.
WATCH = """names => {
  window.answers = [];
  let pressed, waiting = new Set();
  const parts = {
    ranks: ["[data-testid=rank-chart]", 0, "data-run"],
    told: ["[data-testid=rank-chart]", 0, "data-told"],
    heat: ["[data-testid=steady-chart]", 0, "data-run"],
    spectrum: ["[data-testid=steady-chart]", 1, "data-run"],
    cut: ["[data-testid=steady-chart]", 2, "data-run"],
  };
  window.pressing = new AbortController();
  addEventListener("keydown", () => {
    pressed = performance.now();
    waiting = new Set(names);
  }, {capture: true, signal: pressing.signal});
  for (const name of names) {
    const [selector, place, attribute] = parts[name];
    const node = document.querySelectorAll(selector)[place];
    new MutationObserver(() => {
      waiting.delete(name);
      if (waiting.size || !pressed) return;
      const since = pressed;
      pressed = undefined;
      requestAnimationFrame(() => setTimeout(() => answers.push(performance.now() - since)));
    }).observe(node, {attributes: true, attributeFilter: [attribute]});
  }
}"""

# From each move of the pointer that reaches another rank to the end of the frame that shows it.
MOVES = """() => {
  window.moves = [];
  let moved;
  addEventListener("pointermove", () => (moved ??= performance.now()), true);
  const root = document.querySelector("[data-testid=rank-chart]");
  new MutationObserver(() => {
    const since = moved;
    moved = undefined;
    if (since) requestAnimationFrame(() => setTimeout(() => moves.push(performance.now() - since)));
  }).observe(root, {attributes: true, attributeFilter: ["data-rank"]});
}"""


@pytest.fixture(scope="module")
def app(serve) -> str:
    return serve("app.py")


@pytest.fixture(scope="module")
def tab(app, open_shared_page) -> Page:
    page = open_shared_page("about:blank")
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: SENT.append(frame)))
    page.goto(f"{app}/Every_rank")
    painted(page)
    return page


def painted(page: Page) -> None:
    expect(page.locator(f"{CHART}[data-run]")).to_be_visible(timeout=30_000)
    expect(page.locator(f"{STILL}[data-run]")).to_have_count(3, timeout=30_000)
    page.wait_for_timeout(600)


def slider(page: Page, label: str) -> Locator:
    return page.locator(f"input[type=range][aria-label='{label}']")


def press(page: Page, label: str, key: str, names: list[str], times: int) -> list[float]:
    slider(page, label).focus()
    page.evaluate(WATCH, names)
    for _ in range(times):
        before = len(page.evaluate("answers"))
        page.keyboard.press(key)
        page.wait_for_function("count => answers.length > count", arg=before)
        page.wait_for_timeout(250)
    page.evaluate("pressing.abort()")
    return page.evaluate("answers")


def p95(values: list[float]) -> float:
    return quantiles(values, n=20, method="inclusive")[-1]


def test_a_new_experiment_is_painted_on_every_chart_in_a_second_and_a_half(tab: Page) -> None:
    slider(tab, "Learning rate").press("Home")
    tab.wait_for_timeout(2500)
    answers = press(tab, "Learning rate", "ArrowRight", ["ranks", "heat", "spectrum", "cut"], 13)
    print(f"\nnew experiment to all charts: median {median(answers):.0f} ms, p95 {p95(answers):.0f} ms")
    assert p95(answers) <= 1500


def test_a_new_rank_trains_nothing_and_answers_at_once(tab: Page) -> None:
    answers = press(tab, "Rank", "ArrowRight", ["told", "spectrum", "cut"], 6)
    answers += press(tab, "Rank", "ArrowLeft", ["told", "spectrum", "cut"], 6)
    print(f"\nnew rank to all charts: median {median(answers):.0f} ms, p95 {p95(answers):.0f} ms")
    assert p95(answers) <= 400


def test_a_dragged_handle_is_painted_within_two_frames_and_tells_the_server_nothing(tab: Page) -> None:
    tab.evaluate(MOVES)
    chart, handle = tab.locator(CHART), tab.get_by_role("slider", name="Rank handle")
    area = tab.locator(f"{CHART} .area").bounding_box()
    assert area is not None
    drawn = tab.evaluate_handle(f"document.querySelector('{CHART} .scatterlayer')")
    curve = tab.locator(f"{CHART} path.curve")
    height = area["y"] + area["height"] / 2
    tab.mouse.move(area["x"] + 10, height)
    tab.mouse.down()
    before, first = len(SENT), curve.get_attribute("d")
    for step in range(120):
        tab.mouse.move(area["x"] + 10 + step / 119 * (area["width"] - 20), height + step % 7)
        tab.wait_for_timeout(12)
    moves = tab.evaluate("moves")
    told = len(SENT) - before
    print(
        f"\ndragged handle: {len(moves)} ranks passed, median {median(moves):.1f} ms, "
        f"p95 {p95(moves):.1f} ms, {told} messages sent"
    )
    assert len(moves) > 40
    assert p95(moves) <= 34
    assert told == 0
    assert curve.get_attribute("d") != first
    expect(chart).to_have_attribute("data-rank", "64")
    expect(handle).to_have_attribute("aria-valuenow", "64")
    assert tab.evaluate(f"node => node === document.querySelector('{CHART} .scatterlayer')", drawn)
    tab.mouse.up()
    tab.wait_for_url("**/*rank=64*")
    expect(slider(tab, "Rank")).to_have_attribute("aria-valuetext", "64")


def test_a_rank_between_the_slider_s_options_is_offered(tab: Page) -> None:
    handle = tab.get_by_role("slider", name="Rank handle")
    handle.focus()
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_url("**/*rank=63*")
    expect(slider(tab, "Rank")).to_have_attribute("aria-valuetext", "63")
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowRight")
    tab.wait_for_url("**/*rank=2*")
    expect(slider(tab, "Rank")).to_have_attribute("aria-valuetext", "2")


def test_a_click_on_the_chart_or_the_heat_map_chooses_a_rank(app, open_page) -> None:
    page = open_page(f"{app}/Every_rank?task=digits")
    painted(page)
    plot = page.locator(f"{STILL} .nsewdrag").first
    plot.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    heat = plot.bounding_box()
    assert heat is not None
    page.mouse.click(heat["x"] + heat["width"] / 2, heat["y"] + heat["height"] * 0.55)
    page.wait_for_url("**/*rank=5*")
    page.locator(f"{CHART} .area").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    area = page.locator(f"{CHART} .area").bounding_box()
    assert area is not None
    page.mouse.click(area["x"] + area["width"] * 0.95, area["y"] + 30)
    page.wait_for_url("**/*rank=10*")


def test_a_cell_of_the_map_opens_in_the_playground(app, open_page) -> None:
    page = open_page(f"{app}/Every_rank?task=digits")
    painted(page)
    page.get_by_text("Which learning rate?").click()
    expect(page.locator(f"{STILL}[data-run]")).to_have_count(4, timeout=15_000)
    plot = page.locator(f"{STILL} .nsewdrag").last
    plot.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    box = plot.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 8.5 / 12, box["y"] + box["height"] * 3.5 / 10)
    page.get_by_role("link", name="Open rank 7 at 0.05 in the playground").click()
    expect(page.get_by_test_id("live-chart")).to_be_visible(timeout=15_000)
    expect(slider(page, "Learning rate")).to_have_attribute("aria-valuetext", "0.05")
    assert "learning_rate=0.05" in page.url
    assert "task=digits" in page.url


def test_a_phone_has_everything_within_its_width(app, open_page) -> None:
    page = open_page(f"{app}/Every_rank", viewport={"width": 400, "height": 800})
    painted(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    chart = page.locator(CHART).bounding_box()
    assert chart is not None
    assert chart["width"] <= 400
