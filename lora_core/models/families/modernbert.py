"""ModernBERT: an encoder with Llama's means: no biases, no tables of positions, a gated MLP in one matrix.

The first layer has no norm before its attention, as the embedding's norm is right before it (Warner et al.
2024, arXiv 2412.13663). Every head stands on one more layer. Read off the classes of transformers 5.23.
"""

from dataclasses import replace

from lora_core.models.config import HIDDEN_WIDTH, LAYERS, VOCABULARY, WIDTH, Fields
from lora_core.models.families.heads import Head
from lora_core.models.parts import Family, Part, embedding, linear, norm

A, M, REST = Family.ATTENTION, Family.MLP, Family.OTHER


def modernbert(fields: Fields, head: Head) -> list[Part]:
    """ModernBERT and its heads."""
    root = "" if head is Head.NONE else "model."
    hidden = fields.integer("hidden_size", WIDTH)
    layers = fields.integer("num_hidden_layers", LAYERS)
    inner = fields.integer("intermediate_size", HIDDEN_WIDTH)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    fields.divided(hidden)
    bias, mlp_bias, norm_bias = (fields.flag(f"{name}_bias", False) for name in ("attention", "mlp", "norm"))
    layer = f"{root}layers.*."
    later = [norm(f"{layer}attn_norm", hidden, layers - 1, bias=norm_bias)] if layers > 1 else []
    return [
        embedding(f"{root}embeddings.tok_embeddings", vocabulary, hidden),
        norm(f"{root}embeddings.norm", hidden, bias=norm_bias),
        linear(f"{layer}attn.Wqkv", hidden, 3 * hidden, layers, A, bias=bias, role="qkv"),
        linear(f"{layer}attn.Wo", hidden, hidden, layers, A, bias=bias),
        linear(f"{layer}mlp.Wi", hidden, 2 * inner, layers, M, bias=mlp_bias),
        linear(f"{layer}mlp.Wo", inner, hidden, layers, M, bias=mlp_bias),
        *later,
        norm(f"{layer}mlp_norm", hidden, layers, bias=norm_bias),
        norm(f"{root}final_norm", hidden, bias=norm_bias),
        *(_top(fields, head, hidden, vocabulary) if head is not Head.NONE else []),
    ]


def _top(fields: Fields, head: Head, hidden: int, vocabulary: int) -> list[Part]:
    """One more layer with its norm, and the output."""
    below = [
        linear("head.dense", hidden, hidden, 1, REST, bias=fields.flag("classifier_bias", False)),
        norm("head.norm", hidden, bias=fields.flag("norm_bias", False)),
    ]
    if head is Head.LM:
        bias = fields.flag("decoder_bias", True)
        output = linear("decoder", hidden, vocabulary, 1, Family.HEAD, bias=bias)
        return [*below, replace(output, tied=fields.flag("tie_word_embeddings", True))]
    classes = 2 if head is Head.ANSWERS else fields.labels()
    return [*below, linear("classifier", hidden, classes, 1, Family.HEAD, bias=True)]
