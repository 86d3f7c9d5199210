"""Decoders from before Llama, with names of their own: from GPT-2, GPT-J and GPT-NeoX to OPT, BLOOM, Falcon.

Most keep queries, keys and values in one matrix (`c_attn`, `query_key_value`). An adapter of rank r on it
trains r * (d + 3 d) = 4 r d numbers, as many as rank r on square q and v matrices apart: 2 * r * (d + d).
GPT-3 has GPT-2's layers (Brown et al. 2020, section 2.1). Read off the classes of transformers 5.23.
"""

from lora_core.models.config import HEADS, HIDDEN_WIDTH, POSITIONS, WIDTH, Fields
from lora_core.models.families.early_parts import (
    apart,
    fused,
    head_of,
    inner_width,
    neox_names,
    norms_of,
    plain_mlp,
    read_body,
    tables,
)
from lora_core.models.families.heads import Head, decoder_head
from lora_core.models.parts import Family, Kind, Part, embedding, linear, norm

A, M = Family.ATTENTION, Family.MLP


def gpt2(fields: Fields, head: Head) -> list[Part]:
    """GPT-2 and GPT-3: learned positions, biases, `Conv1D` layers."""
    fields.refuse("add_cross_attention", "cross-attention is")
    body = read_body(fields, head)
    hidden, inner = body.hidden, inner_width(fields, body)
    matrices = {
        "attn.c_attn": (hidden, 3 * hidden, A, "qkv"),
        "attn.c_proj": (hidden, hidden, A, ""),
        "mlp.c_fc": (hidden, inner, M, ""),
        "mlp.c_proj": (inner, hidden, M, ""),
    }
    return [
        *tables(fields, body),
        *(
            Part(body.layer + name, Kind.CONV1D, family, rows, columns, body.layers, columns, role=role)
            for name, (rows, columns, family, role) in matrices.items()
        ),
        *norms_of(body, "ln_1", "ln_2", last="ln_f"),
        *head_of(fields, head, body),
    ]


