"""Decoders built like Llama: one recipe a family, read off the classes of transformers 5.23.

Every layer is norms, attention with `heads * head_dim` queries and `kv_heads * head_dim` keys and values
(grouped-query attention: Ainslie et al. 2023, arXiv 2305.13245), and an MLP, gated or plain. Families differ
in biases, in the number of norms, in what is fused into one matrix, and in defaults: these are the recipe.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lora_core.models.config import HEADS, HIDDEN_WIDTH, LAYERS, VOCABULARY, WIDTH, Fields
from lora_core.models.heads import Head, decoder_head
from lora_core.models.parts import Family, Part, embedding, linear, norm

Bias = bool | str  # always, never, or as the field of this name says
TWO_NORMS = ("input_layernorm", "post_attention_layernorm")
FOUR_NORMS = (*TWO_NORMS, "pre_feedforward_layernorm", "post_feedforward_layernorm")
AFTER = ("post_attention_layernorm", "post_feedforward_layernorm")
GLM4_NORMS = (*TWO_NORMS, "post_self_attn_layernorm", "post_mlp_layernorm")


@dataclass(frozen=True)
class Recipe:
    """What sets a family apart from Llama; the defaults are Llama's."""

    qkv_bias: Bias = False
    out_bias: Bias = False
    mlp_bias: Bias = False
    set_by_default: tuple[str, ...] = ()  # flags that are true when the config does not have them
    head_dim: int | None = None  # the class's default; None is hidden_size / num_attention_heads
    reads_head_dim: bool = True
    fused_qkv: bool = False
    out: str = "o_proj"
    up: tuple[str, ...] = ("gate_proj", "up_proj")  # a name with "gate_up" holds both halves
    down: str = "down_proj"
    norms: tuple[str, ...] = TWO_NORMS
    final: str = "norm"
    norm_bias: bool = False
    query_norm: str = ""  # "head": one weight per head entry; "all": one per query or key
    query_norm_flag: str = ""  # the field that turns it on, if it is a choice
    refuses: str = ""  # a flag this table cannot count
    parallel_flag: str = ""  # a field that, when true, leaves only the first norm
    head_bias: bool = False
    tied: bool = False
    defaults: tuple[tuple[str, int], ...] = ()  # of the class, for configs that leave them out


LLAMA = Recipe(qkv_bias="attention_bias", out_bias="attention_bias")
RECIPES: dict[str, Recipe] = {
    "llama": replace(LLAMA, mlp_bias="mlp_bias"),
    "mistral": Recipe(),
    "ministral": Recipe(),
    "ministral3": Recipe(head_dim=128),
    "qwen2": Recipe(qkv_bias=True),
    "qwen3": replace(LLAMA, head_dim=128, query_norm="head"),
    "gemma": replace(LLAMA, head_dim=256, tied=True),
    "gemma2": replace(LLAMA, head_dim=256, norms=FOUR_NORMS, tied=True),
    "gemma3_text": replace(
        LLAMA,
        head_dim=256,
        norms=FOUR_NORMS,
        query_norm="head",
        tied=True,
        # The text_config inside Gemma 3's larger models says only what differs from its class.
        defaults=(("num_attention_heads", 8), ("num_key_value_heads", 4), ("vocab_size", 262_208)),
    ),
    "phi": Recipe(
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        out="dense",
        up=("fc1",),
        down="fc2",
        norms=("input_layernorm",),
        final="final_layernorm",
        norm_bias=True,
        refuses="qk_layernorm",
        head_bias=True,
    ),
    "phi3": Recipe(fused_qkv=True, up=("gate_up_proj",)),
    "granite": replace(LLAMA, mlp_bias="mlp_bias"),
    "olmo": replace(LLAMA, norms=(), final=""),
    "olmo2": replace(LLAMA, norms=AFTER, query_norm="all"),
    "olmo3": replace(LLAMA, norms=AFTER, query_norm="all"),
    "smollm3": replace(LLAMA, mlp_bias="mlp_bias", tied=True),
    "glm": Recipe(
        qkv_bias="attention_bias", set_by_default=("attention_bias",), head_dim=128, up=("gate_up_proj",)
    ),
    "glm4": Recipe(
        qkv_bias="attention_bias",
        set_by_default=("attention_bias",),
        head_dim=128,
        up=("gate_up_proj",),
        norms=GLM4_NORMS,
    ),
    "seed_oss": Recipe(
        qkv_bias="attention_bias",
        out_bias="attention_out_bias",
        mlp_bias="mlp_bias",
        set_by_default=("attention_bias",),
        head_dim=128,
    ),
    "exaone4": Recipe(norms=AFTER, query_norm="head"),
    "cohere": replace(
        LLAMA, norms=("input_layernorm",), query_norm="all", query_norm_flag="use_qk_norm", tied=True
    ),
    "cohere2": replace(LLAMA, norms=("input_layernorm",), tied=True),
    "ernie4_5": Recipe(
        qkv_bias="use_bias", out_bias="use_bias", mlp_bias="use_bias", head_dim=128, tied=True
    ),
    "arcee": replace(LLAMA, mlp_bias="mlp_bias", up=("up_proj",)),
    "nemotron": replace(LLAMA, mlp_bias="mlp_bias", up=("up_proj",), norm_bias=True),
    "stablelm": Recipe(
        qkv_bias="use_qkv_bias",
        norm_bias=True,
        reads_head_dim=False,
        refuses="qk_layernorm",
        parallel_flag="use_parallel_residual",
    ),
    "starcoder2": Recipe(
        qkv_bias="use_bias",
        out_bias="use_bias",
        mlp_bias="use_bias",
        set_by_default=("use_bias",),
        up=("c_fc",),
        down="c_proj",
        norm_bias=True,
        tied=True,
    ),
}


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
    fields = fields.over(dict(recipe.defaults))
    if recipe.refuses and fields.flag(recipe.refuses, False):
        raise ValueError(f"{recipe.refuses}: true, expected false: these norms are not counted here")
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
        yield norm(f"{root}layers.*.self_attn.q_norm", shape.queries if whole else shape.head_dim, layers)
        yield norm(f"{root}layers.*.self_attn.k_norm", shape.keys if whole else shape.head_dim, layers)
    if recipe.final:
        yield norm(root + recipe.final, shape.hidden, bias=recipe.norm_bias)
