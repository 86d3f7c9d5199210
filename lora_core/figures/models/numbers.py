"""The numbers behind the pictures of a real model, and the words for them; nothing here draws.

Where does the trainable share go, what does it come to at other ranks, and what must be held in memory?
Everything follows from a `ModelShape` and an `Adapter` by r * (in + out) a matrix (Hu et al. 2021, arXiv
2106.09685, section 4.2). Counts are integers, shares per cent of full fine-tuning, GB 1e9 bytes.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from lora_core.formatting import bytes_text, count_text, percent_text
from lora_core.models import (
    CARDS,
    LEFT_OUT,
    TARGET_PRESETS,
    Adapter,
    Memory,
    ModelShape,
    Peak,
    Row,
    Training,
    chunks,
    compare_memory,
    fixed_tokens,
    longest,
    most_tokens,
    predict,
)

CHARTED_RANKS = tuple(2**power for power in range(11))  # 1 .. 1024
SEGMENTS = {  # field of Memory -> words, hatching
    "frozen": ("frozen weights", ""),
    "trained": ("trained weights", ""),
    "gradients": ("gradients", "/"),
    "optimizer": ("optimizer state", "x"),
    "kept": ("activations kept", "."),
    "above": ("at the peak", "\\"),
}
LENGTH_RANKS = (1, 4, 16, 64, 256)


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
        return f"Trained: {count_text(self.trained)}, {percent_text(self.share)} of full fine-tuning"


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
    first, last = (
        f"{percent_text(curve.share[place] / 100)} at rank {info.ranks[place]}" for place in (0, -1)
    )
    return (
        f"Trainable share over ranks: {first}, {percent_text(info.share / 100)} at rank {info.rank}, {last}; "
        f"from rank {info.break_even:,.0f} more than the matrices themselves hold."
    )


@dataclass(frozen=True)
class MemoryBar:
    """One way of training, in bytes; what is above the static part at the peak, and the moment it falls in.

    Without a prediction `moment` is "", `kept` and `above` are 0, and gradients are counted apart.
    """

    name: str
    frozen: int
    trained: int
    gradients: int
    optimizer: int
    kept: int = 0
    above: int = 0
    moment: str = ""

    @property
    def total(self) -> int:
        return self.frozen + self.trained + self.gradients + self.optimizer + self.kept + self.above


@dataclass(frozen=True)
class MemoryInfo:
    """Full fine-tuning, LoRA and QLoRA beside the cards; `card` is the one that is asked about, in GB."""

    bars: tuple[MemoryBar, ...]
    card: int
    cards: tuple[int, ...] = CARDS

    @property
    def predicted(self) -> bool:
        return bool(self.bars) and all(bar.moment for bar in self.bars)


@dataclass(frozen=True)
class LengthInfo:
    """The longest sequence that fits on a card, in tokens, over ranks: a line for each way of training.

    `most` is what the model's table of positions allows, 0 for no bound.
    """

    ranks: tuple[int, ...]
    lines: tuple[tuple[str, tuple[int, ...]], ...]
    card: int
    most: int = 0

    @property
    def all_fit(self) -> bool:
        """Whether every way of training takes the longest sequence that there is."""
        return all(length == self.most for _, tokens in self.lines for length in tokens)


def memory_info(shape: ModelShape, adapter: Adapter, training: Training, card: int) -> MemoryInfo:
    """The three bars: with their peaks where the kind of model is predicted, else what is held throughout."""
    ways = (
        (None, replace(training, precision=training.precision if training.precision == "bf16" else "bf16")),
        (adapter, training),
        (adapter, replace(training, precision="nf4")),
    )
    names = ("Full fine-tuning", "LoRA", "QLoRA")
    peaks = [predict(shape, each, way) for each, way in ways]
    static = compare_memory(shape, adapter, training.precision, training.optimizer)
    found = [
        _bar(name, memory, peak if all(peaks) else None)
        for name, memory, peak in zip(names, static, peaks, strict=True)
    ]
    return MemoryInfo(tuple(found), card)


def _bar(name: str, memory: Memory, peak: Peak | None) -> MemoryBar:
    if peak is None:
        return MemoryBar(name, memory.frozen, memory.trained, memory.gradients, memory.optimizer)
    held = peak.static
    return MemoryBar(name, held.frozen, held.trained, 0, held.optimizer, peak.kept, peak.above, peak.moment)


def length_info(shape: ModelShape, adapter: Adapter, training: Training, card: int) -> LengthInfo | None:
    """How long a sequence may be on a card, over ranks; None if it is not predicted, or always the same."""
    if fixed_tokens(shape):
        return None
    other = replace(training, checkpointing=not training.checkpointing)
    ways = {
        "as set": training,
        "without checkpointing" if training.checkpointing else "with checkpointing": other,
        f"batch {2 * training.batch}": replace(training, batch=min(512, 2 * training.batch)),
    }
    if chunks(shape):
        whole = training.loss == "chunked"
        other = replace(training, loss="whole" if whole else "chunked")
        ways["loss as transformers" if whole else "loss in chunks"] = other
    lines = []
    for name, way in ways.items():
        found = [longest(shape, replace(adapter, rank=rank), way, card) for rank in LENGTH_RANKS]
        if None in found:
            return None
        lines.append((name, tuple(length or 0 for length in found)))
    return LengthInfo(LENGTH_RANKS, tuple(lines), card, most_tokens(shape))


def memory_text(info: MemoryInfo) -> str:
    """The bars in words."""
    bars = "; ".join(
        f"{bar.name} {bytes_text(bar.total)} ("
        + ", ".join(
            f"{words} {bytes_text(getattr(bar, field))}"
            for field, (words, _) in SEGMENTS.items()
            if getattr(bar, field)
        )
        + ")"
        for bar in info.bars
    )
    return f"Memory to train: {bars}" + ("." if info.predicted else f"; {LEFT_OUT}.")


def length_text(info: LengthInfo) -> str:
    """The lines in words."""
    lines = "; ".join(f"{name} {ends[0]:,} to {ends[-1]:,} tokens" for name, ends in info.lines)
    ranks = f"rank {info.ranks[0]} to {info.ranks[-1]}"
    return f"Longest sequence on {info.card} GB, {ranks}: {lines}."
