"""The page inside the layer in a real browser: does scrubbing paint at once, and does the page follow?

Run with `-s` to see the measured figures.
"""

import re
import time

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from lora_core import Experiment, Run, run
from lora_core.figures.inside.drawing import signed_text
from lora_core.figures.inside.matrices import label, matrices_info
from lora_core.formatting import loss_text
from tests.kit.browser import at_rest

PAGE = "Inside_the_layer"
SECONDS = 2.0
"""For a page to paint, its browser and its server being warm."""

SCRUB = """async () => {
  const root = document.querySelector('[data-testid=time-machine]');
  const bar = root.querySelector('input.scrub');
  const painted = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  const times = [], pictures = new Set();
  for (let index = 0; index <= 50; index += 1) {
    await new Promise(done => setTimeout(done, 20));
    const start = performance.now();
    bar.value = String(index);
    bar.dispatchEvent(new Event('input', {bubbles: true}));
    await painted();
    times.push(performance.now() - start);
    pictures.add(root.querySelector('[data-matrix=delta] canvas').toDataURL());
  }
  return {times, pictures: pictures.size};
}"""

PIXELS = """name => {
  const canvas = document.querySelector(`[data-matrix=${name}] canvas`);
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return {width: canvas.width, height: canvas.height, data: [...data]};
}"""


PLOTTED = """count => {
  const traces = key => document.querySelector(`.st-key-${key} .js-plotly-plot`)?._fullData;
  const [strengths, map] = traces("parts-drawn") ?? [];
  if (strengths?.marker.color.filter(color => color !== "rgba(0,0,0,0)").length !== count) return null;
  const bars = traces("outputs-drawn")?.find(trace => trace.name === "With these parts");
  return bars && {z: map.z.map(row => [...row]), x: [...bars.x], y: [...bars.y]};
}"""


@pytest.fixture(scope="module")
def found() -> Run:
    return run(Experiment())


@pytest.fixture(scope="module")
def shared(app, open_shared_page) -> Page:
    return open_shared_page(f"{app}/{PAGE}")


@pytest.fixture
def tab(shared) -> Page:
    """The page, drawn, with the default experiment, at its last update."""
    wait_painted(shared)
    scrub(shared).fill("50")
    expect(machine(shared)).to_have_attribute("data-epoch", "200")
    return shared


def machine(page: Page) -> Locator:
    return page.get_by_test_id("time-machine")


def wait_painted(page: Page) -> None:
    """Wait for the maps."""
    expect(machine(page)).to_be_visible(timeout=60_000)


def scrub(page: Page) -> Locator:
    return machine(page).get_by_role("slider", name="Epoch", exact=True)


def lines(page: Page, name: str) -> list[str]:
    """What is written on a map under its title."""
    return machine(page).locator(f"[data-matrix={name}] figcaption span").all_inner_texts()


def say(page: Page, words: str) -> Locator:
    return page.get_by_text(words)


def test_fifty_epochs_paint_within_100_ms_each(tab, within):
    tab.evaluate(SCRUB)
    within(100, lambda: scrubbed(tab, pictures=51), tab, "scrub of 51 epochs, p95 in ms")


def scrubbed(page: Page, pictures: int) -> float:
    """Every kept epoch in turn: the 95th percentile of the times to paint, in ms; so many pictures differ."""
    seen = page.evaluate(SCRUB)
    assert seen["pictures"] >= pictures
    return float(np.percentile(seen["times"], 95))


def test_a_large_layer_scrubs_as_smoothly(app, open_page, within):
    page = open_page(f"{app}/{PAGE}?in_features=256&out_features=192&rank=64&epochs=50&samples=64")
    wait_painted(page)
    expect(machine(page)).to_contain_text("one shows the mean of 2 × 2 of W₀")
    within(100, lambda: scrubbed(page, pictures=20), page, "scrub at 256 x 192, rank 64, p95 in ms")


def test_labels_and_colours_are_the_matrices(tab, found):
    info = matrices_info(found)
    ends = machine(tab).locator(".scale span")
    expect(ends.first).to_have_text(f"≤ {signed_text(-info.scale / 2)}")
    expect(ends.last).to_have_text(f"≥ +{signed_text(info.scale / 2)}")
    for epoch in (200, 40, 0):
        index = info.updates.index(epoch)
        scrub(tab).fill(str(index))
        expect(machine(tab)).to_have_attribute("data-epoch", str(epoch))
        for name in ("W0", "A", "B", "delta", "W"):
            assert lines(tab, name) == label(info, name, index)
        words = f"after {epoch} of 200 updates, error {loss_text(found.lora.loss[epoch])}"
        expect(machine(tab).locator(".count")).to_have_text(words)
        drawn = tab.evaluate(PIXELS, "delta")
        assert (drawn["height"], drawn["width"]) == (64, 64)
        greener = np.array(drawn["data"]).reshape(64, 64, 4).astype(int)[..., :2] @ [-1, 1]
        strong = np.abs(info.delta[index]) > 0.05 * info.scale
        assert (np.sign(greener[strong]) == np.sign(info.delta[index][strong])).all()
    assert (greener == 0).all()  # B is zero: no colour anywhere


