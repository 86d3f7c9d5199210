"""A Streamlit server and a real browser, shared by all browser tests.

`serve(script)` starts a script once a session and returns its address; `open_page(address)` is a fresh tab
there, which fails its test on any error in the console and on any request that leaves the machine.
`within(limit, measure, page)` holds a time to its limit on a machine that others may be using.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.kit.servers import free_port, healthy

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A deep link to a page looks for Streamlit's base path there first; these two answers are its own.
PROBES = re.compile(r"/[^/]+/_stcore/(health|host-config)$")
# What Streamlit says of a key pressed while the line is cut, which only a test that cuts it brings about.
OFFLINE = "when disconnected from server"

# A machine in use by others may need longer than the usual five seconds for what takes a moment.
expect.set_options(timeout=15_000)

# What a page does, without the page: elements made, laid out and thrown away, and arithmetic.
# Median of the last nine of forty, as the browser compiles while it goes through the first.
WORK = """() => {
  const times = [];
  for (let round = 0; round < 40; round += 1) {
    const start = performance.now();
    const room = document.body.appendChild(document.createElement("div"));
    for (let i = 0; i < 400; i += 1) {
      room.appendChild(document.createElement("div")).textContent = String(Math.sin(i) * round);
    }
    room.getBoundingClientRect();
    room.remove();
    let sum = 0;
    for (let i = 0; i < 1e6; i += 1) sum += Math.sqrt(i % 97);
    times.push(performance.now() - start + (sum < 0));
  }
  return times.slice(-9).sort((a, b) => a - b)[4];
}"""
QUIET = 6.5
"""Milliseconds that `WORK` takes on the two quiet cores for which the limits are meant."""

Serve = Callable[..., str]
Open = Callable[..., Page]
Within = Callable[..., float]


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """`serve(script, *options)` -> address of that script's server, started at the first call."""
    servers: dict[tuple[str, ...], tuple[subprocess.Popen[bytes], str]] = {}

    def start(script: str, *options: str) -> str:
        if (script, *options) not in servers:
            servers[script, *options] = _start(script, options)
        return servers[script, *options][1]

    yield start
    for process, _ in servers.values():
        process.terminate()
    for process, _ in servers.values():
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def app(serve: Serve) -> str:
    """The address of the app's server."""
    return serve("app.py")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for the session."""
    if CHROMIUM is None:
        pytest.fail("no Chromium on this machine: the browser tests need one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def contexts(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """`contexts(**options)` -> the profile with these options: its tabs share what they have downloaded."""
    made: dict[str, BrowserContext] = {}

    def context(**options: object) -> BrowserContext:
        settings = {"viewport": {"width": 1280, "height": 720}, **options}
        name = repr(sorted(settings.items()))
        if name not in made:
            made[name] = chromium.new_context(**settings)
        return made[name]

    yield context
    for each in made.values():
        each.close()


@pytest.fixture
def open_page(contexts: Callable[..., BrowserContext]) -> Iterator[Open]:
    """`open_page(url, **options)` -> a tab there, drawn; options as in Playwright's `new_context`."""
    yield from _tabs(contexts)


@pytest.fixture
def within() -> Within:
    """`within(limit, measure, page)` asserts that `measure()` comes within the limit in one of three rounds.

    The limit is meant for two quiet cores: where `WORK` takes longer at that moment, before and after the
    round, in an empty tab of its own, the limit grows in proportion. The figures are printed. Returns the
    last one.
    """

    def work(page: Page) -> float:
        tab = page.context.new_page()
        tab.evaluate(WORK)  # once for the browser to compile it
        took = tab.evaluate(WORK)
        tab.close()
        return took

    def hold(limit: float, measure: Callable[[], float], page: Page, what: str = "p95 in ms") -> float:
        said = []
        for _ in range(3):
            before = work(page)
            found = measure()
            slow = max(1.0, (before + work(page)) / 2 / QUIET)
            said.append(f"{found:.4g} (limit {limit:g}, machine {slow:.2f} times as slow as quiet)")
            print(f"{what}: {said[-1]}")
            if found <= limit * slow:
                return found
        pytest.fail(f"{what}: {'; '.join(said)}")

    return hold


@pytest.fixture
def page(open_page: Open) -> Page:
    """An empty tab under watch: `page.goto(serve("app.py"))`."""
    return open_page("about:blank")


@pytest.fixture(scope="module")
def open_shared_page(contexts: Callable[..., BrowserContext]) -> Iterator[Open]:
    """`open_page` for a tab that the tests of a module use one after another."""
    yield from _tabs(contexts)


def wait_ready(page: Page) -> Locator:
    """Wait until Streamlit has run the script to its end and has drawn something of it."""
    app = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
    expect(app).to_be_attached(timeout=60_000)  # a busy machine trains a network's ranks for that long
    expect(page.get_by_test_id("stMain")).not_to_be_empty()
    return app


@pytest.fixture
def ready() -> Callable[[Page], Locator]:
    """`ready(page)` waits for the end of a script run."""
    return wait_ready


def _tabs(contexts: Callable[..., BrowserContext]) -> Iterator[Open]:
    """Open tabs, and at the end close them and bring up what they complained of."""
    complaints: list[str] = []
    pages: list[Page] = []

    def heard(message: ConsoleMessage) -> None:
        where = message.location.get("url", "")
        known = ("404" in message.text and PROBES.search(where)) or OFFLINE in message.text
        if message.type == "error" and not known:
            complaints.append(f"{message.text} ({where})")

    def requested(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            complaints.append(f"a request left the machine: {request.url}")

    def opened(url: str, **options: object) -> Page:
        page = contexts(**options).new_page()
        pages.append(page)
        page.set_default_timeout(15_000)
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", requested)
        page.goto(url)
        if url != "about:blank":
            wait_ready(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert not complaints, complaints


def _start(script: str, options: tuple[str, ...]) -> tuple[subprocess.Popen[bytes], str]:
    """Start `streamlit run script` from the project's root on a free port and wait until it is healthy."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)]
    command += ["--server.address", "127.0.0.1", "--server.headless", "true", *options]
    base = next((options[i + 1] for i, name in enumerate(options) if name == "--server.baseUrlPath"), "")
    url = f"http://127.0.0.1:{port}/{base}".rstrip("/")
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        if healthy(url):
            return process, url
        if process.poll() is not None:
            pytest.fail(f"streamlit run {script} ended with code {process.returncode}")
        time.sleep(0.1)
    process.kill()
    process.wait()
    pytest.fail(f"streamlit run {script} did not become healthy within 30 s")
