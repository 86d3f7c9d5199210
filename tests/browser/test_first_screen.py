"""The first screen in a real browser: drag the rank, and all of it follows at once, by mouse, thumb or key.

Run with `-s` to see the measured figures.
"""

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from lora_core import Experiment, make_problem, run, sweep
from lora_core.choices import rank_choices
from lora_core.figures.ranks.shared_axis import SharedAxisInfo, trained_axis_info
from lora_core.findings.verdict import verdict
from tests.kit.browser import at_rest, frames, p95
from tests.kit.texts import faint_texts

CHART = "[data-testid=live-chart]"
AXIS = "[data-testid=rank-axis]"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}

# From a move of the hand to the frame in which the page has the new rank.
WATCH = """() => {
  window.painted = [];
  let moved = 0;
  for (const type of ["pointermove", "keydown"])
    addEventListener(type, () => (moved = performance.now()), true);
  const axis = document.querySelector("[data-testid=rank-axis]");
  new MutationObserver(() => {
    const since = moved;
    requestAnimationFrame(() => setTimeout(() => painted.push(performance.now() - since)));
  }).observe(axis, { attributes: true, attributeFilter: ["data-rank"] });
}"""

# What the page says of the rank, all read in one moment.
SEEN = """() => {
  const text = (selector) => document.querySelector(selector)?.textContent ?? "";
  const held = document.querySelector(".st-key-verdict .held");
  const number = (selector, name) => Number(document.querySelector(selector)?.getAttribute(name));
  const axis = document.querySelector("[data-testid=rank-axis]");
  return {
    rank: axis.dataset.rank,
    knob: text(".rank-axis .knob"),
    sidebar: text(".st-key-rank [data-testid=stSliderThumbValue]"),
    title: held ? held.querySelector("h1").textContent : text(".st-key-verdict h1"),
    detail: held ? held.querySelector("p").textContent : text(".st-key-verdict p"),
    numbers: [...document.querySelectorAll(".five-numbers dd")]
      .map((node) => [...node.children].map((each) => each.textContent)),
    counts: [...document.querySelectorAll(".rank-axis .value")].at(-1).textContent,
    share: document.querySelector("[data-testid=share-chart]").getAttribute("aria-label"),
    legend: text("[data-testid=live-chart] tbody tr:first-child th"),
    loss: text("[data-testid=live-chart] tbody tr:first-child td"),
    curve: document.querySelector(".held-curve").getAttribute("d")?.length ?? 0,
    floor: text(".held-label"),
    dot: number(".rank-axis .panels > g:last-child circle:nth-of-type(2)", "cx"),
    drawn: document.querySelector(".lora-sketch svg").getAttribute("aria-label"),
  };
}"""

# Where the parts stand, and what stands where: to be the same after every move.
PLACES = """() => Object.fromEntries([
  ["headline", ".st-key-verdict"], ["chart", "[data-testid=live-chart] .plot"],
  ["axes", "[data-testid=live-chart] .nsewdrag"], ["ranks", ".rank-axis .plots"],
  ["control", ".rank-axis .control"], ["numbers", ".five-numbers"],
].map(([name, selector]) => {
  const { x, y, width, height } = document.querySelector(selector).getBoundingClientRect();
  return [name, [x, y, width, height].map(Math.round)];
}))"""


@pytest.fixture(scope="module")
def ranks() -> SharedAxisInfo:
    """What every rank of the default comes to."""
    experiment = Experiment(rank=1)
    found = sweep(experiment, ranks=rank_choices(experiment.full_rank))
    return trained_axis_info(found, make_problem(experiment))


@pytest.fixture(scope="module")
def shared(app, open_shared_page) -> Page:
    return open_shared_page(app)


