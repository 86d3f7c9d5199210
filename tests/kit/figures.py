"""The axes of a figure as a reader meets them."""

from collections.abc import Iterable

import plotly.graph_objects as go


def unnamed_axes(figure: go.Figure) -> list[str]:
    """The axes that show numbers and have no title; ticks in words say themselves what they are."""
    values: dict[str, list[object]] = {}
    for trace in figure.data:
        for letter in "xy":
            name = f"{letter}axis{(trace[f'{letter}axis'] or letter)[1:]}"
            values.setdefault(name, []).extend(() if trace[letter] is None else trace[letter])
    return [name for name in sorted(values) if _is_bare(figure.layout[name], values[name])]


def _is_bare(axis: go.layout.XAxis | go.layout.YAxis, values: Iterable[object]) -> bool:
    if axis.visible is False or axis.showticklabels is False or axis.title.text:
        return False
    shown = values if axis.ticktext is None else axis.ticktext
    return not any(letter.isalpha() for text in shown for letter in str(text))
