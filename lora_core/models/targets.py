"""One LoRA configuration in PEFT's names, and what it contributes to one part of a model.

LoRA puts A (in, r) and B (r, out) beside a frozen (in, out) matrix (Hu et al. 2021, arXiv 2106.09685,
section 4.1). DoRA adds one magnitude for each output (Liu et al. 2024, arXiv 2402.09353, section 4). Biases
and whole modules may be trained beside it. names.py says what the targets are in a model, counting.py counts.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from lora_core.fields import quoted
from lora_core.models.parts import Part

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
        check_rank("rank", self.rank)
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
        check_rank(f"rank_pattern[{quoted(name)}]", rank)
    return pairs


def check_rank(name: str, rank: object) -> None:
    low, high = RANK_LIMITS
    if isinstance(rank, bool) or not isinstance(rank, int) or not low <= rank <= high:
        raise ValueError(f"{name}: {quoted(rank)}, expected an integer from {low} to {high}")
