"""What goes wrong in a room: lines that drop, reloads, two tabs, storms, a server that dies, links that lie.

Whatever happens, the page comes back by itself, shows a run that was computed, and runs nothing it was sent.
"""

import re
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Page, Route, WebSocketRoute, expect

from lora_core import Experiment, run
from lora_core.findings.verdict import verdict
from pages.ui.controls import CONTROLS
from tests.kit.browser import guarded, nothing_follows
from tests.load.server import Server
from tests.load.soak import NAMES

CHART = "[data-testid=live-chart]"
STREAM = re.compile(r"/_stcore/stream")
GROWING = "in_features=512&out_features=512&samples=600&epochs=2000"
"""A layer that streams for longer than a test takes."""

# Every run that the chart has shown, in order.
WATCH = """() => {
  const chart = document.querySelector("[data-testid=live-chart]");
  window.shown = [chart.dataset.run];
  new MutationObserver(() => shown.push(chart.dataset.run))
    .observe(chart, {attributes: true, attributeFilter: ["data-run"]});
}"""

LET_GO = """bar => {
  bar.value = "20";
  for (const event of ["input", "change"]) bar.dispatchEvent(new Event(event, {bubbles: true}));
}"""

Tab = Callable[[str], Page]


@pytest.fixture
def tab(contexts: Callable[..., BrowserContext]) -> Iterator[Tab]:
    """``tab(address)`` opens it; a lost connection may be complained of, an error in a script may not."""
    pages: list[Page] = []
    errors: list[str] = []

    def opened(address: str) -> Page:
        page = contexts().new_page()
        pages.append(page)
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(f"a dialog: {dialog.message}"))
        if address:
            page.goto(address)
        return page

    yield opened
    for page in pages:
        page.close()
    assert not errors, errors


def shows(page: Page, experiment: Experiment, seconds: float = 20) -> None:
    """The chart, the verdict and the slider are those of this experiment, and nothing failed."""
    found = run(experiment)
    expect(page.locator(CHART)).to_have_attribute("data-run", found.fingerprint, timeout=1000 * seconds)
    expect(page.locator(".st-key-verdict")).to_contain_text(verdict(found).detail)
    expect(rank(page)).to_have_attribute("aria-valuetext", str(experiment.rank))
    expect(page.get_by_test_id("stException")).to_have_count(0)


def rank(page: Page):
    return page.locator(".st-key-rank").get_by_role("slider")


def updates(page: Page, more_than: int = 0) -> int:
    """Updates that the streaming chart has drawn, once they are more than so many."""
    page.wait_for_function(
        "([chart, most]) => Number(document.querySelector(chart)?.dataset.epochs) > most",
        arg=[CHART, more_than],
    )
    expect(page.locator(CHART)).to_have_attribute("data-state", "streaming")
    return int(page.locator(CHART).get_attribute("data-epochs") or 0)


