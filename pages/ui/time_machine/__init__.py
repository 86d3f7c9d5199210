"""The time machine: W0, A, B, s A B and their sum after any kept number of updates, scrubbed in the browser.

A Streamlit component that owns one persistent element. All kept adapters travel once, as float32; the browser
multiplies them and paints, so that scrubbing and playing cost the server nothing. Its modules lie in
`assets/` as they are served, and they share with the live chart what is the same in both: elements, theme,
clock, keys and the message's format.
"""

import hashlib
import json
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from streamlit.components.v1 import declare_component

from lora_core.figures import palette
from lora_core.figures.inside_matrices import NAMES, MatricesInfo, averaged, label
from lora_core.numbers import loss_text
from pages.ui.live_chart import ASSETS as SHARED

ASSETS = Path(__file__).parent / "assets"

# Rides in every message, so it only knows where the rest lies: beside Streamlit's own scripts, on any page,
# below any base path. The shared modules are handed over, because their folder has another name each version.
LOADER = """export default async (component) => {
  const app = document.querySelector('script[src*="static/js/"]').src;
  const load = (path) => import(new URL("../../component/" + path, app).href);
  const shared = ["dom", "theme", "series", "player", "keys"].map((name) => load(`%s/${name}.js`));
  const [machine, ...kit] = await Promise.all([load("%s/time_machine.js"), ...shared]);
  return component.data && machine.default(component, Object.assign({}, ...kit));
};"""


def time_machine(message: bytes, *, key: str, on_epoch: Callable[[], None]) -> None:
    """Show a run's matrices.

    Where a hand lets go, `st.session_state[key]["epoch"]` is the number of updates and `on_epoch` is called.
    Once the maps are painted for the first time the page is run again.
    """
    _component()(key=key, data=message, on_epoch_change=on_epoch, on_painted_change=lambda: None)


def pack(info: MatricesInfo, *, run_id: str, opens_at: int, classes: bool = False) -> bytes:
    """All that the browser needs in one message: a header and float32 arrays, deflated (zlib).

    `opens_at` is the number of updates first shown, one of `info.updates`. With `classes` the outputs are
    digits, counted from 0. Where A and B hold more numbers
    than their product, the product travels too and is not multiplied again. Format: see `live_chart.pack`.
    """
    arrays = {"W0": info.W0, "A": info.A, "B": info.B}
    if not info.factors_suffice:
        arrays["delta"] = info.delta
    body, places = bytearray(), {}
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array, "<f4").tobytes()
        places[name] = {"dtype": "f4", "bytes": [len(body), len(raw)]}
        body += raw + b"\0" * (-len(raw) % 8)
    rows, columns = info.W0.shape
    scales = {"light": palette.diverging(), "dark": palette.diverging(dark=True)}
    header = {
        "run": run_id,
        "updates": info.updates,
        "opensAt": info.updates.index(opens_at),
        "sizes": [rows, columns, info.A.shape[2]],
        "shapes": info.shapes,
        "block": info.block,
        "output": ["digit", 0] if classes else ["output", 1],
        "scaling": info.scaling,
        "scalingText": f"{info.scaling:.3g}",
        "scale": info.scale,
        "labels": {name: [label(info, name, i) for i in range(len(info.updates))] for name in NAMES},
        "losses": [loss_text(float(loss)) for loss in info.loss],
        "note": averaged(info),
        "colors": {theme: [color for _, color in stops] for theme, stops in scales.items()},
        "arrays": places,
    }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % 8)
    # Weights hardly deflate: the fastest level takes what there is.
    return zlib.compress(len(text).to_bytes(4, "little") + text + bytes(body), 1)


@lru_cache(maxsize=1)
def _component() -> Any:
    """Serve the assets and register the component, once a process and inside its first script run."""
    machine, shared = (_served(name, folder) for name, folder in (("assets", ASSETS), ("shared", SHARED)))
    return st.components.v2.component("time_machine", js=LOADER % (shared, machine), isolate_styles=False)


def _served(name: str, folder: Path) -> str:
    """The name under which a folder's files are served; it carries their hash, so that no cache is stale."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.read_bytes())
    return declare_component(f"{name}_{digest.hexdigest()[:12]}", path=str(folder)).name
