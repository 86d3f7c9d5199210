"""The loss chart, drawn from its numbers (`LossInfo`).

LoRA and full fine-tuning with their held-out twins (dotted), the run before this one (pale), pinned runs,
and the floors: dashed lines in the colour of the curve they bound. A zero has no place on a log axis:
such a floor lies at the axis' foot and is labelled 0.
"""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from lora_core.figures import palette
from lora_core.figures.loss.numbers import (
    OUT_OF_SIGHT,
    Floor,
    LossCurve,
    LossInfo,
    Role,
    Series,
    axis_range,
    first_loss,
    format_loss,
    shown,
)

PLAYED: tuple[Role, ...] = ("lora", "full")
"""The curves of the present run, which a playback reveals; the others stand still to compare with."""

AXIS_TITLES = {"log": "Error (log scale)", "linear": "Error"}


def draw_loss(info: LossInfo, *, log: bool = True) -> go.Figure:
    """Draw the chart.

    Each trace's `meta` says what it is to a view that plays it: `kind` (`loss`, `test`, `mark` or `floor`),
    `curve` (its place in `info.curves`), `play` (whether a playback reveals it) and, where a rank was cut,
    `jumps` (update, loss before it), which the view draws upright: a point of `y` is an update.
    `layout.meta` holds range and title of both axes and the floors' values, so that log and linear can be
    exchanged without asking again. Shape `i` is the line of floor `i`, annotation `i` its label; a view that
    knows its pixels sets labels apart that would touch.
    """
    return go.Figure(loss_drawing(info, log=log))


def loss_drawing(info: LossInfo, *, log: bool = True) -> dict[str, Any]:
    """`draw_loss` as plotly.js takes it: plain `data` and `layout`.

    For the page that redraws it at every move of a slider: Plotly checks each property of a `go.Figure`,
    which takes longer than all the rest of the drawing.
    """
    traces = []
    for place, curve in _drawing_order(info):
        line = _style(info, place)
        traces += _traces(curve, place, line)
        if curve.diverged_at is not None:
            traces += _divergence(info, place, line["color"])
    kinds = ("log", "linear")
    ranges = {kind: [_rounded(end) for end in axis_range(info, kind == "log")] for kind in kinds}
    kind = kinds[0] if log else kinds[1]
    floors = [(floor, shown(info, floor)) for floor in info.floors]
    foot = ranges["log"][0] if log else None
    traces += [_past_floor(info, floor) for floor in info.floors if floor.steps]
    layout = {
        "template": {},
        "meta": {
            "axes": {each: {"range": ranges[each], "title": AXIS_TITLES[each]} for each in kinds},
            "floors": [value for _, value in floors],
        },
        "xaxis": {"title": {"text": "Updates"}, "range": [0, info.epochs]},
        "yaxis": {
            "title": {"text": AXIS_TITLES[kind]},
            "type": kind,
            "range": [_log10(end) for end in ranges["log"]] if log else ranges["linear"],
            "hoverformat": ".4g",
        },
        "hovermode": "x unified",
        "margin": {"l": 60, "r": 130, "t": 16, "b": 44},
        "shapes": [_floor_line(floor, value, foot) for floor, value in floors],
        "annotations": [_floor_label(floor, value, foot) for floor, value in floors],
    }
    return {"data": traces, "layout": layout}


def _drawing_order(info: LossInfo) -> list[tuple[int, LossCurve]]:
    """What stands still first, so that the run of the moment lies on top; LoRA topmost."""
    depth = {"ghost": 0, "pin": 1, "full": 2, "lora": 3}
    return sorted(enumerate(info.curves), key=lambda item: depth[item[1].role])


def _style(info: LossInfo, place: int) -> dict[str, Any]:
    """Plotly line of curve `place`."""
    curve = info.curves[place]
    if curve.role == "pin":
        pins = [index for index, other in enumerate(info.curves) if other.role == "pin"]
        color, dash = palette.pin(pins.index(place))
        return {"color": color, "dash": dash, "width": 2}
    if curve.role == "ghost":
        return {"color": palette.GHOST, "width": 2}
    return {"color": _color(curve.role), "width": 2.5}


def _color(role: str) -> str:
    """Of LoRA's curve and floor, or of full fine-tuning's."""
    return palette.LORA if role == "lora" else palette.FULL


