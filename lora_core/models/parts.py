"""What a model is made of, as numbers: which matrices, how large, how many of each, under which names.

A `Part` stands for `count` equal modules of a network; its weights hold `in_features * out_features`
numbers, so a whole model is the sum over its parts. Paths are those of Hugging Face transformers, with
`*` for the number of the layer. A target names a part exactly as PEFT's `target_modules` does: by the whole
path or by the end of it (peft.tuners.tuners_utils.check_target_module_exists).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The class of module behind a part; LoRA is counted on the first three."""

    LINEAR = "linear"
    CONV1D = "conv1d"  # GPT-2's: a linear layer that stores its weight as (in, out)
    EMBEDDING = "embedding"
    CONVOLUTION = "convolution"
    NORM = "norm"
    PARAMETER = "parameter"  # a tensor of the model itself, held by no module of its own


class Family(StrEnum):
    """Where in the network a part sits: what presets choose from and figures colour by."""

    ATTENTION = "attention"
    MLP = "mlp"
    OTHER = "other"  # poolers, transforms before a head, projections of embeddings
    HEAD = "head"
    EMBEDDING = "embedding"
    NORM = "norm"


class Module(NamedTuple):
    """One line of `ModelShape.modules()`: `count` linear layers of `in_features -> out_features`."""

    name: str
    in_features: int
    out_features: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here


@dataclass(frozen=True)
class Part:
    """`count` equal modules of a model; all sizes are numbers of entries, never bytes."""

    path: str
    kind: Kind
    family: Family
    in_features: int  # rows of an embedding; 1 for a norm
    out_features: int
    count: int = 1
    bias: int = 0  # entries of one module's bias
    role: str = ""  # q, k, v, or qkv where they are one matrix
    tied: bool = False  # the weight is the input embedding's: it adds nothing to the total
    name: str = ""

    @property
    def weight(self) -> int:
        """Entries of one module's weight."""
        return self.in_features * self.out_features

    @property
    def size(self) -> int:
        """Entries of one module, weight and bias, shared or not."""
        return self.weight + self.bias

    @property
    def own(self) -> int:
        """Entries that all `count` modules add to the model's total."""
        return self.count * (self.bias if self.tied else self.size)

    @property
    def linear(self) -> bool:
        return self.kind in (Kind.LINEAR, Kind.CONV1D)

    @property
    def adaptable(self) -> bool:
        """Whether `r * (in + out)` is what LoRA adds here."""
        return self.linear or self.kind is Kind.EMBEDDING


def selects(target: str, path: str) -> bool:
    """Whether PEFT's rule lets `target` name the module at `path`: equal, or its end after a dot."""
    return path == target or path.endswith("." + target)


def saved_by(target: str, path: str) -> bool:
    """Whether `modules_to_save=[target]` copies the module at `path`, or one that holds it.

    PEFT compares ends of paths without asking for a dot (peft.utils.other._set_trainable), so
    `classifier` also saves DistilBERT's `pre_classifier`.
    """
    pieces = path.split(".")
    return any(".".join(pieces[:end]).endswith(target) for end in range(1, len(pieces) + 1))


def named(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Give each part the shortest end of its path that selects only parts of its family and shape.

    T5's three kinds of attention share the name `q`; GPT-2's two `c_proj` become `attn.c_proj` and
    `mlp.c_proj`; BERT's `layer.*.output.dense` needs its layer, as `output.dense` alone also selects
    `attention.output.dense`.
    """
    parts = tuple(parts)
    return tuple(replace(part, name=_shortest(part, parts)) for part in parts)


def _shortest(part: Part, parts: Sequence[Part]) -> str:
    pieces = part.path.split(".")
    for length in range(1, len(pieces)):
        name = ".".join(pieces[-length:])
        if name[0] == "*":
            continue
        if all(_alike(part, other) for other in parts if selects(name, other.path)):
            return name
    return part.path


def _alike(part: Part, other: Part) -> bool:
    mine = (part.family, part.kind, part.in_features, part.out_features)
    return mine == (other.family, other.kind, other.in_features, other.out_features)


def pattern(name: str) -> str:
    """A regular expression for a name or path, `*` standing for the number of a layer."""
    return r"\d+".join(re.escape(piece) for piece in name.split("*"))


def linear(
    path: str, in_features: int, out_features: int, count: int, family: Family, *, bias: bool, role: str = ""
) -> Part:
    """A part of `torch.nn.Linear` layers."""
    return Part(
        path, Kind.LINEAR, family, in_features, out_features, count, out_features if bias else 0, role=role
    )


def norm(path: str, size: int, count: int = 1, *, bias: bool = False) -> Part:
    """A part of norms with `size` weights (and biases)."""
    return Part(path, Kind.NORM, Family.NORM, 1, size, count, size if bias else 0)


def embedding(path: str, rows: int, columns: int) -> Part:
    """A part of `torch.nn.Embedding` tables."""
    return Part(path, Kind.EMBEDDING, Family.EMBEDDING, rows, columns)