def test_the_page_follows_the_hand_that_lets_go(tab, found):
    scrub(tab).focus()
    for _ in range(3):
        tab.keyboard.press("ArrowLeft")
    expect(machine(tab)).to_have_attribute("data-epoch", "188")
    expect(say(tab, f"The error is {loss_text(found.lora.loss[188])}.")).to_be_visible()
    tab.wait_for_url("**epoch=188*")
    expect(machine(tab)).to_have_attribute("data-epoch", "188")


def test_a_link_opens_at_its_epoch_and_a_new_rank_keeps_it(app, open_page):
    page = open_page(f"{app}/{PAGE}?epoch=40")
    wait_painted(page)
    expect(machine(page)).to_have_attribute("data-epoch", "40")
    before = machine(page).get_attribute("data-run")
    node = machine(page).element_handle()
    page.locator(".st-key-rank").get_by_role("slider").press("ArrowRight")
    expect(machine(page)).not_to_have_attribute("data-run", before)
    expect(machine(page)).to_have_attribute("data-epoch", "40")
    assert lines(page, "A")[0] == "64 × 4"
    assert node.evaluate("node => node.isConnected")


def test_it_plays_pauses_and_steps(tab):
    play = machine(tab).get_by_role("button", name="Play", exact=True)
    play.click()
    expect(machine(tab)).to_have_attribute("data-state", "playing")
    tab.keyboard.press("Escape")
    machine(tab).get_by_role("button", name="Pause", exact=True).click()
    expect(machine(tab)).to_have_attribute("data-state", "paused")
    machine(tab).get_by_role("button", name="Restart", exact=True).click()
    expect(machine(tab)).to_have_attribute("data-epoch", "0")
    machine(tab).get_by_role("button", name="Step", exact=True).click()
    expect(machine(tab)).to_have_attribute("data-epoch", "4")
    expect(say(tab, "After 4 updates A and B")).to_be_visible()


def test_a_cell_is_read_under_the_pointer(tab, found):
    snapshot = found.lora.snapshots[200]
    change = found.experiment.scaling * snapshot.A @ snapshot.B
    canvas = machine(tab).locator("[data-matrix=delta] canvas")
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] * 10.5 / 64, "y": box["height"] * 20.5 / 64})
    value = signed_text(float(change[20, 10]))
    expect(machine(tab).locator(".readout")).to_have_text(f"s·A·B at input 21, output 11: {value}")
    marked = machine(tab).locator(".mark:visible")
    assert marked.count() == 5


SPREAD = [
    "task=low-rank&rank=1",
    "task=power-law&init=gaussian&rank=96&in_features=10&out_features=6",
    "task=noise&init=original&in_features=2&out_features=2&rank=1024",
    "view=Matrices&task=digits&init=original&rank=96&train_bias=true",
    "view=Matrices&task=digits&init=zero&rank=1&true_rank=5",
    "in_features=1024&out_features=1024",
]


@pytest.fixture(scope="module")
def visited(app, open_shared_page) -> Page:
    """A browser that has been here before."""
    return open_shared_page(app)


@pytest.mark.parametrize("link", SPREAD)
def test_every_corner_paints_within_two_seconds(app, visited, within, link):
    """From the request of the page, its run not yet trained."""
    page, seeds = visited, iter(range(7, 99))

    def paint() -> float:
        start = time.perf_counter()
        page.goto(f"{app}/{PAGE}?{link}&seed={next(seeds)}")
        wait_painted(page)
        return time.perf_counter() - start

    within(SECONDS, paint, page, f"{link}, seconds to paint the matrices")
    assert page.locator(".stException").count() == 0


def test_a_part_switched_off_changes_delta_loss_and_output(app, open_page):
    page, found = open_page(f"{app}/{PAGE}?view=Parts&rank=4"), run(Experiment(rank=4))
    page.get_by_role("radio", name="As its SVD").click()
    problem, snapshot = found.problem, found.lora.snapshots[200]
    U, S, Vh = np.linalg.svd((found.experiment.scaling * snapshot.A @ snapshot.B).numpy())

    def shows(count: int) -> None:
        kept = U[:, :count] * S[:count] @ Vh[:count]
        loss = np.square(problem.residual().numpy() - problem.X.numpy() @ kept).mean()
        row = page.get_by_role("row", name="As switched")
        expect(row.get_by_role("cell").nth(1)).to_have_text(loss_text(loss))
        at_rest(page)  # the two charts are drawn one after the other
        drawn = page.wait_for_function(PLOTTED, arg=count).json_value()
        np.testing.assert_allclose(np.array(drawn["z"]), kept, atol=1e-6)
        y = problem.base(problem.X_test[0]).detach().numpy() + problem.X_test[0].numpy() @ kept
        np.testing.assert_allclose(drawn["y"], y[[int(each) - 1 for each in drawn["x"]]], atol=1e-6)

    shows(4)
    page.get_by_role("button", name="4", exact=True).click()
    shows(3)


