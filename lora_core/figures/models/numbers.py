"""The numbers behind the pictures of a real model, and the words for them; nothing here draws.

Where does the trainable share go, what does it come to at other ranks, and what must be held in memory?
Everything follows from a `ModelShape` and an `Adapter` by r * (in + out) a matrix (Hu et al. 2021, arXiv
2106.09685, section 4.2). Counts are integers, shares per cent of full fine-tuning, GB 1e9 bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lora_core.formatting import bytes_text, count_text
from lora_core.models import LEFT_OUT, TARGET_PRESETS, Adapter, Memory, ModelShape, Row

CHARTED_RANKS = tuple(2**power for power in range(11))  # 1 .. 1024
SEGMENTS = {  # field of Memory -> words, hatching
    "frozen": ("frozen weights", ""),
    "trained": ("trained weights", ""),
    "gradients": ("gradients", "/"),
    "optimizer": ("optimizer state", "x"),
}


@dataclass(frozen=True)
class ShareBar:
    """What one module trains: a count of numbers, how it comes about, and whether in full (no adapter)."""

    label: str
    trained: int
    note: str
    full: bool = False


@dataclass(frozen=True)
class ShareInfo:
    """All that is trained, largest first; bars add up to `trained`, `share` is of full fine-tuning."""

    bars: tuple[ShareBar, ...]
    trained: int
    share: float

    @property
    def title(self) -> str:
        return f"Trained: {count_text(self.trained)}, {100 * self.share:.3g} % of full fine-tuning"


@dataclass(frozen=True)
class RankCurve:
    """Trainable share in per cent of full fine-tuning, one value a rank."""

    label: str
    share: tuple[float, ...]
    current: bool = False


@dataclass(frozen=True)
class RankInfo:
    """Shares over `ranks`; `ceiling` is the share of the targeted matrices themselves, trained in full."""

    ranks: tuple[int, ...]
    curves: tuple[RankCurve, ...]
    rank: int
    share: float
    ceiling: float
    break_even: float  # the rank from which LoRA trains more numbers than its matrices hold


def table_rows(shape: ModelShape, adapter: Adapter) -> list[dict[str, Any]]:
    """The table by module: one row for every name that holds linear layers or trains anything.

    `weights` are the model's own numbers, `trained` the adapter's; `of_trained` and `of_weights` per cent.
    """
    merged: dict[tuple[str, int, int], dict[str, Any]] = {}
    for row in shape.rows(adapter):
        part = row.part
        if not part.linear and not row.trainable:
            continue
        line = merged.setdefault(
            (part.name, part.in_features, part.out_features),
            {
                "module": part.name,
                "family": str(part.family),
                "in": part.in_features,
                "out": part.out_features,
                "count": 0,
                "rank": row.rank or None,
                "weights": 0,
                "trained": 0,
            },
        )
        line["count"] += part.count
        line["weights"] += part.count * part.size
        line["trained"] += row.trainable
    total = sum(line["trained"] for line in merged.values())
    for line in merged.values():
        line["of_trained"] = 100 * line["trained"] / total
        line["of_weights"] = 100 * line["trained"] / line["weights"]
    return list(merged.values())


def share_info(shape: ModelShape, adapter: Adapter) -> ShareInfo:
    """Everything that is trained, by module; biases by family."""
    bars: dict[str, ShareBar] = {}
    for row in shape.rows(adapter):
        for bar in _pieces(row):
            before = bars[bar.label].trained if bar.label in bars else 0
            bars[bar.label] = replace(bar, trained=before + bar.trained)
    count = shape.count(adapter)
    ordered = tuple(sorted(bars.values(), key=lambda bar: -bar.trained))
    return ShareInfo(ordered, count.trainable, count.share)


def _pieces(row: Row) -> list[ShareBar]:
    part = row.part
    size = f"r = {row.rank}, {part.in_features:,} + {part.out_features:,}"
    pieces = [
        ShareBar(part.name, row.lora + row.magnitudes, size),
        ShareBar(f"{part.name}, in full", row.saved, "modules_to_save", full=True),
        ShareBar(f"biases, {part.family}", row.biases, "trained biases", full=True),
    ]
    return [piece for piece in pieces if piece.trained]


def rank_info(shape: ModelShape, adapter: Adapter) -> RankInfo:
    """The share over ranks: of this configuration, and of every preset at one rank for all modules.

    A rank that `rank_pattern` gives a module stays as it is while the others move. What is trained is a
    straight line in the rank, so two counts give all of them, to the integer.
    """
    full = shape.total()
    step = math.lcm(*(row.part.groups for row in shape.rows(adapter) if row.rank), 1)

    def shares(one: Adapter) -> tuple[float, ...]:
        first, second = (shape.count(replace(one, rank=rank * step)).trainable for rank in (1, 2))
        return tuple(
            100 * ((first + (rank - step) * (second - first) / step) / full) for rank in CHARTED_RANKS
        )

    curves = []
    for name, words in TARGET_PRESETS.items():
        try:
            curves.append(RankCurve(words, shares(Adapter(targets=name, text_only=adapter.text_only))))
        except ValueError:  # a preset that this model has no modules for
            continue
    curves.append(RankCurve("this configuration", shares(adapter), current=True))
    hit = [row.part for row in shape.rows(adapter) if row.rank]
    weights = sum(part.count * part.weight for part in hit)
    sides = sum(part.count * (part.in_features + part.out_features) for part in hit)
    share = 100 * shape.count(adapter).share
    return RankInfo(CHARTED_RANKS, tuple(curves), adapter.rank, share, 100 * weights / full, weights / sides)


def share_text(info: ShareInfo) -> str:
    """The bars of the share in words."""
    parts = ", ".join(f"{bar.label} {100 * bar.trained / info.trained:.1f} %" for bar in info.bars)
    return f"Trainable share by module. {info.title}: {parts}."


def rank_text(info: RankInfo) -> str:
    """The share over ranks in words."""
    curve = next(curve for curve in info.curves if curve.current)
    first, last = (f"{curve.share[place]:.3g} % at rank {info.ranks[place]}" for place in (0, -1))
    return (
        f"Trainable share over ranks: {first}, {info.share:.3g} % at rank {info.rank}, {last}; "
        f"from rank {info.break_even:,.0f} more than the matrices themselves hold."
    )


def memory_text(memories: Sequence[Memory]) -> str:
    """The bars in words."""
    bars = "; ".join(
        f"{m.name} {bytes_text(m.total)} ("
        + ", ".join(f"{words} {bytes_text(getattr(m, field))}" for field, (words, _) in SEGMENTS.items())
        + ")"
        for m in memories
    )
    return f"Memory to train: {bars}; {LEFT_OUT}."
