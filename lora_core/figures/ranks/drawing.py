"""The chart of all ranks, drawn from its numbers.

Two panels share one loss axis: last losses over rank, and every rank's curve over the updates, coloured in
the order of the ranks. What moves with a rank under the finger (its curve, its floor, the handle) is drawn by
the view, not here. A zero lies at the foot of a log axis.
"""

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from lora_core.figures import palette
from lora_core.figures.axes import LOG_RANKS, MARGIN, SCALE, loss_axis, rank_axis
from lora_core.figures.ranks.numbers import Floats, RanksInfo, axis_range, knee_words
from lora_core.formatting import loss_text
from lora_core.theory import knee

RAMP, RAMP_ENDS = 12, (0.35, 0.65)
"""Colours in the legend of the curves, and where it begins and ends as shares of their panel."""


def draw_ranks(info: RanksInfo, tolerance: float) -> go.Figure:
    """Last losses over rank (x, y) and every learning curve (x2, y2). ``meta`` of a trace is its part."""
    figure, axis = _last_losses(info, tolerance)
    _add_curves(figure, info)
    _add_legend(figure, info)
    return figure.update_layout(
        margin={**MARGIN, "t": 26}, xaxis={"domain": [0, 0.47]},
        xaxis2={"title": {"text": "Updates"}, "domain": [0.53, 1], "anchor": "y2",
                "range": [0, info.experiment.epochs]},
        yaxis2={**axis, "title": {"text": ""}, "anchor": "x2"},
    )  # fmt: skip


def _last_losses(info: RanksInfo, tolerance: float) -> tuple[go.Figure, dict[str, object]]:
    """The panel of last losses with its marks, and its loss axis."""
    low, high = axis_range(info)
    axis = loss_axis(low, high)
    figure = go.Figure(layout={"template": {}})
    _add_last_losses(figure, info, low)
    figure.update_layout(
        showlegend=False, hovermode=False, margin=MARGIN, xaxis=rank_axis(info.ranks), yaxis=axis
    )
    if info.truth is not None:
        _mark(figure, info, info.truth, f"true rank {info.truth}", palette.BASE, 0)
    found = knee(info.floors, tolerance)
    if found:
        _mark(figure, info, found, f"enough: {found}", palette.LORA, 1)
    return figure, axis


def _add_last_losses(figure: go.Figure, info: RanksInfo, low: float) -> None:
    def line(name: str, y: Floats, color: str, **style: object) -> None:
        figure.add_scatter(
            x=np.array(info.ranks, dtype=np.int32), y=y, name=name, mode="lines", meta={"part": "last"},
            line={"color": color, "width": 2, **style},
        )  # fmt: skip

    count = len(info.ranks)
    floors = np.array([max(info.floor(i), low) for i in range(count)])
    line("base", np.full(count, info.base), palette.BASE)
    line("full fine-tuning", np.full(count, info.full_final), palette.FULL)
    line("full, new data", np.full(count, info.full_test), palette.FULL, dash=palette.HELD_OUT_DASH)
    line("floor", floors, palette.LORA, dash=palette.FLOOR_DASH)
    _add_gap(figure, info, floors)
    line("trained", info.final, palette.LORA, width=2.5)
    figure.data[-1].update(mode="lines+markers", marker={"color": palette.LORA, "size": 5})
    line("new data", info.test, palette.LORA, dash=palette.HELD_OUT_DASH)
    zeros = [i for i in range(count) if info.floor(i) < low]
    if zeros:
        exact = "0" if info.floor(zeros[0]) <= 1e-12 * info.base else loss_text(info.floor(zeros[0]))
        figure.add_annotation(
            text=f"floor {exact}, below the axis", x=info.ranks[zeros[0]] if max(info.ranks) < LOG_RANKS
            else float(np.log10(info.ranks[zeros[0]])), y=float(np.log10(low)),
            showarrow=False, yanchor="bottom", xanchor="left", font={"color": palette.LORA},
        )  # fmt: skip


