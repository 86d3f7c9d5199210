"""Live chart: a figure that is drawn once a run and played back in the browser.

A component that owns one persistent element; ``st.plotly_chart`` builds a new one at every change of data
(streamlit PR 16052, open at 1.67.0). A new run reaches it as one small message of raw numbers, Plotly draws
it once, and playing, pausing, stepping and scrubbing then cost the server nothing. Its modules are served
from `web/` without a build step, and plotly.js from `vendor/`: the cartesian bundle as published, which a
browser starts in a third of the time of the full one in the Plotly package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from lora_core.figures import palette
from lora_core.figures.loss.drawing import loss_drawing
from lora_core.figures.loss.numbers import LossInfo, alt_text
from pages.components.message import Figure, pack
from pages.components.serving import component
from pages.runtime.callbacks import run_to_completion
from pages.runtime.from_browser import sent_cell, sent_number, sent_text


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
    rank: int | None = None,
    alt: str | None = None,
    title: str = "",
    on_epoch: Callable[[int], None] | None = None,
    places: Sequence[int] | None = None,
    column: str = "training",
    play: str = "",
    here: bool | None = None,
    on_here: Callable[[bool], None] | None = None,
    marks: Sequence[tuple[int, str]] = (),
    on_mark: Callable[[int, int], None] | None = None,
) -> None:
    """Show a run that can be played.

    `figure` is a `LossInfo`, or a figure whose traces and layout carry the `meta` that `draw_loss` describes
    (then with an `alt` text). `run_id` names the run shown and `epochs` the updates of the complete run;
    `streaming` is (updates done, updates in all) while it is being trained. `height` is the whole
    component's, in CSS pixels. `log` is the loss axis at first. A zoom is kept as long as `zoom` is the same
    string. With the `rank` of the run the chart previews the rank held by a control of the page, and labels
    floors by their values alone, in a margin of constant width. `on_epoch` is called with the number of
    updates when the scrub bar is released or a playback ends, at the cost of a rerun each time. For a run
    recorded every few updates, `places` gives the number of updates of each point, and `column` is the
    read-out's word for its curves. A new name in `play` makes the chart play itself once, from the start.
    `title` stands over a downloaded picture.

    With `on_here` the transport offers a choice, whether changes apply from the shown update on, `here`: then
    the run stays in sight beyond it, pale. `marks` are the changes that were made, (update, words);
    `on_mark` is called with the place of one that was dragged, and its new update.
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
        "title": title,
        "rank": rank,
        "report": on_epoch is not None,
        "places": None if places is None else list(places),
        "column": column,
        "play": play,
        "dark": palette.DARK,
        "here": here if on_here is not None else None,
        "marks": [list(mark) for mark in marks],
    }

    @run_to_completion
    def reported() -> None:
        epoch = sent_number(key, "epoch", range(epochs + 1))
        if on_epoch is not None and epoch is not None:
            on_epoch(epoch)

    @run_to_completion
    def switched() -> None:
        choice = sent_text(key, "here")
        if on_here is not None and choice is not None:
            on_here(choice == "here")

    @run_to_completion
    def dragged() -> None:
        moved = sent_cell(key, "mark", len(marks), epochs + 1)
        if on_mark is not None and moved is not None:
            on_mark(*moved)

    on_change = {"on_epoch_change": reported} if on_epoch is not None else {}
    on_change |= {"on_here_change": switched} if on_here is not None else {}
    on_change |= {"on_mark_change": dragged} if on_mark is not None else {}
    _component()(key=key, data=pack(figure, header), **on_change)


def preload() -> None:
    """Make the browser fetch and compile plotly.js while the run is computed.

    Call it once, early on a page that shows a live chart later; it occupies no space on the page.
    """
    _component()(key="live_chart_preload")


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("live_chart", "live_chart/live_chart.js", plotly=True, early=True)
