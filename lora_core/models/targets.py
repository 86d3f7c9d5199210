"""What an adapter trains on a model: r * (in + out) numbers for every matrix it targets, and what joins them.

LoRA puts A (in, r) and B (r, out) beside a frozen (in, out) matrix (Hu et al. 2021, arXiv 2106.09685,
section 4.1). DoRA adds one magnitude for each output (Liu et al. 2024, arXiv 2402.09353, section 4). Biases
and whole modules may be trained beside it. Names, matching and totals are PEFT's (0.21), so a configuration
written here counts what PEFT's `print_trainable_parameters` prints.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lora_core.fields import quoted
from lora_core.models.parts import Family, Kind, Part, pattern, saved_by, selects

RANK_LIMITS = (1, 65_536)
ALPHA_LIMITS = (0.0, 1e6)

TARGET_PRESETS: dict[str, str] = {
    "qv": "q, v as in the paper",
    "attention": "attention",
    "mlp": "MLP",
    "all-linear": "all linear",
}


class Bias(StrEnum):
    """Which biases are trained, in PEFT's words."""

    NONE = "none"
    ADAPTED = "lora_only"
    ALL = "all"


@dataclass(frozen=True)
class Adapter:
    """One LoRA configuration, in PEFT's names; `targets` is a preset or the names of modules.

    `rank_pattern` gives single modules a rank of their own; PEFT takes the first name that fits.
    Raises ValueError naming the field, the value and the range.
    """

    rank: int = 8
    targets: str | tuple[str, ...] = "qv"
    alpha: float = 16.0
    use_rslora: bool = False
    rank_pattern: tuple[tuple[str, int], ...] = ()
    use_dora: bool = False
    bias: str = "none"
    modules_to_save: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        _check_rank("rank", self.rank)
        low, high = ALPHA_LIMITS
        number = isinstance(self.alpha, int | float) and not isinstance(self.alpha, bool)
        if not number or not math.isfinite(self.alpha) or not low < self.alpha <= high:
            raise ValueError(f"alpha: {quoted(self.alpha)}, expected a number above 0, at most {high:g}")
        if self.bias not in list(Bias):
            raise ValueError(f"bias: {quoted(self.bias)}, expected one of {', '.join(Bias)}")
        for name in ("use_rslora", "use_dora"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}: {quoted(getattr(self, name))}, expected True or False")
        if isinstance(self.targets, str):
            if self.targets not in TARGET_PRESETS:
                raise ValueError(
                    f"targets: {quoted(self.targets)}, "
                    f"expected a list of names or one of {', '.join(TARGET_PRESETS)}"
                )
        else:
            self._set("targets", _names("targets", self.targets))
            if not self.targets:
                raise ValueError("targets: empty, expected at least one module name")
        self._set("modules_to_save", _names("modules_to_save", self.modules_to_save))
        self._set("rank_pattern", _pattern(self.rank_pattern))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Row:
    """What one part of a model contributes; every number is for all `part.count` modules together."""

    part: Part
    rank: int = 0  # 0: not adapted
    lora: int = 0
    magnitudes: int = 0
    biases: int = 0
    saved: int = 0

    @property
    def trainable(self) -> int:
        return self.lora + self.magnitudes + self.biases + self.saved


def rows(parts: Sequence[Part], adapter: Adapter) -> tuple[Row, ...]:
    """One row for every part of the model, trained or not, in the model's order.

    Raises ValueError naming the target, rank or module that the model does not have.
    """
    names = target_names(parts, adapter.targets) if isinstance(adapter.targets, str) else adapter.targets
    _check_names("targets", names, parts)
    for name, _ in adapter.rank_pattern:
        if not any(selects(name, part.path) for part in parts):
            raise ValueError(f"rank_pattern: {quoted(name)}, expected one of {_known(parts)}")
    for name in adapter.modules_to_save:
        hit = any(saved_by(name, part.path) for part in parts if part.kind is not Kind.PARAMETER)
        if not hit or "*" in name:  # PEFT takes plain names only
            raise ValueError(f"modules_to_save: {quoted(name)}, expected one of {_known(parts)}")
    found = tuple(_row(part, adapter, names) for part in parts)
    if not any(row.rank for row in found):
        raise ValueError(f"targets: {quoted(list(names))}, expected modules outside modules_to_save")
    return found