@pytest.fixture
def tab(shared) -> Page:
    """The default with every rank trained, at its end, unscrolled, no hand near: whatever a test has left."""
    shared.emulate_media(color_scheme="light")
    shared.mouse.up()
    shared.mouse.move(0, 0)
    for shown in shared.locator(".five-numbers [data-open=true] button").all():
        shown.click()
    if shared.locator(AXIS).get_attribute("data-rank") != "3":
        control = shared.locator(".st-key-rank").get_by_role("slider")
        for key in ("Home", "ArrowRight", "ArrowRight"):
            control.press(key)
        expect(shared.locator(AXIS)).to_have_attribute("data-rank", "3")
    trained(opened(shared))
    shared.get_by_role("slider", name="Epoch", exact=True).fill("200")
    shared.evaluate("document.activeElement.blur()")
    shared.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    shared.mouse.move(0, 0)
    return shared


@pytest.fixture(scope="module")
def phone(app, open_shared_page) -> Page:
    """A phone on which nothing is chosen, by tests that hold to that."""
    return opened(open_shared_page(app, **PHONE))


@pytest.fixture(scope="module")
def overheard(app, open_shared_page) -> tuple[Page, list[int]]:
    """The page with every rank trained, watched, and the sizes of what it tells the server."""
    sent: list[int] = []
    page = open_shared_page("about:blank")
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(len(data))))
    page.goto(app)
    trained(opened(page))
    page.evaluate(WATCH)
    return page, sent


def opened(page: Page, experiment: Experiment | None = None) -> Page:
    """The page once its chart is drawn and its axis has a rank."""
    expect(page.locator(CHART)).to_have_attribute("data-run", run(experiment or Experiment()).fingerprint)
    expect(page.locator(AXIS)).to_have_attribute("data-rank", re.compile(r"\d+"))
    at_rest(page)
    return page


def trained(page: Page) -> Page:
    """The page once every rank is there, as a hand has come near."""
    page.locator(".rank-axis .slider").hover()
    expect(page.locator(AXIS)).to_have_attribute("data-state", "trained")
    at_rest(page)
    return page


def track(page: Page, which: str) -> tuple[float, float, float]:
    """Left and right end of a control's track, and its height on the page."""
    selector = ".rank-axis .track" if which == "own" else ".st-key-rank [data-rac][data-orientation] > div"
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    return box["x"], box["x"] + box["width"], box["y"] + box["height"] / 2


@pytest.mark.parametrize("which", ["own", "sidebar"])
def test_a_drag_is_painted_within_two_frames_and_tells_the_server_nothing(
    overheard: tuple[Page, list[int]], within, which: str
) -> None:
    page, sent = overheard
    page.mouse.up()
    at_rest(page)
    left, right, height = track(page, which)
    start = left + (right - left) * 2 / 22
    page.mouse.move(start, height)
    page.mouse.down()
    at_rest(page)
    sent.clear()

    def drag() -> float:
        page.evaluate("painted.length = 0")
        for step in range(60):
            across = left + 8 + (right - left - 16) * abs(((step / 15) % 2) - 1)
            page.mouse.move(across, height)
            frames(page)
        frames(page, 3)
        times = page.evaluate("painted")
        print(f"\n{which}: {len(times)} moves", end=", ")
        assert len(times) > 20
        return p95(times)

    within(34, drag, page, "rank dragged to painted, p95 in ms")
    assert sent == []
    page.mouse.up()


