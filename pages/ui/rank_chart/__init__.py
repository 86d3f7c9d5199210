"""The chart of all ranks, with a rank under the finger.

A Streamlit component that owns one persistent element. All curves travel once a sweep; a handle then moves
curve, floor, share and words in the browser, and only letting go of it tells the server the rank. Its modules
lie in `assets/` as they are served, and share elements, theme and message format with the live chart.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v1 import declare_component

from lora_core.figures import palette
from lora_core.figures.ranks import ranks_alt
from lora_core.figures.ranks_numbers import RanksInfo, rank_words
from lora_core.numbers import loss_text, percent_text
from pages.ui.live_chart import pack, served

ASSETS = Path(__file__).parent / "assets"

# Rides in every message, so it only knows where the rest lies: beside Streamlit's own scripts, on any page,
# below any base path. The live chart's modules are handed over: their folder has another name each version.
LOADER = """export default async (component) => {
  const app = document.querySelector('script[src*="static/js/"]').src;
  const load = (path) => import(new URL("../../component/" + path, app).href);
  const [chart, dom, series, theme, steady] = await Promise.all([
    load("%(own)s/%(module)s.js"), load("%(shared)s/dom.js"), load("%(shared)s/series.js"),
    load("%(shared)s/theme.js"), load("%(shared)s/steady_chart.js"), load("%(plotly)s/plotly.min.js"),
  ]);
  const kit = { ...dom, ...series, ...theme, steady: steady.default };
  return component.data && chart.default(component, window.Plotly, kit);
};"""


def rank_chart(
    figure: go.Figure,
    info: RanksInfo,
    rank: int,
    tolerance: float,
    *,
    key: str,
    on_pick: Callable[[int], None],
) -> None:
    """Show `draw_ranks` and the handle at ``rank``; ``on_pick`` is called with the rank that a hand chose.

    Where ``rank`` was not trained (beyond the layer's, or between those of a large layer) the handle stands
    at the nearest trained one.
    """

    def picked() -> None:
        chosen = st.session_state[key].get("rank")
        if chosen is not None and int(chosen) in info.ranks:
            on_pick(int(chosen))

    message = pack(figure, _header(info, rank, tolerance))
    _component("rank_chart")(key=key, data=message, on_rank_change=picked)


def click_chart(
    figure: go.Figure, *, key: str, alt: str, height: int, on_click: Callable[[str, str], None]
) -> None:
    """Show a still figure; ``on_click`` is called with the x and y, as text, of the point that is clicked."""

    def clicked() -> None:
        point = st.session_state[key].get("point")
        if point is not None:
            on_click(str(point[0]), str(point[1]))

    header: dict[str, Any] = {"height": height, "alt": alt, "dark": palette.DARK}
    header["run"] = hashlib.sha256(figure.to_json().encode()).hexdigest()[:16]
    _component("click_chart")(key=key, data=pack(figure, header), on_point_change=clicked)


def _header(info: RanksInfo, rank: int, tolerance: float) -> dict[str, Any]:
    places = range(len(info.ranks))
    header: dict[str, Any] = {
        "ranks": info.ranks,
        "floors": [info.floor(i) for i in places],
        "words": [rank_words(info, i, tolerance) for i in places],
        "cells": {
            "trained": [loss_text(info.final[i]) for i in places],
            "floor": [loss_text(info.floor(i)) for i in places],
            "held-out": [loss_text(info.test[i]) for i in places],
            "of full's numbers": [percent_text(info.share(i)) for i in places],
        },
        "fixed": {"full": loss_text(info.full_final), "base": loss_text(info.base)},
        "colors": {"lora": palette.LORA, "full": palette.FULL, "base": palette.BASE},
        "dark": palette.DARK,
        "alt": ranks_alt(info, tolerance),
    }
    digest = hashlib.sha256(info.losses.tobytes() + repr(header).encode()).hexdigest()[:16]
    return {**header, "run": digest, "rank": info.ranks[info.place(rank)]}


@lru_cache
def _component(module: str) -> Any:
    """Register the component of a module, once a process and inside its first script run."""
    shared, plotly = served()
    names = {"own": _own(), "module": module, "shared": shared, "plotly": plotly}
    return st.components.v2.component(module, js=LOADER % names, isolate_styles=False)


@lru_cache(maxsize=1)
def _own() -> str:
    """The name under which the assets are served; it carries their hash, so that no cache is stale."""
    digest = hashlib.sha256()
    for path in sorted(ASSETS.iterdir()):
        digest.update(path.read_bytes())
    return declare_component(f"ranks_{digest.hexdigest()[:12]}", path=str(ASSETS)).name
