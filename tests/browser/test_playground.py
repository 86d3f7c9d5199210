"""The playground in a real browser: does it answer at once, keep its place, and open every link?

Run with `-s` to see the measured figures.
"""

import json
import re
import time
from http.client import HTTPConnection
from statistics import median

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from lora_core import Experiment, run
from lora_core.experiment import LIMITS
from lora_core.fields import Flag, FloatRange, IntRange
from lora_core.findings.verdict import verdict
from pages.ui.controls import CONTROLS, value_text
from tests.kit.browser import at_rest, guarded, nothing_follows, p95

CHART = "[data-testid=live-chart]"

# From a key to the frame in which the chart has the curve of the new rank.
WATCH = """() => {
  window.answers = [];
  let pressed, waiting = new Set();
  const settle = (part) => {
    waiting.delete(part);
    if (!waiting.size && pressed) {
      const since = pressed;
      pressed = undefined;
      requestAnimationFrame(() => setTimeout(() => answers.push(performance.now() - since)));
    }
  };
  addEventListener("keydown", () => {
    pressed = performance.now();
    waiting = new Set(["loss"]);
  }, true);
  const watch = (selector, part) => {
    const node = document.querySelector(selector);
    new MutationObserver(() => settle(part)).observe(node, {attributes: true, attributeFilter: ["data-run"]});
    node.marked = true;
  };
  watch("[data-testid=live-chart]", "loss");
}"""

FRAMES = """seconds => new Promise(done => {
  const root = document.querySelector("[data-testid=live-chart]");
  const gaps = [];
  let blank = 0, start, before;
  const look = now => {
    start ??= now;
    if (before !== undefined) gaps.push(now - before);
    before = now;
    const paths = [...root.querySelectorAll(".scatterlayer > .trace path.js-line")];
    if (paths.length < 4 || paths.some(path => !path.getAttribute("d"))) blank += 1;
    if (now - start < seconds * 1000) requestAnimationFrame(look);
    else done({frames: gaps.length, blank, longest: Math.max(...gaps)});
  };
  requestAnimationFrame(look);
})"""


@pytest.fixture(scope="module")
def tab(app, open_shared_page) -> Page:
    page = open_shared_page(app)
    expect(page.locator(CHART)).to_have_attribute("data-run", run(Experiment()).fingerprint)
    return page


def slider(page: Page, label: str) -> Locator:
    """The slider of that label; True rank's is none of Rank's."""
    name = next(name for name, control in CONTROLS.items() if control.label == label)
    return page.locator(f".st-key-{name}").get_by_role("slider")


def shown_run(page: Page) -> str:
    return page.locator(CHART).get_attribute("data-run") or ""


def path_to(name: str) -> str:
    """Where the page of that name lies."""
    return "/" if name == "Playground" else f"/{name.replace(' ', '_')}"


def wait_for(page: Page, app: str, name: str, word: str) -> None:
    """Wait until the page of that name has the address, with the word in it."""
    page.wait_for_url(lambda url: url.startswith(f"{app}{path_to(name)}?") and word in url)


def test_what_matters_is_in_sight_at_1280_by_720(tab: Page) -> None:
    for label in ("In features", "Out features", "Rank", "Learning rate"):
        box = slider(tab, label).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 720, label
    play = tab.get_by_role("button", name="Play").bounding_box()
    assert play is not None
    assert play["y"] + play["height"] <= 720
    expect(tab.locator(".st-key-verdict")).to_contain_text(verdict(run(Experiment())).detail)


def test_a_slider_is_answered_within_a_quarter_of_a_second(tab: Page, within) -> None:
    tab.evaluate(WATCH)
    within(250, lambda: answer_times(tab), tab, "slider to curve painted, p95 in ms")
    assert tab.evaluate("document.querySelector('[data-testid=live-chart]').marked === true")
    expect(tab.locator(CHART)).to_have_attribute("data-run", run(Experiment()).fingerprint)


def answer_times(tab: Page) -> float:
    """Move the rank slider 20 times and back to where it was; p95 of key to painted, in ms."""
    tab.evaluate("answers.length = 0")
    slider(tab, "Rank").focus()
    for move in range(20):
        before = len(tab.evaluate("answers"))
        tab.keyboard.press("ArrowRight" if move % 4 < 2 else "ArrowLeft")
        tab.wait_for_function("count => answers.length > count", arg=before)
        at_rest(tab)
    answers = tab.evaluate("answers")
    print(f"\n{len(answers)} moves, median {median(answers):.0f} ms", end=", ")
    return p95(answers)


