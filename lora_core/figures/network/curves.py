"""The curves of a network run: held-out loss, or right letters, of LoRA and of full fine-tuning, by look.

Beside them stand lines that everyone understands: where the base begins, and what a table of letter pairs
reaches, or guessing. They are solid: a dashed line is a floor, and these are none.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lora_core.figures import palette
from lora_core.formatting import loss_text, percent_text
from lora_core.network.data import LETTERS, letter_tables
from lora_core.network.run import NetworkLane, NetworkRun
from lora_core.network.shape import Network

Series = NDArray[np.float64]
Role = Literal["lora", "full", "ghost"]
_COLORS: dict[Role, str] = {"lora": palette.LORA, "full": palette.FULL, "ghost": palette.GHOST}


@dataclass(frozen=True, eq=False)
class Curve:
    """Held-out values of one lane, by look; ``diverged_at`` as the lane's."""

    role: Role
    label: str
    values: Series
    diverged_at: int | None = None


@dataclass(frozen=True, eq=False)
class CurvesInfo:
    """All that the chart shows. ``places``: updates done at each look of the complete run."""

    title: str
    percent: bool
    curves: tuple[Curve, ...]
    lines: tuple[tuple[str, float], ...]
    places: tuple[int, ...]


def places_of(updates: int, every: int) -> tuple[int, ...]:
    """Updates done at each look of a run of so many: 0, every ``every``, and the last."""
    return (*range(0, updates, every), updates)


def curves_info(run: NetworkRun, every: int, ghost: tuple[str, NetworkLane] | None = None) -> CurvesInfo:
    """Gather the curves of a run, complete or growing, and LoRA's of the run before it."""
    e, percent = run.experiment, run.experiment.network is Network.COPIER

    def values(lane: NetworkLane) -> Series:
        return 100 * lane.accuracy if percent else lane.test_loss

    curves = [
        Curve("lora", "LoRA", values(run.lora), run.lora.diverged_at),
        Curve("full", "Full fine-tuning", values(run.full), run.full.diverged_at),
    ]
    if ghost is not None:
        curves.append(Curve("ghost", ghost[0], values(ghost[1]), ghost[1].diverged_at))
    lines: tuple[tuple[str, float], ...]
    if percent:
        title, lines = "Right letters (%)", (("guessing", 100 / LETTERS),)
    else:
        title = "Error (nats a letter)"
        base = ("before", float(run.lora.test_loss[0]))
        lines = (base, ("letter pairs", letter_tables(e.language).pairs))
    return CurvesInfo(title, percent, tuple(curves), lines, places_of(e.updates, every))


def curves_drawing(info: CurvesInfo) -> dict[str, Any]:
    """The chart as the live chart takes it: plain ``data`` and ``layout`` with their ``meta``."""
    ends = _range(info)
    last = len(info.places) - 1
    shown = [i for i in range(last + 1) if i % max(1, round(last / 5)) == 0]
    return {
        "data": [_trace(place, curve) for place, curve in enumerate(info.curves)],
        "layout": {
            "template": {},
            "meta": {
                "axes": {kind: {"range": list(ends), "title": info.title} for kind in ("log", "linear")},
                "floors": [value for _, value in info.lines],
                "named": True,
            },
            "xaxis": {
                "title": {"text": "Updates"},
                "tickangle": 0,
                "tickvals": shown,
                "ticktext": [f"{info.places[i]:,}" for i in shown],
            },
            "yaxis": {"title": {"text": info.title}, "type": "linear", "range": list(ends)},
            "shapes": [_line(value) for _, value in info.lines],
            "annotations": [_label(info, name, value) for name, value in info.lines],
        },
    }


def curves_alt(info: CurvesInfo) -> str:
    """The chart in words."""
    text = _text(info)
    parts = [f"{info.title}, by updates."]
    for curve in info.curves:
        if len(curve.values) > 1:
            parts.append(f"{curve.label} goes from {text(curve.values[0])} to {text(curve.values[-1])}.")
        if curve.diverged_at is not None:
            parts.append(f"{curve.label} diverged at update {curve.diverged_at}.")
    return " ".join([*parts, *(f"{name}: {text(value)}." for name, value in info.lines)])


def _text(info: CurvesInfo) -> Any:
    return (lambda value: percent_text(value / 100)) if info.percent else loss_text


def _range(info: CurvesInfo) -> tuple[float, float]:
    """All of 0 to 100 %, or from a little below the least loss to a little above where the base begins."""
    if info.percent:
        return 1.0, 104.0
    values = np.concatenate([*(curve.values for curve in info.curves), [value for _, value in info.lines]])
    low, high = float(values.min()), min(float(values.max()), 1.6 * info.lines[0][1])
    margin = 0.05 * (high - low) + 1e-3
    return round(low - margin, 3), round(high + margin, 3)


def _trace(place: int, curve: Curve) -> dict[str, Any]:
    present = curve.role != "ghost"
    line = {"color": _COLORS[curve.role], "width": 2.5 if present else 2, "dash": palette.HELD_OUT_DASH}
    ended = "" if curve.diverged_at is None else f", diverged at update {curve.diverged_at}"
    return {
        "type": "scatter", "y": np.asarray(curve.values, dtype=np.float64), "name": curve.label + ended,
        "mode": "lines", "line": line, "meta": {"kind": "loss", "curve": place, "play": present},
    }  # fmt: skip


def _line(value: float) -> dict[str, Any]:
    style = {"color": palette.BASE, "width": 1}
    across = {"xref": "paper", "x0": 0, "x1": 1}
    return {
        "type": "line",
        **across,
        "yref": "y",
        "y0": value,
        "y1": value,
        "line": style,
    }


def _label(info: CurvesInfo, name: str, value: float) -> dict[str, Any]:
    return {
        "text": f"{name}: {_text(info)(value)}", "xref": "paper", "x": 1, "xanchor": "left", "xshift": 9,
        "yanchor": "middle", "yref": "y", "y": value, "showarrow": False, "font": {"color": palette.BASE},
    }  # fmt: skip