def test_a_digit_is_traced_where_it_is_chosen(app, open_page):
    page = open_page(f"{app}/{PAGE}?task=digits&true_rank=1&rank=1")
    trace = page.get_by_role("radio", name=re.compile(r"^Trace \d+$")).nth(2)
    chosen = trace.inner_text().split()[1]
    trace.click()
    expect(page.get_by_role("spinbutton", name="New input")).to_have_value(chosen)
    page.wait_for_url("**view=One+input*")
    page.get_by_role("tab", name="Parts").click()
    expect(page.get_by_text(f"Outputs of new input {chosen}")).to_be_visible()
    page.reload()
    expect(page.get_by_role("tab", name="Parts")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Matrices").click()
    wait_painted(page)
    expect(page.get_by_text("8 minus 3").last).to_be_attached()


def test_pages_can_be_left_while_they_are_computed(app, open_page):
    """Nothing of a page that was left turns up on another, and the one where it ends is whole."""
    page = open_page(f"{app}/{PAGE}?in_features=512&out_features=512&seed=3")
    names = ["Playground", "Inside the layer", "The code"]
    for name in names:
        page.get_by_role("link", name=name, exact=True).first.click()
        path = "" if name == "Playground" else name.replace(" ", "_")
        page.wait_for_url(re.compile(rf"^{app}/{path}(\?|$)"))
    page.get_by_role("link", name="Inside the layer", exact=True).first.click()
    wait_painted(page)
    expect(machine(page)).to_have_count(1)
    expect(page.get_by_test_id("live-chart")).to_have_count(0)
    assert lines(page, "W0")[0] == "512 × 512"
    assert page.locator(".stException").count() == 0


@pytest.mark.parametrize(("task", "scheme"), [("low-rank", "light"), ("digits", "dark")])
def test_a_phone_shows_all_without_overflow(app, open_page, task, scheme):
    page = open_page(
        f"{app}/{PAGE}?view=Matrices&task={task}&init=zero",
        viewport={"width": 400, "height": 800},
        color_scheme=scheme,
    )
    wait_painted(page)
    width = page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth")
    assert width <= 400
    right = "n => Math.max(...[...n.querySelectorAll('canvas')].map(e => e.getBoundingClientRect().right))"
    assert machine(page).evaluate(right) <= 400
    # A and B are zero: zero has the colour of the page.
    zero = {"light": [255, 255, 255], "dark": [14, 17, 23]}[scheme]
    assert page.evaluate(PIXELS, "delta")["data"][:3] == zero


def test_the_epoch_chosen_on_the_playground_arrives_here(app, open_page):
    page = open_page(app)
    chart = page.get_by_test_id("live-chart")
    expect(chart).to_be_visible(timeout=20_000)
    bar = chart.get_by_role("slider", name="Epoch", exact=True)
    box = bar.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
    chosen = int(chart.get_attribute("data-epoch"))
    assert 20 < chosen < 60
    page.get_by_role("link", name="Inside the layer").click()
    wait_painted(page)
    kept = min(matrices_info(run(Experiment())).updates, key=lambda update: abs(update - chosen))
    expect(machine(page)).to_have_attribute("data-epoch", str(kept))
    page.wait_for_url(f"**epoch={kept}*")
    # Another rank is shown to its end there, and so here.
    page.get_by_role("link", name="Playground").click()
    expect(chart).to_be_visible()
    before = chart.get_attribute("data-run")
    page.locator(".st-key-rank").get_by_role("slider").press("ArrowRight")
    expect(chart).not_to_have_attribute("data-run", before)
    page.get_by_role("link", name="Inside the layer").click()
    wait_painted(page)
    expect(machine(page)).to_have_attribute("data-epoch", "200")


def test_on_a_phone_the_maps_are_still_a_sum(tab: Page) -> None:
    tops = """() => [...document.querySelectorAll('.time-machine .maps > *')].map((node) => ({
      name: node.dataset.matrix ?? node.textContent.slice(0, 1), ...node.getBoundingClientRect().toJSON(),
    }))"""
    for width in (820, 390):
        tab.set_viewport_size({"width": width, "height": 844})
        tab.wait_for_function("() => document.querySelector('.time-machine .maps.narrow')")
        W0, plus, change, equals, W = (part for part in tab.evaluate(tops))
        assert [W0["name"], plus["name"], equals["name"], W["name"]] == ["W0", "+", "=", "W"]
        assert W0["bottom"] <= change["top"] < plus["top"] < change["bottom"] <= W["top"] < equals["top"]
        assert plus["width"] > 0
        assert plus["right"] < change["left"]
        assert equals["right"] < W["left"]
        assert W["right"] == pytest.approx(change["right"], abs=1)
    tab.set_viewport_size({"width": 1280, "height": 720})
