"""Decoders from before Llama, with names of their own: GPT-2, GPT-J, GPT-NeoX, OPT, BLOOM, Falcon.

Most keep queries, keys and values in one matrix (`c_attn`, `query_key_value`). An adapter of rank r on it
trains r * (d + 3 d) = 4 r d numbers, as many as rank r on square q and v matrices apart: 2 * r * (d + d).
GPT-3 has GPT-2's layers (Brown et al. 2020, section 2.1). Read off the classes of transformers 5.23.
"""

from lora_core.models.config import HEADS, HIDDEN_WIDTH, LAYERS, POSITIONS, VOCABULARY, WIDTH, Fields
from lora_core.models.heads import Head, decoder_head, top
from lora_core.models.parts import Family, Kind, Part, embedding, linear, norm

A, M = Family.ATTENTION, Family.MLP


def gpt2(fields: Fields, head: Head) -> list[Part]:
    """GPT-2 and GPT-3: learned positions, biases, `Conv1D` layers."""
    hidden = fields.integer(("n_embd", "hidden_size"), WIDTH)
    layers = fields.integer(("n_layer", "num_hidden_layers"), LAYERS)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    positions = fields.integer(("n_positions", "max_position_embeddings", "n_ctx"), POSITIONS, 1024)
    inner = fields.integer("n_inner", HIDDEN_WIDTH, 4 * hidden)
    _divides(hidden, fields.integer(("n_head", "num_attention_heads"), HEADS))
    if fields.flag("add_cross_attention", False):
        raise ValueError("add_cross_attention: true, expected false: cross-attention is not counted here")
    root = "" if head is Head.NONE else "transformer."
    layer = f"{root}h.*."
    tied = fields.flag("tie_word_embeddings", True)
    return [
        embedding(f"{root}wte", vocabulary, hidden),
        embedding(f"{root}wpe", positions, hidden),
        _conv1d(f"{layer}attn.c_attn", hidden, 3 * hidden, layers, A, "qkv"),
        _conv1d(f"{layer}attn.c_proj", hidden, hidden, layers, A),
        _conv1d(f"{layer}mlp.c_fc", hidden, inner, layers, M),
        _conv1d(f"{layer}mlp.c_proj", inner, hidden, layers, M),
        norm(f"{layer}ln_1", hidden, layers, bias=True),
        norm(f"{layer}ln_2", hidden, layers, bias=True),
        norm(f"{root}ln_f", hidden, bias=True),
        *_head(fields, head, hidden, vocabulary, tied),
    ]


def gptj(fields: Fields, head: Head) -> list[Part]:
    """GPT-J: attention and MLP side by side behind one norm."""
    hidden = fields.integer(("n_embd", "hidden_size"), WIDTH)
    layers = fields.integer(("n_layer", "num_hidden_layers"), LAYERS)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    inner = fields.integer("n_inner", HIDDEN_WIDTH, 4 * hidden)
    _divides(hidden, fields.integer(("n_head", "num_attention_heads"), HEADS))
    root = "" if head is Head.NONE else "transformer."
    layer = f"{root}h.*."
    tied = fields.flag("tie_word_embeddings", False)
    roles = {"k_proj": "k", "v_proj": "v", "q_proj": "q", "out_proj": ""}
    return [
        embedding(f"{root}wte", vocabulary, hidden),
        *(
            linear(f"{layer}attn.{name}", hidden, hidden, layers, A, bias=False, role=role)
            for name, role in roles.items()
        ),
        linear(f"{layer}mlp.fc_in", hidden, inner, layers, M, bias=True),
        linear(f"{layer}mlp.fc_out", inner, hidden, layers, M, bias=True),
        norm(f"{layer}ln_1", hidden, layers, bias=True),
        norm(f"{root}ln_f", hidden, bias=True),
        *_head(fields, head, hidden, vocabulary, tied, lm_bias=True),
    ]


