"""Make the README's pictures from the app as it is: ``python -m tests.pictures``."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", address.partition(":")[2]]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://{address}/_stcore/health")
        take_all(f"http://{address}")
    finally:
        server.terminate()
        server.wait()


def wait_for(url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
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
