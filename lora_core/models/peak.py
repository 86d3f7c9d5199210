"""Peak memory of a training step: weights, optimizer, gradients, and the activations kept for the way back.

    kept = what the layers keep a token, times tokens        peak = the largest of six moments

The closed form holds for decoders with RMSNorm and a gated MLP in 16-bit computing (FAMILIES); others are not
predicted. It was derived from transformers' own classes, is held to them by an oracle that follows every
allocation (tests/kit/peak_oracle.py), and agrees with published peaks of real runs
(tests/data/measured_peaks.json). The peak is that of torch's allocator (torch.cuda.max_memory_allocated), not
what nvidia-smi shows.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from lora_core.fields import quoted
from lora_core.models.memory import (
    BYTES,
    Memory,
    adapter_memory,
    full_memory,
    step_copy,
)
from lora_core.models.parts import Family
from lora_core.models.shape import ModelShape
from lora_core.models.targets import Adapter

ATTENTION = {"flash": "flash, or packed", "sdpa": "SDPA with a mask", "eager": "eager"}
COMPUTING = {"fp32": "fp32, PEFT's default", "autocast": "autocast to bf16", "bf16": "bf16"}
LOSSES = {"whole": "as transformers", "chunked": "in chunks", "4.46": "as transformers 4.46 to 4.49"}
CHUNK = 512
"""Tokens of which a chunked loss holds the logits at a time."""
CARDS = (8, 12, 16, 24, 32, 40, 48, 80, 96, 141)
"""Memory of cards in GB."""
RESERVE, MARGIN = 0.6e9, 1.1
"""Bytes that CUDA takes for itself, and the factor on the peak above which a run is called tight."""
BATCHES, LENGTHS = (1, 512), (1, 1_048_576)


@dataclass(frozen=True)
class Variant:
    """How a family departs from Llama: norms a layer, norms on q and k, extra bytes of its norms and MLP."""

    norms: int = 2
    qk_norm: bool = False
    norm_extra: int = 0  # times d, in full fine-tuning
    kept_logits: int = 0  # times V: a softcap on the logits
    scores_cap: bool = False


FAMILIES = {
    "llama": Variant(),
    "mistral": Variant(),
    "qwen2": Variant(),
    "qwen3": Variant(qk_norm=True),
    "gemma": Variant(norm_extra=2),
    "gemma2": Variant(norms=4, norm_extra=2, kept_logits=2, scores_cap=True),
    "gemma3_text": Variant(norms=4, qk_norm=True, norm_extra=2),
}


@dataclass(frozen=True)
class Training:
    """One way of training. Raises ValueError naming the field, the value and the range."""

    batch: int = 1
    length: int = 2048  # the longest sequence after padding, in tokens
    checkpointing: bool = True
    attention: str = "flash"
    computing: str = "fp32"  # of the adapters
    loss: str = "whole"
    precision: str = "bf16"  # of the frozen weights
    optimizer: str = "adamw"
    prepared: bool = True  # quantised weights through prepare_model_for_kbit_training
    double: bool = True  # NF4's scales quantised again
    dropout: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in (("batch", BATCHES), ("length", LENGTHS)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name}: {quoted(value)}, expected an integer from {low} to {high}")
        for name, words in (("attention", ATTENTION), ("computing", COMPUTING), ("loss", LOSSES)):
            if getattr(self, name) not in words:
                raise ValueError(f"{name}: {quoted(getattr(self, name))}, expected one of {', '.join(words)}")

    @property
    def tokens(self) -> int:
        return self.batch * self.length

    @property
    def quantised(self) -> bool:
        return self.precision not in BYTES


class Sizes(NamedTuple):
    """The widths of a decoder: hidden, queries, keys, MLP, vocabulary; heads of queries and keys; layers."""

    d: int
    q: int
    k: int
    f: int
    vocabulary: int
    heads: int
    kv_heads: int
    layers: int
    tied: bool


@dataclass(frozen=True)
class Peak:
    """The peak of a training step in bytes and the moment it falls in.

    `static` is what is held throughout; `kept` what the layers keep for the way back; `above` the rest.
    """

    static: Memory
    moment: str
    kept: int
    above: int
    total: int


def sizes(shape: ModelShape) -> Sizes | None:
    """The widths of a decoder that is predicted, None for any other model."""
    if shape.model_type not in FAMILIES or shape.head != "lm":
        return None
    facts = dict(shape.facts)
    names = ("hidden", "heads", "kv_heads", "head_dim", "layers")
    d, heads, kv_heads, width, layers = (facts.get(name, 0) for name in names)
    head = next((part for part in shape.parts if part.output), None)
    down = next((part for part in shape.parts if part.path.endswith("down_proj")), None)
    if not (d and heads and kv_heads and width and layers and head and down):
        return None
    return Sizes(
        d,
        heads * width,
        kv_heads * width,
        down.in_features,
        head.out_features,
        heads,
        kv_heads,
        layers,
        head.tied,
    )


def predict(shape: ModelShape, adapter: Adapter | None, training: Training) -> Peak | None:
    """The peak of LoRA, or of full fine-tuning for None; None where the model's kind is not predicted.

    Raises ValueError as `shape.count(adapter)` does.
    """
    found = sizes(shape)
    static = _static(shape, adapter, training)
    if found is None or (training.precision == "fp32" and not training.quantised):
        return None
    return _Step(shape, found, adapter, training, static).peak()


def _static(shape: ModelShape, adapter: Adapter | None, training: Training) -> Memory:
    if adapter is None:
        precision = "bf16" if training.quantised else training.precision
        return full_memory(shape, precision, training.optimizer)
    return adapter_memory(
        shape, adapter, training.precision, training.optimizer,
        trained="bf16" if training.computing == "bf16" else "fp32",
        name="QLoRA" if training.quantised else "LoRA",
        prepared=training.prepared and training.quantised, double=training.double,
    )  # fmt: skip


class _Step:
    """The moments of one step: each property is bytes, a token unless it says otherwise."""

    def __init__(
        self, shape: ModelShape, sizes: Sizes, adapter: Adapter | None, training: Training, static: Memory
    ) -> None:
        self.s, self.training, self.static = sizes, training, static
        self.variant, self.full = FAMILIES[shape.model_type], adapter is None
        self.stream = 4 if training.quantised and training.prepared else 2
        self.ranks: dict[str, int] = {}
        self.head_rank = self.head_saved = 0
        for row in shape.rows(adapter) if adapter else ():
            if row.part.family is Family.HEAD:
                self.head_rank, self.head_saved = row.rank, row.saved
            elif row.rank:
                self.ranks[row.part.path.rpartition(".")[2]] = row.rank
        self.trained_copy = step_copy(static, training.optimizer)

    def inputs(self, *names: str, width: int) -> int:
        """What the adapters beside these linears, which share an input of `width`, keep a token."""
        ranks = [self.ranks[name] for name in names if name in self.ranks]
        if not ranks:
            return 0
        fp32 = self.training.computing == "fp32"
        kept = sum(4 * r if fp32 else 2 * r for r in ranks)
        dropped = self.training.dropout
        if fp32:
            kept += 4 * width * len(ranks)
        elif self.training.computing == "autocast":
            kept += 2 * width * len(ranks)
        else:
            kept += 2 * width * (len(ranks) if dropped else 1)
        return kept + (width * len(ranks) if dropped else 0)

    @property
    def norm(self) -> int:
        d = self.s.d
        return (8 + self.variant.norm_extra) * d + 4 if self.full else 4 * d + 4

    @property
    def attention(self) -> int:
        s, wide = self.s, self.training
        found = 0
        if self.variant.qk_norm:
            found += 4 * (s.q + s.k) + 4 * (s.heads + s.kv_heads) + (2 * (s.q + s.k) if self.full else 0)
        if wide.attention == "flash":
            found += 4 * s.q + 4 * s.k + 4 * s.heads
        elif wide.attention == "sdpa":
            keys = 4 * s.k if s.kv_heads in (1, s.heads) else 4 * s.q
            found += 4 * s.q + keys + 4 * s.heads + 2 * wide.length
        else:
            keys = 4 * s.k if s.heads == s.kv_heads else 4 * s.q
            found += 2 * s.q + keys + 6 * s.heads * wide.length + (2 * s.q if self.full else 0)
            found += 2 * s.heads * wide.length if self.variant.scores_cap else 0
        found += self.inputs("q_proj", "k_proj", "v_proj", width=s.d)
        kernel = wide.attention != "eager"  # which keeps its output anyway
        own = kernel and wide.computing == "bf16" and not wide.dropout
        return found + self.inputs("o_proj", width=0 if own else s.q)

    @property
    def mlp_inputs(self) -> int:
        return self.inputs("gate_proj", "up_proj", width=self.s.d) + self.inputs("down_proj", width=self.s.f)

    @property
    def layer(self) -> int:
        """All that a layer keeps."""
        mlp = (8 if self.full else 6) * self.s.f
        return self.variant.norms * self.norm + self.attention + mlp + self.mlp_inputs

    @property
    def kept(self) -> int:
        """What all layers and the last norm keep, the logits not yet counted."""
        s = self.s
        if self.training.checkpointing:
            return s.layers * self.stream * s.d + self.norm
        first = 0 if self.full else self.norm
        if self.training.attention == "eager" and self.ranks and "k_proj" not in self.ranks:
            first += 2 * s.q  # which the keys' gradient alone would need
        return s.layers * self.layer - first + self.norm

    @property
    def back(self) -> int:
        """What the way back through one layer needs beside what the others keep: in the MLP, or before it."""
        s, fp32 = self.s, self.training.computing == "fp32"
        adapted = bool({"gate_proj", "up_proj", "down_proj"} & set(self.ranks))
        down = "down_proj" in self.ranks
        after = self.norm if self.variant.norms == 4 else 0  # the norm after the MLP is done with by then
        middle = self.variant.norms * self.norm - after + self.attention
        middle += self.inputs("gate_proj", "up_proj", width=s.d)
        middle += (14 if adapted and fp32 else 12) * s.f + (12 if down and fp32 else 2) * s.d
        start = self.layer - after + 2 * s.f + ((14 if fp32 else 6) if down else 2) * s.d
        found = max(middle, start)
        return max(found, self.scores_back)

    @property
    def scores_back(self) -> int:
        """Eager attention alone: scores, their gradients in fp32, and what comes before them in the layer."""
        if self.training.attention != "eager":
            return 0
        s, table = self.s, self.s.heads * self.training.length
        found = self.norm + (12 if self.variant.scores_cap else 10) * table + 6 * s.q + 2 * s.d
        if self.variant.qk_norm:
            found += (4 if not self.full else 6) * (s.q + s.k)
        return found + self.inputs("q_proj", "k_proj", "v_proj", width=s.d)

    def moments(self) -> dict[str, int]:
        """Bytes beside the static part at each moment."""
        s, tokens, training = self.s, self.training.tokens, self.training
        gradients, table = self.static.gradients, 2 * s.vocabulary * s.d
        kept = self.kept * tokens
        head = table if self.full else 0
        chunk = min(tokens, CHUNK) if training.loss == "chunked" else tokens
        loss = (12 + self.variant.kept_logits) * s.vocabulary * chunk
        if training.loss == "4.46":
            loss = 14 * s.vocabulary * tokens + 2 * s.d * tokens
        if training.loss == "chunked":
            loss += 2 * s.d * tokens + head
        tables = head * (1 if s.tied else 2)
        layers = max(0, gradients - tables)
        rest = (self.kept - self.norm) * tokens
        if not training.checkpointing:
            rest -= self.layer * tokens
        return {
            "the loss": kept + loss,
            "the output layer": kept + (2 * s.vocabulary * chunk + 2 * s.d * tokens) + head,
            "the last norm on the way back": kept + (16 if self.full else 20) * s.d * tokens + head,
            "the last layer on the way back": rest
            + self.back * tokens
            + head
            + (2 * s.d * s.f if self.full else 0),
            "the first layer on the way back": self.first_back(layers) + head,
            "the first norm on the way back": ((28 if self.full else 0) * s.d) * tokens + layers + head,
            "the end of the way back": gradients
            + 2 * s.d * tokens
            + (2 * table if self.full and s.tied else 0),
            "the optimizer's step": gradients + self.trained_copy,
        }

    def first_back(self, layers: int) -> int:
        """Bytes of all tokens in the first layer on the way back, when the others' gradients are there."""
        s, tokens = self.s, self.training.tokens
        above = layers * (s.layers - 1) // s.layers
        own = 2 * s.d * s.f if self.full else 0
        found = (self.back + self.stream * s.d) * tokens + above + own
        if not self.scores_back:
            return found
        own = 2 * s.d * (3 * s.f + s.q) if self.full else 0
        return max(found, (self.scores_back + self.stream * s.d) * tokens + above + own)

    def peak(self) -> Peak:
        found = self.moments()
        moment = max(found, key=lambda name: found[name])
        held = self.static.frozen + self.static.trained + self.static.optimizer
        total = held + found[moment]
        kept = min(self.kept * self.training.tokens, found[moment]) if "step" not in moment else 0
        return Peak(self.static, moment, kept, found[moment] - kept, total)


def fits(peak: float, card: float) -> str:
    """`fits`, `tight` or `no`: whether a peak in bytes goes on a card of `card` GB."""
    if MARGIN * peak + RESERVE <= card * 1e9:
        return "fits"
    return "tight" if peak + RESERVE <= card * 1e9 else "no"


def longest(shape: ModelShape, adapter: Adapter | None, training: Training, card: float) -> int | None:
    """The longest sequence, in tokens, that fits with a margin on a card of `card` GB; 0 where none does."""
    found = sizes(shape)
    if found is None or training.precision == "fp32":
        return None
    step = _Step(shape, found, adapter, training, _static(shape, adapter, training))
    low, high = 0, LENGTHS[1]
    while low < high:
        middle = (low + high + 1) // 2
        step.training = replace(training, length=middle)
        if fits(step.peak().total, card) == "fits":
            low = middle
        else:
            high = middle - 1
    return low
