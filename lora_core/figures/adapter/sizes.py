"""What does each file size keep? One rank for all, beside the best ranks that the same bytes buy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from lora_core.adapters.cutting import Cut, cut, one_rank, ranks_for_bytes
from lora_core.adapters.file import AdapterFile
from lora_core.adapters.spectra import Spectrum
from lora_core.figures import palette
from lora_core.figures.axes import MARGIN, legend
from lora_core.formatting import bytes_text, percent_text

MOST_POINTS = 16


@dataclass(frozen=True, eq=False)
class SizesInfo:
    """`bytes` and `energy` (k,) of files of one rank, of `ranks`; `best` (k,): what as many bytes keep."""

    ranks: tuple[int, ...]
    bytes: np.ndarray
    energy: np.ndarray
    best: np.ndarray


def sizes_info(file: AdapterFile, spectra: Sequence[Spectrum], dtype: str | None = None) -> SizesInfo:
    """Files of some ranks from 1 to the file's own. ValueError as `cut`."""
    most = max(module.largest_rank for module in file.modules)
    ranks = sorted({*np.unique(np.geomspace(1, most, MOST_POINTS).round().astype(int)).tolist()})
    cuts = [cut(file, spectra, one_rank(file, rank), dtype) for rank in ranks]
    best = [cut(file, spectra, ranks_for_bytes(file, spectra, each.bytes, dtype), dtype) for each in cuts]
    energy = np.array([each.energy for each in cuts])
    return SizesInfo(
        tuple(ranks),
        np.array([each.bytes for each in cuts], dtype=float),
        energy,
        # One rank for all is among the ways to spend its bytes, whatever is reserved for the header.
        np.maximum(energy, [each.energy for each in best]),
    )


def sizes_alt(info: SizesInfo, now: Cut) -> str:
    """The chart in words."""
    ends = [bytes_text(float(size)) for size in info.bytes[[0, -1]]]
    return (
        f"Energy kept by file size, from {ends[0]} at rank 1, {percent_text(float(info.energy[0]))}, to "
        f"{ends[1]}; the cut in view keeps {percent_text(now.energy)} in {bytes_text(now.bytes)}."
    )


def point_of(info: SizesInfo, found: Cut) -> tuple[float, float]:
    """Where a cut stands in the chart: its size in the axis's unit, and its energy in %."""
    return found.bytes / _unit(info)[0], 100 * found.energy


def draw_sizes(info: SizesInfo, now: Cut) -> go.Figure:
    """Draw both curves, and the cut in view as a diamond on them."""
    unit, name = _unit(info)
    point = point_of(info, now)
    figure = go.Figure(layout={"template": {}})
    for label, energy, color, dash in (
        ("best for the size", info.best, palette.LORA, "solid"),
        ("one rank for all", info.energy, palette.BASE, "dash"),
    ):
        figure.add_scatter(
            x=info.bytes / unit, y=100 * energy, name=label, mode="lines+markers",
            line={"color": color, "dash": dash, "width": 2}, marker={"color": color, "size": 6},
            text=[f"the size of rank {rank}" for rank in info.ranks],
            hovertemplate="%{text}, %{x:.3g} " + name + ": %{y:.4g} %<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=[point[0]], y=[point[1]], name="this cut", mode="markers",
        marker={"color": palette.FULL, "size": 12, "symbol": "diamond"},
        hovertemplate="%{x:.3g} " + name + ": %{y:.4g} %<extra>this cut</extra>",
    )  # fmt: skip
    # Of the file's own sizes, so that a cut moves the diamond and not the axes.
    most, least = max(info.bytes[-1], now.bytes) / unit, 100 * min(info.energy[0], now.energy)
    room = 0.08 * (100 - least) or 1.0
    return figure.update_layout(
        margin=MARGIN, showlegend=True, legend=legend(),
        xaxis={"title": {"text": f"File of weights, {name}"}, "range": [0, 1.06 * most]},
        yaxis={"title": {"text": "Energy kept in all, %"}, "range": [least - room, 100 + room]},
    )  # fmt: skip


def _unit(info: SizesInfo) -> tuple[float, str]:
    return (1e6, "MB") if info.bytes[-1] >= 1e6 else (1e3, "kB")