@pytest.mark.parametrize("which", ["own", "sidebar", "keys"])
def test_everything_follows_the_rank_under_the_hand(tab: Page, ranks: SharedAxisInfo, which: str) -> None:
    page = tab
    page.locator(".held-curve").evaluate("curve => curve.removeAttribute('d')")  # of the hand before
    if which == "keys":
        page.locator(".rank-axis .slider").focus()
        page.keyboard.press("ArrowRight")
    else:
        left, right, height = track(page, which)
        page.mouse.move(left + (right - left) * 2 / 22, height)
        page.mouse.down()
        page.mouse.move(left + (right - left) * 9 / 22, height, steps=4)
    frames(page, 2)
    seen = page.evaluate(SEEN)
    rank = int(seen["rank"])
    place = ranks.ranks.index(rank)
    assert rank != 3
    assert (seen["knob"], seen["sidebar"]) == (str(rank), str(rank))
    assert (seen["title"], seen["detail"]) == (ranks.titles[place], ranks.details[place])
    assert [tuple(each) for each in seen["numbers"]] == list(ranks.numbers[place])
    assert seen["counts"].startswith(ranks.counts[place])
    assert seen["share"] == ranks.share_words[place]
    assert seen["legend"] == f"LoRA, rank {rank}"
    assert float(seen["loss"]) == pytest.approx(ranks.final[place], rel=1e-3)
    assert seen["curve"] > 500
    assert float(seen["floor"].split()[1]) == pytest.approx(ranks.floors[place], rel=6e-3)
    assert seen["drawn"].endswith(f"of rank {rank}")
    page.mouse.up()
    chosen = run(Experiment(rank=rank))
    expect(page.locator(CHART)).to_have_attribute("data-run", chosen.fingerprint)
    page.wait_for_url(f"**/?*rank={rank}*")
    at_rest(page)
    said = verdict(chosen)
    after = page.evaluate(SEEN)
    assert (after["title"], after["detail"]) == (said.title, said.detail)
    assert after["sidebar"] == str(rank)


def test_a_hand_on_an_experiment_that_nobody_has_seen_is_followed_in_four_tenths_of_a_second(
    app, open_page, within
) -> None:
    seeds = iter(range(5000, 5100))

    def arrive() -> float:
        experiment = Experiment(seed=next(seeds))
        page = opened(open_page(f"{app}/?seed={experiment.seed}"), experiment)
        expect(page.locator(AXIS)).to_have_attribute("data-state", "untrained")
        left, _, height = track(page, "own")
        page.mouse.move(left + 30, height - 190)
        start = time.monotonic()
        page.mouse.move(left + 30, height)
        page.wait_for_selector(f"{AXIS}[data-state=trained]", timeout=15_000)
        took = time.monotonic() - start
        page.close()
        return 1000 * took

    within(400, arrive, open_page("about:blank"), "from a hand's arrival to every rank, in ms")


def touch(page: Page) -> Callable[..., None]:
    """`finger(kind, x, y)`: one touch of the screen, as the browser gets it."""
    session = page.context.new_cdp_session(page)

    def finger(kind: str, x: float = 0, y: float = 0) -> None:
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    return finger


def test_a_thumb_drags_200_pixels_and_ends_where_it_is(app, open_page) -> None:
    page = opened(open_page(app, **PHONE))
    left, right, height = track(page, "own")
    start = left + (right - left) * 2 / 22
    finger = touch(page)
    finger("touchStart", start, height)
    expect(page.locator(AXIS)).to_have_attribute("data-state", "trained")
    for step in range(1, 21):
        finger("touchMove", start + 10 * step, height)
        frames(page)
    knob = page.locator(".rank-axis .knob").bounding_box()
    assert knob is not None
    assert abs(knob["x"] + knob["width"] / 2 - start - 200) <= (right - left) / 22
    rank = page.locator(AXIS).get_attribute("data-rank")
    assert rank != "3"
    finger("touchEnd")
    page.wait_for_url(f"**/?*rank={rank}*")


def test_on_a_phone_chart_axis_and_control_share_one_screen(phone: Page) -> None:
    page = phone
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    above = 0.0
    for name in (".st-key-verdict", f"{CHART} .plot", ".rank-axis .plots", ".rank-axis .control"):
        box = page.locator(name).bounding_box()
        assert box is not None
        assert box["y"] >= above, name
        assert box["y"] + box["height"] <= 844, name
        above = box["y"]
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 600)")
    expect(page.locator(".rank-axis .control")).to_be_in_viewport(ratio=0.95)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("over", [f"{CHART} .plot", ".rank-axis .plots"])
