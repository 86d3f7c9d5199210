"""Shapes against the real thing: transformers builds the model on torch's meta device, PEFT adapts it.

No weight is downloaded or allocated: a config and a meta device are enough to count. Every family is checked
tiny and odd (grouped queries, a head_dim of its own, biases, untied heads), every model of the catalogue at
its full size. The adapter is attached by executing the code that `lora_code` writes.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from transformers import AutoConfig

from lora_core.models import (
    CATALOGUE,
    FAMILIES,
    Adapter,
    Head,
    ModelShape,
    adapter_file_bytes,
    head_names,
    lora_code,
    target_names,
)
from lora_core.models.config import Fields
from lora_core.models.families.recipes import CLASS_SIZES, SIZES
from lora_core.models.families.registry import MIXTURE

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
TINY: dict[str, dict[str, Any]] = {name: GROUPED for name in FAMILIES} | {
    "gpt2": GPT,
    "gptj": {**GPT, "rotary_dim": 8},
    "codegen": {**GPT, "rotary_dim": 8},
    "gpt_bigcode": GPT,
    "gpt_neo": {
        **{name: BASE[name] for name in ("hidden_size", "vocab_size", "max_position_embeddings")},
        **{"num_layers": 3, "num_heads": 6, "attention_types": [[["global"], 3]], "intermediate_size": 100},
    },
    "bloom": {"hidden_size": 48, "n_layer": 3, "n_head": 6, "vocab_size": 131},
    "falcon": {**BASE, "ffn_hidden_size": 100, "num_kv_heads": 2},
    "opt": {**BASE, "ffn_dim": 100, "word_embed_proj_dim": 32},
    "gpt_neox": BASE,
    "ministral": {**GROUPED, "head_dim": 10},
    "bert": BASE,
    "roberta": BASE,
    "xlm-roberta": BASE,
    "camembert": BASE,
    "deberta-v2": {**BASE, **DEBERTA, "conv_kernel_size": 3},
    "distilbert": {"dim": 48, "n_layers": 3, "n_heads": 6, "hidden_dim": 100, **BASE},
    "vit": {**BASE, "image_size": 32, "patch_size": 8},
    "modernbert": {**BASE, "cls_token_id": 1, "sep_token_id": 2},
    "bart": BART,
    "t5": T5,
    "mt5": T5,
}
TINY["llama"] = {**GROUPED, "head_dim": 10}
TINY["hunyuan_v1_dense"] = {**GROUPED, "head_dim": 10}
TINY["gemma3_text"] = {**GROUPED, "layer_types": ["full_attention"] * 3}

# One change at a time of what decides a family's size; each must move the count as transformers moves it.
CHANGES: list[tuple[str, dict[str, Any]]] = [
    *((name, {"head_dim": 12}) for name in ("llama", "mistral", "qwen2", "qwen3", "gemma", "phi", "phi3")),
    *((name, {"head_dim": 12}) for name in ("olmo2", "exaone4", "cohere2", "glm", "granite", "starcoder2")),
    *((name, {"attention_bias": True}) for name in ("llama", "qwen3", "gemma2", "olmo", "granite", "cohere")),
    *((name, {"attention_bias": True}) for name in ("smollm3", "arcee", "nemotron", "gemma3_text")),
    *((name, {"attention_bias": False}) for name in ("glm", "glm4", "seed_oss", "gpt_neox")),
    *((name, {"mlp_bias": True}) for name in ("llama", "granite", "smollm3", "seed_oss", "nemotron")),
    *(
        (name, {"tie_word_embeddings": True})
        for name in ("llama", "qwen2", "phi", "phi3", "gptj", "gpt_neox")
    ),
    *(
        (name, {"tie_word_embeddings": False})
        for name in ("gemma", "gemma2", "gpt2", "opt", "bloom", "falcon")
    ),
    *((name, {"tie_word_embeddings": False}) for name in ("bert", "roberta", "distilbert", "deberta-v2")),
    *((name, {"attention_bias": False}) for name in ("jais2",)),
    *((name, {"attention_bias": True}) for name in ("hunyuan_v1_dense", "nanochat", "vaultgemma")),
    ("cwm", {"mlp_bias": True}),
    ("jais2", {"mlp_bias": False}),
    ("seed_oss", {"attention_out_bias": True}),
    ("ernie4_5", {"use_bias": True}),
    ("starcoder2", {"use_bias": False}),
    ("stablelm", {"use_qkv_bias": True}),
    ("stablelm", {"use_parallel_residual": True}),
    ("cohere", {"use_qk_norm": True}),
    ("gpt_bigcode", {"multi_query": False}),
    ("gpt_neo", {"tie_word_embeddings": False}),
    ("codegen", {"tie_word_embeddings": True}),
    ("falcon", {"new_decoder_architecture": True}),
    ("falcon", {"multi_query": False}),
    ("falcon", {"parallel_attn": False}),
    ("falcon", {"bias": True}),
    ("opt", {"enable_bias": False}),
    ("opt", {"do_layer_norm_before": False}),
    ("opt", {"layer_norm_elementwise_affine": False}),
    ("opt", {"word_embed_proj_dim": 48}),
    ("vit", {"qkv_bias": False}),
    ("modernbert", {"num_hidden_layers": 1}),
    *(("modernbert", {f"{name}_bias": True}) for name in ("attention", "mlp", "norm")),
    ("bart", {"decoder_layers": 3}),
    ("t5", {"feed_forward_proj": "gated-gelu"}),
    ("mt5", {"feed_forward_proj": "relu"}),
    ("deberta-v2", {"conv_kernel_size": 0}),
    ("deberta-v2", {"position_biased_input": True, "type_vocab_size": 2}),
    ("deberta-v2", {"relative_attention": False, "norm_rel_ebd": "none"}),
    ("deberta-v2", {"position_buckets": -1}),
]
AUTO = {
    Head.CLASSIFICATION: transformers.AutoModelForSequenceClassification,
    Head.TOKENS: transformers.AutoModelForTokenClassification,
    Head.ANSWERS: transformers.AutoModelForQuestionAnswering,
    Head.NONE: transformers.AutoModel,
}


def auto_class(model_type: str, head: Head) -> Any:
    if head is Head.LM:
        task = FAMILIES[model_type].lm_task
        names = {"CAUSAL_LM": "AutoModelForCausalLM", "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM"}
        return getattr(transformers, names.get(task, "AutoModelForMaskedLM"))
    if head is Head.CLASSIFICATION and FAMILIES[model_type].pictures:
        return transformers.AutoModelForImageClassification
    return AUTO[head]


def build(model_type: str, config: Any, head: Head, device: str = "meta") -> Any:
    """The model of transformers; None where it has no class for this head."""
    auto = auto_class(model_type, head)
    if type(config) not in auto._model_mapping:
        return None
    with torch.device(device):
        return auto.from_config(config)


def size(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def attach(model: Any, shape: ModelShape, adapter: Adapter) -> Any:
    """PEFT's model, configured by executing what `lora_code` wrote."""
    scope: dict[str, Any] = {}
    exec(lora_code(shape, adapter), scope)
    return peft.get_peft_model(model, scope["config"])


