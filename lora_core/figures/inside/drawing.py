"""What the figures inside the layer share: heat maps on one signed scale, and pictures of 8 x 8 pixels."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from lora_core.figures import palette
from lora_core.figures.inside.matrices import block_mean, block_size
from lora_core.formatting import loss_text

PICTURE = 8
"""Pixels along a side of a digit."""


def signed_text(value: float) -> str:
    """Three significant digits with a true minus: 0.413, −1.20."""
    text = loss_text(float(value))
    return f"−{text[1:]}" if text.startswith("-") else text


def signed_axis(limit: float, title: str = "", **bar: Any) -> dict[str, Any]:
    """A Plotly colour axis from -limit to +limit with the page's own colour at zero."""
    limit = limit if limit > 0 else 1.0
    return {
        "colorscale": palette.DIVERGING,
        "cmin": -limit,
        "cmax": limit,
        "colorbar": {"title": {"text": title, "side": "right"}, "thickness": 10, "outlinewidth": 0, **bar},
    }


def largest(*arrays: np.ndarray) -> float:
    """The largest absolute value in any of the arrays; 0 where all are empty."""
    return max((float(np.nanmax(np.abs(each))) for each in arrays if each.size), default=0.0)


def matrix_map(matrix: np.ndarray, classes: bool = False) -> go.Heatmap:
    """A matrix (in, out) as a heat map, counted from 1; where it is large, by the means of blocks.

    ``classes``: the outputs are digits, and are counted from 0.
    """
    rows, columns = (block_size(size) for size in matrix.shape)
    cells = block_mean(matrix, rows, columns)
    mean = ", mean of the block" if max(rows, columns) > 1 else ""
    first, name = (0, "digit") if classes else (1, "output")
    return go.Heatmap(
        z=cells, coloraxis="coloraxis",
        x=first + columns * np.arange(cells.shape[1]) + (columns - 1) / 2,
        y=1 + rows * np.arange(cells.shape[0]) + (rows - 1) / 2,
        hovertemplate=f"input %{{y:.0f}}, {name} %{{x:.0f}}{mean}: %{{z:.3g}}<extra></extra>",
    )  # fmt: skip


def whole_ticks(count: int) -> int | None:
    """The step of an axis that counts few things: without it Plotly writes halves between them."""
    return 1 if count <= 8 else None


def tiles(pictures: np.ndarray) -> np.ndarray:
    """Pictures (64, k), one a column, side by side: (8, 9 k - 1) with an empty column between two."""
    count = pictures.shape[1]
    row = np.full((PICTURE, (PICTURE + 1) * count - 1), np.nan)
    for index in range(count):
        left = (PICTURE + 1) * index
        row[:, left : left + PICTURE] = pictures[:, index].reshape(PICTURE, PICTURE)
    return row