def test_a_playback_is_smooth_and_never_blank(tab: Page, within) -> None:
    tab.keyboard.press("Escape")
    tab.get_by_label("Speed").select_option("1")
    within(1000 / 55, lambda: played_back(tab), tab, "playback, ms a frame")


def played_back(tab: Page) -> float:
    """Play six of the run's seven seconds without a blank frame; milliseconds a frame."""
    tab.get_by_role("button", name="Restart").click()
    if tab.locator(CHART).get_attribute("data-state") != "playing":
        tab.get_by_role("button", name="Play").click()
    expect(tab.locator(CHART)).to_have_attribute("data-state", "playing")
    seen = tab.evaluate(FRAMES, 6)
    rate = seen["frames"] / 6
    print(f"\n{rate:.1f} frames/s, longest gap {seen['longest']:.0f} ms, {seen['blank']} blank", end=", ")
    assert seen["blank"] == 0
    return 1000 / rate


def test_a_zoom_survives_a_slider(tab: Page) -> None:
    plot = tab.locator(f"{CHART} .nsewdrag").first.bounding_box()
    assert plot is not None
    tab.mouse.move(plot["x"] + 60, plot["y"] + 40)
    tab.locator(f"{CHART} .modebar-btn").first.click()  # the zoom: by itself a drag scrubs
    tab.mouse.move(plot["x"] + 60, plot["y"] + 40)
    tab.mouse.down()
    tab.mouse.move(plot["x"] + 220, plot["y"] + 160, steps=6)
    tab.mouse.up()
    ranges = "document.querySelector('[data-testid=live-chart] .js-plotly-plot').layout.xaxis.range.slice()"
    tab.wait_for_function(f"{ranges}[0] > 1")
    zoomed = tab.evaluate(ranges)
    before = shown_run(tab)
    slider(tab, "Rank").press("ArrowRight")
    expect(tab.locator(CHART)).not_to_have_attribute("data-run", before)
    assert tab.evaluate(ranges) == zoomed


def test_space_scrub_and_arrows(tab: Page) -> None:
    chart = tab.locator(CHART)
    if chart.get_attribute("data-state") == "playing":
        tab.get_by_role("button", name="Pause").click()
    tab.get_by_role("button", name="Restart").click()
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.press("Space")
    expect(chart).to_have_attribute("data-state", "playing")
    tab.keyboard.press("Space")
    expect(chart).to_have_attribute("data-state", "paused")
    scrub = tab.get_by_role("slider", name="Epoch", exact=True)
    scrub.fill("50")
    expect(chart).to_have_attribute("data-epoch", "50")
    scrub.press("ArrowRight")
    expect(chart).to_have_attribute("data-epoch", "51")


@pytest.mark.parametrize("end", ["least", "middle", "greatest"])
def test_a_link_restores_every_field_with_the_same_run(app, open_page, end: str) -> None:
    # The sizes and epochs of a quick run; their own ends are AppTest's.
    fields = {name: picked(name, end) for name in CONTROLS if name not in ("samples", "epochs")}
    fields |= {"in_features": {"least": 2, "middle": 24, "greatest": 64}[end]}
    fields |= {"out_features": {"least": 2, "middle": 12, "greatest": 48}[end]}
    fields |= {
        "rank": {"least": 1, "middle": 5, "greatest": 60}[end],
        "true_rank": 3,
        "epochs": 60,
        "samples": 100,
    }
    experiment = Experiment.from_dict(fields)
    query = "&".join(f"{name}={value_text(value)}" for name, value in fields.items())
    page = open_page(f"{app}/?{query}", color_scheme="dark")  # a profile that has seen none of it
    expect(page.locator(CHART)).to_have_attribute("data-run", run(experiment).fingerprint, timeout=15_000)


