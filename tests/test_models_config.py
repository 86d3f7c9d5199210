"""What a config.json that nobody vouches for gets told: one sentence naming the field, and never a crash."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_core.models import CATALOGUE, ModelShape
from lora_core.models.config import parse

DATA = Path(__file__).parent / "data"
TINY: dict[str, Any] = json.loads((DATA / "tiny_llama.json").read_text(encoding="utf-8"))


HUGE = 10**4000
HOSTILE: list[tuple[Any, str]] = [
    ({"hidden_size": -48}, "hidden_size: -48, expected an integer from 1 to 1048576"),
    ({"hidden_size": 0}, "hidden_size: 0"),
    ({"hidden_size": "48"}, "hidden_size: '48'"),
    ({"hidden_size": 48.0}, r"hidden_size: 48\.0"),
    ({"hidden_size": math.nan}, "hidden_size: nan"),
    ({"hidden_size": True}, "hidden_size: True"),
    ({"hidden_size": [48]}, r"hidden_size: \[48\]"),
    ({"hidden_size": {"a": {"b": {"c": {}}}}}, "hidden_size: {'a'"),
    ({"hidden_size": HUGE}, "hidden_size: an integer of about 4001 digits"),
    ({"hidden_size": None}, "hidden_size: missing"),
    (
        {"hidden_size": 50, "head_dim": None},
        "num_attention_heads: 6, expected a divisor of the hidden size 50",
    ),
    ({"vocab_size": 2**30}, "vocab_size: 1073741824, expected an integer from 1 to 16777216"),
    ({"num_hidden_layers": 10**6}, "num_hidden_layers: 1000000"),
    ({"num_key_value_heads": 4}, "num_key_value_heads: 4, expected a divisor of the 6 heads"),
    ({"intermediate_size": [100, 200, 300]}, "intermediate_size: "),
    ({"tie_word_embeddings": "yes"}, "tie_word_embeddings: 'yes', expected true or false"),
    ({"attention_bias": 1}, "attention_bias: 1"),
    ({"model_type": "mamba"}, "model_type: 'mamba', expected one of 52 families such as llama, qwen3"),
    ({"model_type": None}, "model_type: None"),
    ({"model_type": ["llama"]}, "model_type: "),
    ({"model_type": "llava", "text_config": {}}, "text_config.model_type: None, expected one of"),
    ({"model_type": "llava", "text_config": {"model_type": "mamba"}}, "text_config.model_type: 'mamba'"),
    ({"model_type": "llava", "text_config": [1]}, "model_type: 'llava', expected one of"),
    ({"model_type": "<b>", "text_config": {"model_type": "llama"}}, "model_type: '<b>', expected one of"),
    (
        {"model_type": "llava", "text_config": {"model_type": "llama", "hidden_size": -1}},
        "text_config.hidden_size: -1, expected an integer",
    ),
    (
        {"model_type": "qwen3_vl_moe", "text_config": {"model_type": "qwen3_vl_moe_text"}},
        "model_type: 'qwen3_vl_moe', expected a dense model",
    ),
    (
        {"model_type": "llava", "text_config": {"model_type": "mixtral", "num_local_experts": 8}},
        "text_config.num_local_experts: 8, expected a dense model",
    ),
    ({"model_type": "dbrx", "ffn_config": {"moe_num_experts": 16}}, "ffn_config.moe_num_experts: 16"),
    ({"model_type": "mixtral"}, "model_type: 'mixtral', expected a dense model, not a mixture of experts"),
    ({"model_type": "mixtral", "num_local_experts": 8}, "num_local_experts: 8, expected a dense model"),
    ({"model_type": "qwen3_moe", "num_experts": 128}, "num_experts: 128"),
    ({"model_type": "deepseek_v3", "n_routed_experts": 256}, "n_routed_experts: 256"),
    ({"architectures": ["LlamaForPreTraining"]}, "architectures: 'LlamaForPreTraining', expected a class"),
    ({"architectures": "LlamaForCausalLM"}, "architectures: "),
    ({"architectures": [7]}, "architectures: "),
    ({"architectures": ["LlamaForSequenceClassification"], "num_labels": 0}, "num_labels: 0"),
    ({"architectures": ["LlamaForSequenceClassification"], "id2label": []}, "id2label: "),
]


@pytest.mark.parametrize(("changes", "words"), HOSTILE, ids=[words[:40] for _, words in HOSTILE])
def test_a_hostile_config_gets_one_sentence_naming_the_field(changes: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        ModelShape.from_config({**TINY, **changes})
    assert_one_sentence(str(caught.value))


def assert_one_sentence(message: str) -> None:
    assert "\n" not in message
    assert len(message) < 700
    assert ": " in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON: line 1, column 1"),
        ("{'hidden_size': 48}", "not JSON"),
        ('{"model_type": "llama",}', "not JSON"),
        ("[1, 2]", r"config.json: \[1, 2\], expected an object"),
        ("null", "config.json: None"),
        ("NaN", "config.json: nan"),
        ("[" * 100_000, "nested too deeply"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "thousands of digits"),
        (json.dumps({**TINY, "hidden_size": math.inf}), "hidden_size: inf"),
        ('{"a": "' + "x" * 1_000_000 + '"}', "config.json: 1,000,009 characters, at most 1,000,000"),
    ],
    ids=["empty", "python", "comma", "list", "null", "nan", "deep", "digits", "infinite", "huge"],
)
def test_a_malformed_text_gets_one_sentence(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        ModelShape.from_config(parse(text))
    assert_one_sentence(str(caught.value))


def test_what_no_size_depends_on_may_be_anything_and_of_two_equal_fields_the_last_counts() -> None:
    """As json and with it transformers read them."""
    text = json.dumps(TINY)
    deep = '{"a":' * 30 + "1e999" + "}" * 30
    for more in (f'"rope_scaling": {deep}', '"note": NaN', '"\u0661": [null, "\ud800"]', '"hidden_size": 48'):
        read = parse(f'{{"hidden_size": -1, {more}, {text[1:]}')
        assert ModelShape.from_config(read) == ModelShape.from_config(TINY)
    assert ModelShape.from_config(parse(f'{text[:-1]}, "num_hidden_layers": 5}}')).modules()[0].count == 5


def test_not_text_and_not_an_object_are_refused() -> None:
    with pytest.raises(ValueError, match=r"config\.json: bytes, expected text"):
        parse(b"{}")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"config: \[\], expected an object"):
        ModelShape.from_config([])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="head: 'lmhead', expected one of lm, classification"):
        ModelShape.from_config(TINY, "lmhead")


def test_text_and_dictionary_say_the_same() -> None:
    for entry in CATALOGUE.values():
        assert ModelShape.from_config(parse("\ufeff" + json.dumps(dict(entry.config)))) == entry.shape()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(HUGE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(sorted({field for entry in CATALOGUE.values() for field in entry.config}))


@settings(max_examples=400)
@given(name=st.sampled_from(sorted(CATALOGUE)), changes=st.dictionaries(FIELDS, ANYTHING, max_size=4))
def test_any_value_in_any_field_is_counted_or_refused_in_a_sentence(
    name: str, changes: dict[str, Any]
) -> None:
    try:
        shape = ModelShape.from_config({**CATALOGUE[name].config, **changes})
    except ValueError as error:
        assert_one_sentence(str(error))
    else:
        assert 0 < shape.trainable(1, "all-linear") < shape.total()


@settings(max_examples=200)
@given(st.text(max_size=200) | ANYTHING.map(lambda value: json.dumps(value) if value != HUGE else "7"))
def test_any_text_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=":") as caught:
        ModelShape.from_config(parse(text))
    assert "\n" not in str(caught.value)
