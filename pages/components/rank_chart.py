"""Chart of all ranks with a handle for the rank, and a map that reports the cell clicked.

A component that owns one persistent element (``st.plotly_chart`` does not: streamlit PR 16052, open at
1.67.0). All curves are sent once a sweep; the handle then moves curve, floor, share and words in the browser,
and only its release reports the rank to the server. Its modules are served from `web/`, and share elements,
theme and message format with the live chart.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import plotly.graph_objects as go

from lora_core.figures import palette
from lora_core.figures.ranks.drawing import ranks_alt
from lora_core.figures.ranks.numbers import RanksInfo, rank_words
from lora_core.formatting import loss_text, percent_text
from pages.components.message import pack
from pages.components.serving import component
from pages.runtime.callbacks import run_to_completion
from pages.runtime.from_browser import sent_cell, sent_number


def rank_message(
    figure: go.Figure,
    info: RanksInfo,
    tolerance: float,
    *,
    key: str,
    height: int = 400,
) -> bytes:
    """Encode all that the chart named ``key`` shows; independent of the current rank, so it can be cached."""
    places = range(len(info.ranks))
    header: dict[str, Any] = {
        "key": key,
        "height": height,
        "ranks": info.ranks,
        "floors": [info.floor(i) for i in places],
        "words": [rank_words(info, i, tolerance) for i in places],
        "cells": _cells(info),
        "colors": palette.ROLES,
        "dark": palette.DARK,
        "alt": ranks_alt(info, tolerance),
    }
    digest = hashlib.sha256(info.losses.tobytes() + repr(header).encode()).hexdigest()[:16]
    return pack(figure, {**header, "run": digest})


def rank_chart(
    message: bytes, info: RanksInfo, rank: int, *, key: str, on_pick: Callable[[int], None]
) -> None:
    """Show a message of `rank_message`, the handle at ``rank``; ``on_pick`` gets the rank at its release.

    If ``rank`` was not trained (beyond the layer's, or between those of a large layer) the handle stands
    at the nearest trained one.
    """

    @run_to_completion
    def picked() -> None:
        chosen = sent_number(key, "rank", info.ranks)
        if chosen is not None:
            on_pick(chosen)

    # A component of its own for the rank, so that a new rank does not send the figure again.
    update = {"key": key, "rank": info.ranks[info.place(rank)]}
    _component("rank_update")(key=f"{key} told", data=update)
    _component("rank_chart")(key=key, data=message, on_rank_change=picked)


def click_message(figure: go.Figure, *, alt: str, height: int) -> bytes:
    """Encode a still map; the message can be cached."""
    header: dict[str, Any] = {"height": height, "alt": alt, "dark": palette.DARK}
    header["run"] = hashlib.sha256(pack(figure, header)).hexdigest()[:16]
    return pack(figure, header)


def click_chart(
    message: bytes, shape: tuple[int, int], *, key: str, on_click: Callable[[int, int], None]
) -> None:
    """Show a message of `click_message` with ``shape`` rows and columns of cells.

    ``on_click`` is called with row and column of the cell clicked.
    """

    @run_to_completion
    def clicked() -> None:
        cell = sent_cell(key, "cell", *shape)
        if cell is not None:
            on_click(*cell)

    _component("click_chart")(key=key, data=message, on_cell_change=clicked)


def _cells(info: RanksInfo) -> list[dict[str, Any]]:
    """Numbers beside the chart, which are its legend: a list where the rank matters, else one text."""
    places = range(len(info.ranks))
    lora, full = palette.LORA, palette.FULL
    rows: list[tuple[str, str | None, str, str | list[str]]] = [
        ("rank", None, "solid", [str(rank) for rank in info.ranks]),
        ("trained", lora, "solid", [loss_text(info.final[i]) for i in places]),
        ("floor", lora, "dash", [loss_text(info.floor(i)) for i in places]),
        ("new data", lora, "dot", [loss_text(info.test[i]) for i in places]),
        ("share of full", None, "solid", [percent_text(info.share(i)) for i in places]),
        ("full", full, "solid", loss_text(info.full_final)),
        ("full, new data", full, "dot", loss_text(info.full_test)),
        ("base", palette.BASE, "solid", loss_text(info.base)),
    ]
    return [{"name": name, "color": color, "dash": dash, "text": text} for name, color, dash, text in rows]


@lru_cache
def _component(module: str) -> Any:
    """Register the component of a module, once a process and inside its first script run."""
    return component(module, f"rank_chart/{module}.js", plotly=True)