def _add_gap(figure: go.Figure, info: RanksInfo, floors: Floats) -> None:
    """Shade what the optimizer left, between trained and floor; where a rank diverged there is nothing."""
    x, y = [], []
    finite = np.flatnonzero(np.isfinite(info.final))
    for run in np.split(finite, np.flatnonzero(np.diff(finite) > 1) + 1):
        x += [info.ranks[i] for i in [*run, *run[::-1]]] + [None]
        y += [*info.final[run].tolist(), *floors[run[::-1]].tolist(), None]
    figure.add_scatter(
        x=x[:-1], y=y[:-1], name="left by the optimizer", mode="none", fill="toself", fillcolor=palette.GAP,
        meta={"part": "last"},
    )  # fmt: skip


def _add_curves(figure: go.Figure, info: RanksInfo) -> None:
    def curve(y: Floats, name: str, part: str, line: dict[str, object], opacity: float = 1.0) -> dict:
        return {
            "type": "scatter", "mode": "lines", "xaxis": "x2", "yaxis": "y2", "y": y.astype(np.float32),
            "name": name, "meta": {"part": part}, "line": line, "opacity": opacity,
        }  # fmt: skip

    curves = [
        curve(losses, f"rank {rank}", "curve", {"color": color, "width": 1}, 0.75)
        for color, losses, rank in zip(rank_colors(info.ranks), info.losses, info.ranks, strict=True)
    ]
    full = curve(info.full_curve, "full fine-tuning", "full", {"color": palette.FULL, "width": 2})
    figure.add_traces([*curves, full])  # at once: one after another takes three times as long


def _add_legend(figure: go.Figure, info: RanksInfo) -> None:
    """The colours of the curves above them, from the smallest rank to the largest."""
    if len(info.ranks) < 2:
        return
    chosen = np.unique(np.linspace(0, len(info.ranks) - 1, RAMP).round().astype(int))
    edges = np.linspace(*RAMP_ENDS, len(chosen) + 1)
    colors = rank_colors(info.ranks)
    panel: dict[str, Any] = {"xref": "x2 domain", "yref": "y2 domain"}
    for place, left, right in zip(chosen, edges, edges[1:], strict=False):
        box = {"x0": left, "x1": right, "y0": 1.03, "y1": 1.05}
        figure.add_shape(type="rect", **panel, **box, fillcolor=colors[place], line={"width": 0})
    for rank, x, anchor in ((info.ranks[0], edges[0], "right"), (info.ranks[-1], edges[-1], "left")):
        figure.add_annotation(
            text=f"rank {rank}", **panel, x=x, y=1.04, xanchor=anchor, yanchor="middle", showarrow=False,
            xshift=-6 if anchor == "right" else 6,
        )  # fmt: skip


def rank_colors(ranks: tuple[int, ...]) -> list[str]:
    """A colour a rank, in order, spread by ratio; the ends of the scale, too dark or too pale, left out."""
    logs = np.log(np.array(ranks, dtype=float))
    spread = 0.35 + 0.5 * logs / max(float(logs.max()), 1e-9)
    return sample_colorscale(SCALE, [float(each) for each in spread])


def _mark(figure: go.Figure, info: RanksInfo, rank: int, text: str, color: str, line: int) -> None:
    log, last = max(info.ranks) >= LOG_RANKS, max(info.ranks)
    inner = rank**2 < last if log else rank < last / 2  # left of the middle: there is room on the right
    figure.add_shape(
        type="line", xref="x", x0=rank, x1=rank, yref="y domain", y0=0, y1=1, layer="below",
        line={"color": color, "width": 1.5, "dash": "dot"},
    )  # fmt: skip
    side = {"xanchor": "left", "xshift": 4} if inner else {"xanchor": "right", "xshift": -4}
    figure.add_annotation(
        text=text, xref="x", x=float(np.log10(rank)) if log else rank, **side, yref="y domain", y=0.62,
        yanchor="top", yshift=-18 * line, showarrow=False, font={"color": color},
    )  # fmt: skip


def ranks_alt(info: RanksInfo, tolerance: float) -> str:
    """The two panels in words."""
    first, last = info.ranks[0], info.ranks[-1]
    return (
        f"Every rank: error at the end over rank, and all learning curves. Rank {first} ends at "
        f"{loss_text(info.final[0])}, rank {last} at {loss_text(info.final[-1])}, full fine-tuning at "
        f"{loss_text(info.full_final)}; the base is at {loss_text(info.base)}. {knee_words(info, tolerance)}"
    )
