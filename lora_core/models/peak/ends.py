"""What stands before the layers and behind them, as steps: embeddings, the last norm, the head; and the loss.

`lm` heads upcast logits to fp32 in causal models (transformers 5.23, loss/loss_utils.py) and do not in masked
ones; heads of classifiers are small, and see one token of a sequence in encoders.
"""

from collections.abc import Mapping

from lora_core.models.parts import Family
from lora_core.models.peak.kinds import LAYERS, Layer, Linear, Sizes
from lora_core.models.peak.layer import LayerTape
from lora_core.models.peak.training import CHUNK, Training
from lora_core.models.shape import ModelShape

HEADS = ("lm", "classification", "token-classification", "question-answering")
"""Heads whose loss is known."""


class EmbeddingTape(LayerTape):
    """Embeddings: of encoders with a norm, and dropout where the type has it."""

    def build(self) -> None:
        made = self.norm("x", "normed") if self.layer.order == "post" else "x"
        self.dropout(made, "dropped")


class HeadTape(LayerTape):
    """The last norm and the head, up to the logits; `logits` is their bytes a token."""

    def __init__(
        self, shape: ModelShape, sizes: Sizes, training: Training, ranks: Mapping[str, int] | None
    ) -> None:
        self.shape = shape
        super().__init__(LAYERS[shape.model_type], sizes, training, ranks, fed=True)

    def build(self) -> None:
        x = self.norm("x", "normed") if self.layer.order != "post" else "x"
        parts = [part for part in self.shape.parts if part.linear and "*" not in part.path]
        out = [part for part in parts if part.family is Family.HEAD][-1]
        self.matrices = {
            "out" if part is out else "dense": Linear(part.path, part.in_features, part.out_features)
            for part in parts
        }
        head = self.shape.head
        if head == "classification" and (self.layer.order == "post" or self.layer.pictures):
            return  # it sees one token of a sequence
        if head == "lm" and "dense" in self.matrices:
            self.linear("dense", x, "dense")
            self.add({"act": 2 * self.s.d}, ["dense"], self.saved("dense"))
            x = self.norm("act", "act.normed")
        elif head == "token-classification":
            x = self.dropout(x, "dropped")
        self.linear("out", x, "logits")


def loss_bytes(shape: ModelShape, sizes: Sizes, training: Training) -> int:
    """Bytes of all tokens at the loss, beside what is kept for the way back."""
    layer, tokens, d = LAYERS[shape.model_type], training.tokens, sizes.d
    if shape.head != "lm":
        return 0 if shape.head == "classification" else 6 * sizes.outputs * tokens
    if layer.order == "post":
        # Log-probabilities and two gradients of them, in the precision of the head.
        return 3 * training.stream * sizes.outputs * tokens
    number = 12 + 2 * layer.logits_cap  # two fp32 gradients of the log-probabilities beside them
    if training.loss == "4.46":
        return 14 * sizes.outputs * tokens + 2 * d * tokens
    if training.loss == "chunked":
        return number * sizes.outputs * min(tokens, CHUNK) + 2 * d * tokens
    return number * sizes.outputs * tokens


def chunks(shape: ModelShape) -> bool:
    """Whether a loss in chunks is known of this model: that of a causal one."""
    layer = LAYERS.get(shape.model_type)
    return shape.head == "lm" and layer is not None and layer.order != "post"


def picture_bytes(shape: ModelShape) -> int:
    """Bytes of the numbers of one picture in fp32, as a batch brings it; 0 for a model that reads text."""
    patches = next((part for part in shape.parts if part.kind == "convolution"), None)
    if patches is None or not LAYERS[shape.model_type].pictures:
        return 0
    return 4 * patches.in_features * patches.kernel * (positions(shape) - 1)


def positions(shape: ModelShape) -> int:
    """The longest sequence that a table of positions allows, 0 for a model without one."""
    layer: Layer = LAYERS[shape.model_type]
    for part in shape.parts:
        if part.path.endswith(("position_embeddings", "wpe", "embed_positions")):
            rows = part.in_features if part.kind == "embedding" else part.own // dict(shape.facts)["hidden"]
            return rows - layer.offset
    return 0
