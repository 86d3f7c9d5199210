"""The page of all ranks in a real browser: a sweep in a moment, a rank at once, a handle without the server.

And the same handle on the playground's live chart. Run with `-s` to see the measured figures.
"""

import re
from itertools import count

import pytest
from playwright.sync_api import Locator, Page, WebSocket, expect

from tests.kit.browser import at_rest, frames, nothing_follows, p95, still
from tests.kit.texts import trapped_swipes

CHART = "[data-testid=rank-chart]"
STILL = "[data-testid=steady-chart]"
SENT: list[int] = []
RECEIVED: list[int] = []
"""Sizes of the messages from the shared tab to the server, and back."""

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
def tab(app, open_shared_page) -> Page:
    page = open_shared_page("about:blank")
    page.on("websocket", overheard)
    page.goto(f"{app}/Every_rank")
    painted(page)
    return page


def overheard(socket: WebSocket) -> None:
    socket.on("framesent", lambda frame: SENT.append(len(frame)))
    socket.on("framereceived", lambda frame: RECEIVED.append(len(frame)))


def painted(page: Page) -> None:
    expect(page.locator(f"{CHART}[data-run]")).to_be_visible(timeout=30_000)
    expect(page.locator(f"{STILL}[data-run]")).to_have_count(3, timeout=30_000)
    at_rest(page)


def slider(page: Page, label: str) -> Locator:
    return page.locator(f"input[type=range][aria-label='{label}']")


def press(page: Page, label: str, key: str, names: list[str], times: int) -> list[float]:
    slider(page, label).focus()
    page.evaluate(WATCH, names)
    for _ in range(times):
        before = len(page.evaluate("answers"))
        page.keyboard.press(key)
        page.wait_for_function("count => answers.length > count", arg=before)
        at_rest(page)
    page.evaluate("pressing.abort()")
    return page.evaluate("answers")


def drag(page: Page, across: float, steps: int = 120) -> list[float]:
    """Move the held handle to a share of the chart's width; the times from each move to its frame."""
    area = page.locator(f"{CHART} .area").bounding_box()
    assert area is not None
    height = area["y"] + area["height"] / 2
    page.evaluate("moves.length = 0")
    for step in range(steps):
        share = (1 - across) + step / (steps - 1) * (2 * across - 1)
        page.mouse.move(area["x"] + 10 + share * (area["width"] - 20), height + step % 7)
        frames(page)
    moves: list[float] = page.evaluate("moves")
    return moves


def drag_back_and_forth(page: Page, within) -> None:
    """Hold the handle, drag it over all ranks within two frames a move, and stay at the last, holding it."""
    page.evaluate(MOVES)
    box = still(page.locator(f"{CHART} .area")).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 10, box["y"] + box["height"] / 2)
    page.mouse.down()
    ends = (number % 2 for number in count(1))

    def measure() -> float:
        moves = drag(page, next(ends))
        assert len(moves) > 40
        return p95(moves)

    within(34, measure, page, "dragged handle, p95 in ms")
    if next(ends):
        drag(page, 1.0, steps=10)


def test_a_new_experiment_is_painted_on_every_chart_in_a_second_and_a_half(app, tab: Page, within) -> None:
    seeds = count(42)

    def measure() -> float:
        tab.goto(f"{app}/Every_rank?seed={next(seeds)}")
        painted(tab)
        slider(tab, "Learning rate").press("Home")
        tab.wait_for_url("**learning_rate=*")
        nothing_follows(tab)
        return p95(press(tab, "Learning rate", "ArrowRight", ["ranks", "heat", "spectrum", "cut"], 10))

    within(1500, measure, tab, "new experiment to all charts, p95 in ms")


def test_a_new_rank_trains_nothing_and_answers_at_once(tab: Page, within) -> None:
    def measure() -> float:
        answers = press(tab, "Rank", "ArrowRight", ["told", "spectrum"], 6)
        answers += press(tab, "Rank", "ArrowLeft", ["told", "spectrum"], 6)
        return p95(answers)

    within(400, measure, tab, "new rank to all that it changes, p95 in ms")


def test_a_new_rank_draws_again_only_what_it_changes(tab: Page) -> None:
    charts = tab.locator(STILL)
    drawn = [each.get_attribute("data-run") for each in charts.all()]
    figure = tab.locator(CHART).get_attribute("data-run")
    received = len(RECEIVED)
    press(tab, "Rank", "ArrowRight", ["told", "spectrum"], 1)
    nothing_follows(tab)
    now = [each.get_attribute("data-run") for each in charts.all()]
    assert [before == after for before, after in zip(drawn, now, strict=True)] == [True, False, True]
    assert tab.locator(CHART).get_attribute("data-run") == figure
    size = sum(RECEIVED[received:])
    print(f"\na new rank: {size / 1000:.0f} kB in {len(RECEIVED) - received} messages")
    assert max(RECEIVED[received:]) < 20_000  # the figure with all curves, some 50 kB, is not sent again


