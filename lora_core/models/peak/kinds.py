"""The kinds of models whose peak is predicted: how their layers are built, as data; their widths.

Each was read in transformers 5.23 (models/<type>/modeling_<type>.py) and holds against an oracle that follows
every allocation of a step (tests/test_models_peak.py). A type that is not in the table, or whose shape
departs from it, is not predicted. Assumed of a type's config are the activation and the dropout that its
class has by default.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from lora_core.models.parts import Family, Kind, Part
from lora_core.models.shape import ModelShape


@dataclass(frozen=True)
class Layer:
    """How the layers of a type are built.

    `norm`: rms, gemma (in fp32 throughout) or layer. `order` is where norms stand: pre (before attention and
    MLP), post (after each sum), after (behind attention and MLP), sandwich (both sides of them), parallel
    (attention and MLP side by side, one norm), parallel-2 (a norm each). `qk_norm`: "", heads or whole.
    """

    norm: str = "rms"
    order: str = "pre"
    qk_norm: str = ""
    rope: bool = True
    gated: bool = True
    activation: str = "silu"
    dropout: bool = False  # after embeddings, attention and MLP, and on eager attention's weights
    attention_dropout: bool = True  # whether after attention too
    held: tuple[str, ...] = ("n2", "attention.dropped")  # what a layer's function keeps to its end (layer.py)
    scores_cap: bool = False
    softmax_fp32: bool = True  # in eager attention
    logits_cap: bool = False
    mixed: bool = False  # embeddings are scaled or summed before the first layer
    offset: int = 0  # rows of the table of positions that no token takes
    pictures: bool = False  # of a fixed number of patches; no masks

    @property
    def norms(self) -> int:
        """Norms in a layer, of which a shape tells."""
        return {"parallel": 1, "sandwich": 4}.get(self.order, 2) + (2 if self.qk_norm else 0)


LLAMA = Layer()
GEMMA = Layer("gemma", activation="gelu_pytorch_tanh", held=())
PLAIN = Layer("layer", rope=False, gated=False, activation="gelu", mixed=True)
BERT = replace(PLAIN, order="post", dropout=True, softmax_fp32=False, held=("n1", "inner", "mlp.dropped"))
ROBERTA = replace(BERT, offset=2)
OLMO = Layer("gemma", "after", "whole")  # its norms multiply in fp32, as Gemma's do
LAYERS = {
    **dict.fromkeys(
        ("llama", "mistral", "ministral", "ministral3", "qwen2", "phi3", "smollm3", "glm"), LLAMA
    ),
    **dict.fromkeys(("qwen3", "hunyuan_v1_dense"), replace(LLAMA, qk_norm="heads")),
    "granite": replace(LLAMA, mixed=True),
    "glm4": replace(LLAMA, order="sandwich", held=()),
    "exaone4": replace(LLAMA, order="after", qk_norm="heads"),
    **dict.fromkeys(("olmo2", "olmo3"), OLMO),
    "helium": Layer("gemma"),
    "gemma": GEMMA,
    "gemma2": replace(GEMMA, order="sandwich", scores_cap=True, logits_cap=True),
    "gemma3_text": replace(GEMMA, order="sandwich", qk_norm="heads"),
    "starcoder2": replace(PLAIN, rope=True, activation="gelu_pytorch_tanh", mixed=False),
    "phi": replace(
        PLAIN, order="parallel", rope=True, activation="gelu_new", mixed=False, held=("n1", "attention")
    ),
    "gpt2": replace(PLAIN, activation="gelu_new", dropout=True, softmax_fp32=False),
    **dict.fromkeys(("bert", "electra", "ernie"), BERT),
    "distilbert": replace(BERT, attention_dropout=False, held=("n1", "mlp.dropped")),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert"), ROBERTA),
    "vit": replace(PLAIN, pictures=True),
}
"""Types whose config can change the order of a layer unseen (GPT-NeoX, StableLM, OPT) are left out."""
KEYS = ("k_proj", "key", "k_lin")


class Linear(NamedTuple):
    """A matrix of a layer: its path with `*` for the layer's number, and its widths."""

    path: str
    inputs: int
    outputs: int


class Sizes(NamedTuple):
    """The widths of a model: hidden, queries, keys, MLP, output; heads of queries and keys; layers; matrices.

    `matrices` are those of a layer by what they do: q, k, v or qkv; o; gate, up or gate_up; down.
    """

    d: int
    q: int
    k: int
    f: int
    outputs: int
    heads: int
    kv_heads: int
    layers: int
    tied: bool
    matrices: tuple[tuple[str, Linear], ...]


def sizes(shape: ModelShape) -> Sizes | None:
    """The widths of a model that is predicted, None for any other."""
    if shape.model_type not in LAYERS:
        return None
    facts = dict(shape.facts)
    names = ("hidden", "heads", "kv_heads", "head_dim", "layers")
    d, heads, kv_heads, width, layers = (facts.get(name, 0) for name in names)
    heads_of = [part for part in shape.parts if part.family is Family.HEAD and part.linear]
    head = heads_of[-1] if heads_of else None
    tied = any(part.tied for part in shape.parts if part.output or part.family is Family.EMBEDDING)
    matrices = _matrices(shape.parts, d, layers)
    if head is None or not (d and heads and kv_heads and width and layers and matrices):
        return None
    q, k, f = heads * width, kv_heads * width, matrices["down"].inputs
    found = Sizes(d, q, k, f, head.out_features, heads, kv_heads, layers, tied, tuple(matrices.items()))
    layer = LAYERS[shape.model_type]
    narrow = any(p.family is Family.EMBEDDING and p.out_features != d for p in shape.parts)
    norms = sum(part.count for part in shape.parts if part.family is Family.NORM and "*" in part.path)
    fits = _agree(found, layer) and norms == layers * layer.norms and not narrow
    return found if fits else None


def _matrices(parts: tuple[Part, ...], d: int, layers: int) -> dict[str, Linear]:
    """The matrices of a layer by what they do; none where a layer has others, or layers differ."""
    found: dict[str, Linear] = {}
    up = 0
    for part in parts:
        if part.family not in (Family.ATTENTION, Family.MLP):
            continue
        if part.kind not in (Kind.LINEAR, Kind.CONV1D) or part.count != layers:
            return {}
        if part.family is Family.ATTENTION:
            word = "k" if part.path.rpartition(".")[2] in KEYS else part.role or "o"
        elif part.out_features == d and part.path.rpartition(".")[2] not in ("gate_proj", "up_proj"):
            word = "down"
        else:
            word, up = ("gate", "up", "")[up], up + 1
        if not word or word in found:
            return {}
        found[word] = Linear(part.path, part.in_features, part.out_features)
    return found


def _agree(found: Sizes, layer: Layer) -> bool:
    """Whether the widths of the matrices are those that the kind of layer has."""
    d, q, k, f = found.d, found.q, found.k, found.f
    expected = {"o": (q, d), "down": (f, d)}
    have = {word: (one.inputs, one.outputs) for word, one in found.matrices}
    expected |= {"qkv": (d, q + 2 * k)} if "qkv" in have else {"q": (d, q), "k": (d, k), "v": (d, k)}
    if not layer.gated:
        expected |= {"gate": (d, f)}
    elif "up" in have:
        expected |= {"gate": (d, f), "up": (d, f)}
    else:
        expected |= {"gate": (d, 2 * f)}
    return have == expected