def tiny_pair(model_type: str, head: Head, **changes: Any) -> tuple[Any, ModelShape]:
    config = AutoConfig.for_model(model_type, **{**TINY[model_type], **changes})
    raw = {**config.to_dict(), "model_type": model_type}
    return config, ModelShape.from_config(raw, head)


@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_every_family_and_head_has_the_size_transformers_gives_it(model_type: str) -> None:
    counted = 0
    for head in FAMILIES[model_type].heads:
        config, shape = tiny_pair(model_type, head)
        model = build(model_type, config, head)
        if model is not None:
            assert shape.total() == size(model), head
            assert ModelShape.from_config({**TINY[model_type], "model_type": model_type}, head) == shape
            assert (
                ModelShape.from_config({**config.to_dict(), "architectures": [type(model).__name__]}) == shape
            )
            counted += 1
    assert counted >= 2


@pytest.mark.parametrize(("model_type", "changes"), CHANGES, ids=str)
def test_every_field_moves_the_size_as_in_transformers(model_type: str, changes: dict[str, Any]) -> None:
    head = FAMILIES[model_type].heads[0] if FAMILIES[model_type].lm_task else Head.NONE
    if "tie_word_embeddings" in changes:
        head = Head.LM
    config, shape = tiny_pair(model_type, head, **changes)
    assert shape.total() == size(build(model_type, config, head))
    assert shape.total() != tiny_pair(model_type, head)[1].total()


def test_t5_with_a_head_of_its_own() -> None:
    """transformers ties T5's head when it builds the model, and keeps it apart once a checkpoint has both."""
    shape = ModelShape.from_config({**T5, "model_type": "t5", "tie_word_embeddings": False})
    model = build("t5", AutoConfig.for_model("t5", **T5), Head.LM)
    model.lm_head.weight = torch.nn.Parameter(torch.empty(131, 48, device="meta"))
    assert shape.total() == size(model)


