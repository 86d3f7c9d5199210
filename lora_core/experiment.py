"""What is trained, on what, and how: one frozen, flat, validated value.

The one source of truth of the playground: a field here is a slider, a URL parameter, a preset's key, a
cache's key and an option of ``python -m lora_core``. Limits stand beside their fields, so that a link or a
script meets the same ones as a slider. Two equal experiments give the same run, to the bit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, get_type_hints

from lora_core.fields import Choice, Flag, FloatRange, IntRange, Limit, quoted


class Task(StrEnum):
    """What the layer has to learn: see ``lora_core.data``."""

    LOW_RANK = "low-rank"
    POWER_LAW = "power-law"
    NOISE = "noise"
    DIGITS = "digits"


class Shift(StrEnum):
    """How the digits differ from those the base layer was fitted on."""

    SWAP = "swap"
    TURN = "turn"
    INVERT = "invert"


class ScalingRule(StrEnum):
    """How alpha and rank give the scaling: alpha/r (LoRA), alpha/sqrt(r) (rsLoRA), or alpha itself."""

    STANDARD = "standard"
    RSLORA = "rslora"
    CONSTANT = "constant"


class Init(StrEnum):
    """How A and B start: see ``lora_core.layer.initialise``."""

    KAIMING = "kaiming"
    GAUSSIAN = "gaussian"
    ORIGINAL = "original"
    ZERO = "zero"


class Optimizer(StrEnum):
    """Adam (Kingma & Ba, 2015) with torch's default betas and eps, or plain gradient descent."""

    ADAM = "adam"
    SGD = "sgd"


DIGITS_SHAPE = (64, 10)
DIGITS_TRAINING = 1297
"""Of the 1,797 digits, 500 are held out."""
DIGITS_PAIRS = 5
"""Ten labels make five pairs to swap."""


@dataclass(frozen=True)
class Experiment:
    """One experiment: the task, the adapter and its training; ``Experiment()`` is the playground's default.

    On the task ``digits`` the data fix ``in_features``, ``out_features``, ``samples`` and the greatest
    ``true_rank``: the fields read back the values in use. A rank above ``min(in_features, out_features)``
    is allowed: it stores more numbers and reaches nothing more.

    :raises ValueError: a value outside its field's limit; the message names field, value and range.
    """

    task: Annotated[Task, Choice(Task)] = Task.LOW_RANK
    in_features: Annotated[int, IntRange(2, 1024)] = 64
    out_features: Annotated[int, IntRange(2, 1024)] = 64
    samples: Annotated[int, IntRange(16, 4096)] = 256
    true_rank: Annotated[int, IntRange(1, 1024)] = 4
    """Rank of the change to be learnt (``low-rank``); pairs of labels swapped (``digits``)."""
    decay: Annotated[float, FloatRange(0.0, 4.0)] = 1.0
    """Singular value i of the change is i**-decay (``power-law``)."""
    shift: Annotated[Shift, Choice(Shift)] = Shift.SWAP
    noise: Annotated[float, FloatRange(0.0, 10.0)] = 0.1
    """Standard deviation of the noise on the targets (``low-rank``, ``power-law``)."""
    seed: Annotated[int, IntRange(0, 2**31 - 1)] = 42

    rank: Annotated[int, IntRange(1, 1024)] = 3
    alpha: Annotated[float, FloatRange(1e-3, 4096.0)] = 8.0
    scaling_rule: Annotated[ScalingRule, Choice(ScalingRule)] = ScalingRule.STANDARD
    init: Annotated[Init, Choice(Init)] = Init.KAIMING
    train_bias: Annotated[bool, Flag()] = False

    optimizer: Annotated[Optimizer, Choice(Optimizer)] = Optimizer.ADAM
    learning_rate: Annotated[float, FloatRange(1e-5, 1.0)] = 0.01
    lr_ratio: Annotated[float, FloatRange(0.01, 100.0)] = 1.0
    """Learning rate of B over that of A: LoRA+ (Hayou et al., 2024, section 4)."""
    epochs: Annotated[int, IntRange(1, 2000)] = 200

    def __post_init__(self) -> None:
        for name, limit in LIMITS.items():
            object.__setattr__(self, name, limit.read(name, getattr(self, name)))
        if self.task is Task.DIGITS:
            in_features, out_features = DIGITS_SHAPE
            object.__setattr__(self, "in_features", in_features)
            object.__setattr__(self, "out_features", out_features)
            object.__setattr__(self, "samples", DIGITS_TRAINING)
            object.__setattr__(self, "true_rank", min(self.true_rank, DIGITS_PAIRS))

    @property
    def scaling(self) -> float:
        """The number that A @ B is multiplied by."""
        return scaling(self.alpha, self.rank, self.scaling_rule)

    @property
    def full_rank(self) -> int:
        """The largest rank a change of this layer can have: min(in, out)."""
        return min(self.in_features, self.out_features)

    @property
    def shift_rank(self) -> int | None:
        """The rank of the change that the task asks for, where it has one; else None."""
        if self.task is Task.LOW_RANK:
            return min(self.true_rank, self.full_rank)
        if self.task is Task.DIGITS and self.shift is Shift.SWAP:
            return self.true_rank
        return None

    def to_dict(self) -> dict[str, Any]:
        """Every field by its name, as plain JSON values; ``from_dict`` reads it back."""
        plain = {name: getattr(self, name) for name in LIMITS}
        return {name: str(value) if isinstance(value, StrEnum) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Experiment":
        """The experiment with these fields and the defaults for the rest.

        :raises ValueError: an unknown field, or a value outside its limit.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"an experiment is {quoted(values)}: it must be a set of named fields.")
        for name in values:
            if name not in LIMITS:
                raise ValueError(
                    f"{quoted(name)} is no field of an experiment: the fields are {', '.join(LIMITS)}."
                )
        return cls(**values)  # type: ignore[arg-type]


LIMITS: dict[str, Limit] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Experiment, include_extras=True).items()
}
"""Field name -> its limit, in the order of the fields."""

DATA_FIELDS = (
    "task",
    "in_features",
    "out_features",
    "samples",
    "true_rank",
    "decay",
    "shift",
    "noise",
    "seed",
)
"""The fields that decide data and base layer; no other field moves them."""


def scaling(alpha: float | None, rank: int, rule: ScalingRule = ScalingRule.STANDARD) -> float:
    """The factor of A @ B: alpha/r (Hu et al., 2021, section 4.1), alpha/sqrt(r) (rsLoRA, Kalajdzievski,
    2023) or alpha; 1 where alpha is None, as in a layer without one."""
    if alpha is None:
        return 1.0
    return {
        ScalingRule.STANDARD: alpha / rank,
        ScalingRule.RSLORA: alpha / math.sqrt(rank),
        ScalingRule.CONSTANT: alpha,
    }[rule]
