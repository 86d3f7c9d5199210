"""Configurations of adapters against PEFT: biases, DoRA, saved modules, ranks of their own, and the file.

transformers builds the model on torch's meta device, PEFT adapts it, configured by executing the code that
`lora_code` writes. The whole catalogue is held to transformers at its full size.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from transformers import AutoConfig

from lora_core.models import (
    CATALOGUE,
    Adapter,
    ModelShape,
    adapter_file_bytes,
    head_names,
    lora_code,
    target_names,
)
from lora_core.models.build import build, build_shape, shape_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    # PEFT warns that an adapted, tied layer cannot be merged, and that it stores the layer whole: counted so.
    pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`"),
    pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings=True`"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`"),
    # GPT-2's Conv1D layers want fan_in_fan_out, its head and tables do not: PEFT sets it right for each.
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to"),
]

BASE: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "intermediate_size": 100,
    "vocab_size": 131,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = {**BASE, "num_key_value_heads": 2}
GPT = {"n_embd": 48, "n_layer": 3, "n_head": 6, "n_positions": 64, "vocab_size": 131, "n_inner": 100}
GPT |= {"bos_token_id": 1, "eos_token_id": 2}
T5 = {"d_model": 48, "d_kv": 10, "d_ff": 100, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 6}
T5 |= {"vocab_size": 131}
BART = {"d_model": 48, "encoder_layers": 3, "decoder_layers": 2, "encoder_ffn_dim": 100, "vocab_size": 131}
BART |= {"decoder_ffn_dim": 90, "encoder_attention_heads": 6, "decoder_attention_heads": 4}
BART |= {"max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
DEBERTA = {"relative_attention": True, "position_buckets": 8, "norm_rel_ebd": "layer_norm"}
DEBERTA |= {"share_att_key": True, "pos_att_type": "p2c|c2p", "position_biased_input": False}
TINY: dict[str, dict[str, Any]] = {
    "llama": {**GROUPED, "head_dim": 10},
    "qwen2": GROUPED,
    "gemma2": GROUPED,
    "phi3": GROUPED,
    "gpt2": GPT,
    "falcon": {**BASE, "ffn_hidden_size": 100, "num_kv_heads": 2},
    "opt": {**BASE, "ffn_dim": 100, "word_embed_proj_dim": 32},
    "bert": BASE,
    "roberta": BASE,
    "distilbert": {"dim": 48, "n_layers": 3, "n_heads": 6, "hidden_dim": 100, **BASE},
    "deberta-v2": {**BASE, **DEBERTA, "conv_kernel_size": 3},
    "vit": {**BASE, "image_size": 32, "patch_size": 8},
    "bart": BART,
    "t5": T5,
    # Experts whose biases are named gate_up_proj_bias and down_proj_bias: PEFT takes none of them for one.
    "gpt_oss": {**GROUPED, "head_dim": 10, "num_local_experts": 4, "num_experts_per_tok": 2},
}


@cache
def _config(model_type: str) -> dict[str, Any]:
    config = AutoConfig.for_model(model_type, **TINY[model_type])
    return {
        **json.loads(config.to_json_string(use_diff=False)),
        "model_type": model_type,
        "architectures": None,
    }


def fresh(model_type: str, head: str | None = None) -> tuple[Any, ModelShape]:
    """A small model on the meta device, and its shape."""
    model, chosen, remarks = build(_config(model_type), head)
    return model, shape_of(model, chosen, remarks)


def attach(model: Any, shape: ModelShape, adapter: Adapter) -> Any:
    """PEFT's model, configured by executing what `lora_code` wrote."""
    scope: dict[str, Any] = {}
    exec(lora_code(shape, adapter), scope)
    with torch.device("meta"):
        return peft.get_peft_model(model, scope["config"])


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_s_shapes_are_those_of_the_transformers_that_is_pinned(name: str) -> None:
    """`python -m lora_core.models.prebuilt` writes them; here each with its usual head and its last."""
    entry = CATALOGUE[name]
    stored = entry.shape()
    for head in (stored.head, stored.heads[-1]):
        built = build_shape(entry.config, head)
        assert replace(built, heads=stored.heads) == entry.shape(head)


def test_transformers_is_pinned_to_the_version_that_the_shapes_are_of() -> None:
    pinned = (Path(__file__).parents[1] / "requirements.txt").read_text()
    assert f"transformers=={transformers.__version__}\n" in pinned


def adapters(shape: ModelShape) -> Iterator[Adapter]:
    """Every kind of configuration that this shape can have; alpha is never the rank."""
    names = target_names(shape.parts, "all-linear")
    yield Adapter(5, "qv", alpha=7)
    yield Adapter(60, "all-linear", use_dora=True, bias="lora_only")  # a rank above min(in, out)
    yield Adapter(5, "attention", bias="all", use_rslora=True)
    yield Adapter(4, names, rank_pattern=((names[0], 7), (names[-1], 2)))
    table = next((part.name for part in shape.parts if part.kind == "embedding"), names[0])
    yield Adapter(4, (table, names[0]), use_dora=True)
    if head_names(shape.parts):
        yield from head_adapters(shape)


def head_adapters(shape: ModelShape) -> Iterator[Adapter]:
    """The head trained in full, and the head adapted."""
    yield Adapter(3, "all-linear", modules_to_save=head_names(shape.parts), bias="all")
    yield Adapter(3, target_names(shape.parts, "mlp", head=True), use_dora=True, bias="lora_only")