def test_the_encoder_of_t5_alone() -> None:
    with torch.device("meta"):
        model = transformers.T5EncoderModel(AutoConfig.for_model("t5", **T5))
    shape = ModelShape.from_config({**T5, "model_type": "t5", "architectures": ["T5EncoderModel"]})
    assert shape.total() == size(model)


LARGER = {
    "llava": "llama",
    "llava_next": "mistral",
    "paligemma": "gemma2",
    "gemma3": "gemma3_text",
    "mistral3": "mistral",
    "internvl": "qwen2",
    "smolvlm": "llama",
    "qwen2_vl": "qwen2_vl_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text",
    "cohere2_vision": "cohere2",
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("larger", LARGER)
def test_the_text_model_inside_a_larger_one_is_counted_alone(larger: str, tied: bool) -> None:
    """The embedding, layers and output layer of transformers' model for pictures and text, nothing else."""
    said = {"model_type": LARGER[larger], **TINY.get(LARGER[larger], GROUPED)}
    config = AutoConfig.for_model(larger, text_config=said, tie_word_embeddings=tied)
    with torch.device("meta"):
        model = transformers.AutoModelForImageTextToText.from_config(config)
    inner = getattr(model.model, "language_model", None) or model.model.text_model
    output = 0 if model.lm_head.weight is inner.get_input_embeddings().weight else size(model.lm_head)
    for raw in (config.to_dict(), {"text_config": said, "tie_word_embeddings": tied}):
        shape = ModelShape.from_config({**raw, "model_type": larger})
        assert (shape.total(), shape.inside, shape.head) == (size(inner) + output, larger, Head.LM)


@pytest.mark.parametrize("kind", CLASS_SIZES)
def test_the_sizes_of_classes_are_those_of_transformers(kind: str) -> None:
    theirs = AutoConfig.for_model(kind).to_dict()
    assert dict(zip(SIZES, CLASS_SIZES[kind], strict=True)) == {name: theirs[name] for name in SIZES}


def test_the_text_config_of_gemma_3_4b_says_only_what_differs_from_its_class() -> None:
    said = {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34}
    text = {**said, "model_type": "gemma3_text"}
    shape = ModelShape.from_config({"model_type": "gemma3", "text_config": text})
    model = build("gemma3_text", AutoConfig.for_model("gemma3_text", **said), Head.LM)
    assert shape.total() == size(model) == 3_880_263_168
    with pytest.raises(ValueError, match="num_attention_heads: missing"):
        ModelShape.from_config(text)


def test_the_text_config_of_llava_1_5_has_no_size_at_all() -> None:
    text = {"model_type": "llama", "max_position_embeddings": 4096, "vocab_size": 32064}
    shape = ModelShape.from_config({"model_type": "llava", "text_config": text})
    assert shape.total() == CATALOGUE["Llama 2 7B"].shape().total() + 2 * 64 * 4096


def test_mixtures_of_experts_are_told_apart_from_dense_models() -> None:
    """Whatever transformers' own class gives them, and by name where a config leaves it out."""
    for name in ("mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3", "olmoe", "granitemoe", "jamba", "llama4"):
        theirs = AutoConfig.for_model(name).to_dict()
        with pytest.raises(ValueError, match="expected a dense model, not a mixture of experts"):
            ModelShape.from_config(theirs)
    for name in FAMILIES:
        assert not MIXTURE.search(name)
        assert Fields(AutoConfig.for_model(name).to_dict()).experts() is None


def real_model(name: str) -> tuple[Any, ModelShape]:
    shape = CATALOGUE[name].shape()
    config = dict(CATALOGUE[name].config)
    model_type = config.pop("model_type")
    return build(model_type, AutoConfig.for_model(model_type, **config), shape.head), shape


REAL = [name for name in CATALOGUE if name != "Flan-T5 base"]  # its head: test_t5_with_a_head_of_its_own


@pytest.mark.parametrize("name", REAL)
def test_every_model_of_the_catalogue_at_full_size_with_peft(name: str) -> None:
    """Total, modules, and what q and v at rank 8 train: equal to the integer."""
    model, shape = real_model(name)
    assert shape.total() == size(model)
    linear = (torch.nn.Linear, transformers.pytorch_utils.Conv1D)
    assert sum(module.count for module in shape.modules()) == sum(
        isinstance(m, linear) for m in model.modules()
    )
    adapter = Adapter(8, "qv")
    count = shape.count(adapter)
    assert (count.trainable, count.total) == attach(model, shape, adapter).get_nb_trainable_parameters()


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


def assert_as_peft(model_type: str, head: Head, adapter: Adapter) -> None:
    config, shape = tiny_pair(model_type, head)
    model = attach(build(model_type, config, head), shape, adapter)
    count = shape.count(adapter)
    assert (count.trainable, count.total) == model.get_nb_trainable_parameters(), (head, adapter)


# Families whose modules are another's, name for name; their sizes are checked above.
TWINS = {"camembert", "granite", "ministral", "ministral3", "mistral", "mt5", "olmo3", "xlm-roberta"}


@pytest.mark.parametrize("model_type", sorted(set(FAMILIES) - TWINS))
def test_every_configuration_counts_what_peft_counts(model_type: str) -> None:
    head = FAMILIES[model_type].heads[0]
    _, shape = tiny_pair(model_type, head)
    for adapter in adapters(shape):
        assert_as_peft(model_type, head, adapter)


CLASSIFIERS = ("llama", "gemma3_text", "phi3", "gpt2", "bloom", "bert", "roberta", "distilbert", "vit")


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_classifiers_count_what_peft_counts(model_type: str) -> None:
    """PEFT's classes for such tasks always train the head; without that the code names no task."""
    _, shape = tiny_pair(model_type, Head.CLASSIFICATION)
    for adapter in (Adapter(5, "qv", alpha=7), *head_adapters(shape)):
        assert_as_peft(model_type, Head.CLASSIFICATION, adapter)


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "bert", "roberta", "vit", "t5"])
def test_all_linear_is_pefts_all_linear(model_type: str) -> None:
    for head in FAMILIES[model_type].heads:
        config, shape = tiny_pair(model_type, head)
        text = head is Head.CLASSIFICATION and not FAMILIES[model_type].pictures
        saved = head_names(shape.parts) if head not in (Head.LM, Head.NONE) else ()
        theirs = peft.LoraConfig(
            r=5,
            target_modules="all-linear",
            task_type="SEQ_CLS" if text else None,
            modules_to_save=list(saved) or None,
        )
        model = peft.get_peft_model(build(model_type, config, head), theirs)
        ours = shape.count(Adapter(5, "all-linear", modules_to_save=saved))
        assert (ours.trainable, ours.total) == model.get_nb_trainable_parameters()


