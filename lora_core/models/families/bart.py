"""BART: an encoder and a decoder that also looks back at it, with biases and learned positions.

Each side has a norm behind its embedding and two spare rows in its table of positions (Lewis et al. 2019,
arXiv 1910.13461). Words are one table for both sides and the output. Read off transformers 5.23.
"""

from collections.abc import Iterator
from dataclasses import replace

from lora_core.models.config import HIDDEN_WIDTH, LAYERS, POSITIONS, VOCABULARY, WIDTH, Fields
from lora_core.models.families.heads import Head
from lora_core.models.parts import Family, Part, embedding, linear, norm

ROLES = {"k_proj": "k", "v_proj": "v", "q_proj": "q", "out_proj": ""}


def bart(fields: Fields, head: Head) -> list[Part]:
    """BART; both sides may differ in depth and in the width of their MLP."""
    root = "" if head is Head.NONE else "model."
    hidden = fields.integer(("d_model", "hidden_size"), WIDTH)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    parts = [embedding(f"{root}shared", vocabulary, hidden)]
    for side, blocks in (("encoder", ("self_attn",)), ("decoder", ("self_attn", "encoder_attn"))):
        parts += _side(fields, f"{root}{side}.", side, blocks, hidden)
    if head is Head.LM:
        tied = fields.flag("tie_word_embeddings", True)
        parts.append(replace(linear("lm_head", hidden, vocabulary, 1, Family.HEAD, bias=False), tied=tied))
    return parts


def _side(fields: Fields, root: str, side: str, blocks: tuple[str, ...], hidden: int) -> Iterator[Part]:
    layers, inner = (
        fields.integer(f"{side}_layers", LAYERS),
        fields.integer(f"{side}_ffn_dim", HIDDEN_WIDTH),
    )
    fields.divided(hidden, f"{side}_attention_heads")
    yield embedding(
        f"{root}embed_positions", fields.integer("max_position_embeddings", POSITIONS) + 2, hidden
    )
    yield norm(f"{root}layernorm_embedding", hidden, bias=True)
    layer = f"{root}layers.*."
    for block in blocks:
        for name, role in ROLES.items():
            path = f"{layer}{block}.{name}"
            yield linear(path, hidden, hidden, layers, Family.ATTENTION, bias=True, role=role)
        yield norm(f"{layer}{block}_layer_norm", hidden, layers, bias=True)
    yield linear(f"{layer}fc1", hidden, inner, layers, Family.MLP, bias=True)
    yield linear(f"{layer}fc2", inner, hidden, layers, Family.MLP, bias=True)
    yield norm(f"{layer}final_layer_norm", hidden, layers, bias=True)
