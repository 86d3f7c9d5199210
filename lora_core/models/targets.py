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
from typing import TYPE_CHECKING

from lora_core.fields import quoted
from lora_core.models.converted import convert, tensor_rank
from lora_core.models.parts import Family, Kind, Part, pattern, saved_by, selects

if TYPE_CHECKING:
    from lora_core.models.shape import ModelShape

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
    text_only: bool = False  # of a model that also sees or hears, adapt the text model alone

    def __post_init__(self) -> None:
        _check_rank("rank", self.rank)
        low, high = ALPHA_LIMITS
        number = isinstance(self.alpha, int | float) and not isinstance(self.alpha, bool)
        if not number or not math.isfinite(self.alpha) or not low < self.alpha <= high:
            raise ValueError(f"alpha: {quoted(self.alpha)}, expected a number above 0, at most {high:g}")
        if self.bias not in list(Bias):
            raise ValueError(f"bias: {quoted(self.bias)}, expected one of {', '.join(Bias)}")
        for name in ("use_rslora", "use_dora", "text_only"):
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


def rows(shape: "ModelShape", adapter: Adapter) -> tuple[Row, ...]:
    """One row for every part of the model, trained or not, in the model's order.

    Raises ValueError naming the target, rank or module that the model does not have or PEFT does not adapt.
    """
    parts = shape.parts
    if shape.refused:
        raise ValueError(f"model: {shape.refused}")
    _check_names(shape, adapter)
    for name, _ in adapter.rank_pattern:
        if not any(selects(name, part.path) for part in parts):
            raise ValueError(f"rank_pattern: {quoted(name)}, expected one of {_known(parts)}")
    for name in adapter.modules_to_save:
        if "*" in name or not any(saved_by(name, part) for part in parts):  # PEFT takes plain names only
            raise ValueError(f"modules_to_save: {quoted(name)}, expected one of {_known(parts)}")
    names, tensors = chosen_names(shape, adapter)
    found = tuple(_row(shape, part, adapter, names, tensors) for part in parts)
    if not any(row.rank for row in found):
        raise ValueError(f"targets: {quoted(list(names or ()))}, expected modules outside modules_to_save")
    return found


def chosen_names(
    shape: "ModelShape", adapter: Adapter
) -> tuple[tuple[str, ...] | None, tuple[tuple[str, int], ...]]:
    """Names that PEFT matches with modules (None: all linear layers), and with tensors of experts.

    The tensors come with a factor on the rank; there are some in the few mixtures whose names of experts
    PEFT converts.
    """
    targets = adapter.targets
    if targets == "all-linear" and not shape.converted:
        return None, ()
    if isinstance(targets, str):
        names = target_names(shape.parts, targets, within=within(shape, adapter))
    else:
        names = targets
    if not shape.converted:
        return names, ()
    return convert(shape.converted, names, everything=targets == "all-linear")


def within(shape: "ModelShape", adapter: Adapter) -> str:
    """The path of the model that is adapted: the text model's, or "" for the whole."""
    if adapter.text_only and not shape.text:
        raise ValueError("text_only: True, expected False: this model holds no text model apart from itself")
    return shape.text if adapter.text_only else ""


def lies_in(part: Part, path: str) -> bool:
    """Whether a part belongs to the model at `path`; an output layer on top of it does."""
    return not path or part.path.startswith(path + ".") or part.family is Family.HEAD


def target_names(
    parts: Sequence[Part], preset: str, *, head: bool = False, within: str = ""
) -> tuple[str, ...]:
    """The module names that a preset stands for in this model, in the model's order.

    Where q, k and v are one matrix, `qv` adapts that matrix: PEFT cannot adapt a part of it. `all-linear`
    is PEFT's word: every linear layer but the output layer of a language model. `within` is the path of a
    model inside this one.

    Raises ValueError for an unknown preset, and for a head that a bare model does not have.
    """
    if preset not in TARGET_PRESETS:
        raise ValueError(f"preset: {quoted(preset)}, expected one of {', '.join(TARGET_PRESETS)}")
    if head and not head_names(parts):
        raise ValueError("head: a bare model has none to adapt")
    chosen = [
        part
        for part in parts
        if part.kind in _reached(preset)
        and lies_in(part, within)
        and (_in_preset(part, preset) or (head and _is_head(part)))
    ]
    if not chosen:
        raise ValueError(f"preset: {preset!r} names no linear layer of this model")
    if preset == "qv":  # q before v, as everybody writes it
        chosen = sorted(chosen, key=lambda part: part.role or "z")
    return tuple(dict.fromkeys(part.name for part in chosen))


