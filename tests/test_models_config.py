"""What a config.json that nobody vouches for gets told: one sentence naming the field, and never a crash."""

import json
import math
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_core.models import CATALOGUE, ModelShape
from lora_core.models.build import build_shape
from lora_core.models.config import parse
from lora_core.models.refusals import kinds_of
from tests.damaged import damaged, trouble_with

pytestmark = pytest.mark.filterwarnings("ignore")

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
    ({"hidden_size": HUGE}, "hidden_size: an integer of about 4001 digits"),
    ({"bos_token_id": HUGE}, "bos_token_id: an integer of about 4001 digits, expected a number of at most"),
    ({"vocab_size": 2**30}, "vocab_size: 1073741824, expected an integer from 1 to 16777216"),
    ({"num_hidden_layers": 10**6}, "num_hidden_layers: 1000000, expected an integer from 0 to 1000"),
    ({"num_attention_heads": 10**6}, "num_attention_heads: 1000000"),
    ({"num_experts": 10**6, "model_type": "qwen3_moe"}, "num_experts: 1000000"),
    (
        {"tie_word_embeddings": "yes"},
        "tie_word_embeddings: 'yes', expected true or false",
    ),
    (
        {"model_type": "mambo"},
        "model_type: 'mambo', expected one of the [0-9]+ types that transformers knows",
    ),
    ({"model_type": None}, 'model_type: missing, add "model_type": "llama", whose fields these are'),
    ({"model_type": ["llama"]}, "model_type: "),
    (
        {"model_type": "<b>", "auto_map": {"AutoModel": "x.Y"}},
        "model_type: '<b>'.*code of its own .auto_map.",
    ),
    (
        {"model_type": "llava", "text_config": {"model_type": "llama", "hidden_size": -1}},
        "text_config.hidden_size: -1",
    ),
    (
        {"architectures": ["LlamaForPreTraining"]},
        "architectures: 'LlamaForPreTraining', which transformers does not",
    ),
    (
        {"architectures": "LlamaForCausalLM"},
        "architectures: 'LlamaForCausalLM', expected a list of class names",
    ),
    ({"architectures": [7]}, "architectures: "),
    ({"architectures": ["LlamaForSequenceClassification"], "num_labels": 0}, "num_labels: 0"),
    ({"note": json.loads("[" * 40 + "]" * 40)}, "nested deeper than"),
    ({"note": "x" * 20_000}, "note: 20,000 characters, at most 10,000"),
]


NO_LLAMA = ", with which transformers builds no LlamaForCausalLM"
UNKNOWN = ", which transformers does not know"
INNER = {"model_type": "llama", "hidden_act": "no such"}
FAULTS: list[tuple[Any, str]] = [  # what transformers raises as Python puts it, mostly without the field
    ({"rms_norm_eps": 1}, "rms_norm_eps: 1, expected a decimal number"),
    ({"eos_token_id": [None]}, "eos_token_id: [None], expected a whole number, a list of whole numbers or "),
    ({"hidden_act": "GELU"}, f"hidden_act: 'GELU'{UNKNOWN}; by default it is 'silu'"),
    ({"rope_scaling": {"rope_type": "no such"}}, f"rope_scaling.rope_type: 'no such'{UNKNOWN}"),
    ({"rope_scaling": {"type": "yarn"}}, f"rope_scaling.type: 'yarn'{NO_LLAMA}: Missing required keys in "),
    ({"rope_theta": [10_000.0]}, f"rope_theta: [10000.0]{NO_LLAMA}"),
    ({"layer_types": [["full_attention"]]}, f"layer_types: [['full_attention']]{NO_LLAMA}"),
    ({"text_config": {"model_type": "bert"}}, f"text_config: {{'model_type': 'bert'}}{NO_LLAMA}"),
    ({"id2label": {"x": "y"}}, f"id2label.x: 'y'{NO_LLAMA}"),
    ({"head_dim": -4}, f"head_dim: -4{NO_LLAMA}: Trying to create tensor with negative dimension"),
    # of two faults the one that is met first, and one inside of a model that sees
    ({"rope_theta": [1], "use_cache": 3}, "use_cache: 3, expected true or false"),
    ({"model_type": "llava", "text_config": INNER}, f"text_config.hidden_act: 'no such'{UNKNOWN}"),
    # what no field of the file says
    ({"model_type": "hunyuan_vl"}, "head_dim: not said, or null, and transformers builds no HunYuanVLFor"),
    (
        {"model_type": "gemma3n"},
        "config.json: Gemma3nForConditionalGeneration needs the package timm, which ",
    ),
    (
        {"model_type": "reformer", "architectures": ["ReformerModelWithLMHead"]},
        "config.json: transformers builds no ReformerModelWithLMHead of these fields: If you want to use ",
    ),
]


