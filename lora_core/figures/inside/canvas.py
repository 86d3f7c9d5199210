"""How is the flow of one input drawn? Strips of cells, trapezoids and words, placed from the top down.

Plotly places things by shares of the height, a drawing grows by pixels: the canvas collects in pixels and
turns them into shares when the height is known.
"""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from lora_core.figures import palette
from lora_core.figures.inside.drawing import signed_axis, signed_text
from lora_core.figures.inside.matrices import block_mean, block_size
from lora_core.formatting import plural

LINE, STRIP, TRAPEZOID, NUMBER, GAP = 20, 16, 56, 20, 10
"""Heights in pixels: of a line of words, a strip, a trapezoid, a written number, a gap."""

_WIDE = 0.5
"""Share of its path from which z is named above and not at its side."""

Span = tuple[float, float]
"""From where to where, as shares of the width."""


class FlowCanvas:
    """Draws from the top down; ``at`` is the distance from the top in pixels.

    ``limit`` is the value of the strongest colour; ``output`` what an output is called and the number of the
    first.
    """

    def __init__(self, limit: float, output: tuple[str, int]) -> None:
        self.limit, self.output = limit, output
        self.at = 0.0
        self.figure = go.Figure()
        self.corners: list[tuple[list[tuple[float, float]], dict[str, Any]]] = []
        self.words: list[dict[str, Any]] = []
        self.strips: list[tuple[Span, float, float]] = []

    def write(self, text: str, x: float, y: float, anchor: str = "left", color: str | None = None) -> None:
        """Words beside x, ``y`` pixels from the top."""
        font = {"color": color or palette.INK}
        self.words.append({"text": text, "x": x, "y": y, "xanchor": anchor, "font": font})

    def strip(
        self, values: np.ndarray, span: Span, title: str, *, is_input: bool = False, follow: int | None = None
    ) -> None:
        """A vector as a row of cells with its title above, and the value of the output that is followed."""
        size = block_size(len(values))
        name, first = ("input", 1) if is_input else self.output
        self.write(title, span[0], self.at + LINE / 2)
        cells = block_mean(values[None], 1, size)
        self._cells(cells, span, self.at + LINE, STRIP, (name, first, size))
        if follow is not None:
            width = (span[1] - span[0]) / len(values)
            x = span[0] + follow * width
            self.write(signed_text(values[follow]), span[1], self.at + LINE / 2, "right")
            self._outline((x, x + width), self.at + LINE - 1, self.at + LINE + STRIP + 1, palette.INK)
        self.at += LINE + STRIP

    def waist(self, z: np.ndarray, path: Span, share: float, written: bool) -> None:
        """z between A and B: its numbers one below the other where they are few, else a row of cells."""
        middle, half = (path[0] + path[1]) / 2, (path[1] - path[0]) * share / 2
        span, height = (middle - half, middle + half), NUMBER * (len(z) if written else 1)
        size = 1 if written else block_size(len(z))
        cells = z[:, None] if written else block_mean(z[None], 1, size)
        wide = share > _WIDE  # no room beside it
        count = plural(len(z), "number")
        if wide:
            self.write(f"<b>z</b>, {count}", span[0], self.at + LINE / 2, "left", palette.LORA)
            self.at += LINE
        else:
            self.write(f"<b>z</b><br>{count}", span[0] - 0.01, self.at + height / 2, "right", palette.LORA)
        self._cells(cells, span, self.at, height, ("z", 1, size))
        for k, value in enumerate(z if written else ()):
            self.write(signed_text(value), middle, self.at + (k + 0.5) * NUMBER, "center")
        self.at += height

    def trapezoid(self, path: Span, above: float, below: float, text: str) -> None:
        """A factor, as wide above as what goes in and below as what comes out."""
        middle, half, foot = (path[0] + path[1]) / 2, (path[1] - path[0]) / 2, self.at + TRAPEZOID
        corners = [
            (middle - half * above, self.at), (middle + half * above, self.at),
            (middle + half * below, foot), (middle - half * below, foot),
        ]  # fmt: skip
        self._filled(corners, palette.LORA)
        self.write(text, middle, self.at + TRAPEZOID / 2, "center")
        self.at = foot

    def block(self, path: Span, top: float, text: str) -> None:
        """The frozen weights, from ``top`` to here."""
        corners = [(path[0], top), (path[1], top), (path[1], self.at), (path[0], self.at)]
        self._filled(corners, palette.BASE)
        self.write(text, (path[0] + path[1]) / 2, (top + self.at) / 2, "center")

    def plus(self, paths: tuple[Span, Span]) -> None:
        """Both paths meet."""
        top, foot = self.at + 4, self.at + 18
        for path in paths:
            x = (path[0] + path[1]) / 2
            self.corners.append(([(x, top), (x, foot), (0.5, foot)], {"line": self._line(palette.INK)}))
        self.write("<b>+</b>", 0.5, self.at + 30, "center")
        self.at += 40

    def finished(self) -> go.Figure:
        """The figure, its height known at last: pixels from the top become shares from the bottom."""
        height = self.at + 4
        layout: dict[str, Any] = {"height": height + 56, "margin": {"l": 8, "r": 8, "t": 4, "b": 52}}
        for number, (span, top, tall) in enumerate(self.strips, 1):
            domain = [1 - (top + tall) / height, 1 - top / height]
            common = {"visible": False, "fixedrange": True}
            x, y = _axes(number)
            layout[f"xaxis{x[1:]}"] = {"domain": list(span), "anchor": y, **common}
            layout[f"yaxis{y[1:]}"] = {"domain": domain, "anchor": x, "autorange": "reversed", **common}
        paper = {"xref": "paper", "yref": "paper"}
        layout["shapes"] = [
            paper
            | {"type": "path", "path": "M " + " L ".join(f"{x},{1 - y / height}" for x, y in corners)}
            | look
            for corners, look in self.corners
        ]
        placed = paper | {"yanchor": "middle", "showarrow": False}
        layout["annotations"] = [each | placed | {"y": 1 - each["y"] / height} for each in self.words]
        layout["coloraxis"] = signed_axis(self.limit, orientation="h", y=-0.02, yanchor="top", len=0.5)
        self.figure.update_layout(layout)
        return self.figure

    def _filled(self, corners: list[tuple[float, float]], color: str) -> None:
        look = {"fillcolor": color, "opacity": 0.22, "layer": "below", "line": self._line(color)}
        self.corners.append(([*corners, corners[0]], look))

    def _outline(self, span: Span, top: float, foot: float, color: str) -> None:
        (x0, x1), look = span, {"line": self._line(color)}
        self.corners.append(([(x0, top), (x1, top), (x1, foot), (x0, foot), (x0, top)], look))

    @staticmethod
    def _line(color: str) -> dict[str, Any]:
        return {"color": color, "width": 1}

    def _cells(
        self, cells: np.ndarray, span: Span, top: float, height: float, axis: tuple[str, int, int]
    ) -> None:
        """A heat map of one row or one column; ``axis``: what its entries are, the first, how many a cell."""
        x, y = _axes(len(self.strips) + 1)
        name, first, size = axis
        along = first + size * np.arange(cells.size) + (size - 1) / 2
        across = {"x": along} if len(cells) == 1 else {"y": along, "opacity": 0.55}
        letter = "x" if len(cells) == 1 else "y"
        mean = ", mean" if size > 1 else ""
        self.figure.add_trace(
            go.Heatmap(
                z=cells, coloraxis="coloraxis", xaxis=x, yaxis=y,
                hovertemplate=f"{name} %{{{letter}:.0f}}{mean}: %{{z:.3g}}<extra></extra>", **across,
            )
        )  # fmt: skip
        self.strips.append((span, top, height))
        self._outline(span, top, top + height, palette.BASE)


def _axes(number: int) -> tuple[str, str]:
    """Plotly's names for the axes of the strip ``number``: x, y, then x2, y2."""
    suffix = "" if number == 1 else str(number)
    return f"x{suffix}", f"y{suffix}"
