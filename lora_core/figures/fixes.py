"""A line of the original script changed: the loss before and after, on a log axis where they are far apart.

Before is pale and after blue, as a run and the one that follows it are on every page; what each is held
against (its floor, or the base's loss) is dashed.
"""

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from lora_core.figures import palette
from lora_core.figures.axes import add_level, legend
from lora_core.findings.original_script import Fix
from lora_core.formatting import loss_text

POINTS = 200
"""A curve of this small a figure has no more points than that."""
MOST_TICKS = 5
ALIKE = 0.02
"""Curves that differ by less than this part of their losses cannot be told apart at this size."""


def draw_fix(fix: Fix, before: str, after: str, updates: str, loss: str) -> go.Figure:
    """Draw both curves; the words name them and the two axes."""
    figure = go.Figure(layout={"template": {}})
    # Where one curve lies on the other, the pale one is wider, to be seen at all.
    same = fix.before.shape == fix.after.shape and np.allclose(fix.before, fix.after, rtol=ALIKE)
    width = 7 if same else 2.5
    lines = (before, fix.before, palette.GHOST, width), (after, fix.after, palette.LORA, 2.5)
    for name, curve, color, width in lines:
        at = kept(len(curve))
        figure.add_scatter(
            x=at, y=curve[at], name=name, mode="lines", line={"color": color, "width": width},
        )  # fmt: skip
    levels = [(fix.base, palette.BASE)] if fix.base is not None else []
    levels += zip(fix.floors, (palette.GHOST, palette.LORA), strict=False)
    axis = _axis(np.concatenate([fix.before, fix.after, [level for level, _ in levels]]))
    for level, color in levels:
        line = {"color": color, "dash": palette.FLOOR_DASH, "width": 1.5}
        place = {"x": 1, "xanchor": "right", "yanchor": "bottom"}
        add_level(figure, level, loss_text(level), line, log=axis["type"] == "log", **place)
    figure.update_layout(
        xaxis={"title": {"text": updates}, "range": [0, len(fix.before) - 1], "nticks": 6},
        yaxis=axis | {"title": {"text": loss}},
        legend=legend(),
        hovermode="x unified",
        margin={"l": 62, "r": 16, "t": 30, "b": 40},
    )  # fmt: skip
    return figure


def _axis(losses: np.ndarray) -> dict[str, Any]:
    """A log axis with few labels, or a linear one from zero where the losses are much the same."""
    least, greatest = float(losses.min()) / 1.3, float(losses.max()) * 1.3
    if greatest < 10 * least:
        return {"type": "linear", "range": [0, greatest], "nticks": MOST_TICKS, "hoverformat": ".5g"}
    labelled = ticks(least, greatest)
    return {
        "type": "log", "range": [math.log10(least), math.log10(greatest)], "hoverformat": ".4g",
        "tickvals": labelled, "ticktext": [f"{each:g}" for each in labelled],
    }  # fmt: skip


def ticks(least: float, greatest: float) -> list[float]:
    """Where a log axis is labelled: at the powers of ten, and at 2 and 5 times them where those are few."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(greatest)) + 1)
    fine = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    inside = [value for value in fine if least <= value <= greatest]
    return inside if len(inside) <= MOST_TICKS else [10.0**p for p in powers if least <= 10.0**p <= greatest]


def kept(count: int) -> np.ndarray:
    """Which of ``count`` updates are drawn: evenly spread, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(int))
