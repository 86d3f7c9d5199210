"""One visitor in a real browser who plays a run while others keep the server busy."""

import shutil
from typing import NamedTuple

from playwright.async_api import async_playwright

CHART = "[data-testid=live-chart]"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

FRAMES = """seconds => new Promise(done => {
  const gaps = [];
  let start, before;
  const look = now => {
    start ??= now;
    if (before !== undefined) gaps.push(now - before);
    before = now;
    if (now - start < seconds * 1000) requestAnimationFrame(look);
    else done(gaps);
  };
  requestAnimationFrame(look);
})"""


class Played(NamedTuple):
    """Frames a second over the whole playback, and the longest gap between two of them in ms."""

    rate: float
    longest: float


async def playing(address: str, seconds: float) -> Played:
    """Open the playground, play its run at the slowest speed, over and over, and watch the frames.

    :raises RuntimeError: the playback stood still while it was watched.
    """
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = await browser.new_page(viewport={"width": 1280, "height": 720})
        await page.goto(f"{address}/?epochs=2000&out_features=10")
        await page.locator(f"{CHART}[data-run]").wait_for(timeout=60_000)
        await page.get_by_label("Speed").select_option(index=0)
        gaps: list[float] = []
        while sum(gaps) < 1000 * seconds:
            await page.get_by_role("button", name="Restart").click()
            if await page.locator(CHART).get_attribute("data-state") != "playing":
                await page.get_by_role("button", name="Play").click()
            await page.wait_for_timeout(500)  # what is drawn for the first time is not counted
            gaps += await page.evaluate(FRAMES, min(10.0, seconds - sum(gaps) / 1000))
            if await page.locator(CHART).get_attribute("data-state") != "playing":
                raise RuntimeError("the playback had ended before it was watched to the end")
        await browser.close()
    return Played(1000 * len(gaps) / sum(gaps), max(gaps))
