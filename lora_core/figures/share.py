"""What an adapter trains, stores and keeps in memory beside full fine-tuning of the same layer.

Above: numbers trained, gradients, optimizer state and file, each as a share of full fine-tuning's. Below:
numbers trained over all ranks, which pass full fine-tuning's at r* = in * out / (in + out).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lora_core.accounting import break_even_storage, full_cost, lora_cost
from lora_core.experiment import Experiment
from lora_core.figures import palette
from lora_core.formatting import bytes_text, count_text, percent_text

INSIDE = 0.25
"""A bar at least this share of the widest has room for its number."""


@dataclass(frozen=True)
class Bar:
    """One quantity of the adapter and of full fine-tuning, with the words for it."""

    label: str
    lora: int
    full: int
    unit: str = "B"

    @property
    def share(self) -> float:
        """The adapter's as a share of full fine-tuning's; 0 where neither has any."""
        return self.lora / self.full if self.full else 0.0

    def text(self, value: int) -> str:
        return bytes_text(value) if self.unit == "B" else count_text(value)


@dataclass(frozen=True, eq=False)
class ShareInfo:
    """The numbers of the share chart.

    ``trainable`` and ``total`` are the adapted layer's, ``full_trainable`` full fine-tuning's; ``ranks`` and
    ``shares`` (numbers trained over full fine-tuning's) the lower panel's curve; ``break_even`` is r*.
    """

    rank: int
    trainable: int
    total: int
    full_trainable: int
    bars: tuple[Bar, ...]
    ranks: np.ndarray
    shares: np.ndarray
    break_even: float


def share_info(experiment: Experiment) -> ShareInfo:
    """Count an experiment's adapter and full fine-tuning under the same bias policy, in float32."""
    sizes, bias = (experiment.in_features, experiment.out_features), experiment.train_bias
    lora = lora_cost(*sizes, experiment.rank, bias, optimizer=experiment.optimizer)
    full = full_cost(*sizes, bias, optimizer=experiment.optimizer)
    bars = (
        Bar("Numbers trained", lora.trainable, full.trainable, ""),
        Bar("Gradients", lora.gradient_bytes, full.gradient_bytes),
        Bar("Optimizer state", lora.optimizer_bytes, full.optimizer_bytes),
        Bar("File to keep", lora.file_bytes, full.file_bytes),
    )
    break_even = break_even_storage(*sizes)
    last = max(experiment.full_rank, experiment.rank, int(break_even * 1.5) + 1)
    ranks = np.unique(np.geomspace(1, last, 200).round().astype(int))
    shares = np.array([lora_cost(*sizes, int(rank), bias).trainable for rank in ranks]) / full.trainable
    return ShareInfo(
        experiment.rank, lora.trainable, lora.total, full.trainable, bars, ranks, shares, break_even
    )


def share_drawing(info: ShareInfo) -> dict[str, Any]:
    """Bars above, the share over ranks below, as plotly.js takes it: redrawn at every move of a slider."""
    widest = max(100.0, *(100 * bar.share for bar in info.bars))
    layout: dict[str, Any] = {
        "template": {},
        "showlegend": False,
        "barmode": "group",
        "bargap": 0.28,
        "bargroupgap": 0.06,
        "margin": {"l": 112, "r": 16, "t": 8, "b": 44},
        "xaxis": {"title": {"text": "Share of full fine-tuning (%)"}, "range": [0, 1.04 * widest]},
        "yaxis": {"domain": [0.58, 1.0]},
        "xaxis2": {"title": {"text": "Rank"}, "rangemode": "tozero", "anchor": "y2"},
        "yaxis2": {"title": {"text": "Trained / full (%)"}, "rangemode": "tozero", "anchor": "x2"},
        "shapes": _lines(info),
        "annotations": _words(info),
    }
    layout["yaxis2"]["domain"] = [0.0, 0.38]
    bars = [
        _bars("Full fine-tuning", palette.FULL, info, [bar.full for bar in info.bars], widest),
        _bars(f"LoRA, rank {info.rank}", palette.LORA, info, [bar.lora for bar in info.bars], widest),
    ]
    return {"data": [*bars, *_curve(info)], "layout": layout}


def alt_text(info: ShareInfo) -> str:
    """The chart in words."""
    bars = "; ".join(f"{b.label.lower()} {b.text(b.lora)} against {b.text(b.full)}" for b in info.bars)
    side = "more" if info.trainable > info.full_trainable else "less"
    return (
        f"Trainable share: at rank {info.rank} the adapter trains {info.trainable:,} of {info.total:,}, "
        f"{percent_text(info.trainable / info.total)}; full fine-tuning trains {info.full_trainable:,}. "
        f"{bars}. "
        f"Break-even is at rank {info.break_even:.3g}; rank {info.rank} trains {side}."
    )


def table(info: ShareInfo) -> dict[str, list[str]]:
    """The bars as columns of words."""
    return {
        "": [bar.label for bar in info.bars],
        f"LoRA, rank {info.rank}": [bar.text(bar.lora) for bar in info.bars],
        "Full fine-tuning": [bar.text(bar.full) for bar in info.bars],
        "LoRA / full": [percent_text(bar.share) if bar.full else "–" for bar in info.bars],
    }


def _bars(name: str, color: str, info: ShareInfo, values: list[int], widest: float) -> dict[str, Any]:
    pairs = list(zip(values, info.bars, strict=True))[::-1]
    shares = [100 * value / bar.full if bar.full else 0.0 for value, bar in pairs]
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "y": [bar.label for _, bar in pairs],
        "x": shares,
        "text": [bar.text(value) for value, bar in pairs],
        "textposition": ["inside" if share > INSIDE * widest else "outside" for share in shares],
        "insidetextanchor": "end",
        "constraintext": "none",
        "cliponaxis": False,
        "marker": {"color": color},
        "hovertemplate": "%{y}: %{text}, %{x:.3g} % of full<extra>%{fullData.name}</extra>",
    }