def test_the_scaling_of_the_code_is_alpha_over_the_rank_or_its_root() -> None:
    config, shape = tiny_pair("llama", Head.LM)
    for rslora, power in ((False, 1), (True, 0.5)):
        adapter = Adapter(9, "qv", alpha=20, use_rslora=rslora, rank_pattern=(("v_proj", 4),))
        model = attach(build("llama", config, Head.LM), shape, adapter)
        layer = model.base_model.model.model.layers[0].self_attn
        assert layer.q_proj.scaling["default"] == pytest.approx(20 / 9**power)
        assert layer.v_proj.scaling["default"] == pytest.approx(20 / 4**power)


def payload(folder: Path) -> int:
    """Bytes of the tensors in a saved adapter: the file less its header (safetensors' format)."""
    raw = (folder / "adapter_model.safetensors").read_bytes()
    header = struct.unpack("<Q", raw[:8])[0]
    assert json.loads(raw[8 : 8 + header])
    return len(raw) - 8 - header


@pytest.mark.parametrize(
    ("model_type", "head", "adapter"),
    [
        ("llama", Head.LM, Adapter(4, "qv")),
        ("llama", Head.LM, Adapter(4, ("q_proj", "lm_head"))),
        ("llama", Head.LM, Adapter(4, ("q_proj", "embed_tokens"))),
        ("gemma2", Head.LM, Adapter(4, ("q_proj", "lm_head"))),
        ("gemma2", Head.LM, Adapter(4, "qv", modules_to_save=("lm_head", "embed_tokens"))),
        ("gpt2", Head.LM, Adapter(4, ("c_attn", "wte"), bias="all")),
        ("gpt2", Head.LM, Adapter(4, ("wte", "lm_head"))),
        ("bert", Head.CLASSIFICATION, Adapter(4, "mlp", bias="lora_only", modules_to_save=("classifier",))),
        ("t5", Head.LM, Adapter(4, "qv", use_dora=True)),
    ],
)
def test_the_adapter_file_has_the_bytes_that_are_counted(
    model_type: str, head: Head, adapter: Adapter, tmp_path: Path
) -> None:
    config, shape = tiny_pair(model_type, head)
    attach(build(model_type, config, head, "cpu"), shape, adapter).save_pretrained(tmp_path)
    assert payload(tmp_path) == adapter_file_bytes(shape, adapter)
