"""Axes of ranks and of losses, legend and levels, the same on every chart."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from lora_core.figures import palette

SCALE = "Cividis"
"""The order of the ranks, and losses on maps: it rises in lightness for every eye."""
LOG_RANKS = 12
"""From this many ranks on, the rank axis is logarithmic, so that small ranks keep their room."""
MARGIN = {"l": 62, "r": 14, "t": 10, "b": 44}


def rank_axis(ranks: tuple[int, ...]) -> dict[str, object]:
    """Plotly's axis over these ranks."""
    last = max(ranks)
    if last < LOG_RANKS:
        return {"title": {"text": "Rank"}, "type": "linear", "range": [0.5, last + 0.5], "dtick": 1}
    ticks = [2**i for i in range(last.bit_length())]
    ends = [float(np.log10(0.85)), float(np.log10(last * 1.15))]
    title = {"text": "Rank (log scale)"}
    return {"title": title, "type": "log", "range": ends, "tickvals": ticks, "ticktext": [*map(str, ticks)]}


def loss_axis(low: float, high: float, title: str = "Error (log scale)") -> dict[str, object]:
    """Plotly's log axis from ``low`` to ``high``."""
    ends = [float(np.log10(low)), float(np.log10(high))]
    decades = ends[1] - ends[0]
    axis = {"title": {"text": title}, "type": "log", "range": ends}
    if decades <= 1.2:
        return {**axis, "dtick": "D1" if decades <= 0.5 else "D2", "tickformat": "~g"}
    powers = range(int(np.ceil(ends[0])), int(np.floor(ends[1])) + 1, max(1, round(decades / 8)))
    texts = [f"{10.0**power:g}" if power >= -4 else f"1e{power}" for power in powers]
    return {**axis, "tickvals": [10.0**power for power in powers], "ticktext": texts}


def rank_edges(ranks: tuple[int, ...]) -> list[float]:
    """The edges between rows of ranks, one more than there are: half way as the rank axis measures it."""
    values = np.array(ranks, dtype=float)
    if max(ranks) < LOG_RANKS:
        return [*(values - 0.5).tolist(), float(values[-1]) + 0.5]
    logs = np.log(values)
    halves = np.diff(logs) / 2 if len(ranks) > 1 else np.array([0.5])
    return np.exp(
        [logs[0] - halves[0], *(logs[:-1] + halves[: len(logs) - 1]), logs[-1] + halves[-1]]
    ).tolist()


def over_rank(figure: go.Figure, ranks: tuple[int, ...], low: float, high: float) -> go.Figure:
    """Give a figure the axes of ranks and of losses from ``low`` to ``high``."""
    return figure.update_layout(
        margin=MARGIN, showlegend=True, legend=legend(), xaxis=rank_axis(ranks), yaxis=loss_axis(low, high)
    )


def legend() -> dict[str, object]:
    """A legend above the plot."""
    return {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}


def add_level(
    figure: go.Figure, value: float, text: str, line: dict[str, Any], *, log: bool, **place: object
) -> None:
    """A line across the chart at ``value``, labelled in its colour; a log axis puts words at a logarithm."""
    figure.add_shape(type="line", xref="paper", x0=0, x1=1, yref="y", y0=value, y1=value, line=line)
    figure.add_annotation(
        text=text, xref="paper", yref="y", y=float(np.log10(value)) if log else value, showarrow=False,
        font={"color": palette.as_text(line["color"])}, **place,
    )  # fmt: skip


def literal(text: str) -> str:
    """A text of others as plotly.js shows it as it is: it takes tags in any text, links among them."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
