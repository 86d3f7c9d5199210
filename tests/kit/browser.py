"""Waits for what a page shows: the end of a script's run, a frame, an element that stands still."""

from statistics import quantiles

from playwright.sync_api import Locator, Page, expect

FRAMES = (
    "count => new Promise(done => (function next() { count-- ? requestAnimationFrame(next) : done(); })())"
)

STILL = """node => new Promise(done => {
  let before, same = 0;
  const look = () => {
    const {x, y, width, height} = node.getBoundingClientRect();
    const now = [x, y, width, height].join();
    same = now === before ? same + 1 : 0;
    before = now;
    if (same < 6) requestAnimationFrame(look);
    else done();
  };
  look();
})"""

ANSWER = """([selector, words]) => new Promise(done => {
  const drawn = document.querySelector(selector);
  const node = document.createTreeWalker(drawn, NodeFilter.SHOW_TEXT).nextNode();
  node.nodeValue = words;
  requestAnimationFrame(() => done(drawn.textContent));
})"""


def frames(page: Page, count: int = 1) -> None:
    """Wait until the browser has begun so many frames."""
    page.evaluate(FRAMES, count)


def at_rest(page: Page) -> None:
    """Wait until no script runs and two more frames are drawn."""
    app = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
    expect(app).to_be_attached(timeout=60_000)
    frames(page, 2)


def nothing_follows(page: Page) -> None:
    """Wait until what may have been set off has come, or can come no more.

    A slider's key and a component's word set out within a quarter of a second, fifteen frames.
    """
    for _ in range(2):
        at_rest(page)
        frames(page, 15)


def guarded(page: Page) -> None:
    """Wait for the script that comes with a page's first message and acts on its history and links."""
    page.wait_for_function("history.hasOwnProperty('pushState')")


def still(element: Locator) -> Locator:
    """The same element, in sight, once it has stopped moving."""
    element.scroll_into_view_if_needed()
    element.evaluate(STILL)
    return element


def seen_after(page: Page, selector: str, words: str) -> str:
    """The text at a selector in the next frame after Streamlit has written an answer's words there."""
    text: str = page.evaluate(ANSWER, [selector, words])
    return text


def p95(values: list[float]) -> float:
    return quantiles(values, n=20, method="inclusive")[-1]
