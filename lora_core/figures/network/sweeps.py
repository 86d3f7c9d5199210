"""Figures of the sections on request: where the rank goes, and what each rank buys.

Losses are held out, of the new task; of the copier the share of right letters is drawn in their place.
"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from lora_core.figures import palette
from lora_core.figures.axes import SCALE, rank_axis
from lora_core.formatting import loss_text, percent_text
from lora_core.network.run import NetworkLane
from lora_core.network.shape import MODULES, Network
from lora_core.network.sweeps import MAP_RANKS, NetworkSweep, spectra

Floats = NDArray[np.float64]
MARGIN = {"l": 62, "r": 14, "t": 30, "b": 44}
LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}


def by_accuracy(sweep: NetworkSweep) -> bool:
    """Whether right letters are drawn, in percent, and not losses."""
    return sweep.lanes[0].network is Network.COPIER


def values_of(sweep: NetworkSweep) -> Floats:
    """What is drawn of each lane: held-out losses, or right letters in percent."""
    return 100 * sweep.accuracy if by_accuracy(sweep) else sweep.test_loss


def value_text(sweep: NetworkSweep, value: float) -> str:
    """A value of a sweep as it is written."""
    if not np.isfinite(value):
        return "–"
    return percent_text(value / 100) if by_accuracy(sweep) else loss_text(value)


def axis_title(sweep: NetworkSweep) -> str:
    """What the values are."""
    return (
        "Right letters on new questions (%)" if by_accuracy(sweep) else "Error on new names (nats a letter)"
    )


@dataclass(frozen=True, eq=False)
class ModuleMapInfo:
    """Values (13, ranks) of each module trained alone, NaN where not trained yet."""

    sweep: NetworkSweep
    values: Floats
    numbers: NDArray[np.int64]


def module_map_info(sweep: NetworkSweep) -> ModuleMapInfo:
    """Lay out a sweep of ``module_plan``."""
    shape = len(MODULES), len(MAP_RANKS)
    numbers = np.array([lane.trainable() for lane in sweep.lanes]).reshape(shape)
    return ModuleMapInfo(sweep, values_of(sweep).reshape(shape), numbers)


def draw_module_map(info: ModuleMapInfo) -> go.Figure:
    """Modules down, ranks across; dark is good."""
    better_high = by_accuracy(info.sweep)
    text = [[value_text(info.sweep, value) for value in row] for row in info.values]
    numbers = [[f"{count:,} numbers" for count in row] for row in info.numbers]
    # Plain lists, None where nothing is trained yet: a message to the browser carries flat arrays.
    z = [[float(value) if np.isfinite(value) else None for value in row] for row in info.values]
    heat = go.Heatmap(
        z=z, x=[f"rank {rank}" for rank in MAP_RANKS], y=list(MODULES), text=text,
        texttemplate="%{text}", customdata=numbers, colorscale=SCALE, reversescale=better_high,
        hovertemplate="%{y}, %{x}: %{text}, %{customdata}<extra></extra>", showscale=False, xgap=2, ygap=2,
    )  # fmt: skip
    figure = go.Figure(heat)
    return figure.update_layout(
        margin={"l": 62, "r": 14, "t": 10, "b": 30}, yaxis={"autorange": "reversed", "type": "category"}
    )


def module_map_words(info: ModuleMapInfo) -> str:
    """The best and the worst module at the middle rank, of those trained so far."""
    column = info.values[:, 1]
    if not np.isfinite(column).all():
        done = int(np.isfinite(info.values).all(1).sum())
        return f"{done} of {len(MODULES)} modules trained."
    order = np.argsort(column if not by_accuracy(info.sweep) else -column)
    best, worst = order[0], order[-1]
    return (
        f"At rank {MAP_RANKS[1]} alone, {MODULES[best]} reaches {value_text(info.sweep, column[best])} and "
        f"{MODULES[worst]} {value_text(info.sweep, column[worst])}."
    )


@dataclass(frozen=True, eq=False)
class RanksInfo:
    """Values (ranks,) trained at each rank and of full fine-tuning's change cut to it, and full's own."""

    sweep: NetworkSweep
    ranks: tuple[int, ...]
    trained: Floats
    cut: Floats | None
    full: float


def ranks_info(sweep: NetworkSweep, full: NetworkLane, cut: tuple[Floats, Floats] | None = None) -> RanksInfo:
    """Lay out a sweep of ``ranks_plan``; ``cut`` as ``cut_full`` gives it, at the same ranks."""
    percent = by_accuracy(sweep)
    own = float(100 * full.accuracy[-1] if percent else full.test_loss[-1])
    chosen = None if cut is None else 100 * cut[1] if percent else cut[0]
    return RanksInfo(sweep, tuple(lane.rank for lane in sweep.lanes), values_of(sweep), chosen, own)


def draw_network_ranks(info: RanksInfo) -> go.Figure:
    """Trained at each rank, cut to each rank, and full fine-tuning as a line."""
    figure = go.Figure()
    dots = {"mode": "lines+markers", "x": list(info.ranks)}
    figure.add_scatter(y=info.trained, name="LoRA, trained at the rank", line={"color": palette.LORA}, **dots)
    if info.cut is not None:
        style = {"color": palette.FULL, "dash": "dot"}
        figure.add_scatter(y=info.cut, name="full's change, cut to the rank", line=style, **dots)
    ends = {"mode": "lines", "x": [info.ranks[0], info.ranks[-1]], "y": [info.full] * 2}
    figure.add_scatter(name="full fine-tuning", line={"color": palette.FULL}, **ends)
    return figure.update_layout(
        margin=MARGIN,
        legend=LEGEND,
        xaxis=rank_axis(info.ranks),
        yaxis={"title": {"text": axis_title(info.sweep)}},
    )


def ranks_words(info: RanksInfo, rank: int) -> str:
    """What was trained at a rank, what the cut has there, and full fine-tuning."""
    if not np.isfinite(info.trained).all():
        return f"{int(np.isfinite(info.trained).sum())} of {len(info.ranks)} ranks trained."
    place = int(np.argmin(np.abs(np.array(info.ranks) - rank)))
    words = f"Rank {info.ranks[place]}: trained {value_text(info.sweep, info.trained[place])}"
    if info.cut is not None:
        words += f", full's change cut to it {value_text(info.sweep, info.cut[place])}"
    return f"{words}; full fine-tuning {value_text(info.sweep, info.full)}."


def draw_spectra(full: NetworkLane) -> go.Figure:
    """Share of the energy of full fine-tuning's change that its first directions hold, a line a module."""
    figure = go.Figure()
    for path, energy in spectra(full).items():
        held = 100 * np.cumsum(energy)
        figure.add_scatter(
            x=list(range(1, len(held) + 1)), y=held, mode="lines", name=path, showlegend=False,
            line={"color": palette.FULL, "width": 1},
        )  # fmt: skip
    return figure.update_layout(
        margin=MARGIN, xaxis={"title": {"text": "Directions kept"}},
        yaxis={"title": {"text": "Share of the change (%)"}, "range": [0, 102]},
    )  # fmt: skip


def spectra_words(full: NetworkLane) -> str:
    """How many directions hold 90 % of the change, from the least to the most over the modules."""
    needed = [int(np.searchsorted(np.cumsum(energy), 0.9)) + 1 for energy in spectra(full).values()]
    return f"90 % of its change lies in {min(needed)} to {max(needed)} directions, by module."
