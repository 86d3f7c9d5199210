"""The modules that a preset stands for in a model, under the names that PEFT takes.

Names are PEFT's (0.21): the whole path of a module or the end of it, or one regular expression for all.
"""

import re
from collections.abc import Mapping, Sequence

from lora_core.fields import quoted
from lora_core.models.parts import Family, Kind, Part, pattern
from lora_core.models.targets import TARGET_PRESETS, check_rank


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


def _in_preset(part: Part, preset: str) -> bool:
    if preset == "qv":
        return part.role in ("q", "v", "qkv")
    if preset == "all-linear":
        return not part.output
    if preset == "mlp":
        return part.family in (Family.MLP, Family.SHARED, Family.EXPERTS)
    return part.family == preset


def lies_in(part: Part, path: str) -> bool:
    """Whether a part belongs to the model at `path`; an output layer on top of it does."""
    return not path or part.path.startswith(path + ".") or part.family is Family.HEAD


def head_names(parts: Sequence[Part]) -> tuple[str, ...]:
    """The modules that hold the head, as `modules_to_save` takes them: `lm_head`, `classifier`, ..."""
    heads = (part.path.split(".*")[0] for part in parts if _is_head(part) and part.kind is not Kind.PARAMETER)
    return tuple(dict.fromkeys(path if path.count(".") == 0 else path.split(".")[0] for path in heads))


def _is_head(part: Part) -> bool:
    return part.family is Family.HEAD


def family_ranks(parts: Sequence[Part], ranks: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """A `rank_pattern` that gives each named family (attention, mlp, other, head) its rank."""
    for family, rank in ranks.items():
        check_rank(f"rank of {family}", rank)
        if family not in list(Family):
            raise ValueError(f"family: {quoted(family)}, expected one of {', '.join(Family)}")
    chosen = {part.name: ranks[part.family] for part in parts if part.linear and part.family in ranks}
    return tuple(chosen.items())


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