def assert_as_peft(model_type: str, head: str | None, adapter: Adapter) -> None:
    model, shape = fresh(model_type, head)
    model = attach(model, shape, adapter)
    count = shape.count(adapter)
    assert (count.trainable, count.total) == model.get_nb_trainable_parameters(), (head, adapter)


@pytest.mark.parametrize("model_type", TINY)
def test_every_configuration_counts_what_peft_counts(model_type: str) -> None:
    _, shape = fresh(model_type)
    for adapter in adapters(shape):
        assert_as_peft(model_type, None, adapter)


@pytest.mark.parametrize("model_type", ["llama", "phi3", "gpt2", "bert", "roberta", "distilbert", "vit"])
def test_classifiers_count_what_peft_counts(model_type: str) -> None:
    """PEFT's classes for such tasks always train the head; without that the code names no task."""
    _, shape = fresh(model_type, "classification")
    for adapter in (Adapter(5, "qv", alpha=7), *head_adapters(shape)):
        assert_as_peft(model_type, "classification", adapter)


@pytest.mark.parametrize("model_type", ["llama", "bert", "distilbert"])
def test_a_head_trained_in_full_comes_with_its_task(model_type: str) -> None:
    _, shape = fresh(model_type, "token-classification")
    adapter = Adapter(5, "qv", modules_to_save=head_names(shape.parts))
    code = lora_code(shape, adapter)
    assert ('task_type="TOKEN_CLS"' in code) == (head_names(shape.parts) in (("classifier",), ("score",)))
    assert "modules_to_save=[" in code
    assert_as_peft(model_type, "token-classification", adapter)


def test_the_scaling_of_the_code_is_alpha_over_the_rank_or_its_root() -> None:
    for rslora, power in ((False, 1), (True, 0.5)):
        model, shape = fresh("llama")
        adapter = Adapter(9, "qv", alpha=20, use_rslora=rslora, rank_pattern=(("v_proj", 4),))
        layer = attach(model, shape, adapter).base_model.model.model.layers[0].self_attn
        assert layer.q_proj.scaling["default"] == pytest.approx(20 / 9**power)
        assert layer.v_proj.scaling["default"] == pytest.approx(20 / 4**power)


@pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys did not match:RuntimeWarning")
def test_mixtures_reach_their_experts_where_peft_converts_the_names() -> None:
    """Qwen3 MoE: gate_proj, up_proj and down_proj become target_parameters, gate and up at twice the rank."""
    said = {**GROUPED, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 20, "head_dim": 8}
    raw = {**json.loads(AutoConfig.for_model("qwen3_moe", **said).to_json_string(use_diff=False))}
    raw |= {"model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"]}
    model, chosen, remarks = build(raw)
    shape = shape_of(model, chosen, remarks)
    assert (shape.experts.all, shape.experts.picked) == (4, 2)  # type: ignore[union-attr]
    assert shape.active() == shape.total() - 3 * 2 * (48 * 40 + 48 * 20)
    count = shape.count(Adapter(4, "all-linear"))
    theirs = attach(model, shape, Adapter(4, "all-linear")).get_nb_trainable_parameters()
    assert (count.trainable, count.total) == theirs
    experts = 3 * (4 * 8 * (48 + 40) + 4 * 4 * (48 + 20))
    assert count.trainable > experts > shape.count(Adapter(4, "attention")).trainable
    with pytest.raises(ValueError, match="expected up_proj too: PEFT joins the two"):
        shape.count(Adapter(4, ("gate_proj",)))


def payload(folder: Path) -> int:
    """Bytes of the tensors in a saved adapter: the file less its header (safetensors' format)."""
    raw = (folder / "adapter_model.safetensors").read_bytes()
    header = struct.unpack("<Q", raw[:8])[0]
    assert json.loads(raw[8 : 8 + header])
    return len(raw) - 8 - header


@pytest.mark.parametrize(
    ("model_type", "head", "adapter"),
    [
        ("llama", "lm", Adapter(4, "qv")),
        ("llama", "lm", Adapter(4, ("q_proj", "lm_head"))),
        ("llama", "lm", Adapter(4, ("q_proj", "embed_tokens"))),
        ("gemma2", "lm", Adapter(4, ("q_proj", "lm_head"))),
        ("gemma2", "lm", Adapter(4, "qv", modules_to_save=("lm_head", "embed_tokens"))),
        ("gpt2", "lm", Adapter(4, ("c_attn", "wte"), bias="all")),
        ("gpt2", "lm", Adapter(4, ("wte", "lm_head"))),
        ("bert", "classification", Adapter(4, "mlp", bias="lora_only", modules_to_save=("classifier",))),
        ("t5", "lm", Adapter(4, "qv", use_dora=True)),
    ],
)
def test_the_adapter_file_has_the_bytes_that_are_counted(
    model_type: str, head: str, adapter: Adapter, tmp_path: Path
) -> None:
    model, shape = fresh(model_type, head)
    model = model.to_empty(device="cpu")
    scope: dict[str, Any] = {}
    exec(lora_code(shape, adapter), scope)
    peft.get_peft_model(model, scope["config"]).save_pretrained(tmp_path)
    assert payload(tmp_path) == adapter_file_bytes(shape, adapter, base="fp32")
