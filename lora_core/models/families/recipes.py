"""What sets each decoder built like Llama apart from it: one recipe a family.

Families differ in biases, in the number of norms, in what is fused into one matrix, and in the defaults of
their classes. Read off the classes of transformers 5.23; `decoders` builds from it.
"""

from dataclasses import dataclass, replace

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
    query_norm_names: tuple[str, str] = ("q_norm", "k_norm")
    refuses: str = ""  # a flag this table cannot count
    parallel_flag: str = ""  # a field that, when true, leaves only the first norm
    head_bias: bool = False
    tied: bool = False


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
    ),
    "vaultgemma": replace(
        LLAMA, head_dim=256, norms=("input_layernorm", "pre_feedforward_layernorm"), tied=True
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
    "cwm": Recipe(mlp_bias="mlp_bias", head_dim=128),
    "granite": replace(LLAMA, mlp_bias="mlp_bias"),
    "hunyuan_v1_dense": replace(
        LLAMA, query_norm="head", query_norm_names=("query_layernorm", "key_layernorm")
    ),
    "jais2": replace(
        LLAMA,
        mlp_bias="mlp_bias",
        set_by_default=("attention_bias", "mlp_bias"),
        up=("up_proj",),
        norm_bias=True,
    ),
    "nanochat": replace(LLAMA, up=("fc1",), down="fc2", norms=(), final=""),
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

SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
)
# Sizes of the classes themselves. The `text_config` inside a larger model says only in what it differs from
# its class: LLaVA 1.5's has no size at all. In a config of its own a missing size is an error.
CLASS_SIZES: dict[str, tuple[int, ...]] = {
    "cohere2": (8192, 22528, 40, 64, 64, 256_000),
    "gemma": (3072, 24576, 28, 16, 16, 256_000),
    "gemma2": (2304, 9216, 26, 8, 4, 256_000),
    "gemma3_text": (2304, 9216, 26, 8, 4, 262_208),
    "llama": (4096, 11008, 32, 32, 32, 32_000),
    "ministral3": (4096, 14336, 34, 32, 8, 131_072),
    "mistral": (4096, 14336, 32, 32, 8, 32_000),
    "phi3": (3072, 8192, 32, 32, 32, 32_064),
    "qwen2": (4096, 22016, 32, 32, 32, 151_936),
    "qwen2_5_vl_text": (8192, 29568, 80, 64, 8, 152_064),
    "qwen2_vl_text": (8192, 29568, 80, 64, 8, 152_064),
    "qwen3": (4096, 22016, 32, 32, 32, 151_936),
    "qwen3_vl_text": (4096, 22016, 32, 32, 32, 151_936),
}