def wait_until(page: Page, true: Callable[[], object], seconds: float = 20) -> None:
    """Let the page go on until something is true of what was heard of it."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        page.wait_for_timeout(20)
    assert true()


def test_a_line_that_drops_in_the_middle_of_a_run_is_taken_up_where_it_was(app: str, tab: Tab) -> None:
    lines: list[WebSocketRoute] = []

    def through(line: WebSocketRoute) -> None:
        line.connect_to_server()
        lines.append(line)

    page = tab("")
    page.route_web_socket(STREAM, through)
    page.goto(f"{app}/?{GROWING}&seed=1")
    before = updates(page)
    lines[-1].close()
    wait_until(page, lambda: len(lines) > 1)
    assert len(lines) == 2  # the page has taken up the line by itself
    again = updates(page, more_than=before)
    assert updates(page, more_than=again) > again
    rank(page).press("ArrowRight")
    page.wait_for_url("**rank=4*")
    updates(page)
    page.goto(f"{app}/?rank=5")
    shows(page, Experiment(rank=5))


@pytest.mark.parametrize(("to", "path"), [("The code", "/The_code"), ("Playground", "/")])
@pytest.mark.parametrize("when", ["after the click", "at once", "before any module has come"])
def test_what_a_page_says_when_its_visitor_leaves_does_not_empty_the_next_one(
    app: str, tab: Tab, when: str, to: str, path: str
) -> None:
    """Streamlit does, if a fragment of the page before is asked for before the next one has answered.

    It sends a component's word a moment after the component has said it, by then after a click.
    """
    held: list[str | bytes] = []
    servers: list[WebSocketRoute] = []
    left = False

    def through(line: WebSocketRoute) -> None:
        server = line.connect_to_server()
        servers.append(server)
        line.on_message(lambda word: held.append(word) if left else server.send(word))

    page = tab("")
    page.route_web_socket(STREAM, through)
    modules: list[Route] = []
    if when == "before any module has come":
        page.route("**/leaving.js", lambda route: modules.append(route))
    page.goto(f"{app}/Inside_the_layer?rank=5")
    expect(page.get_by_role("tab", name="Proofs")).to_be_visible()
    guarded(page)
    bar = page.get_by_test_id("time-machine").locator("input.scrub")
    if when != "before any module has come":
        bar.wait_for()
    left = True
    link = page.get_by_role("link", name=to, exact=True).first
    if when == "at once":
        bar.evaluate(f"(bar, link) => {{ ({LET_GO})(bar); link.click(); }}", link.element_handle())
    else:
        link.click()
        wait_until(page, lambda: held)  # what Streamlit says of the click
        page.unroute("**/leaving.js")  # lets go of what is held
        bar.evaluate(LET_GO)
    page.wait_for_timeout(500)
    left = False
    for word in held:
        servers[-1].send(word)
    expect(page).to_have_url(re.compile(rf"{app}{path}\?.*rank=5"))
    expect(page.get_by_test_id("time-machine")).to_have_count(0)
    nothing_follows(page)
    expect(rank(page)).to_have_attribute("aria-valuetext", "5")
    expect(page).to_have_url(re.compile(rf"{app}{path}\?.*rank=5"))


def test_a_reload_in_the_middle_goes_on_with_the_same_run(app: str, tab: Tab) -> None:
    page = tab(f"{app}/?{GROWING}&seed=2")
    before = updates(page, more_than=30)
    page.reload()
    first = updates(page)
    assert first >= before  # not begun anew
    updates(page, more_than=first)


def test_two_tabs_do_not_mix(app: str, tab: Tab) -> None:
    one, other = tab(f"{app}/?rank=5"), tab(f"{app}/?rank=8&seed=3")
    shows(one, Experiment(rank=5))
    shows(other, Experiment(rank=8, seed=3))
    other.evaluate(WATCH)
    rank(one).press("ArrowRight")
    shows(one, Experiment(rank=6))
    rank(one).press("ArrowRight")
    shows(one, Experiment(rank=7))
    shows(other, Experiment(rank=8, seed=3))
    assert other.evaluate("shown") == [run(Experiment(rank=8, seed=3)).fingerprint]
    third = tab(one.url)
    shows(third, Experiment(rank=7))


def test_in_a_storm_of_50_changes_the_last_one_wins(app: str, tab: Tab) -> None:
    page = tab(f"{app}/?seed=4")
    shows(page, Experiment(seed=4))
    page.evaluate(WATCH)
    rank(page).focus()
    start = time.monotonic()
    steps = [1] * 10 + [-1] * 8 + [1] * 9 + [-1] * 12 + [1] * 11
    for number, step in enumerate(steps):
        page.keyboard.press("ArrowRight" if step > 0 else "ArrowLeft")
        page.wait_for_timeout(max(0.0, 100 * (number + 1) - 1000 * (time.monotonic() - start)))
    print(f"\n{len(steps)} changes in {time.monotonic() - start:.1f} s")
    last = Experiment(seed=4, rank=3 + sum(steps))
    shows(page, last)
    nothing_follows(page)
    shows(page, last)
    known = {run(Experiment(seed=4, rank=each)).fingerprint for each in range(1, 21)}
    seen = page.evaluate("shown")
    assert set(seen) <= known  # each was computed for one of the ranks: none is a mixture
    assert seen[-1] == run(last).fingerprint


def test_a_server_that_dies_and_comes_back_finds_its_visitors_and_every_page_as_they_were(tab: Tab) -> None:
    alive = "[data-testid=stApp][data-test-connection-state=CONNECTED]"
    cut = "[data-testid=stApp]:not([data-test-connection-state=CONNECTED])"
    with Server() as first:
        # The small network trains for longer than it is looked at: its headline goes on.
        pages = {name: tab(f"{first.address}/{name}?rank=5") for name in NAMES if name}
        visitor = tab(f"{first.address}/?rank=5")
        shows(visitor, Experiment(rank=5), 40)
        rank(visitor).press("ArrowRight")
        shows(visitor, Experiment(rank=6), 40)
        said = {name: _headline(page).inner_text(timeout=40_000) for name, page in pages.items()}
        first.kill()
        for page in (visitor, *pages.values()):
            page.locator(cut).wait_for()
        expect(visitor.locator(CHART)).to_have_attribute("data-run", run(Experiment(rank=6)).fingerprint)
        with Server(first.port):
            visitor.locator(alive).wait_for(timeout=60_000)
            nothing_follows(visitor)  # the picture was there all the time, the new session is not
            shows(visitor, Experiment(rank=6), 60)
            rank(visitor).press("ArrowRight")
            shows(visitor, Experiment(rank=7), 60)
            visitor.close()
            for name, page in pages.items():
                page.locator(alive).wait_for(timeout=60_000)
                expect(_headline(page)).to_have_text(
                    re.compile(r"\w") if name == "A_small_network" else said[name], timeout=60_000
                )
                page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(
                    timeout=60_000
                )
                expect(page.get_by_test_id("stException")).to_have_count(0)
                page.close()


def _headline(page: Page):
    return page.get_by_test_id("stMain").locator("h1, h2, h3").first


HOSTILE = (
    "<script>window.hacked=1</script>",
    '"><img src=x onerror="window.hacked=1">',
    "`[a](javascript:window.hacked=1)` ![b](/hacked.png) :material/home: $$x$$",
    "\u202e\u2066🦄\u0663\u221e\ufdfa\ufeff",
    "9" * 600,
)


@pytest.mark.parametrize("turn", range(len(HOSTILE)))
def test_no_link_is_run_or_shown_as_anything_but_text(app: str, tab: Tab, turn: int) -> None:
    """Every field of a page's link holds one of these; from page to page each field another."""
    path = ("", "Every_rank", "Inside_the_layer", "The_code", "Real_models")[turn]
    fields = [*CONTROLS, "pins", "epoch", "lang", "tolerance", "model", "targets", "nobody"]
    query = "&".join(
        f"{name}={quote(HOSTILE[(turn + place) % len(HOSTILE)])}" for place, name in enumerate(fields)
    )
    page = tab("")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{app}/{path}?{query}")
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    expect(page.get_by_text("in the link is").nth(len(CONTROLS) - 1)).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x], img[src*=hacked], a[href^=javascript]").count() == 0
    assert not [url for url in asked if url.endswith("/x") or "hacked.png" in url.partition("?")[0]]
    assert page.get_by_test_id("stException").all_inner_texts() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_full_room_says_so_keeps_its_picture_and_lets_the_next_one_in(tab: Tab) -> None:
    with Server(LORA_MOST_GROWING="1") as server:
        waiting = tab(f"{server.address}/?in_features=512&samples=600&epochs=200&out_features=2")
        small = Experiment(in_features=512, samples=600, epochs=200, out_features=2)
        shows(waiting, small)
        holder = tab(f"{server.address}/?{GROWING}")
        updates(holder)
        waiting.locator(".st-key-out_features").get_by_role("slider").press("End")
        notice = waiting.get_by_text("The room is busy: 1 run is training")
        expect(notice).to_be_visible()
        expect(waiting.locator(CHART)).to_have_attribute("data-run", run(small).fingerprint)
        expect(waiting.get_by_text("the chart shows the run before: out features 2.")).to_be_visible()
        holder.close()
        expect(notice).to_have_count(0, timeout=30_000)
        updates(waiting)
