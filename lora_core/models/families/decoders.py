"""Decoders built like Llama: their matrices, from the fields of a config and the recipe of the family.

Every layer is norms, attention with `heads * head_dim` queries and `kv_heads * head_dim` keys and values
(grouped-query attention: Ainslie et al. 2023, arXiv 2305.13245), and an MLP, gated or plain. In what a family
differs is its recipe (`lora_core.models.families.recipes`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lora_core.models.config import HEADS, HIDDEN_WIDTH, LAYERS, VOCABULARY, WIDTH, Fields
from lora_core.models.families.heads import Head, decoder_head
from lora_core.models.families.recipes import RECIPES, Bias, Recipe
from lora_core.models.parts import Family, Part, embedding, linear, norm


@dataclass(frozen=True)
class Attention:
    """Widths of one layer's attention, in entries."""

    hidden: int
    queries: int
    keys: int
    head_dim: int


def read_attention(fields: Fields, head_dim: int | None, reads_head_dim: bool = True) -> Attention:
    """Widths from `hidden_size`, `num_attention_heads`, `num_key_value_heads` and `head_dim`.

    Raises ValueError where the heads do not divide the hidden size (and no `head_dim` is given), or the
    key-value heads do not divide the heads.
    """
    hidden = fields.integer("hidden_size", WIDTH)
    heads = fields.integer("num_attention_heads", HEADS)
    kv_heads = fields.integer("num_key_value_heads", HEADS, heads)
    if heads % kv_heads:
        raise ValueError(f"num_key_value_heads: {kv_heads}, expected a divisor of the {heads} heads")
    known = fields.integer("head_dim", WIDTH, head_dim or 0) if reads_head_dim else 0
    if not known and hidden % heads:
        raise ValueError(f"num_attention_heads: {heads}, expected a divisor of the hidden size {hidden}")
    size = known or hidden // heads
    return Attention(hidden, heads * size, kv_heads * size, size)


def decoder(model_type: str, fields: Fields, head: Head) -> list[Part]:
    """All parts of a decoder of `model_type`, with the head asked for."""
    recipe = RECIPES[model_type]
    if recipe.refuses:
        fields.refuse(recipe.refuses, "these norms are")
    shape = read_attention(fields, recipe.head_dim, recipe.reads_head_dim)
    layers = fields.integer("num_hidden_layers", LAYERS)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    tied = fields.flag("tie_word_embeddings", recipe.tied)
    root = "" if head is Head.NONE else "model."
    layer = f"{root}layers.*."
    return [
        embedding(f"{root}embed_tokens", vocabulary, shape.hidden),
        *_attention(recipe, fields, shape, layer, layers),
        *_mlp(recipe, fields, shape.hidden, layer, layers),
        *_norms(recipe, fields, shape, root, layers),
        *decoder_head(fields, head, shape.hidden, vocabulary, tied=tied, bias=recipe.head_bias),
    ]


def _flag(recipe: Recipe, fields: Fields, bias: Bias) -> bool:
    if isinstance(bias, bool):
        return bias
    return fields.flag(bias, bias in recipe.set_by_default)


def _attention(recipe: Recipe, fields: Fields, shape: Attention, layer: str, layers: int) -> Iterator[Part]:
    bias = _flag(recipe, fields, recipe.qkv_bias)
    where = f"{layer}self_attn."
    if recipe.fused_qkv:
        outputs = {"qkv": ("qkv_proj", shape.queries + 2 * shape.keys)}
    else:
        outputs = {
            "q": ("q_proj", shape.queries),
            "k": ("k_proj", shape.keys),
            "v": ("v_proj", shape.keys),
        }
    for role, (name, size) in outputs.items():
        yield linear(where + name, shape.hidden, size, layers, Family.ATTENTION, bias=bias, role=role)
    out_bias = _flag(recipe, fields, recipe.out_bias)
    yield linear(where + recipe.out, shape.queries, shape.hidden, layers, Family.ATTENTION, bias=out_bias)


def _mlp(recipe: Recipe, fields: Fields, hidden: int, layer: str, layers: int) -> Iterator[Part]:
    inner = fields.integer("intermediate_size", HIDDEN_WIDTH)
    bias = _flag(recipe, fields, recipe.mlp_bias)
    for name in recipe.up:
        size = 2 * inner if "gate_up" in name else inner
        yield linear(f"{layer}mlp.{name}", hidden, size, layers, Family.MLP, bias=bias)
    yield linear(f"{layer}mlp.{recipe.down}", inner, hidden, layers, Family.MLP, bias=bias)


def _norms(recipe: Recipe, fields: Fields, shape: Attention, root: str, layers: int) -> Iterator[Part]:
    names = recipe.norms
    if recipe.parallel_flag and fields.flag(recipe.parallel_flag, False):
        names = names[:1]
    for name in names:
        yield norm(f"{root}layers.*.{name}", shape.hidden, layers, bias=recipe.norm_bias)
    if recipe.query_norm and (not recipe.query_norm_flag or fields.flag(recipe.query_norm_flag, False)):
        whole = recipe.query_norm == "all"
        for name, size in zip(recipe.query_norm_names, (shape.queries, shape.keys), strict=True):
            yield norm(f"{root}layers.*.self_attn.{name}", size if whole else shape.head_dim, layers)
    if recipe.final:
        yield norm(root + recipe.final, shape.hidden, bias=recipe.norm_bias)