def gpt_bigcode(fields: Fields, head: Head) -> list[Part]:
    """StarCoder's first version: GPT-2 with one key-value head for all queries."""
    fields.refuse("add_cross_attention", "cross-attention is")
    body = read_body(fields, head)
    shared = fields.flag("multi_query", True)
    outputs = body.hidden + 2 * (body.hidden // body.heads) if shared else 3 * body.hidden
    names = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    return [
        *tables(fields, body),
        *fused(body, names, outputs, inner_width(fields, body)),
        *norms_of(body, "ln_1", "ln_2", last="ln_f"),
        *head_of(fields, head, body),
    ]


def gpt_neo(fields: Fields, head: Head) -> list[Part]:
    """GPT-Neo: learned positions, q, k and v apart and without biases."""
    body = read_body(fields, head)
    inner = fields.integer("intermediate_size", HIDDEN_WIDTH, 4 * body.hidden)
    return [
        *tables(fields, body),
        *apart(body, "attn.attention.", bias=False, out_bias=True),
        *plain_mlp(body, "mlp.c_fc", "mlp.c_proj", inner),
        *norms_of(body, "ln_1", "ln_2", last="ln_f"),
        *head_of(fields, head, body),
    ]


def gptj(fields: Fields, head: Head) -> list[Part]:
    """GPT-J: attention and MLP side by side behind one norm."""
    body = read_body(fields, head)
    return [
        embedding(f"{body.root}wte", body.vocabulary, body.hidden),
        *apart(body, "attn.", bias=False),
        *plain_mlp(body, "mlp.fc_in", "mlp.fc_out", inner_width(fields, body)),
        *norms_of(body, "ln_1", last="ln_f"),
        *head_of(fields, head, body, tied=False, lm_bias=True),
    ]


def codegen(fields: Fields, head: Head) -> list[Part]:
    """CodeGen: GPT-J with q, k and v in one matrix."""
    body = read_body(fields, head)
    names = ("attn.qkv_proj", "attn.out_proj", "mlp.fc_in", "mlp.fc_out")
    return [
        embedding(f"{body.root}wte", body.vocabulary, body.hidden),
        *fused(body, names, 3 * body.hidden, inner_width(fields, body), bias=False, mlp_bias=True),
        *norms_of(body, "ln_1", last="ln_f"),
        *head_of(fields, head, body, tied=False, lm_bias=True),
    ]


def gpt_neox(fields: Fields, head: Head) -> list[Part]:
    """GPT-NeoX and Pythia."""
    body = read_body(fields, head, "gpt_neox.", "layers")
    bias = fields.flag("attention_bias", True)
    inner = fields.integer("intermediate_size", HIDDEN_WIDTH)
    return [
        embedding(f"{body.root}embed_in", body.vocabulary, body.hidden),
        *fused(body, neox_names("attention"), 3 * body.hidden, inner, bias=bias, mlp_bias=True),
        *norms_of(body, "input_layernorm", "post_attention_layernorm", last="final_layer_norm"),
        *head_of(fields, head, body, tied=False),
    ]


def bloom(fields: Fields, head: Head) -> list[Part]:
    """BLOOM: ALiBi instead of positions, a norm behind the embedding."""
    body = read_body(fields, head)
    return [
        embedding(f"{body.root}word_embeddings", body.vocabulary, body.hidden),
        norm(f"{body.root}word_embeddings_layernorm", body.hidden, bias=True),
        *fused(body, neox_names("self_attention"), 3 * body.hidden, 4 * body.hidden),
        *norms_of(body, "input_layernorm", "post_attention_layernorm", last="ln_f"),
        *head_of(fields, head, body),
    ]


def falcon(fields: Fields, head: Head) -> list[Part]:
    """Falcon: 7B with one shared key-value head, 40B and 180B with groups of them."""
    body = read_body(fields, head)
    size = body.hidden // body.heads
    inner = fields.integer("ffn_hidden_size", HIDDEN_WIDTH, 4 * body.hidden)
    new = fields.flag("new_decoder_architecture", False)
    groups = 1 if fields.flag("multi_query", True) else body.heads
    if new:
        groups = fields.integer("num_kv_heads", HEADS, body.heads)
    bias = fields.flag("bias", False)
    return [
        embedding(f"{body.root}word_embeddings", body.vocabulary, body.hidden),
        *fused(body, neox_names("self_attention"), body.hidden + 2 * groups * size, inner, bias, bias),
        *norms_of(body, *_falcon_norms(fields, new), last="ln_f"),
        *head_of(fields, head, body),
    ]


def _falcon_norms(fields: Fields, new: bool) -> tuple[str, ...]:
    if not fields.flag("parallel_attn", True):
        return ("input_layernorm", "post_attention_layernorm")
    two = fields.integer("num_ln_in_parallel_attn", (1, 2), 2 if new else 1) == 2
    return ("ln_attn", "ln_mlp") if two else ("input_layernorm",)


def opt(fields: Fields, head: Head) -> list[Part]:
    """OPT: learned positions with two spare rows; the 350M model embeds in fewer dimensions."""
    body = read_body(fields, head, "model.decoder.", "layers", bare="decoder.")
    hidden, root = body.hidden, body.root
    inner = fields.integer("ffn_dim", HIDDEN_WIDTH)
    width = fields.integer("word_embed_proj_dim", WIDTH, hidden)
    positions = fields.integer("max_position_embeddings", POSITIONS) + 2
    bias = fields.flag("enable_bias", True)
    affine = fields.flag("layer_norm_elementwise_affine", True)
    last = fields.flag("do_layer_norm_before", True) and not fields.flag("_remove_final_layer_norm", False)
    narrow = [("project_out", hidden, width), ("project_in", width, hidden)] if width != hidden else []
    norms = norms_of(
        body, "self_attn_layer_norm", "final_layer_norm", last="final_layer_norm" if last else ""
    )
    tied = fields.flag("tie_word_embeddings", True)
    return [
        embedding(f"{root}embed_tokens", body.vocabulary, width),
        embedding(f"{root}embed_positions", positions, hidden),
        *(linear(root + name, rows, columns, 1, Family.OTHER, bias=False) for name, rows, columns in narrow),
        *apart(body, "self_attn.", bias=bias, out_bias=bias),
        *plain_mlp(body, "fc1", "fc2", inner, bias),
        *(norms if affine else []),
        *decoder_head(fields, head, width, body.vocabulary, tied=tied),
    ]
