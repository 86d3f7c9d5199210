"""The live chart: a figure that is drawn once a run and played back in the browser.

A Streamlit component that owns one persistent element. A new run reaches it as one small message of raw
numbers, Plotly draws it once, and playing, pausing, stepping and scrubbing then cost the server nothing. Its
modules lie in `assets/` as they are served, without a build step. So does plotly.js, in `plotly/`: its
cartesian bundle as published, which a browser starts in a third of the time of the full one in the Plotly
package.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v1 import declare_component

from lora_core.figures import palette
from lora_core.figures.loss import LossInfo, alt_text, loss_drawing
from pages.runtime.callbacks import last_told, whole
from pages.ui.served import loader, served_folder

Figure: TypeAlias = go.Figure | dict[str, Any]
"""A figure, or its plain `data` and `layout` as plotly.js takes them."""
DTYPES = ("f8", "f4", "i4", "i2", "i1")
"""What `series.js` can read."""

ASSETS = Path(__file__).parent / "assets"
PLOTLY = Path(__file__).parent / "plotly"
_DRAW = "(component, chart) => component.data && chart.default(component, window.Plotly)"
_DRAW_WHOLE = "(component, chart) => component.data && chart.default(component, () => load('%s'))"


def live_chart(
    figure: LossInfo | Figure,
    *,
    run_id: str,
    epochs: int,
    key: str,
    streaming: tuple[int, int] | None = None,
    height: int = 420,
    log: bool = True,
    zoom: str = "",
    alt: str | None = None,
    on_epoch: Callable[[int], None] | None = None,
) -> None:
    """Show a run that can be played.

    `figure` is a `LossInfo`, or a figure whose traces and layout carry the `meta` that `draw_loss` describes
    (then with an `alt` text). `run_id` names the run shown and `epochs` the updates of the complete run;
    `streaming` is (updates done, updates in all) while it is being trained. `height` is the whole
    component's, in CSS pixels. `log` is the axis at first sight. A zoom is kept for as long as `zoom` stays
    the same string. `on_epoch` is called with the number of updates at which a hand let
    go of the scrub bar or a playback came to rest, which costs a rerun each time.
    """
    if isinstance(figure, LossInfo):
        alt = alt_text(figure) if alt is None else alt
        figure = loss_drawing(figure)
    if alt is None:
        raise ValueError("alt must be given with a figure of your own: the chart in words")
    header = {
        "run": run_id,
        "epochs": epochs,
        "streaming": None if streaming is None or streaming[0] >= streaming[1] else list(streaming),
        "height": height,
        "log": log,
        "zoom": zoom,
        "alt": alt,
        "report": on_epoch is not None,
        "dark": palette.DARK,
    }

    @whole
    def told() -> None:
        epoch = last_told(key, "epoch")
        if on_epoch is not None and isinstance(epoch, int):
            on_epoch(epoch)

    on_change = {"on_epoch_change": told} if on_epoch is not None else {}
    _component()(key=key, data=pack(figure, header), **on_change)


def preload() -> None:
    """Let the browser fetch and start plotly.js while the run is computed.

    Call it once, early on a page that shows a live chart later; it takes no room of its own.
    """
    _component()(key="live_chart_preload")


def pack(figure: Figure, header: dict[str, Any]) -> bytes:
    """The figure and what goes with it in one message: raw numbers instead of base64, deflated (zlib).

    Inflated: length of the JSON header (uint32, little endian), the header, padded with blanks so that the
    arrays begin at a multiple of 8 bytes, then the arrays. In the header an array reads
    `{"dtype": "f8", "bytes": [offset, length]}`.
    """
    arrays = bytearray()

    def placed(dtype: str, raw: bytes) -> dict[str, Any]:
        place = [len(arrays), len(raw)]
        arrays.extend(raw + b"\0" * (-len(raw) % 8))
        return {"dtype": dtype, "bytes": place}

    def moved(node: Any) -> Any:
        if isinstance(node, np.ndarray):
            known = node if node.dtype.str[1:] in DTYPES else node.astype("<f8")
            return placed(known.dtype.str[1:], known.tobytes())
        if isinstance(node, dict) and "bdata" in node:
            return placed(node["dtype"], base64.b64decode(node["bdata"]))
        if isinstance(node, dict):
            return {name: moved(value) for name, value in node.items() if name != "template"}
        if isinstance(node, list | tuple):
            return [moved(value) for value in node]
        return node

    parts = figure.to_plotly_json() if isinstance(figure, go.Figure) else figure
    message = {"figure": moved(parts), **header}
    text = json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return zlib.compress(len(text).to_bytes(4, "little") + text + bytes(arrays))


def steady_chart(figure: Figure, *, key: str, alt: str, height: int = 420, whole: bool = False) -> None:
    """Show a still figure that is redrawn in place when it changes, without the blank frame of a new element.

    ``alt`` is the chart in words and ``height`` its height in CSS pixels. ``whole`` draws it with all of
    plotly.js, from the Plotly package, for what the bundle of plane charts lacks: a treemap.
    """
    header: dict[str, Any] = {"height": height, "alt": alt, "dark": palette.DARK}
    header["run"] = hashlib.sha256(pack(figure, header)).hexdigest()[:16]
    (_whole_chart() if whole else _component("steady_chart"))(key=key, data=pack(figure, header))


@lru_cache
def _component(module: str = "live_chart") -> Any:
    """Register the component of a module, once a process and inside its first script run."""
    assets, plotly = served()
    paths = f"{assets}/{module}.js", plotly
    return st.components.v2.component(module, js=loader(paths, _DRAW), isolate_styles=False)


@lru_cache(maxsize=1)
def _whole_chart() -> Any:
    """The steady chart with all of plotly.js, registered once a process and inside its first script run."""
    plotly = declare_component("plotly_whole", path=str(files("plotly") / "package_data")).name
    js = loader([f"{served()[0]}/whole_chart.js"], _DRAW_WHOLE % f"{plotly}/plotly.min.js")
    return st.components.v2.component("whole_chart", js=js, isolate_styles=False)


@lru_cache(maxsize=1)
def served() -> tuple[str, str]:
    """Serve the assets and plotly.js; returns the name of their folder and the path of that script."""
    return served_folder("assets", ASSETS), f"{served_folder('plotly', PLOTLY)}/plotly-cartesian.min.js"