def gpt_neox(fields: Fields, head: Head) -> list[Part]:
    """GPT-NeoX and Pythia."""
    hidden = fields.integer("hidden_size", WIDTH)
    layers = fields.integer("num_hidden_layers", LAYERS)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    inner = fields.integer("intermediate_size", HIDDEN_WIDTH)
    _divides(hidden, fields.integer("num_attention_heads", HEADS))
    bias = fields.flag("attention_bias", True)
    tied = fields.flag("tie_word_embeddings", False)
    root = "" if head is Head.NONE else "gpt_neox."
    layer = f"{root}layers.*."
    return [
        embedding(f"{root}embed_in", vocabulary, hidden),
        linear(f"{layer}attention.query_key_value", hidden, 3 * hidden, layers, A, bias=bias, role="qkv"),
        linear(f"{layer}attention.dense", hidden, hidden, layers, A, bias=bias),
        linear(f"{layer}mlp.dense_h_to_4h", hidden, inner, layers, M, bias=True),
        linear(f"{layer}mlp.dense_4h_to_h", inner, hidden, layers, M, bias=True),
        norm(f"{layer}input_layernorm", hidden, layers, bias=True),
        norm(f"{layer}post_attention_layernorm", hidden, layers, bias=True),
        norm(f"{root}final_layer_norm", hidden, bias=True),
        *_head(fields, head, hidden, vocabulary, tied),
    ]


def bloom(fields: Fields, head: Head) -> list[Part]:
    """BLOOM: ALiBi instead of positions, a norm behind the embedding."""
    hidden = fields.integer(("hidden_size", "n_embed"), WIDTH)
    layers = fields.integer(("n_layer", "num_hidden_layers"), LAYERS)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    _divides(hidden, fields.integer(("n_head", "num_attention_heads"), HEADS))
    root = "" if head is Head.NONE else "transformer."
    layer = f"{root}h.*."
    tied = fields.flag("tie_word_embeddings", True)
    return [
        embedding(f"{root}word_embeddings", vocabulary, hidden),
        norm(f"{root}word_embeddings_layernorm", hidden, bias=True),
        linear(
            f"{layer}self_attention.query_key_value", hidden, 3 * hidden, layers, A, bias=True, role="qkv"
        ),
        linear(f"{layer}self_attention.dense", hidden, hidden, layers, A, bias=True),
        linear(f"{layer}mlp.dense_h_to_4h", hidden, 4 * hidden, layers, M, bias=True),
        linear(f"{layer}mlp.dense_4h_to_h", 4 * hidden, hidden, layers, M, bias=True),
        norm(f"{layer}input_layernorm", hidden, layers, bias=True),
        norm(f"{layer}post_attention_layernorm", hidden, layers, bias=True),
        norm(f"{root}ln_f", hidden, bias=True),
        *_head(fields, head, hidden, vocabulary, tied),
    ]


def falcon(fields: Fields, head: Head) -> list[Part]:
    """Falcon: 7B with one shared key-value head, 40B and 180B with groups of them."""
    hidden = fields.integer("hidden_size", WIDTH)
    layers = fields.integer("num_hidden_layers", LAYERS)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    heads = fields.integer("num_attention_heads", HEADS)
    _divides(hidden, heads)
    size = hidden // heads
    inner = fields.integer("ffn_hidden_size", HIDDEN_WIDTH, 4 * hidden)
    new = fields.flag("new_decoder_architecture", False)
    multi_query = fields.flag("multi_query", True)
    if new:
        outputs = hidden + 2 * fields.integer("num_kv_heads", HEADS, heads) * size
    else:
        outputs = hidden + 2 * size if multi_query else 3 * hidden
    bias = fields.flag("bias", False)
    tied = fields.flag("tie_word_embeddings", True)
    root = "" if head is Head.NONE else "transformer."
    layer = f"{root}h.*."
    return [
        embedding(f"{root}word_embeddings", vocabulary, hidden),
        linear(f"{layer}self_attention.query_key_value", hidden, outputs, layers, A, bias=bias, role="qkv"),
        linear(f"{layer}self_attention.dense", hidden, hidden, layers, A, bias=bias),
        linear(f"{layer}mlp.dense_h_to_4h", hidden, inner, layers, M, bias=bias),
        linear(f"{layer}mlp.dense_4h_to_h", inner, hidden, layers, M, bias=bias),
        *(norm(layer + name, hidden, layers, bias=True) for name in _falcon_norms(fields, new)),
        norm(f"{root}ln_f", hidden, bias=True),
        *_head(fields, head, hidden, vocabulary, tied),
    ]