@pytest.mark.parametrize(("changes", "words"), FAULTS, ids=[words[:40] for _, words in FAULTS])
def test_the_field_at_fault_is_found_by_leaving_fields_out(changes: Any, words: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(words)) as caught:
        build_shape({**(TINY if "model_type" not in changes else {}), **changes})
    assert not trouble_with(str(caught.value))


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int | float, "a number"),
        (float, "a decimal number"),
        (int | list[int] | None, "a whole number, a list of whole numbers or null"),
        (dict | None, "an object or null"),
        (tuple[float, ...] | bool, "a list of decimal numbers, true or false"),
        (Literal["a", "b"] | None, "one of 'a', 'b' or null"),
    ],
)
def test_kinds_are_told_in_words(annotation: Any, words: str) -> None:
    assert kinds_of(annotation) == words


@pytest.mark.parametrize(("changes", "words"), HOSTILE, ids=[words[:40] for _, words in HOSTILE])
def test_a_hostile_config_gets_one_sentence_naming_the_field(changes: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        build_shape({**TINY, **changes})
    assert not trouble_with(str(caught.value))


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
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "thousands of digits"),
        (json.dumps({**TINY, "hidden_size": math.inf}), "hidden_size: inf"),
        ('{"a": "' + "x" * 1_000_000 + '"}', "config.json: 1,000,009 characters, at most 1,000,000"),
    ],
    ids=[
        "empty",
        "python",
        "comma",
        "list",
        "null",
        "nan",
        "deep",
        "deep objects",
        "digits",
        "infinite",
        "huge",
    ],
)
def test_a_malformed_text_gets_one_sentence(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        ModelShape.from_config(parse(text))
    assert not trouble_with(str(caught.value))


def test_what_no_size_depends_on_may_be_anything_and_of_two_equal_fields_the_last_counts() -> None:
    """As json and with it transformers read them."""
    text = json.dumps(TINY)
    for more in ('"note": NaN', '"note": {"a": {"b": 1e999}}', '"\u0661": [null, "x"]', '"hidden_size": 48'):
        read = parse(f'{{"hidden_size": -1, {more}, {text[1:]}')
        assert build_shape(read).parts == build_shape(TINY).parts
    assert build_shape(parse(f'{text[:-1]}, "num_hidden_layers": 5}}')).modules()[0].count == 5


def test_not_text_and_not_an_object_are_refused() -> None:
    with pytest.raises(ValueError, match=r"config\.json: bytes, expected text"):
        parse(b"{}")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"config: \[\], expected an object"):
        ModelShape.from_config([])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="head: 'lmhead', expected one of lm, classification"):
        build_shape(TINY, "lmhead")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(HUGE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(sorted({field for entry in CATALOGUE.values() for field in entry.config}))
SMALL = [name for name in CATALOGUE if CATALOGUE[name].shape().total() < 10**9]


def trouble_of(config: dict[str, Any]) -> str:
    """What is wrong with the answer to a config that may be counted or refused."""
    try:
        return "" if build_shape(config).total() > 0 else "a model without numbers"
    except ValueError as error:
        return trouble_with(str(error))


@settings(max_examples=100)
@given(name=st.sampled_from(SMALL), changes=st.dictionaries(FIELDS, ANYTHING, max_size=4))
def test_any_value_in_any_field_is_counted_or_refused_in_a_sentence(
    name: str, changes: dict[str, Any]
) -> None:
    assert not trouble_of({**CATALOGUE[name].config, **changes})


DAMAGED = 150
"""Of the 30,000 that `python -m tests.damaged` reads, by way of the worker."""


def test_damaged_configs_are_counted_or_refused_in_a_sentence() -> None:
    for config in damaged(DAMAGED, seed=19):
        assert not trouble_of(config)


@settings(max_examples=200)
@given(st.text(max_size=200) | ANYTHING.map(lambda value: json.dumps(value) if value != HUGE else "7"))
def test_any_text_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=":") as caught:
        ModelShape.from_config(parse(text))
    assert "\n" not in str(caught.value)