@pytest.mark.parametrize("path", ["", "Inside_the_layer"])
@pytest.mark.parametrize("end", ["least", "middle", "greatest"])
def test_every_control_stands_where_its_link_says_up_to_the_limits(app, open_page, path, end: str) -> None:
    fields = {name: picked(name, end) for name in CONTROLS}
    query = "&".join(f"{name}={value_text(value)}" for name, value in fields.items())
    page = open_page("about:blank")
    page.goto(f"{app}/{path}?{query}")  # a run of a large layer may stream all the time
    for group in ("Task", "Adapter", "Training"):
        page.locator("summary", has_text=re.compile(f"{group}$")).press("Enter")  # it moves as others unfold
    in_use = Experiment.from_dict(fields)
    for name, value in fields.items():
        used = getattr(in_use, name)
        if used != value:  # the task fixes it: a slider that shows the value in use covers the link's
            covered = page.get_by_role("slider", name=CONTROLS[name].label)
            expect(covered).to_have_attribute("aria-valuetext", value_text(used))
        else:
            expect_value(name, page.locator(f".st-key-{name}"), value)
    assert page.get_by_test_id("stException").all_inner_texts() == []


def expect_value(name: str, control: Locator, value: object) -> None:
    """A control shows the value: a toggle, a slider, a number, a name."""
    limit = LIMITS[name]
    if isinstance(limit, Flag):
        expect(control.get_by_role("switch")).to_be_checked(checked=bool(value))
    elif CONTROLS[name].options:
        expect(control.get_by_role("slider")).to_have_attribute("aria-valuetext", value_text(value))
    elif isinstance(limit, IntRange):
        expect(control.get_by_role("spinbutton")).to_have_value(value_text(value))
    else:
        expect(control.get_by_role("combobox")).to_have_value(str(value))