def _traces(curve: LossCurve, place: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    """Held-out curve (dotted) below, training curve above it."""
    meta = {"curve": place, "play": curve.role in PLAYED}
    loss = np.asarray(curve.loss, dtype=np.float64)
    traces = []
    if curve.test_loss is not None:
        test = np.asarray(curve.test_loss, dtype=np.float64)
        dotted = {**line, "dash": palette.HELD_OUT_DASH, "width": 2}
        traces.append(_line(f"{curve.label}, new data", test, dotted, {"kind": "test", **meta}))
    jumps = {"jumps": [list(jump) for jump in curve.jumps]} if curve.jumps else {}
    traces.append(_line(curve.label, loss, line, {"kind": "loss", **meta, **jumps}))
    return traces


def _divergence(info: LossInfo, place: int, color: str) -> list[dict[str, Any]]:
    """A cross at the last number of curve `place`, or at the top of the chart if that number is beyond it."""
    curve = info.curves[place]
    finite = np.flatnonzero(np.isfinite(curve.loss))
    if not finite.size:
        return []
    last = int(finite[-1])
    return [
        {
            "type": "scatter",
            "x": [last],
            "y": [min(float(curve.loss[last]), OUT_OF_SIGHT * first_loss(info))],
            "name": f"{curve.label} diverged at update {curve.diverged_at}",
            "text": ["\u00a0diverged\u00a0"],  # no-break spaces, to keep clear of the cross
            "textposition": "middle right" if last < info.epochs / 2 else "middle left",
            "textfont": {"color": color},
            "mode": "markers+text",
            "marker": {"symbol": "x", "size": 10, "color": color},
            "meta": {"kind": "mark", "curve": place, "play": curve.role in PLAYED},
        }
    ]


def _line(name: str, values: Series, line: dict[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
    """A curve over updates 0, 1, 2, ... (no x is sent: that is what Plotly assumes)."""
    return {
        "type": "scatter",
        "y": values,
        "name": name,
        "mode": "lines",
        "line": {**line, "simplify": False},
        "meta": meta,
    }


def _floor_place(value: float, foot: float | None) -> tuple[str, float]:
    """What a floor is measured on, and where: one below a log axis' `foot` lies along it."""
    return ("paper", 0) if foot is not None and value < foot else ("y", value)


def _floor_line(floor: Floor, value: float, foot: float | None) -> dict[str, Any]:
    """Dashed line across the chart."""
    yref, y = _floor_place(value, foot)
    style = {"color": _color(floor.role), "dash": palette.FLOOR_DASH, "width": 1.5}
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": yref, "y0": y, "y1": y, "line": style}
    return line | {"xref": "x", "x0": floor.since, "x1": 1e6} if floor.since else line


def _past_floor(info: LossInfo, floor: Floor) -> dict[str, Any]:
    """The steps of a floor up to the one in force at the end, as a dashed staircase.

    A step below the foot of the log axis lies a little above it, so that the line stays in sight.
    """
    foot = axis_range(info, log=True)[0] * 1.02
    ends = [*(since for since, _ in floor.steps[1:]), floor.since]
    x, y = [], []
    for (since, value), end in zip(floor.steps, ends, strict=True):
        x += [since, end]
        y += [max(value, foot)] * 2
    style = {"color": _color(floor.role), "dash": palette.FLOOR_DASH, "width": 1.5}
    return {
        "type": "scatter", "x": [*x, floor.since], "y": [*y, max(floor.value, foot)],
        "name": f"{floor.label}, before", "mode": "lines", "line": style, "hoverinfo": "skip",
        "showlegend": False, "meta": {"kind": "floor", "curve": 0, "play": False},
    }  # fmt: skip


def _floor_label(floor: Floor, value: float, foot: float | None) -> dict[str, Any]:
    """The floor's name and value at the right end of its line."""
    yref, y = _floor_place(value, foot)
    return {
        "text": f"{floor.label}: {format_loss(value, 3)}",
        "xref": "paper",
        "x": 1,
        "xanchor": "left",
        "xshift": 9,
        "yanchor": "middle",
        "yref": yref,
        "y": y if yref == "paper" or foot is None else _log10(value),
        "showarrow": False,
        "font": {"color": palette.FULL_TEXT if floor.role == "full" else palette.LORA},
    }


def _rounded(value: float) -> float:
    """Enough digits for an axis; the rest would only travel."""
    return float(f"{value:.4g}")


def _log10(value: float) -> float:
    """Where a log axis puts a value, to a hundredth of a pixel."""
    return round(float(np.log10(value)), 5)