def target_names(parts: Sequence[Part], preset: str, *, head: bool = False) -> tuple[str, ...]:
    """The module names that a preset stands for in this model, in the model's order.

    Where q, k and v are one matrix, `qv` adapts that matrix: PEFT cannot adapt a part of it. `all-linear`
    is PEFT's word: every linear layer but the output layer.

    Raises ValueError for an unknown preset, and for a head that a bare model does not have.
    """
    if preset not in TARGET_PRESETS:
        raise ValueError(f"preset: {quoted(preset)}, expected one of {', '.join(TARGET_PRESETS)}")
    if head and not head_names(parts):
        raise ValueError("head: a bare model has none to adapt")
    chosen = [
        part for part in parts if part.linear and (_in_preset(part, preset) or (head and _is_head(part)))
    ]
    if not chosen:
        raise ValueError(f"preset: {preset!r} names no linear layer of this model")
    return tuple(dict.fromkeys(part.name for part in chosen))


def head_names(parts: Sequence[Part]) -> tuple[str, ...]:
    """The modules that hold the head, as `modules_to_save` takes them: `lm_head`, `classifier`, ..."""
    return tuple(dict.fromkeys(part.path.split(".")[0] for part in parts if _is_head(part)))


def family_ranks(parts: Sequence[Part], ranks: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """A `rank_pattern` that gives each named family (attention, mlp, other, head) its rank."""
    for family, rank in ranks.items():
        _check_rank(f"rank of {family}", rank)
        if family not in list(Family):
            raise ValueError(f"family: {quoted(family)}, expected one of {', '.join(Family)}")
    chosen = {part.name: ranks[part.family] for part in parts if part.linear and part.family in ranks}
    return tuple(chosen.items())


def _in_preset(part: Part, preset: str) -> bool:
    if preset == "qv":
        return part.role in ("q", "v", "qkv")
    if preset == "all-linear":
        return not _is_head(part)
    return part.family == preset


def _is_head(part: Part) -> bool:
    return part.family is Family.HEAD


def _row(part: Part, adapter: Adapter, names: Sequence[str]) -> Row:
    if part.kind is not Kind.PARAMETER and any(saved_by(name, part.path) for name in adapter.modules_to_save):
        return Row(part, saved=part.count * part.size)
    hit = any(selects(name, part.path) for name in names)
    everywhere = adapter.bias == Bias.ALL
    biases = part.count * part.bias if everywhere or (hit and adapter.bias == Bias.ADAPTED) else 0
    if not hit:
        return Row(part, biases=biases)
    rank = next((r for name, r in adapter.rank_pattern if selects(name, part.path)), adapter.rank)
    lora = part.count * rank * (part.in_features + part.out_features)
    return Row(part, rank, lora, part.count * part.out_features * adapter.use_dora, biases)


def _check_names(where: str, names: Sequence[str], parts: Sequence[Part]) -> None:
    for name in names:
        hit = [part for part in parts if selects(name, part.path)]
        if not hit or not all(part.adaptable for part in hit):
            raise ValueError(f"{where}: {quoted(name)}, expected one of {_known(parts)}")


def _known(parts: Sequence[Part]) -> str:
    return ", ".join(dict.fromkeys(part.name for part in parts if part.adaptable))


def _names(where: str, names: object) -> tuple[str, ...]:
    if isinstance(names, list | tuple) and len(names) <= 256 and all(map(_is_word, names)):
        return tuple(names)
    raise ValueError(f"{where}: {quoted(names)}, expected a list of at most 256 module names")


def _is_word(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip())


def _pattern(ranks: object) -> tuple[tuple[str, int], ...]:
    try:
        pairs = tuple(dict(ranks).items())  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise ValueError(f"rank_pattern: {quoted(ranks)}, expected module names with their ranks") from None
    _names("rank_pattern", [name for name, _ in pairs])
    for name, rank in pairs:
        _check_rank(f"rank_pattern[{quoted(name)}]", rank)
    return pairs


def _check_rank(name: str, rank: object) -> None:
    low, high = RANK_LIMITS
    if isinstance(rank, bool) or not isinstance(rank, int) or not low <= rank <= high:
        raise ValueError(f"{name}: {quoted(rank)}, expected an integer from {low} to {high}")


def regular_expression(names: Sequence[str]) -> str:
    """The names as one expression for `target_modules`, which PEFT matches against whole paths."""
    return r"(?:.*\.)?(?:" + "|".join(pattern(name) for name in names) + ")"


def is_plain(name: str) -> bool:
    """Whether PEFT's list of names can express it; a `*` needs a regular expression."""
    return re.fullmatch(r"[\w.\-]+", name) is not None
