"""Encoders: BERT, RoBERTa, DistilBERT and DeBERTa.

BERT's layer is attention and a plain MLP, all with biases (Devlin et al. 2019, arXiv 1810.04805); RoBERTa
has the same (Liu et al. 2019, arXiv 1907.11692). DeBERTa adds one table of relative positions, shared by all
layers, and its second version a convolution (He et al. 2021, arXiv 2006.03654). A masked-language head is a
transform and the embedding turned round, with a bias of its own. Read off the classes of transformers 5.23.
"""

from dataclasses import replace

from lora_core.models.config import HIDDEN_WIDTH, LAYERS, POSITIONS, TYPES, VOCABULARY, WIDTH, Fields
from lora_core.models.families.heads import Head, top
from lora_core.models.parts import Family, Kind, Part, embedding, linear, norm

A, M, H = Family.ATTENTION, Family.MLP, Family.HEAD
REST = Family.OTHER
BERT_NAMES = ("query", "key", "value")
DEBERTA_NAMES = ("query_proj", "key_proj", "value_proj")


def bert_layers(fields: Fields, layer: str, names: tuple[str, str, str]) -> list[Part]:
    """The layers of BERT and of what was built on it."""
    hidden = fields.integer("hidden_size", WIDTH)
    layers = fields.integer("num_hidden_layers", LAYERS)
    inner = fields.integer("intermediate_size", HIDDEN_WIDTH)
    fields.divided(hidden)
    fields.refuse("add_cross_attention", "cross-attention is")
    return [
        *(
            linear(f"{layer}attention.self.{name}", hidden, hidden, layers, A, bias=True, role=role)
            for name, role in zip(names, "qkv", strict=True)
        ),
        linear(f"{layer}attention.output.dense", hidden, hidden, layers, A, bias=True),
        linear(f"{layer}intermediate.dense", hidden, inner, layers, M, bias=True),
        linear(f"{layer}output.dense", inner, hidden, layers, M, bias=True),
        norm(f"{layer}attention.output.LayerNorm", hidden, layers, bias=True),
        norm(f"{layer}output.LayerNorm", hidden, layers, bias=True),
    ]


def bert_embeddings(
    fields: Fields, root: str, width: int, *, positions: bool = True, types: int = 2
) -> list[Part]:
    """Words, positions and token types, with their norm; `types` is the class's default."""
    types = fields.integer("type_vocab_size", TYPES, types)
    parts = [embedding(f"{root}word_embeddings", fields.integer("vocab_size", VOCABULARY), width)]
    if positions:
        rows = fields.integer("max_position_embeddings", POSITIONS)
        parts.append(embedding(f"{root}position_embeddings", rows, width))
    if types:
        parts.append(embedding(f"{root}token_type_embeddings", types, width))
    return [*parts, norm(f"{root}LayerNorm", width, bias=True)]


def bert(fields: Fields, head: Head) -> list[Part]:
    """BERT; the pooler is there for a bare model and for classifying whole sequences."""
    root = "" if head is Head.NONE else "bert."
    hidden = fields.integer("hidden_size", WIDTH)
    pooled = head in (Head.NONE, Head.CLASSIFICATION)
    tied = fields.flag("tie_word_embeddings", True)
    predictions = "cls.predictions."
    return [
        *bert_embeddings(fields, f"{root}embeddings.", hidden),
        *bert_layers(fields, f"{root}encoder.layer.*.", BERT_NAMES),
        *([linear(f"{root}pooler.dense", hidden, hidden, 1, REST, bias=True)] if pooled else []),
        *(_predictions(fields, predictions, hidden, tied) if head is Head.LM else []),
        *top(fields, head, hidden, sequence="classifier", tokens="classifier", sequence_bias=True),
    ]


def roberta(fields: Fields, head: Head) -> list[Part]:
    """RoBERTa, XLM-RoBERTa and CamemBERT: the classifier has a layer of its own instead of the pooler."""
    root = "" if head is Head.NONE else "roberta."
    hidden = fields.integer("hidden_size", WIDTH)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    tied = fields.flag("tie_word_embeddings", True)
    tops: list[Part] = []
    if head is Head.NONE:
        tops = [linear("pooler.dense", hidden, hidden, 1, REST, bias=True)]
    elif head is Head.CLASSIFICATION:
        tops = [
            linear("classifier.dense", hidden, hidden, 1, H, bias=True),
            linear("classifier.out_proj", hidden, fields.labels(), 1, H, bias=True),
        ]
    elif head is Head.LM:
        tops = [
            linear("lm_head.dense", hidden, hidden, 1, REST, bias=True),
            norm("lm_head.layer_norm", hidden, bias=True),
            *_decoder("lm_head.", hidden, vocabulary, tied),
        ]
    else:
        tops = top(fields, head, hidden, sequence="", tokens="classifier", sequence_bias=True)
    return [
        *bert_embeddings(fields, f"{root}embeddings.", hidden),
        *bert_layers(fields, f"{root}encoder.layer.*.", BERT_NAMES),
        *tops,
    ]