def test_a_vertical_swipe_over_a_chart_scrolls_and_changes_nothing(phone: Page, over: str) -> None:
    page = phone
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    frames(page, 2)
    box = page.locator(over).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, min(box["y"] + box["height"] - 20, 740)
    main = "document.querySelector('[data-testid=stMain]').scrollTop"
    before = page.evaluate(main)
    epoch = page.locator(CHART).get_attribute("data-epoch")
    finger = touch(page)
    finger("touchStart", x, y)
    for step in range(1, 16):
        finger("touchMove", x + step % 3, y - 12 * step)
        frames(page)
    finger("touchEnd")
    frames(page, 10)
    assert page.evaluate(main) > before + 60
    expect(page.locator(AXIS)).to_have_attribute("data-rank", "3")
    assert page.locator(CHART).get_attribute("data-epoch") == epoch
    assert "rank=" not in page.url


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)], ids=["wide", "phone"])
def test_nothing_jumps_over_moves_pins_and_presets(app, open_page, size: tuple[int, int]) -> None:
    width, height = size
    page = trained(opened(open_page(app, viewport={"width": width, "height": height})))
    before = page.evaluate(PLACES)
    page.locator(".rank-axis .slider").focus()
    for move in range(30):
        page.keyboard.press("ArrowRight" if move % 10 < 7 else "ArrowLeft")
        frames(page, 2)
        assert page.evaluate(PLACES) == before, move
    at_rest(page)
    pins = "rank:4,learning_rate:0.03,alpha:4~rank:9~rank:12,seed:7"
    page.goto(f"{app}/?rank=5&pins={pins}")
    opened(page, Experiment(rank=5))
    assert page.evaluate(PLACES) == before
    for preset in ("No knee", "Few samples", "A dead start"):
        page.get_by_role("button", name="Presets").click()
        page.get_by_role("button", name=preset, exact=True).click()
        page.keyboard.press("Escape")
        at_rest(page)
        page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
        frames(page, 3)
        assert page.evaluate(PLACES) == before, preset


def test_the_plots_have_a_quarter_of_the_screen_and_what_matters_is_in_sight(tab: Page) -> None:
    page = trained(tab)
    area = page.evaluate("""() => {
      const box = (s) => document.querySelector(s).getBoundingClientRect();
      const live = box("[data-testid=live-chart] .nsewdrag"), plots = box(".rank-axis .plots");
      return live.width * live.height + (plots.width - 56) * (plots.height - 76);
    }""")
    print(f"\nplots: {100 * area / 1280 / 720:.1f} % of 1280 x 720")
    assert area / 1280 / 720 >= 0.25
    for name in (".rank-axis .control", ".five-numbers", ".st-key-next", ".st-key-masthead", ".st-key-rank"):
        box = page.locator(name).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 720, name
    control = page.locator(".rank-axis .control").bounding_box()
    assert control is not None
    assert control["height"] >= 44


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_a_contrast_of_four_and_a_half(tab: Page, scheme: str) -> None:
    tab.emulate_media(color_scheme=scheme)
    ground = {"light": "rgb(255, 255, 255)", "dark": "rgb(14, 17, 23)"}[scheme]
    expect(tab.get_by_test_id("stApp")).to_have_css("background-color", ground)
    trained(tab)
    frames(tab, 10)  # the charts follow the page
    found = faint_texts(tab, ".st-key-first_screen")
    print(f"\n{scheme}: {len(found)} texts below 4.5 : 1")
    assert found == []


def test_digits_flip_beside_the_chart_as_the_rank_grows(app, open_page) -> None:
    page = opened(
        open_page(f"{app}/?task=digits&true_rank=4&rank=1"), Experiment(task="digits", true_rank=4, rank=1)
    )
    trained(page)
    right = page.locator(".rank-axis .digit[data-right=true]")
    few = right.count()
    page.locator(".rank-axis .slider").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    frames(page, 2)
    assert page.locator(AXIS).get_attribute("data-rank") == "4"
    assert right.count() > few


def test_the_numbers_are_explained_where_they_stand(tab: Page) -> None:
    page = tab
    name = page.get_by_role("button", name="Rank costs")
    tip = page.get_by_role("tooltip", name=re.compile("only more rank can win it"))
    expect(tip).to_be_hidden()
    name.hover()
    expect(tip).to_be_visible()
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    name.click()
    page.mouse.move(0, 0)
    expect(tip).to_be_visible()