def test_a_dragged_handle_is_painted_within_two_frames_and_tells_the_server_nothing(
    tab: Page, within
) -> None:
    chart, handle = tab.locator(CHART), tab.get_by_role("slider", name="Rank handle")
    drawn = tab.evaluate_handle(f"document.querySelector('{CHART} .scatterlayer')")
    curve = tab.locator(f"{CHART} path.curve")
    told, first = len(SENT), curve.get_attribute("d")
    drag_back_and_forth(tab, within)
    assert len(SENT) == told
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
    tab.keyboard.press("End")
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_url("**/*rank=63*")
    expect(slider(tab, "Rank")).to_have_attribute("aria-valuetext", "63")
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowRight")
    tab.wait_for_url("**/*rank=2*")
    expect(slider(tab, "Rank")).to_have_attribute("aria-valuetext", "2")


def test_a_rank_can_be_chosen_while_the_ranks_of_a_large_layer_are_trained(app, open_page) -> None:
    page = open_page(f"{app}/Every_rank?in_features=1024&out_features=64&epochs=500")
    expect(page.locator(f"{CHART}[data-told]")).to_be_visible(timeout=60_000)
    page.get_by_role("slider", name="Rank handle").press("Home")
    page.wait_for_url(re.compile(r"rank=1(&|$)"))
    expect(slider(page, "Rank")).to_have_attribute("aria-valuetext", "1")
    expect(page.locator(f"{CHART}[data-told='1'][data-rank='1']")).to_be_visible()
    expect(page.locator(".st-key-verdict")).to_contain_text("Training 64 ranks")


def test_a_click_on_the_chart_or_the_heat_map_chooses_a_rank(app, open_page) -> None:
    page = open_page(f"{app}/Every_rank?task=digits")
    painted(page)
    heat = still(page.locator(f"{STILL} .nsewdrag").first).bounding_box()
    assert heat is not None
    page.mouse.click(heat["x"] + heat["width"] / 2, heat["y"] + heat["height"] * 0.55)
    page.wait_for_url("**/*rank=5*")
    area = still(page.locator(f"{CHART} .area")).bounding_box()
    assert area is not None
    page.mouse.click(area["x"] + area["width"] * 0.95, area["y"] + 30)
    page.wait_for_url("**/*rank=10*")


@pytest.mark.parametrize(
    ("column", "row", "rank", "rate"), [(8, 3, "7", "0.05"), (7, 0, "3", "0.02")], ids=["a rank", "full"]
)
def test_one_click_on_a_cell_of_the_map_opens_it_in_the_playground(
    app, open_page, column: int, row: int, rank: str, rate: str
) -> None:
    """Twelve rates; the rows are, from the top, full fine-tuning, which has no rank, and 10, 8, 7 .. 1."""
    page = open_page(f"{app}/Every_rank?task=digits&seed=7")
    painted(page)
    page.get_by_text("Train a map of ranks and rates").click()
    expect(page.locator(f"{STILL}[data-run]")).to_have_count(4, timeout=15_000)
    box = still(page.locator(f"{STILL} .nsewdrag").last).bounding_box()
    assert box is not None
    page.mouse.click(
        box["x"] + box["width"] * (column + 0.5) / 12, box["y"] + box["height"] * (row + 0.5) / 10
    )
    expect(page.get_by_test_id("live-chart")).to_be_visible(timeout=15_000)
    for label, value in (("Learning rate", rate), ("Rank", rank)):
        expect(slider(page, label)).to_have_attribute("aria-valuetext", value)
    expect(page.get_by_text(f"LoRA, rank {rank}").first).to_be_visible()
    for part in ("task=digits", "seed=7"):
        assert part in page.url


def test_a_phone_has_everything_within_its_width_and_a_swipe_keeps_the_rank(app, open_page) -> None:
    page = open_page(f"{app}/Every_rank", viewport={"width": 400, "height": 800}, has_touch=True)
    painted(page)
    handle = page.get_by_role("slider", name="Rank handle")
    before = handle.get_attribute("aria-valuenow"), page.url
    assert trapped_swipes(page) == []  # each is a swipe upwards from the middle of a chart
    nothing_follows(page)
    assert (handle.get_attribute("aria-valuenow"), page.url) == before
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    chart = page.locator(CHART).bounding_box()
    assert chart is not None
    assert chart["width"] <= 400