def _falcon_norms(fields: Fields, new: bool) -> tuple[str, ...]:
    if not fields.flag("parallel_attn", True):
        return ("input_layernorm", "post_attention_layernorm")
    two = fields.integer("num_ln_in_parallel_attn", (1, 2), 2 if new else 1) == 2
    return ("ln_attn", "ln_mlp") if two else ("input_layernorm",)


def opt(fields: Fields, head: Head) -> list[Part]:
    """OPT: learned positions with two spare rows; the 350M model embeds in fewer dimensions."""
    hidden = fields.integer("hidden_size", WIDTH)
    layers = fields.integer("num_hidden_layers", LAYERS)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    inner = fields.integer("ffn_dim", HIDDEN_WIDTH)
    width = fields.integer("word_embed_proj_dim", WIDTH, hidden)
    positions = fields.integer("max_position_embeddings", POSITIONS) + 2
    _divides(hidden, fields.integer("num_attention_heads", HEADS))
    bias = fields.flag("enable_bias", True)
    tied = fields.flag("tie_word_embeddings", True)
    affine = fields.flag("layer_norm_elementwise_affine", True)
    last = fields.flag("do_layer_norm_before", True) and not fields.flag("_remove_final_layer_norm", False)
    root = "decoder." if head is Head.NONE else "model.decoder."
    layer = f"{root}layers.*."
    roles = {"k_proj": "k", "v_proj": "v", "q_proj": "q", "out_proj": ""}
    norms = [
        norm(layer + name, hidden, layers, bias=True) for name in ("self_attn_layer_norm", "final_layer_norm")
    ]
    norms += [norm(f"{root}final_layer_norm", hidden, bias=True)] if last else []
    narrow = [("project_out", hidden, width), ("project_in", width, hidden)] if width != hidden else []
    return [
        embedding(f"{root}embed_tokens", vocabulary, width),
        embedding(f"{root}embed_positions", positions, hidden),
        *(linear(root + name, rows, columns, 1, Family.OTHER, bias=False) for name, rows, columns in narrow),
        *(
            linear(f"{layer}self_attn.{name}", hidden, hidden, layers, A, bias=bias, role=role)
            for name, role in roles.items()
        ),
        linear(f"{layer}fc1", hidden, inner, layers, M, bias=bias),
        linear(f"{layer}fc2", inner, hidden, layers, M, bias=bias),
        *(norms if affine else []),
        *decoder_head(fields, head, width, vocabulary, tied=tied),
    ]


def _conv1d(path: str, rows: int, columns: int, count: int, family: Family, role: str = "") -> Part:
    return Part(path, Kind.CONV1D, family, rows, columns, count, columns, role=role)


def _divides(hidden: int, heads: int) -> None:
    if hidden % heads:
        raise ValueError(f"num_attention_heads: {heads}, expected a divisor of the hidden size {hidden}")


def _head(
    fields: Fields, head: Head, hidden: int, vocabulary: int, tied: bool, lm_bias: bool = False
) -> list[Part]:
    if head is Head.LM:
        return decoder_head(fields, head, hidden, vocabulary, tied=tied, bias=lm_bias)
    return top(fields, head, hidden, sequence="score", tokens="classifier", sequence_bias=False)
