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
    else done({rate: 1000 * gaps.length / (now - start), longest: Math.max(...gaps)});
  };
  requestAnimationFrame(look);
})"""


class Played(NamedTuple):
    """Frames a second over the whole playback, and the longest gap between two of them in ms."""

    rate: float
    longest: float


async def playing(address: str, seconds: float) -> Played:
    """Open the playground, play its run at the slowest speed, over and over, and watch the frames."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = await browser.new_page(viewport={"width": 1280, "height": 720})
        await page.goto(f"{address}/?epochs=2000&out_features=10")
        await page.locator(f"{CHART}[data-run]").wait_for(timeout=60_000)
        await page.get_by_label("Speed").select_option(index=0)
        await page.get_by_role("button", name="Restart").click()
        await page.get_by_role("button", name="Play").click()
        await page.locator(f"{CHART}[data-state=playing]").wait_for(timeout=60_000)
        await page.wait_for_timeout(1000)  # what was drawn for the first time is behind us
        seen = await page.evaluate(FRAMES, seconds)
        moved = int(await page.locator(CHART).get_attribute("data-epoch") or 0)
        await browser.close()
    if not moved:
        raise RuntimeError("the playback did not move")
    return Played(seen["rate"], seen["longest"])
