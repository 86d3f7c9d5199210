"""What decoders from before Llama have in common, each piece under whatever names a family gives it.

A layer is attention, with queries, keys and values fused or apart, a plain MLP, and norms with biases.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lora_core.models.config import HIDDEN_WIDTH, LAYERS, POSITIONS, VOCABULARY, WIDTH, Fields
from lora_core.models.families.heads import Head, decoder_head, top
from lora_core.models.parts import Family, Part, embedding, linear, norm


@dataclass(frozen=True)
class Body:
    """What every one of these reads first: widths, and the paths of the whole and of its layers."""

    hidden: int
    layers: int
    vocabulary: int
    heads: int
    root: str
    layer: str


def read_body(
    fields: Fields, head: Head, root: str = "transformer.", layers: str = "h", *, bare: str = ""
) -> Body:
    """Widths under any of the names these families give them; `bare` is the root without a head."""
    hidden = fields.integer(("hidden_size", "n_embd", "n_embed"), WIDTH)
    root = bare if head is Head.NONE else root
    return Body(
        hidden,
        fields.integer(("num_hidden_layers", "n_layer", "num_layers"), LAYERS),
        fields.integer("vocab_size", VOCABULARY),
        fields.divided(hidden, ("num_attention_heads", "n_head", "num_heads")),
        root,
        f"{root}{layers}.*.",
    )


def inner_width(fields: Fields, body: Body) -> int:
    """Width of the MLP where `n_inner` gives it, four times the hidden size otherwise."""
    return fields.integer("n_inner", HIDDEN_WIDTH, 4 * body.hidden)


def tables(fields: Fields, body: Body) -> list[Part]:
    """GPT-2's embeddings of words and positions."""
    positions = fields.integer(("n_positions", "max_position_embeddings", "n_ctx"), POSITIONS, 1024)
    sizes = {"wte": body.vocabulary, "wpe": positions}
    return [embedding(body.root + name, rows, body.hidden) for name, rows in sizes.items()]


def neox_names(attention: str) -> tuple[str, ...]:
    """The four matrices of a layer as GPT-NeoX, BLOOM and Falcon call them."""
    own = (f"{attention}.query_key_value", f"{attention}.dense")
    return (*own, "mlp.dense_h_to_4h", "mlp.dense_4h_to_h")


def fused(
    body: Body, names: tuple[str, ...], outputs: int, inner: int, bias: bool = True, mlp_bias: bool = True
) -> Iterator[Part]:
    """A layer with queries, keys and values in one matrix of so many outputs."""
    qkv, out, up, down = names
    yield linear(body.layer + qkv, body.hidden, outputs, body.layers, Family.ATTENTION, bias=bias, role="qkv")
    yield linear(body.layer + out, body.hidden, body.hidden, body.layers, Family.ATTENTION, bias=bias)
    yield from plain_mlp(body, up, down, inner, mlp_bias)


def apart(body: Body, where: str, *, bias: bool, out_bias: bool = False) -> Iterator[Part]:
    """Square matrices for keys, values, queries and the output."""
    for name, role in (("k_proj", "k"), ("v_proj", "v"), ("q_proj", "q"), ("out_proj", "")):
        path, biased = body.layer + where + name, bias if role else out_bias
        yield linear(path, body.hidden, body.hidden, body.layers, Family.ATTENTION, bias=biased, role=role)


def plain_mlp(body: Body, up: str, down: str, inner: int, bias: bool = True) -> Iterator[Part]:
    """Two matrices, without a gate."""
    yield linear(body.layer + up, body.hidden, inner, body.layers, Family.MLP, bias=bias)
    yield linear(body.layer + down, inner, body.hidden, body.layers, Family.MLP, bias=bias)


def norms_of(body: Body, *names: str, last: str) -> list[Part]:
    """The norms of every layer, and the last one of all, if there is one."""
    parts = [norm(body.layer + name, body.hidden, body.layers, bias=True) for name in names]
    return [*parts, norm(body.root + last, body.hidden, bias=True)] if last else parts


def head_of(fields: Fields, head: Head, body: Body, tied: bool = True, lm_bias: bool = False) -> list[Part]:
    """The head; `tied` is what the class does where the config does not say."""
    if head is Head.LM:
        tied = fields.flag("tie_word_embeddings", tied)
        return decoder_head(fields, head, body.hidden, body.vocabulary, tied=tied, bias=lm_bias)
    return top(fields, head, body.hidden, sequence="score", tokens="classifier", sequence_bias=False)
