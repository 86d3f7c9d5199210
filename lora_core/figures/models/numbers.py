"""The numbers behind the pictures of a real model, and the words for them; nothing here draws.

Where does the trainable share go, what does it come to at other ranks, and what must be held in memory?
Everything follows from a `ModelShape` and an `Adapter` by r * (in + out) a matrix (Hu et al. 2021, arXiv
2106.09685, section 4.2). Counts are integers, shares per cent of full fine-tuning, GB 1e9 bytes.
"""

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
class Tile:
    """One rectangle of the treemap; `parent` is the label of the one that holds it, "" at the root."""

    label: str
    parent: str
    value: int
    note: str
    full: bool = False  # trained in full, not through an adapter


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


short, gigabytes = count_text, bytes_text


def table_rows(shape: ModelShape, adapter: Adapter) -> list[dict[str, Any]]:
    """The table by module: one row for every name that holds linear layers or trains anything.

    `weights` are the model's own numbers, `trained` the adapter's; `of_trained` and `of_weights` per cent.
    """
    merged: dict[str, dict[str, Any]] = {}
    for row in shape.rows(adapter):
        part = row.part
        if not part.linear and not row.trainable:
            continue
        line = merged.setdefault(
            part.name,
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


def share_tiles(shape: ModelShape, adapter: Adapter) -> tuple[Tile, ...]:
    """The treemap: everything that is trained, by family and module, one area for one number."""
    count = shape.count(adapter)
    root = f"Trained: {short(count.trainable)}"
    leaves: dict[tuple[str, str], Tile] = {}
    for row in shape.rows(adapter):
        for name, value, note, full in _pieces(row):
            key = (str(row.part.family), name)
            old = leaves.get(key)
            leaves[key] = Tile(name, key[0], value + (old.value if old else 0), note, full)
    families: dict[str, int] = {}
    for (family, _), tile in leaves.items():
        families[family] = families.get(family, 0) + tile.value
    trunk = [Tile(root, "", count.trainable, f"{100 * count.share:.3g} % of full fine-tuning")]
    trunk += [
        Tile(family, root, value, f"{100 * value / count.trainable:.3g} % of what is trained")
        for family, value in families.items()
    ]
    return (*trunk, *leaves.values())


def _pieces(row: Row) -> list[tuple[str, int, str, bool]]:
    part = row.part
    size = f"{part.in_features:,} + {part.out_features:,}"
    pieces = [
        (part.name, row.lora + row.magnitudes, f"r = {row.rank}, {size}", False),
        (f"{part.name}, in full", row.saved, "modules_to_save", True),
        ("biases", row.biases, "trained biases", True),
    ]
    return [piece for piece in pieces if piece[1]]


def rank_info(shape: ModelShape, adapter: Adapter, ranks: Sequence[int] = CHARTED_RANKS) -> RankInfo:
    """The share over ranks: of this configuration, and of every preset at one rank for all modules.

    A rank that `rank_pattern` gives a module stays as it is while the others move. What is trained is a
    straight line in the rank, so two counts give all of them, to the integer.
    """
    full = shape.total()

    def shares(one: Adapter) -> tuple[float, ...]:
        first, second = (shape.count(replace(one, rank=rank)).trainable for rank in (1, 2))
        return tuple(100 * ((first + (rank - 1) * (second - first)) / full) for rank in ranks)

    curves = [RankCurve(words, shares(Adapter(targets=name))) for name, words in TARGET_PRESETS.items()]
    curves.append(RankCurve("this configuration", shares(adapter), current=True))
    hit = [row.part for row in shape.rows(adapter) if row.rank]
    weights = sum(part.count * part.weight for part in hit)
    sides = sum(part.count * (part.in_features + part.out_features) for part in hit)
    share = 100 * shape.count(adapter).share
    return RankInfo(tuple(ranks), tuple(curves), adapter.rank, share, 100 * weights / full, weights / sides)


def share_text(tiles: Sequence[Tile]) -> str:
    """The treemap in words, for those who cannot see it."""
    root = tiles[0]
    leaves = sorted((t for t in tiles if t.label not in {o.parent for o in tiles}), key=lambda t: -t.value)
    parts = ", ".join(f"{tile.label} {100 * tile.value / root.value:.1f} %" for tile in leaves)
    return f"Trainable share by module. {root.label}, {root.note}: {parts}."


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
        f"{m.name} {gigabytes(m.total)} ("
        + ", ".join(f"{words} {gigabytes(getattr(m, field))}" for field, (words, _) in SEGMENTS.items())
        + ")"
        for m in memories
    )
    return f"Memory to train: {bars}; {LEFT_OUT}."
