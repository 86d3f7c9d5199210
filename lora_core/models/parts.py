"""What a model is made of, as numbers: which matrices, how large, how many of each, under which names.

A `Part` stands for `count` equal modules of a network; its weights hold `in_features * out_features`
numbers, so a whole model is the sum over its parts. Paths are those of Hugging Face transformers, with
`*` for the number of the layer. A target names a part exactly as PEFT's `target_modules` does: by the whole
path or by the end of it (peft.tuners.tuners_utils.check_target_module_exists).
"""

import re
from collections.abc import Iterable
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
    ROUTER = "router"  # chooses the experts of a token
    SHARED = "shared experts"  # those that every token passes
    EXPERTS = "routed experts"  # of which a token passes some
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
    tied: bool = False  # the weight is another module's: it adds nothing to the total
    name: str = ""
    kernel: int = 1  # entries of a convolution's kernel; experts in a fused tensor
    groups: int = 1  # of a convolution
    output: bool = False  # the output layer of a language model, which PEFT's "all-linear" leaves out
    barred: bool = False  # PEFT refuses to adapt it here

    @property
    def weight(self) -> int:
        """Entries of one module's weight."""
        return self.in_features * self.out_features * self.kernel // self.groups

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
        """Whether PEFT's `target_modules` can put an adapter here."""
        return not self.barred and (self.linear or self.kind in (Kind.EMBEDDING, Kind.CONVOLUTION))

    @property
    def fused(self) -> bool:
        """Whether this is a tensor of all experts, which PEFT reaches by `target_parameters` alone."""
        return self.kind is Kind.PARAMETER and self.family is Family.EXPERTS and self.kernel > 1

    def adapter(self, rank: int) -> int:
        """Numbers of A and B beside one module: r * (in + out), of a convolution with its kernel in A."""
        if self.fused:
            return rank * self.kernel * (self.in_features + self.out_features)
        return rank * self.in_features * self.kernel + rank * self.out_features // self.groups


def selects(target: str, path: str) -> bool:
    """Whether PEFT's rule lets `target` name the module at `path`: equal, or its end after a dot."""
    return path == target or path.endswith("." + target)


def saved_by(target: str, part: Part) -> bool:
    """Whether `modules_to_save=[target]` copies the module of `part`, or one that holds it.

    PEFT compares ends of paths without asking for a dot (peft.utils.other._set_trainable), so
    `classifier` also saves DistilBERT's `pre_classifier`.
    """
    pieces = part.path.split(".")
    if part.kind is Kind.PARAMETER:  # a tensor of the module above it
        pieces = pieces[:-1]
    return any(".".join(pieces[:end]).endswith(target) for end in range(1, len(pieces) + 1))


def named(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Give each part the shortest end of its path that selects only parts of its family, kind and role.

    T5's three kinds of attention share the name `q`; GPT-2's two `c_proj` become `attn.c_proj` and
    `mlp.c_proj`; BERT's `layer.*.output.dense` needs its layer, as `output.dense` alone also selects
    `attention.output.dense`.
    """
    parts = tuple(parts)
    alike: dict[str, dict[tuple[object, ...], None]] = {}  # by the last piece of a path
    for part in parts:
        alike.setdefault(part.path.rpartition(".")[2], {})[part.path, *_sort(part)] = None
    names: dict[tuple[object, ...], str] = {}
    for part in parts:
        key = (part.path, *_sort(part))
        if key not in names:
            names[key] = _shortest(part, alike[part.path.rpartition(".")[2]])
    return tuple(replace(part, name=names[part.path, *_sort(part)]) for part in parts)


def _shortest(part: Part, rivals: Iterable[tuple[object, ...]]) -> str:
    pieces = part.path.split(".")
    for length in range(1, len(pieces)):
        name = ".".join(pieces[-length:])
        if name[0] == "*":
            continue
        if all(tuple(sort) == _sort(part) for path, *sort in rivals if selects(name, str(path))):
            return name
    return part.path


def _sort(part: Part) -> tuple[object, ...]:
    return part.family, part.kind, part.role, part.output


def pattern(name: str) -> str:
    """A regular expression for a name or path, `*` standing for the number of a layer."""
    return r"\d+".join(re.escape(piece) for piece in name.split("*"))