def _curve(info: ShareInfo) -> list[dict[str, Any]]:
    """The share over ranks, and this rank on it."""
    place = {"type": "scatter", "xaxis": "x2", "yaxis": "y2"}
    line = {"x": info.ranks, "y": 100 * info.shares, "mode": "lines", "name": "LoRA"}
    here = {"x": [info.rank], "y": [100 * info.trainable / info.full_trainable], "mode": "markers"}
    return [
        {
            **place,
            **line,
            "line": {"color": palette.LORA, "width": 2.5},
            "hovertemplate": "rank %{x}: %{y:.3g} % of full<extra></extra>",
        },
        {
            **place,
            **here,
            "name": "This rank",
            "marker": {"color": palette.LORA, "size": 12},
            "hoverinfo": "skip",
            "cliponaxis": False,
        },
    ]


def _lines(info: ShareInfo) -> list[dict[str, Any]]:
    """Full fine-tuning at 100 %, and break-even."""
    across = {"xref": "x2 domain", "x0": 0, "x1": 1, "yref": "y2", "y0": 100, "y1": 100}
    up = {"xref": "x2", "x0": info.break_even, "x1": info.break_even, "yref": "y2 domain", "y0": 0, "y1": 1}
    return [
        {"type": "line", **across, "line": {"color": palette.FULL, "width": 2}},
        {"type": "line", **up, "line": {"color": palette.BASE, "width": 1.5, "dash": "dash"}},
    ]


def _words(info: ShareInfo) -> list[dict[str, Any]]:
    """Break-even at the upper left of its line, this rank at the lower right, where no line passes."""
    break_even = {"x": info.break_even, "xref": "x2", "y": 1, "yanchor": "top", "xshift": -4}
    here = {"x": 1, "xref": "x2 domain", "y": 0.03, "yanchor": "bottom"}
    common = {"showarrow": False, "xanchor": "right", "yref": "y2 domain"}
    share = percent_text(info.trainable / info.full_trainable)
    return [
        {
            **common,
            **break_even,
            "text": f"break-even r* = {info.break_even:.3g}",
            "font": {"color": palette.BASE},
        },
        {**common, **here, "text": f"rank {info.rank}: {share}", "font": {"color": palette.LORA}},
    ]
