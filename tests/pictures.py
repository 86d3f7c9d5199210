"""Make the README's pictures from the app as it is: ``python -m tests.pictures``."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.kit.servers import free_port, healthy

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "pictures"
PICTURES = {
    "playground": ("light", "/"),
    "playground-dark": ("dark", "/?rank=4"),
    "every-rank": ("light", "/Every_rank"),
    "on-stage": ("dark", "/On_stage?scene=knee~20~revealed&hide=sidebar,buttons"),
}
"""File name -> theme and link."""


def main() -> None:
    port = str(free_port())
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", port]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_for(address)
        take_all(address)
    finally:
        server.terminate()
        server.wait()


def wait_for(address: str) -> None:
    for _ in range(300):
        if healthy(address):
            return
        time.sleep(0.1)
    raise SystemExit("the server did not start within 30 s")


def take_all(server: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (theme, link) in PICTURES.items():
            page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme=theme)
            page.goto(server + link)
            page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=30_000)
            page.wait_for_timeout(3000)  # until what stands round the first chart is drawn too
            page.screenshot(path=FOLDER / f"{name}.png")
            print(FOLDER / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
