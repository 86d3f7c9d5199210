"""The moments of one training step: what each holds, the largest of which is the peak.

    kept = what the layers keep a token, times tokens        peak = the largest of the moments

Bytes beside weights and optimizer state: activations kept for the way back, gradients, and what a moment
needs of its own. Between the last layer and the first the sum changes evenly, so one of the two is the most.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from lora_core.models.memory import BYTES, Memory, step_copy
from lora_core.models.parts import Family
from lora_core.models.peak.ends import EmbeddingTape, HeadTape, loss_bytes, picture_bytes, positions
from lora_core.models.peak.kinds import LAYERS, Sizes
from lora_core.models.peak.layer import LayerTape
from lora_core.models.peak.tape import Moment, Tape
from lora_core.models.peak.training import Training
from lora_core.models.shape import ModelShape
from lora_core.models.targets import Adapter


@dataclass(frozen=True)
class Line:
    """Bytes over the length: `token` a token, `square` a token and token of its sequence, and `fixed`."""

    token: int
    square: int = 0
    fixed: int = 0

    def at(self, training: Training) -> int:
        return training.tokens * (self.token + self.square * training.length) + self.fixed


@dataclass(frozen=True)
class Tapes:
    """What the first layer, another one and the ends keep, and the moments of each on the way back."""

    first: Line
    layer: Line
    embedding: Line
    head: Line
    shares: bool  # whether a layer keeps its own input
    back: tuple[Line, ...]
    first_back: tuple[Line, ...]
    head_back: tuple[Line, ...]


class StepMoments:
    """The moments of a training step of one model, adapter and way of training, at any batch and length."""

    def __init__(
        self, shape: ModelShape, sizes: Sizes, adapter: Adapter | None, training: Training, static: Memory
    ) -> None:
        self.shape, self.sizes, self.static, self.full = shape, sizes, static, adapter is None
        rows = () if adapter is None else shape.rows(adapter)
        ranks = None if adapter is None else tuple((row.part.path, row.rank) for row in rows if row.rank)
        plain = Training(
            checkpointing=training.checkpointing, attention=training.attention,
            computing=training.computing, dropout=training.dropout,
            precision="nf4" if training.quantised else "bf16", prepared=training.prepared,
        )  # fmt: skip
        self.tapes = _tapes(shape, sizes, plain, ranks)
        self.head_gradients, self.layer_gradients = _gradients(shape, adapter, training)

    def at(self, training: Training) -> tuple[int, dict[str, int]]:
        """Bytes that are kept for the way back, and bytes beside weights and optimizer at each moment."""
        tapes, sizes, tokens = self.tapes, self.sizes, training.tokens
        pictures = training.batch * picture_bytes(self.shape)
        pictures += pictures // 2 if self.full else 0  # in 16 bits, for the first weights' gradient
        start = tapes.embedding.at(training) + pictures
        inner, above, below = self._layers(training)
        kept = start + inner + tapes.head.at(training)
        above_gradients = self.layer_gradients * (sizes.layers - 1) // sizes.layers
        table = 2 * sizes.outputs * sizes.d if self.full else 0
        loss = loss_bytes(self.shape, sizes, training) + (table if training.loss == "chunked" else 0)
        gradients, fed = self.static.gradients, self.full or training.checkpointing
        return kept, {
            "the loss": kept + loss,
            "the output layer": start + inner + _most(tapes.head_back, training),
            "the last layer on the way back": start + above + self.head_gradients
            + _most(tapes.back, training),
            "the first layer on the way back": start + below + self.head_gradients + above_gradients
            + _most(tapes.first_back, training),
            "the end of the way back": pictures + gradients
            + max(2 * sizes.d * tokens * fed, 2 * table * sizes.tied),
            "the optimizer's step": gradients + step_copy(self.static, training.optimizer),
        }  # fmt: skip

    def _layers(self, training: Training) -> tuple[int, int, int]:
        """What all layers keep, those below the last one, and those below the first."""
        layers, tapes = self.sizes.layers, self.tapes
        if not training.checkpointing:
            below = tapes.first.at(training) + (layers - 2) * tapes.layer.at(training)
            return below + tapes.layer.at(training), below, 0
        stream = training.stream * self.sizes.d * training.tokens
        own = 0 if tapes.shares else stream  # else a layer's input is among what it keeps
        return layers * stream, (layers - 1) * stream + own, own


def _most(lines: Iterable[Line], training: Training) -> int:
    return max((line.at(training) for line in lines), default=0)


def _gradients(shape: ModelShape, adapter: Adapter | None, training: Training) -> tuple[int, int]:
    """Bytes of gradients of what stands behind the layers, and of all layers."""
    if adapter is None:
        sizes = [(part, 2 * (part.weight if part.output else part.own)) for part in shape.parts]
    else:
        number, base = 2 if training.computing == "bf16" else 4, BYTES.get(training.precision, 2)
        sizes = [
            (row.part, number * (row.lora + row.magnitudes) + base * (row.saved + row.biases))
            for row in shape.rows(adapter)
        ]
    head = layers = 0
    for part, size in sizes:
        if "*" in part.path:
            layers += size
        elif part.family is not Family.EMBEDDING and "embed" not in part.path:
            head += size
    return head, layers


@lru_cache(maxsize=256)
def _tapes(
    shape: ModelShape, sizes: Sizes, training: Training, ranks: tuple[tuple[str, int], ...] | None
) -> Tapes:
    """The tapes of a model at two lengths, as lines over the length."""
    one, two = (
        _lengths(shape, sizes, replace(training, length=length), None if ranks is None else dict(ranks))
        for length in (1, 2)
    )
    lines = [
        tuple(_line(before, after) for before, after in zip(*pair, strict=True))
        for pair in zip(one, two, strict=True)
    ]
    (first, layer, embedding, head, shares), *ways = lines
    back, first_back, head_back = (_largest(way) for way in ways)
    return Tapes(first, layer, embedding, head, bool(shares.fixed), back, first_back, head_back)


def _lengths(
    shape: ModelShape, sizes: Sizes, training: Training, ranks: Mapping[str, int] | None
) -> list[list[Moment]]:
    kind, full = LAYERS[shape.model_type], ranks is None
    fed = full or training.checkpointing
    layer, first = (LayerTape(kind, sizes, training, ranks, fed=each) for each in (True, fed))
    head = HeadTape(shape, sizes, training, ranks)
    embedding = EmbeddingTape(kind, sizes, training, ranks, fed=fed).kept
    if kind.mixed and fed and not full:  # embeddings are made to need gradients for checkpoints' sake
        embedding += 2 * sizes.d
    # The model's own function holds the embeddings that it began with, and a picture in 16 bits.
    held = 2 * sizes.d + (picture_bytes(shape) // 2 // positions(shape) if kind.pictures else 0)
    shares = any("x" in step.saves for step in layer.steps)
    return [
        [*(Moment(size, 0) for size in (first.kept, layer.kept, embedding, head.kept)), Moment(0, shares)],
        *(tape.back() + _there(tape, training, held) for tape in (layer, first)),
        head.back(),
    ]


def _there(tape: Tape, training: Training, held: int) -> list[Moment]:
    """The way through a layer: once more with checkpointing, as the first saved tensor is asked for."""
    more = tape.waiting() if training.checkpointing else held
    return [Moment(most + more, 0) for most in tape.there(training.checkpointing)]


def _line(one: Moment, two: Moment) -> Line:
    square = two.token - one.token
    return Line(one.token - square, square, one.fixed)


def _largest(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Those lines that are not below another one at every length."""
    found: list[Line] = []
    for line in sorted(set(lines), key=lambda one: (-one.token, -one.square, -one.fixed)):
        if not any(one.square >= line.square and one.fixed >= line.fixed for one in found):
            found.append(line)
    return tuple(found)
