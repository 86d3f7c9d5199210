"""T5: an encoder, and a decoder that also looks back at it, with no biases and one shared embedding.

The relative positions of each side are a small table in its first layer (Raffel et al. 2020, arXiv
1910.10683). Version 1.1, which Flan-T5 and mT5 follow, has a gated MLP and a head of its own (Shazeer 2020,
arXiv 2002.05202). All three kinds of attention share the names `q`, `k`, `v` and `o`.
"""

from dataclasses import replace

from lora_core.models.config import HEADS, HIDDEN_WIDTH, LAYERS, POSITIONS, VOCABULARY, WIDTH, Fields
from lora_core.models.families.heads import Head
from lora_core.models.parts import Family, Part, embedding, linear, norm

A, M, H = Family.ATTENTION, Family.MLP, Family.HEAD


def mt5(fields: Fields, head: Head) -> list[Part]:
    """mT5: T5 with a gated MLP unless the config says otherwise."""
    return t5(fields, head, activation="gated-gelu")


def t5(fields: Fields, head: Head, activation: str = "relu") -> list[Part]:
    """T5 and its gated version 1.1 (Flan-T5); the encoder alone for `T5EncoderModel`."""
    hidden = fields.integer(("d_model", "hidden_size"), WIDTH)
    inner = fields.integer("d_ff", HIDDEN_WIDTH)
    heads = fields.integer(("num_heads", "num_attention_heads"), HEADS)
    queries = heads * fields.integer("d_kv", WIDTH)
    layers = fields.integer(("num_layers", "num_hidden_layers"), LAYERS)
    deep = fields.integer("num_decoder_layers", LAYERS, layers)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    gated = fields.text("feed_forward_proj", activation).startswith("gated-")
    ups = ("wi_0", "wi_1") if gated else ("wi",)
    buckets = fields.integer("relative_attention_num_buckets", POSITIONS, 32)
    parts = [embedding("shared", vocabulary, hidden)]
    sides = [("encoder", layers, ("Self",)), ("decoder", deep, ("Self", "EncDec"))]
    for side, depth, blocks in sides[: 1 if _encoder_only(fields, head) else 2]:
        for place, name in enumerate(blocks):
            where = f"{side}.block.*.layer.{place}."
            parts += _t5_attention(f"{where}{name}Attention.", hidden, queries, depth)
            parts.append(norm(f"{where}layer_norm", hidden, depth))
        where = f"{side}.block.*.layer.{len(blocks)}."
        parts += [linear(f"{where}DenseReluDense.{up}", hidden, inner, depth, M, bias=False) for up in ups]
        parts.append(linear(f"{where}DenseReluDense.wo", inner, hidden, depth, M, bias=False))
        parts.append(norm(f"{where}layer_norm", hidden, depth))
        first = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias"
        parts.append(embedding(first, buckets, heads))
        parts.append(norm(f"{side}.final_layer_norm", hidden))
    if head is Head.LM:
        tied = fields.flag("tie_word_embeddings", True)
        parts.append(replace(linear("lm_head", hidden, vocabulary, 1, H, bias=False), tied=tied))
    return parts


def _t5_attention(where: str, hidden: int, queries: int, depth: int) -> list[Part]:
    sides = [(role, hidden, queries, role) for role in "qkv"] + [("o", queries, hidden, "")]
    return [
        linear(where + name, rows, columns, depth, A, bias=False, role=role)
        for name, rows, columns, role in sides
    ]


def _encoder_only(fields: Fields, head: Head) -> bool:
    classes = fields.get("architectures")
    named = isinstance(classes, list) and len(classes) == 1 and str(classes[0]).endswith("EncoderModel")
    return head is Head.NONE and named