def distilbert(fields: Fields, head: Head) -> list[Part]:
    """DistilBERT: six of BERT's layers under other names, no token types."""
    root = "" if head is Head.NONE else "distilbert."
    hidden = fields.integer(("dim", "hidden_size"), WIDTH)
    layers = fields.integer(("n_layers", "num_hidden_layers"), LAYERS)
    inner = fields.integer("hidden_dim", HIDDEN_WIDTH)
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    fields.divided(hidden, ("n_heads", "num_attention_heads"))
    tied = fields.flag("tie_word_embeddings", True)
    layer = f"{root}transformer.layer.*."
    roles = {"q_lin": "q", "k_lin": "k", "v_lin": "v", "out_lin": ""}
    tops = top(fields, head, hidden, sequence="classifier", tokens="classifier", sequence_bias=True)
    if head is Head.CLASSIFICATION:
        tops.insert(0, linear("pre_classifier", hidden, hidden, 1, H, bias=True))
    if head is Head.LM:
        tops = [
            linear("vocab_transform", hidden, hidden, 1, REST, bias=True),
            norm("vocab_layer_norm", hidden, bias=True),
            replace(linear("vocab_projector", hidden, vocabulary, 1, H, bias=True), tied=tied),
        ]
    return [
        *bert_embeddings(fields.with_("type_vocab_size", 0), f"{root}embeddings.", hidden),
        *(
            linear(f"{layer}attention.{name}", hidden, hidden, layers, A, bias=True, role=role)
            for name, role in roles.items()
        ),
        linear(f"{layer}ffn.lin1", hidden, inner, layers, M, bias=True),
        linear(f"{layer}ffn.lin2", inner, hidden, layers, M, bias=True),
        norm(f"{layer}sa_layer_norm", hidden, layers, bias=True),
        norm(f"{layer}output_layer_norm", hidden, layers, bias=True),
        *tops,
    ]


def deberta_v2(fields: Fields, head: Head) -> list[Part]:
    """DeBERTa v2 and v3: one table of relative positions for all layers, v2 with a convolution."""
    if not fields.flag("legacy", True) and head is Head.LM:
        raise ValueError("legacy: false, expected true: that masked-language head is not counted here")
    root = "" if head is Head.NONE else "deberta."
    hidden = fields.integer("hidden_size", WIDTH)
    width = fields.integer("embedding_size", WIDTH, hidden)
    if width != hidden:
        raise ValueError(f"embedding_size: {width}, expected the hidden size {hidden}")
    if fields.flag("relative_attention", False) and not fields.flag("share_att_key", False):
        raise ValueError("share_att_key: false, expected true where relative_attention is true")
    absolute = fields.flag("position_biased_input", True)
    tied = fields.flag("tie_word_embeddings", True)
    pooled = head is Head.CLASSIFICATION
    return [
        *bert_embeddings(fields, f"{root}embeddings.", hidden, positions=absolute, types=0),
        *bert_layers(fields, f"{root}encoder.layer.*.", DEBERTA_NAMES),
        *_deberta_encoder(fields, f"{root}encoder.", hidden),
        *([linear("pooler.dense", hidden, hidden, 1, REST, bias=True)] if pooled else []),
        *(_predictions(fields, "cls.predictions.", hidden, tied) if head is Head.LM else []),
        *top(fields, head, hidden, sequence="classifier", tokens="classifier", sequence_bias=True),
    ]


def _deberta_encoder(fields: Fields, root: str, hidden: int) -> list[Part]:
    parts: list[Part] = []
    if fields.flag("relative_attention", False):
        farthest = fields.integer("max_relative_positions", (-1, POSITIONS[1]), -1)
        if farthest < 1:
            farthest = fields.integer("max_position_embeddings", POSITIONS)
        buckets = fields.integer("position_buckets", (-1, POSITIONS[1]), -1)
        rows = 2 * (buckets if buckets > 0 else farthest)
        parts.append(embedding(f"{root}rel_embeddings", rows, hidden))
    if "layer_norm" in fields.words("norm_rel_ebd"):
        parts.append(norm(f"{root}LayerNorm", hidden, bias=True))
    kernel = fields.integer("conv_kernel_size", (0, 1024), 0)
    if kernel:
        weights = kernel * hidden
        parts.append(Part(f"{root}conv.conv", Kind.CONVOLUTION, REST, weights, hidden, 1, hidden))
        parts.append(norm(f"{root}conv.LayerNorm", hidden, bias=True))
    return parts


def _predictions(fields: Fields, root: str, hidden: int, tied: bool) -> list[Part]:
    vocabulary = fields.integer("vocab_size", VOCABULARY)
    return [
        linear(f"{root}transform.dense", hidden, hidden, 1, REST, bias=True),
        norm(f"{root}transform.LayerNorm", hidden, bias=True),
        *_decoder(root, hidden, vocabulary, tied),
    ]


def _decoder(root: str, hidden: int, vocabulary: int, tied: bool) -> list[Part]:
    """The output layer; `{root}bias` is its bias again, and a tensor apart only where nothing is tied."""
    layer = linear(f"{root}decoder", hidden, vocabulary, 1, H, bias=True)
    if tied:
        return [replace(layer, tied=True)]
    return [layer, Part(f"{root}bias", Kind.PARAMETER, H, 0, vocabulary, 1, vocabulary)]
