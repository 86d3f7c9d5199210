"""What a small network learns and how it is adapted: one frozen, flat, validated value, as ``Experiment`` is.

A field is a control of the page, a URL parameter (with ``net_`` before its name) and part of a cache's key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, get_type_hints

from lora_core.experiment import Optimizer, ScalingRule, scaling
from lora_core.fields import Choice, FloatRange, IntRange, quoted
from lora_core.network.shape import MODULES, SHAPES, Network, Shape, path_of

MOST_RANK = 64
RANKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Ranks that a slider offers, dense where they differ most."""


class Language(StrEnum):
    """Whose names ``words`` learns to write: see ``lora_core.network.word_lists``."""

    ITALIAN = "italian"
    FINNISH = "finnish"
    POLISH = "polish"
    TURKISH = "turkish"


class Rewrite(StrEnum):
    """How ``copier`` learns to answer six letters: from the last to the first, each the next one, or both."""

    BACKWARDS = "backwards"
    NEXT_LETTER = "next-letter"
    BOTH = "both"


class Targets(StrEnum):
    """Which linear layers get an adapter: the field's usual choices, or only those that ``ranks`` names."""

    QV = "qv"
    ATTENTION = "attention"
    MLP = "mlp"
    ALL = "all"
    HEAD = "head"
    OWN = "own"


_PARTS: dict[Targets, tuple[str, ...]] = {
    Targets.QV: ("q", "v"),
    Targets.ATTENTION: ("q", "k", "v", "o"),
    Targets.MLP: ("up", "down"),
    Targets.ALL: ("q", "k", "v", "o", "up", "down"),
    Targets.HEAD: ("head",),
    Targets.OWN: (),
}
"""``all`` is PEFT's all-linear: every linear layer but the head."""


@dataclass(frozen=True)
class ModuleRanks:
    """Ranks of single modules as text: ``0.q:8,1.up:0,head:4``; rank 0 leaves a module frozen."""

    def __str__(self) -> str:
        return (
            "pairs like 0.q:8,1.up:0,head:4, the modules being q, k, v, o, up, down of block 0 or 1 and "
            f"head, the ranks 0 to {MOST_RANK}"
        )

    def read(self, name: str, value: object) -> str:
        """The same pairs in the order of the forward pass; a part without its block stands for both."""
        pairs = [pair for pair in value.split(",") if pair.strip()] if isinstance(value, str) else [""]
        ranks: dict[str, int] = {}
        for pair in pairs:
            found = re.fullmatch(r"\s*([01]\.)?([a-z]+)\s*:\s*([0-9]{1,4})\s*", pair, re.ASCII)
            named = [] if found is None else [m for m in MODULES if _is_named(m, found[1] or "", found[2])]
            if found is None or not named or int(found[3]) > MOST_RANK:
                raise ValueError(f"{name} is {quoted(value)}: it must be {self}.")
            ranks |= dict.fromkeys(named, int(found[3]))
        return ",".join(f"{module}:{ranks[module]}" for module in MODULES if module in ranks)

    def parse(self, text: str) -> Any:
        return text


def _is_named(module: str, block: str, part: str) -> bool:
    return module == block + part or (not block and module.rpartition(".")[2] == part)


