"""Shapes of real models: published counts to the integer, closed forms, and what bad input gets told."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_core.models import (
    CATALOGUE,
    PUBLISHED,
    TARGET_PRESETS,
    Adapter,
    Family,
    ModelShape,
    family_ranks,
    head_names,
    lora_code,
    target_names,
)
from tests.kit.models import FACTS, TINY, tiny


def name_of(row: dict[str, Any]) -> str:
    return f"{row['model']} {row.get('rank', '')} {row.get('targets', '')}"


@pytest.mark.parametrize("row", FACTS["counts"], ids=name_of)
def test_published_counts_are_reproduced_to_the_integer(row: dict[str, Any]) -> None:
    shape = CATALOGUE[row["model"]].shape(row.get("head"))
    if "rank" not in row:
        assert shape.total() == row["total"]
        return
    assert shape.trainable(row["rank"], row["targets"]) == row["trainable"]
    if "total" in row:
        assert shape.count(Adapter(row["rank"], tuple(row["targets"]))).total == row["total"]


@pytest.mark.parametrize("row", FACTS["totals"], ids=name_of)
def test_published_totals_are_reproduced_to_the_integer(row: dict[str, Any]) -> None:
    assert CATALOGUE[row["model"]].shape(row["head"]).total() == row["total"]


@pytest.mark.parametrize("row", FACTS["not_reproduced"], ids=name_of)
def test_what_does_not_reproduce_is_shown_with_its_reason(row: dict[str, Any]) -> None:
    key = (row["model"], row["rank"], row["published"])
    shown = [one for one in PUBLISHED if (one.model, one.rank, one.published) == key]
    assert len(shown) == 1
    assert len(shown[0].reason) > 40
    trainable, total = shown[0].counted()
    assert (total if trainable is None else trainable) == row["counted"]


def test_the_package_shows_every_published_row_and_counts_each_anew() -> None:
    assert sum(one.reproduced for one in PUBLISHED) == len(FACTS["counts"])
    assert sum(not one.reproduced for one in PUBLISHED) == len(FACTS["not_reproduced"])
    for one in PUBLISHED:
        trainable, total = one.counted()
        assert one.trainable in (None, trainable)
        assert one.total in (None, total)


@pytest.mark.parametrize("row", FACTS["widths"], ids=name_of)
def test_published_widths_are_those_of_the_modules(row: dict[str, Any]) -> None:
    hidden, ffn, layers = row["hidden"], row["ffn"], row["layers"]
    assert CATALOGUE[row["model"]].shape().modules() == [
        ("q_proj", hidden, row["q_out"], layers),
        ("k_proj", hidden, row["kv_out"], layers),
        ("v_proj", hidden, row["kv_out"], layers),
        ("o_proj", row["q_out"], hidden, layers),
        ("gate_proj", hidden, ffn, layers),
        ("up_proj", hidden, ffn, layers),
        ("down_proj", ffn, hidden, layers),
        ("lm_head", hidden, row["vocab"], 1),
    ]


def test_the_catalogue_covers_the_models_people_fine_tune() -> None:
    assert len(CATALOGUE) >= 50
    recent = ("Qwen3.5", "Gemma 4", "gpt-oss", "Llama 4", "Devstral", "OLMo 3", "Phi-4", "Whisper", "Voxtral")
    wanted = (*recent, "RoBERTa", "DeBERTa", "GPT-2", "GPT-3", "BERT", "ViT", "T5", "Llama 2", "Llama 3")
    for family in (*wanted, "Qwen2.5", "Qwen3", "Mistral", "Gemma", "Phi"):
        assert any(name.startswith(family) for name in CATALOGUE), family
    for entry in CATALOGUE.values():
        assert entry.source
        assert entry.shape().total() > 0


def test_a_total_by_hand_with_grouped_queries_and_a_head_dim_of_its_own() -> None:
    """q 48x60, k and v 48x20, o 60x48; gate, up, down; two norms a layer, one at the end; two tables."""
    layer = 48 * 60 + 2 * 48 * 20 + 60 * 48 + 3 * 48 * 100 + 2 * 48
    assert tiny().total() == 3 * layer + 48 + 2 * 131 * 48
    assert tiny(tie_word_embeddings=True).total() == 3 * layer + 48 + 131 * 48
    biases = 60 + 2 * 20 + 48 + 2 * 100 + 48
    assert tiny(attention_bias=True, mlp_bias=True).total() == tiny().total() + 3 * biases


def test_null_fields_take_what_the_other_fields_imply() -> None:
    plain = tiny(num_key_value_heads=None, head_dim=None)
    assert plain.modules()[:2] == [("q_proj", 48, 48, 3), ("k_proj", 48, 48, 3)]


def test_names_are_those_that_peft_takes() -> None:
    few = ("GPT-2", "T5 small", "Phi-3 mini", "BERT base")
    names = {name: [module.name for module in CATALOGUE[name].shape("none").modules()] for name in few}
    assert names["GPT-2"] == ["c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"]
    assert names["T5 small"] == ["q", "k", "v", "o", "wi", "wo"]
    assert names["Phi-3 mini"] == ["o_proj", "qkv_proj", "gate_up_proj", "down_proj"]
    bert = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "layer.*.output.dense"]
    assert names["BERT base"] == [*bert, "pooler.dense"]


def test_one_name_covers_all_three_attentions_of_t5() -> None:
    shape = CATALOGUE["T5 small"].shape()
    assert ("q", 512, 512, 18) in shape.modules()
    assert shape.trainable(4, ["SelfAttention.q"]) == 2 * shape.trainable(4, ["EncDecAttention.q"])


def test_output_dense_alone_also_selects_the_attention_as_in_peft() -> None:
    shape = CATALOGUE["BERT base"].shape()
    both = shape.trainable(8, ["output.dense"])
    mlp, attention = (
        shape.trainable(8, ["layer.*.output.dense"]),
        shape.trainable(8, ["attention.output.dense"]),
    )
    assert both == mlp + attention
    assert attention == 12 * 8 * 2 * 768


def test_a_fused_matrix_costs_what_q_and_v_cost_apart() -> None:
    for name in ("GPT-2", "GPT-2 M", "GPT-3 175B"):
        shape = CATALOGUE[name].shape()
        _, width, _, layers = shape.modules()[0]
        assert shape.trainable(4, "qv") == layers * 2 * 4 * (width + width)


@given(rank=st.integers(1, 65_536))
def test_lora_is_linear_in_the_rank_and_never_clamped(rank: int) -> None:
    shape = tiny()
    for preset in TARGET_PRESETS:
        assert shape.trainable(rank, preset) == rank * shape.trainable(1, preset)


def test_presets_add_up_and_the_head_comes_on_top() -> None:
    shape = tiny()
    assert shape.trainable(5, "all-linear") == shape.trainable(5, "attention") + shape.trainable(5, "mlp")
    with_head = target_names(shape.parts, "all-linear", head=True)
    assert shape.trainable(5, with_head) - shape.trainable(5, "all-linear") == 5 * (48 + 131)
    with pytest.raises(ValueError, match="head: a bare model"):
        target_names(ModelShape.from_config(TINY, "none").parts, "qv", head=True)


def test_dora_bias_and_saved_modules_in_closed_form() -> None:
    shape = tiny(attention_bias=True)
    lora = 3 * 4 * ((48 + 60) + (48 + 20))
    assert shape.trainable(4, ["q_proj", "v_proj"]) == lora
    assert shape.trainable(4, ["q_proj", "v_proj"], use_dora=True) == lora + 3 * (60 + 20)
    assert shape.trainable(4, ["q_proj", "v_proj"], bias="lora_only") == lora + 3 * (60 + 20)
    assert shape.trainable(4, ["q_proj", "v_proj"], bias="all") == lora + 3 * (60 + 20 + 20 + 48)
    saved = Adapter(4, ("q_proj", "v_proj"), modules_to_save=("lm_head",))
    count = shape.count(saved)
    assert count.trainable == lora + 131 * 48
    assert count.total == shape.total() + lora + 131 * 48
    assert count.full == shape.total()


def test_every_family_may_have_a_rank_of_its_own() -> None:
    shape = tiny()
    ranks = family_ranks(shape.parts, {"attention": 3, "mlp": 7})
    adapter = Adapter(64, "all-linear", rank_pattern=ranks)
    assert shape.count(adapter).trainable == shape.trainable(3, "attention") + shape.trainable(7, "mlp")
    assert shape.trainable(9, "qv", rank_pattern={"v_proj": 2}) == 3 * (9 * (48 + 60) + 2 * (48 + 20))


def test_what_is_saved_is_not_adapted_as_well() -> None:
    shape = tiny()
    whole = 3 * 48 * 60
    assert shape.trainable(4, ["q_proj", "v_proj"], modules_to_save=["q_proj"]) == whole + 3 * 4 * 68
    with pytest.raises(ValueError, match="outside modules_to_save"):
        shape.trainable(4, ["q_proj"], modules_to_save=["q_proj"])


def test_heads_follow_the_class_or_the_word() -> None:
    named = tiny(architectures=["LlamaForSequenceClassification"], num_labels=5)
    assert named.modules()[-1] == ("score", 48, 5, 1)
    assert (
        named.parts
        == ModelShape.from_config({**TINY, "id2label": dict.fromkeys("01234", "")}, "classification").parts
    )
    assert head_names(CATALOGUE["RoBERTa base"].shape("classification").parts) == ("classifier",)
    assert head_names(CATALOGUE["Llama 2 7B"].shape("none").parts) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rank": 0}, "rank: 0, expected an integer from 1 to 65536"),
        ({"rank": 2.5}, r"rank: 2\.5"),
        ({"rank": True}, "rank: True"),
        ({"alpha": 0}, "alpha: 0, expected a number above 0"),
        ({"alpha": math.nan}, "alpha: nan"),
        ({"alpha": "16"}, "alpha: '16'"),
        ({"bias": "some"}, "bias: 'some', expected one of none, lora_only, all"),
        ({"targets": "query"}, "targets: 'query', expected a list of names or one of qv"),
        ({"targets": ()}, "targets: empty"),
        ({"targets": (3,)}, "targets: "),
        ({"rank_pattern": {"q_proj": 0}}, "q_proj"),
        ({"rank_pattern": 7}, "rank_pattern: 7"),
        ({"modules_to_save": "lm_head"}, "modules_to_save: 'lm_head', expected a list"),
        ({"use_dora": 1}, "use_dora: 1, expected True or False"),
        ({"use_rslora": None}, "use_rslora: None"),
    ],
)
def test_an_adapter_refuses_what_it_cannot_mean(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Adapter(**changes)


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        (Adapter(targets=("wq",)), "targets: 'wq', expected one of embed_tokens, q_proj, k_proj"),
        (Adapter(targets=("input_layernorm",)), "targets: 'input_layernorm'"),
        (Adapter(rank_pattern=(("wq", 3),)), "rank_pattern: 'wq'"),
        (Adapter(modules_to_save=("classifier",)), "modules_to_save: 'classifier'"),
        (Adapter(modules_to_save=("layers.*.mlp",)), r"modules_to_save: 'layers\.\*\.mlp'"),
    ],
)
def test_a_model_refuses_modules_it_does_not_have(adapter: Adapter, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tiny().count(adapter)


def test_code_says_only_what_differs_from_peft() -> None:
    assert lora_code(tiny(), Adapter(8, ("q_proj", "v_proj"), alpha=32)) == (
        "from peft import LoraConfig\n\nconfig = LoraConfig(\n    r=8,\n    lora_alpha=32,\n"
        '    target_modules=["q_proj", "v_proj"],\n    task_type="CAUSAL_LM",\n)\n'
    )
    code = lora_code(CATALOGUE["BERT base"].shape("classification"), Adapter(8, "mlp", alpha=0.5))
    assert r'target_modules=r"(?:.*\.)?(?:intermediate\.dense|layer\.\d+\.output\.dense)"' in code
    assert "lora_alpha=0.5" in code
    assert "task_type" not in code  # SEQ_CLS would train the head, which this adapter does not


def test_every_family_is_one_that_a_figure_can_name() -> None:
    families = {part.family for entry in CATALOGUE.values() for part in entry.shape().parts}
    assert families <= set(Family)
    assert families >= {Family.ATTENTION, Family.MLP, Family.HEAD, Family.EMBEDDING, Family.NORM}


def test_reading_needs_neither_transformers_nor_peft_nor_a_page() -> None:
    code = (
        "import sys, lora_core.models as m; m.CATALOGUE['BERT base'].shape();"
        "print([x for x in ('transformers', 'peft', 'streamlit', 'plotly') if x in sys.modules])"
    )
    root = Path(__file__).parent.parent
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
