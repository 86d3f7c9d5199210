"""Figures of the sections on request: what equal numbers buy, which rate a rank wants, what is exact.

What is dashed is an exact floor and nothing else.
"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from lora_core.experiment import ScalingRule
from lora_core.figures import palette
from lora_core.figures.network.sweeps import (
    LEGEND,
    MARGIN,
    axis_title,
    by_accuracy,
    value_text,
    values_of,
)
from lora_core.network.experiment import Targets
from lora_core.network.floors import DeepLinearFound
from lora_core.network.sweeps import NetworkSweep

Floats = NDArray[np.float64]
NAMES = {Targets.QV: "q, v", Targets.ATTENTION: "attention", Targets.MLP: "MLP", Targets.ALL: "all linear"}


@dataclass(frozen=True, eq=False)
class SpendingInfo:
    """What about equal numbers buy: names, ranks, numbers trained, best value and its rate, a row each."""

    sweep: NetworkSweep
    names: tuple[str, ...]
    ranks: tuple[int, ...]
    numbers: tuple[int, ...]
    values: Floats
    rates: tuple[float, ...]


def spending_info(sweep: NetworkSweep) -> SpendingInfo:
    """Of each choice of modules the best of the rates that were tried, of those trained so far."""
    values, rows = values_of(sweep), []
    for targets in dict.fromkeys(lane.targets for lane in sweep.lanes):
        places = [i for i, lane in enumerate(sweep.lanes) if lane.targets is targets]
        sign = -1 if by_accuracy(sweep) else 1
        found = [i for i in places if np.isfinite(values[i])]
        best = min(found, key=lambda i: sign * values[i]) if found else places[0]
        lane = sweep.lanes[best]
        rows.append((NAMES[targets], lane.rank, lane.trainable(), values[best], lane.learning_rate))
    names, ranks, numbers, best_values, rates = zip(*rows, strict=True)
    return SpendingInfo(sweep, names, ranks, numbers, np.array(best_values), rates)


def draw_spending(info: SpendingInfo, full: float) -> go.Figure:
    """A dot for each choice, and full fine-tuning as a line."""
    labels = [f"{name}, rank {rank}" for name, rank in zip(info.names, info.ranks, strict=True)]
    text = [f" {value_text(info.sweep, value)}" for value in info.values]
    figure = go.Figure(
        go.Scatter(
            x=info.values, y=labels, mode="markers+text", text=text, textposition="middle right",
            marker={"size": 12, "color": palette.LORA}, showlegend=False,
        )
    )  # fmt: skip
    figure.add_vline(x=full, line={"color": palette.FULL, "width": 2})
    finite = [*info.values[np.isfinite(info.values)], full]
    margin = 0.25 * (max(finite) - min(finite)) or 0.1
    return figure.update_layout(
        margin={**MARGIN, "l": 130},
        yaxis={"autorange": "reversed", "type": "category", "categoryarray": labels},
        xaxis={
            "title": {"text": axis_title(info.sweep)},
            "range": [min(finite) - margin, max(finite) + 2 * margin],
        },
    )  # fmt: skip


def spending_words(info: SpendingInfo) -> str:
    """Which choice came first and which last, for about equal numbers."""
    if not info.sweep.complete:
        return f"{info.sweep.done} of {info.sweep.total} trained."
    order = np.argsort(-info.values if by_accuracy(info.sweep) else info.values)
    first, last = order[0], order[-1]
    return (
        f"About equal numbers ({min(info.numbers):,} to {max(info.numbers):,}): {info.names[first]} is first "
        f"with {value_text(info.sweep, info.values[first])}, {info.names[last]} last with "
        f"{value_text(info.sweep, info.values[last])}. Each at the best of three learning rates."
    )


def draw_rates(sweep: NetworkSweep) -> go.Figure:
    """Value by learning rate, a line for each rank, a panel for each scaling rule."""
    values, figure = values_of(sweep), go.Figure()
    rules = list(ScalingRule)
    dashes = ("solid", "dot", "dashdot")
    for place, rule in enumerate(rules):
        ranks = dict.fromkeys(lane.rank for lane in sweep.lanes if lane.scaling_rule is rule)
        for order, rank in enumerate(ranks):
            lanes = [
                i for i, lane in enumerate(sweep.lanes) if (lane.scaling_rule, lane.rank) == (rule, rank)
            ]
            figure.add_scatter(
                x=[sweep.lanes[i].learning_rate for i in lanes], y=values[lanes], name=f"rank {rank}",
                mode="lines+markers", legendgroup=str(rank), showlegend=place == 0,
                line={"color": palette.LORA, "dash": dashes[order]}, xaxis=f"x{place + 1}", yaxis="y",
            )  # fmt: skip
    layout: dict[str, object] = {
        "margin": MARGIN,
        "legend": LEGEND,
        "yaxis": {"title": {"text": axis_title(sweep)}},
    }
    for place, rule in enumerate(rules):
        left = place / len(rules)
        layout[f"xaxis{place + 1}"] = {
            "domain": [left + 0.01, left + 1 / len(rules) - 0.01], "type": "log", "anchor": "y",
            "title": {"text": f"Learning rate, {rule}"}, "dtick": 1,
        }  # fmt: skip
    return figure.update_layout(**layout)


def _lanes(sweep: NetworkSweep, rule: ScalingRule, rank: int) -> list[int]:
    """Places of the lanes of a rule and a rank."""
    return [i for i, lane in enumerate(sweep.lanes) if (lane.scaling_rule, lane.rank) == (rule, rank)]


def rates_words(sweep: NetworkSweep) -> str:
    """The best rate of each rank, a rule at a time."""
    if not sweep.complete:
        return f"{sweep.done} of {sweep.total} trained."
    values, parts = values_of(sweep), []
    sign = -1 if by_accuracy(sweep) else 1
    for rule in ScalingRule:
        best = []
        for rank in dict.fromkeys(lane.rank for lane in sweep.lanes):
            lanes = [i for i in _lanes(sweep, rule, rank) if np.isfinite(values[i])]
            if lanes:
                first = min(lanes, key=lambda i: sign * values[i])
                best.append(f"{sweep.lanes[first].learning_rate:g} at rank {rank}")
        parts.append(f"{rule}: {', '.join(best)}")
    return f"Best rates, {'; '.join(parts)}."


def draw_deep_linear(found: DeepLinearFound) -> go.Figure:
    """The exact floor by the sum of the ranks, dashed, and what was trained with each split of ranks."""
    sums = list(range(len(found.floors)))
    figure = go.Figure(
        go.Scatter(
            x=sums, y=found.floors, mode="lines", name="floor of the sum of ranks",
            line={"color": palette.LORA, "dash": palette.FLOOR_DASH},
        )
    )  # fmt: skip
    text = [" + ".join(map(str, split)) for split in found.splits]
    figure.add_scatter(
        x=[sum(split) for split in found.splits], y=found.reached, mode="markers", name="trained", text=text,
        hovertemplate="ranks %{text}: %{y:.4g}<extra></extra>", marker={"size": 9, "color": palette.LORA},
    )  # fmt: skip
    return figure.update_layout(
        margin=MARGIN, legend=LEGEND,
        xaxis={"title": {"text": "Ranks of the three layers, added up"}, "dtick": 1},
        yaxis={"title": {"text": "Mean squared error"}, "type": "log"},
    )  # fmt: skip


def deep_linear_words(found: DeepLinearFound) -> str:
    """How far the trained ones are from the floor, at most."""
    done = np.isfinite(found.reached)
    sums = np.array([sum(split) for split in found.splits])
    away = np.abs(found.reached - found.floors[np.minimum(sums, len(found.floors) - 1)])[done].max()
    return f"{int(done.sum())} splits of ranks trained; each ends within {away:.1g} of the floor."