def test_a_drag_on_the_chart_scrubs(tab: Page) -> None:
    page = tab
    box = page.locator(f"{CHART} .nsewdrag").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 60, steps=5)
    expect(page.locator(CHART)).to_have_attribute("data-epoch", re.compile("^(99|100|101)$"))
    page.mouse.up()
    assert page.locator(f"{CHART} .js-plotly-plot").evaluate("div => div.layout.xaxis.range") == [0, 200]


def test_a_layer_too_large_has_an_ordinary_slider_that_says_so(app, open_page) -> None:
    page = open_page(f"{app}/?in_features=512&out_features=512&epochs=20")
    axis = page.locator(AXIS)
    expect(axis).to_have_attribute("data-state", "large")
    expect(axis).to_contain_text("too large to train every rank")
    page.locator(".rank-axis .slider").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/?*rank=4*")


def test_the_address_names_the_rank_of_the_page_from_a_pinned_run(app, open_page) -> None:
    page = opened(open_page(f"{app}/?rank=5&pins=rank%3A3~rank%3A5"), Experiment(rank=5))
    slider = page.locator(".st-key-rank").get_by_role("slider")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_url("**/?*rank=9*")
    at_rest(page)
    assert "rank=9" in page.url
    expect(slider).to_have_attribute("aria-valuetext", "9")


def test_the_link_is_copied_and_the_page_says_so(tab: Page) -> None:
    page = tab
    for _ in range(2):
        page.locator(".st-key-rank").get_by_role("slider").press("ArrowRight")
    page.wait_for_url("**/?*rank=5*")
    opened(page, Experiment(rank=5))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").endswith("?rank=5")


# Milliseconds from the start of the visit to the frame that shows its first curve, as the page sees it.
PAINTED = """new MutationObserver(() => {
  if (window.curveAt || !document.querySelector("[data-painted]")) return;
  window.curveAt = true;
  requestAnimationFrame(() => setTimeout(() => (window.curveAt = performance.now())));
}).observe(document, {
  subtree: true, childList: true, attributes: true, attributeFilter: ["data-painted"],
});"""


def first_visit(chromium, app: str, seed: int) -> float:
    """The seconds from a link to its painted curve, in a browser profile of its own."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.add_init_script(PAINTED)
    page.goto(f"{app}/?seed={seed}")
    expected = run(Experiment(seed=seed)).fingerprint
    page.wait_for_selector(f"{CHART}[data-painted='{expected}']", timeout=20_000)
    page.wait_for_function("typeof window.curveAt === 'number'")
    took = float(page.evaluate("window.curveAt")) / 1000
    context.close()
    return took


def test_a_first_visit_on_a_warm_server_has_its_curve_in_two_and_a_half_seconds(
    app, open_page, chromium, within
) -> None:
    """Each visit is a browser profile of its own, and the slowest of three counts."""
    seeds = iter(range(6000, 6100))

    def slowest() -> float:
        times = [first_visit(chromium, app, next(seeds)) for _ in range(3)]
        print(f"\nfirst visits, in s: {', '.join(f'{each:.2f}' for each in times)}", end="; ")
        return max(times)

    within(2.5, slowest, open_page("about:blank"), "slowest first visit to its curve, in s")


def test_a_first_visit_has_its_curve_five_seconds_after_the_servers_start(
    serve, open_page, chromium, within
) -> None:
    """A server and a browser profile of their own in each round; from the command to the painted curve."""
    limits = iter(range(201, 300))  # an option that is another each time, so that `serve` starts another

    def start_and_visit() -> float:
        start = time.monotonic()
        address = serve("app.py", "--server.maxUploadSize", str(next(limits)))
        return time.monotonic() - start + first_visit(chromium, address, 6200)

    within(5, start_and_visit, open_page("about:blank"), "from streamlit run to the first curve, in s")