def _reached(preset: str) -> tuple[Kind, ...]:
    """Kinds of modules that a preset adapts: q and v are convolutions in a few models (SqueezeBERT)."""
    linear = (Kind.LINEAR, Kind.CONV1D)
    return (*linear, Kind.CONVOLUTION) if preset == "qv" else linear


def head_names(parts: Sequence[Part]) -> tuple[str, ...]:
    """The modules that hold the head, as `modules_to_save` takes them: `lm_head`, `classifier`, ..."""
    heads = (part.path.split(".*")[0] for part in parts if _is_head(part) and part.kind is not Kind.PARAMETER)
    return tuple(dict.fromkeys(path if path.count(".") == 0 else path.split(".")[0] for path in heads))


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
        return not part.output
    if preset == "mlp":
        return part.family in (Family.MLP, Family.SHARED, Family.EXPERTS)
    return part.family == preset


def _is_head(part: Part) -> bool:
    return part.family is Family.HEAD


def _row(
    shape: "ModelShape",
    part: Part,
    adapter: Adapter,
    names: Sequence[str] | None,
    tensors: Sequence[tuple[str, int]],
) -> Row:
    if any(saved_by(name, part) for name in adapter.modules_to_save):
        return Row(part, saved=part.count * part.size)
    if part.kind is Kind.PARAMETER:
        rank = tensor_rank(part.path, adapter.rank, tensors)
    else:
        rank = _module_rank(part, adapter, names, within(shape, adapter))
        rank = rank or tensor_rank(f"{part.path}.weight", adapter.rank, tensors)
    everywhere = adapter.bias == Bias.ALL
    biases = part.count * part.bias if everywhere or (rank and adapter.bias == Bias.ADAPTED) else 0
    if everywhere and part.bias_in_name and not part.tied:
        biases += part.count * part.weight
    if not rank:
        return Row(part, biases=biases)
    if rank % part.groups:
        raise ValueError(
            f"rank: {rank}, expected a multiple of {part.groups}, the groups of the convolution {part.name}"
        )
    magnitudes = part.count * part.out_features * adapter.use_dora
    return Row(part, rank, part.count * part.adapter(rank), magnitudes, biases)


def _module_rank(part: Part, adapter: Adapter, names: Sequence[str] | None, where: str) -> int:
    """The rank of the adapter beside a module, 0 for none."""
    if not lies_in(part, where):
        return 0
    if names is None:
        hit = part.linear and not part.output and (part.path.startswith(where + ".") or not where)
    else:
        hit = any(selects(name, part.path) for name in names)
    if not hit:
        return 0
    return next((r for name, r in adapter.rank_pattern if selects(name, part.path)), adapter.rank)


def _check_names(shape: "ModelShape", adapter: Adapter) -> None:
    """ValueError for a target that this model does not have, or that PEFT does not adapt in it."""
    parts, where = shape.parts, within(shape, adapter)
    names, tensors = chosen_names(shape, adapter)
    if tensors and adapter.use_dora:
        raise ValueError("use_dora: True, expected False: PEFT adapts the tensors of experts without it")
    if names is None:
        barred = next((part for part in parts if part.barred and part.linear), None)
        if barred:
            raise ValueError(
                f"targets: all-linear would adapt {barred.name}, which PEFT refuses in {shape.model_type}"
            )
        return
    for name in names:
        hit = [part for part in parts if selects(name, part.path) and lies_in(part, where)]
        other = [path for path in shape.others if selects(name, path)]
        if where:
            other = [path for path in other if path.startswith(where + ".")]
        plain = [part for part in hit if part.kind is not Kind.PARAMETER]
        if not plain or not all(part.adaptable for part in plain) or other:
            why = " (PEFT adapts no module of that kind)" if other else ""
            raise ValueError(f"targets: {quoted(name)}{why}, expected one of {_known(parts)}")


def _known(parts: Sequence[Part]) -> str:
    names = list(dict.fromkeys(part.name for part in parts if part.adaptable))
    return ", ".join(names[:16]) + (f" and {len(names) - 16} more" if len(names) > 16 else "")


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


def regular_expression(names: Sequence[str], within: str = "", outside: Sequence[str] = ()) -> str:
    """The names as one expression for `target_modules`, which PEFT matches against whole paths.

    `within` is the path of the model that they are in, `outside` are names that stand beside it.
    """
    start = pattern(within) + r"\." if within else ""
    inner = [pattern(name.removeprefix(within + ".") if within else name) for name in names]
    found = rf"{start}(?:.*\.)?(?:{'|'.join(inner)})"
    return "|".join([found, *(rf"(?:.*\.)?{pattern(name)}" for name in outside)])


def is_plain(name: str) -> bool:
    """Whether PEFT's list of names can express it; a `*` needs a regular expression."""
    return re.fullmatch(r"[\w.\-]+", name) is not None