@dataclass(frozen=True)
class NetworkExperiment:
    """One adaptation of a small network; ``NetworkExperiment()`` is what the page opens on.

    ``language`` counts for ``words`` and ``rewrite`` for ``copier``. A rank above a module's smaller side is
    allowed: it stores more numbers and reaches nothing more.

    :raises ValueError: a value outside its field's limit; the message names field, value and range.
    """

    network: Annotated[Network, Choice(Network)] = Network.WORDS
    language: Annotated[Language, Choice(Language)] = Language.ITALIAN
    rewrite: Annotated[Rewrite, Choice(Rewrite)] = Rewrite.BACKWARDS
    targets: Annotated[Targets, Choice(Targets)] = Targets.ALL
    rank: Annotated[int, IntRange(1, MOST_RANK)] = 4
    ranks: Annotated[str, ModuleRanks()] = ""
    """Ranks of single modules that differ from ``rank``: PEFT's rank_pattern."""
    alpha: Annotated[float, FloatRange(1e-3, 4096.0)] = 16.0
    scaling_rule: Annotated[ScalingRule, Choice(ScalingRule)] = ScalingRule.STANDARD
    learning_rate: Annotated[float, FloatRange(1e-5, 1.0)] = 5e-3
    full_learning_rate: Annotated[float, FloatRange(1e-5, 1.0)] = 2e-3
    """Full fine-tuning's own: at one rate for both, one of them looks bad."""
    lr_ratio: Annotated[float, FloatRange(0.01, 100.0)] = 1.0
    """Learning rate of B over that of A: LoRA+ (Hayou et al., 2024, section 4)."""
    optimizer: Annotated[Optimizer, Choice(Optimizer)] = Optimizer.ADAM
    updates: Annotated[int, IntRange(5, 400)] = 100
    batch: Annotated[int, IntRange(4, 64)] = 32
    """Windows of 16 letters, or questions, in an update."""
    seed: Annotated[int, IntRange(0, 2**31 - 1)] = 1

    def __post_init__(self) -> None:
        for name, limit in NETWORK_LIMITS.items():
            object.__setattr__(self, name, limit.read(name, getattr(self, name)))

    @property
    def task(self) -> str:
        """What is learnt: a language's name, or a rule of answering."""
        return str(self.language if self.network is Network.WORDS else self.rewrite)

    @property
    def shape(self) -> Shape:
        """Sizes of the network."""
        return SHAPES[self.network]

    def module_ranks(self) -> dict[str, int]:
        """Short name of each adapted module -> its rank, in the order of the forward pass."""
        ranks = {module: self.rank for module in MODULES if module.rpartition(".")[2] in _PARTS[self.targets]}
        own = (pair.split(":") for pair in self.ranks.split(",") if pair)
        ranks |= {module: int(rank) for module, rank in own}
        return {module: ranks[module] for module in MODULES if ranks.get(module)}

    def trained_fully(self) -> tuple[str, ...]:
        """Modules that full fine-tuning trains: all but the head, and the head where LoRA has it too."""
        return MODULES if "head" in self.module_ranks() else MODULES[:-1]

    def scaling_of(self, rank: int) -> float:
        """The number that A @ B is multiplied by in a module of this rank."""
        return scaling(self.alpha, rank, self.scaling_rule)

    def trainable(self) -> int:
        """Numbers that LoRA trains: rank * (in + out), summed over the adapted modules."""
        sizes = self.shape.modules()
        return sum(rank * sum(sizes[path_of(module)]) for module, rank in self.module_ranks().items())

    def trainable_full(self) -> int:
        """Numbers that full fine-tuning trains."""
        sizes = self.shape.modules()
        return sum(sizes[path_of(module)][0] * sizes[path_of(module)][1] for module in self.trained_fully())

    def full_only(self) -> "NetworkExperiment":
        """The same full fine-tuning, what only LoRA reads set to its default: a cache's key."""
        other = Language.ITALIAN, self.rewrite
        language, rewrite = (self.language, Rewrite.BACKWARDS) if self.network is Network.WORDS else other
        return NetworkExperiment(
            network=self.network, language=language, rewrite=rewrite,
            targets=Targets.HEAD if "head" in self.module_ranks() else Targets.ALL,
            full_learning_rate=self.full_learning_rate, optimizer=self.optimizer, updates=self.updates,
            batch=self.batch, seed=self.seed,
        )  # fmt: skip

    def lora_only(self) -> "NetworkExperiment":
        """The same LoRA, what it does not read set to its default: a cache's key."""
        rank = 4 if self.targets is Targets.OWN else self.rank
        if self.network is Network.WORDS:
            return replace(self, rank=rank, rewrite=Rewrite.BACKWARDS, full_learning_rate=2e-3)
        return replace(self, rank=rank, language=Language.ITALIAN, full_learning_rate=2e-3)

    def to_dict(self) -> dict[str, Any]:
        """Every field by its name, as plain JSON values; ``from_dict`` reads it back."""
        plain = {name: getattr(self, name) for name in NETWORK_LIMITS}
        return {name: str(value) if isinstance(value, StrEnum) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "NetworkExperiment":
        """The experiment with these fields and the defaults for the rest.

        :raises ValueError: an unknown field, or a value outside its limit.
        """
        for name in values:
            if name not in NETWORK_LIMITS:
                raise ValueError(
                    f"{quoted(name)} is no field of a network experiment: the fields are "
                    f"{', '.join(NETWORK_LIMITS)}."
                )
        return cls(**values)  # type: ignore[arg-type]


NetworkLimit = IntRange | FloatRange | Choice | ModuleRanks
NETWORK_LIMITS: dict[str, NetworkLimit] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(NetworkExperiment, include_extras=True).items()
}
"""Field name -> its limit, in the order of the fields."""