def picked(name: str, end: str) -> object:
    limit = LIMITS[name]
    if isinstance(limit, IntRange | FloatRange):
        middle = type(limit.least)((limit.least + limit.greatest) / 2)
        return {"least": limit.least, "middle": middle, "greatest": limit.greatest}[end]
    values = [False, True] if isinstance(limit, Flag) else [str(each) for each in limit.kind]
    return values[{"least": 0, "middle": len(values) // 2, "greatest": -1}[end]]


def test_what_is_unfolded_stays_so_when_the_rank_passes_break_even(app, open_page) -> None:
    page = open_page(f"{app}/?rank=32")
    folds = page.get_by_test_id("stSidebar").locator("details")
    folds.locator("summary", has_text="Task").press("Enter")
    expect(folds.first).to_have_attribute("open", "")
    slider(page, "Rank").press("ArrowRight")
    expect(page.get_by_test_id("stSidebar").get_by_text("Above break-even")).to_be_visible()
    assert folds.evaluate_all("folds => folds.map(fold => fold.open)") == [True, False, False]


def test_a_moved_slider_stands_in_the_address_and_a_link_may_word_it_otherwise(app, open_page) -> None:
    page = open_page(f"{app}/?learning_rate=2e-2")
    expect(page.locator(CHART)).to_have_attribute("data-run", run(Experiment(learning_rate=0.02)).fingerprint)
    slider(page, "Rank").press("ArrowRight")
    page.wait_for_url("**/?*rank=4*")
    assert "learning_rate=0.02" in page.url
    expect(page.locator(CHART)).to_have_attribute(
        "data-run", run(Experiment(rank=4, learning_rate=0.02)).fingerprint
    )


def test_the_fields_of_a_link_follow_to_every_page_and_back(app, open_page) -> None:
    page = open_page(f"{app}/?rank=5&seed=7")
    guarded(page)  # until then a page may be two steps more
    steps = page.evaluate("history.length")
    for name in ("Every rank", "Inside the layer", "The code", "Playground"):
        link = page.get_by_role("link", name=name)
        expect(link).to_have_attribute("href", re.compile("rank=5"))
        link.click()
        wait_for(page, app, name, "rank=5")
        assert "seed=7" in page.url
        expect(slider(page, "Rank")).to_have_attribute("aria-valuetext", "5")
        steps += 1
        assert page.evaluate("history.length") == steps  # so that Back leads to the page before, as it was
    expect(page.locator(CHART)).to_have_attribute("data-run", run(Experiment(rank=5, seed=7)).fingerprint)


def test_a_link_clicked_before_any_module_has_come_is_one_step_too(app, open_page) -> None:
    page, held = open_page("about:blank"), []
    page.route("**/component/**", lambda route: held.append(route))
    page.goto(f"{app}/?rank=5")
    link = page.get_by_role("link", name="The code")
    expect(link).to_have_attribute("href", re.compile("rank=5"))
    guarded(page)
    steps = page.evaluate("history.length")
    link.click()
    wait_for(page, app, "The code", "rank=5")
    assert page.evaluate("history.length") == steps + 1
    page.unroute("**/component/**")  # lets go of what is held
    page.go_back()
    expect(page.locator(CHART)).to_have_attribute("data-run", run(Experiment(rank=5)).fingerprint)


def test_a_link_opens_its_page_in_a_new_tab_too(app, open_page) -> None:
    page = open_page(f"{app}/The_code?rank=5")
    guarded(page)
    for name in ("Playground", "Every rank"):
        for click in ({"button": "middle"}, {"modifiers": ["Control"]}, {"modifiers": ["Shift"]}):
            with page.context.expect_page() as opened:
                page.get_by_role("link", name=name).click(**click)
            expect(opened.value).to_have_url(f"{app}{path_to(name)}?rank=5")
            opened.value.close()
    expect(page).to_have_url(f"{app}/The_code?rank=5")


def test_the_icon_of_the_tab_is_part_of_the_page_and_never_missing(tab: Page) -> None:
    icon = tab.locator("link[rel~=icon]").first
    expect(icon).to_have_attribute("href", re.compile("^data:image/png;base64,"))


def test_what_a_hand_has_chosen_follows_too_and_digits_leave_the_sizes_alone(app, open_page) -> None:
    page = open_page(f"{app}/?in_features=32")
    page.get_by_role("button", name="Presets").click()
    page.get_by_role("button", name="Two labels swapped").click()
    page.keyboard.press("Escape")
    page.wait_for_url("**/?*task=digits*")
    expect(slider(page, "Rank")).to_have_attribute("aria-valuetext", "1")
    nothing_follows(page)  # the preset's answer would take back a key that came before it
    slider(page, "Rank").press("ArrowRight")
    page.wait_for_url("**/?*rank=2*")
    expect(page.get_by_role("link", name="Every rank")).to_have_attribute("href", re.compile("rank=2"))
    sizes = page.get_by_role("slider", name="In features")
    expect(sizes).to_have_attribute("aria-valuetext", "64")  # the digits'
    for name in ("Every rank", "Inside the layer", "Playground"):
        page.get_by_role("link", name=name).click()
        wait_for(page, app, name, "task=digits")
        expect(slider(page, "Rank")).to_have_attribute("aria-valuetext", "2")
        expect(sizes).to_have_attribute("aria-valuetext", "64")
        assert page.get_by_test_id("stException").count() == 0
    chosen = Experiment(task="digits", true_rank=1, rank=2)
    expect(page.locator(CHART)).to_have_attribute("data-run", run(chosen).fingerprint)


def test_nonsense_opens_on_the_default_with_a_clear_word(app, open_page) -> None:
    page = open_page(f"{app}/?rank=%3Cscript%3Ealert(1)%3C/script%3E&seed=zzz&task=&utm_source=x")
    expect(page.locator(CHART)).to_have_attribute("data-run", run(Experiment()).fingerprint)
    expect(page.get_by_text("Rank in the link is")).to_contain_text("a whole number from 1 to 1,024")
    expect(page.get_by_text("Seed in the link is")).to_contain_text("zzz")
    assert page.locator("script", has_text="alert(1)").count() == 0


@pytest.mark.timed
def test_no_file_waits_for_the_receipt_of_another(app) -> None:
    """A browser asks for some hundred files, one after another on few connections."""
    host = app.removeprefix("http://")
    connection = HTTPConnection(host)
    times = []
    for _ in range(20):
        start = time.monotonic()
        connection.request("GET", "/_stcore/health")
        connection.getresponse().read()
        times.append(time.monotonic() - start)
    connection.close()
    print(f"a file on a connection in use, median: {median(times) * 1000:.1f} ms")
    assert median(times) < 0.02


def test_an_embedded_playground_shows_the_picture_without_the_sidebar(app, open_page) -> None:
    page = open_page(f"{app}/?embed=true&rank=4")
    expect(page.locator(CHART)).to_have_attribute("data-run", run(Experiment(rank=4)).fingerprint)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_hand_that_is_faster_than_the_chart_gets_what_it_chose(app, page) -> None:
    """The first runs arrive before plotly.js has come: the last of them is drawn, not the first."""
    held: list[Route] = []
    page.route("**/plotly-cartesian.min.js", lambda route: held.append(route))
    page.goto(app)
    expect(page.locator(".st-key-verdict")).to_contain_text(verdict(run(Experiment())).detail)
    slider(page, "Rank").press("ArrowRight")
    expect(page.locator(".st-key-verdict")).to_contain_text(verdict(run(Experiment(rank=4))).detail)
    while not held:
        page.wait_for_timeout(50)
    page.unroute("**/plotly-cartesian.min.js")  # lets go of what is held, and of what asks for it from now on
    expect(page.locator(CHART)).to_have_attribute("data-run", run(Experiment(rank=4)).fingerprint)
    nothing_follows(page)
    expect(page.locator(CHART)).to_have_attribute("data-run", run(Experiment(rank=4)).fingerprint)
    expect(page.get_by_test_id("share-chart")).to_have_attribute("aria-label", re.compile("rank 4"))


def test_pins_stay_on_the_chart_and_in_the_link(app, open_page) -> None:
    page = open_page(app)
    page.get_by_role("button", name="Pin this run").click()
    slider(page, "Rank").press("ArrowRight")
    expect(page.locator(CHART)).to_have_attribute("data-run", run(Experiment(rank=4)).fingerprint)
    expect(page.locator(CHART)).to_contain_text("Pinned: rank 3")
    # The pin's own rerun may write the address as it was before the key; the key's rerun then adds its rank.
    page.wait_for_url(lambda url: "pins=rank%3A3" in url and re.search(r"[?&]rank=4\b", url))
    second = open_page(page.url)
    expect(second.locator(CHART)).to_contain_text("Pinned: rank 3")


def test_a_large_layer_paints_within_two_seconds_and_streams(app, open_page, within) -> None:
    page = open_page(f"{app}/?in_features=2&out_features=1024&samples=2000")
    within(2, lambda: large_layer(page), page, "1024 x 1024, slider to axis and first loss, in s")
    chart = page.locator(CHART)
    early = int(chart.get_attribute("data-epochs") or 0)
    page.wait_for_function(f"before => document.querySelector('{CHART}').dataset.epochs > before", arg=early)
    slider(page, "In features").press("Home")
    expect(chart).to_have_attribute("data-state", "paused", timeout=15_000)
    link = f"{app}/?in_features=1024&out_features=1024&samples=2000&seed=1"
    start = time.monotonic()
    page.goto(link)
    expect(chart).to_have_attribute("data-state", "streaming", timeout=15_000)
    print(f"1024 x 1024 from a link, the page's own loading included: {time.monotonic() - start:.2f} s")


def large_layer(page: Page) -> float:
    """From 2 to 1024 inputs with the slider: seconds until both the axis and the chart have changed."""
    chart, share = page.locator(CHART), page.get_by_test_id("rank-axis")
    slider(page, "In features").press("Home")
    expect(chart).to_have_attribute("data-state", "paused", timeout=15_000)
    nothing_follows(page)
    small = share.get_attribute("data-run") or ""
    start = time.monotonic()
    slider(page, "In features").press("End")
    expect(share).not_to_have_attribute("data-run", small, timeout=15_000)
    first = time.monotonic() - start
    expect(chart).to_have_attribute("data-state", "streaming", timeout=15_000)
    print(f"\naxis after {first:.2f} s", end=", ")
    return time.monotonic() - start


def test_digits_train_and_name_their_accuracy(app, open_page) -> None:
    page = open_page(f"{app}/?task=digits&true_rank=1&rank=1")
    trained = run(Experiment(task="digits", true_rank=1, rank=1))
    expect(page.locator(CHART)).to_have_attribute("data-run", trained.fingerprint)
    expect(page.get_by_role("button", name="New digits read")).to_be_visible()
    expect(page.get_by_test_id("five-numbers").locator("dd").last).to_contain_text("94.2 %")
    expect(page.locator(".st-key-verdict")).to_contain_text("94.2 % after")


def test_the_run_is_downloaded_as_csv_and_an_experiment_opens(app, open_page, tmp_path) -> None:
    page = open_page(f"{app}/?rank=4")
    with page.expect_download() as download:
        page.get_by_role("button", name="Run as CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "updates,lora_loss,lora_test_loss,full_loss,full_test_loss"
    assert float(lines[-1].split(",")[1]) == run(Experiment(rank=4)).lora.loss[-1]
    with page.expect_download() as download:
        page.get_by_role("button", name="Experiment as JSON").click()
    assert Experiment.from_dict(json.loads(download.value.path().read_text())) == Experiment(rank=4)
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps(Experiment(rank=7, seed=3).to_dict()))
    page.get_by_role("button", name="Open an experiment").click()
    page.locator("input[type=file]").set_input_files(file)
    expect(page.locator(CHART)).to_have_attribute("data-run", run(Experiment(rank=7, seed=3)).fingerprint)
