"""Public configs on which counting by a table of families failed: right to the integer, or refused.

`model_cases.json` holds each config with the integers of transformers 5.23.0 and PEFT 0.21.2, on the meta
device.
"""

import json
from typing import Any

import pytest

from lora_core.models import Adapter, ModelShape, adapter_file_bytes, adapter_memory, lora_code
from lora_core.models.build import build_shape
from lora_core.models.catalogue import CATALOGUE
from tests.kit.models import DATA

CASES: dict[str, Any] = json.loads((DATA / "model_cases.json").read_text(encoding="utf-8"))["cases"]
COUNTED = {
    name: case for name, case in CASES.items()
    if "config" in case and isinstance(case["expected"], dict) and "total" in case["expected"]
}  # fmt: skip
GEMMA_SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

pytestmark = pytest.mark.filterwarnings("ignore")


def adapters(case: dict[str, Any]) -> list[tuple[Adapter, Any]]:
    """Adapters that the case expects counts of, each with (trained, total) or PEFT's refusal."""
    found: list[tuple[Adapter, Any]] = []
    for key, value in case["expected"].items():
        if not key.startswith("peft"):
            continue
        rank = 32 if "r32" in key else 8
        if key == "peft_default_r8":
            names = case["expected"]["peft_default_targets"]
            if isinstance(names, str):  # Gemma 4's: .*language_model\\..*\\.(q_proj|v_proj)
                found.append((Adapter(rank, ("q_proj", "v_proj"), text_only=True), value))
            else:
                found.append((Adapter(rank, tuple(names)), value))
        elif "all-linear" in key or "all_linear" in key:
            found.append((Adapter(rank, "all-linear"), value))
        elif "language_model all seven" in key:
            found.append((Adapter(rank, GEMMA_SEVEN, text_only=True), value))
        elif "language_model" in key:
            found.append((Adapter(rank, ("q_proj", "v_proj"), text_only=True), value))
        elif key == "peft_qv_r8":
            found.append((Adapter(rank, tuple(value[0])), value[1:]))
        elif key.startswith("peft_r") and "default" not in key:
            names = key.split(" ", 1)[1].partition(" ")[0].strip("[]").replace("'", "").split(",")
            found.append((Adapter(rank, tuple(name for name in names if name)), value))
    return found


@pytest.mark.parametrize("name", COUNTED)
def test_a_case_is_counted_to_the_integer(name: str) -> None:
    case, shape = COUNTED[name], build_shape(COUNTED[name]["config"])
    expected = case["expected"]
    assert (shape.class_name, shape.total()) == (expected.get("class", shape.class_name), expected["total"])
    if shape.text and expected.get("text_model_and_head"):
        assert shape.text_total() == expected["text_model_and_head"]
    for adapter, counts in adapters(case):
        if isinstance(counts, str):  # what PEFT says when it takes none
            with pytest.raises(ValueError, match=": "):
                shape.count(adapter)
        else:
            count = shape.count(adapter)
            assert [count.trainable, count.total] == counts, adapter


def test_what_cannot_be_counted_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match='model_type: missing, add "model_type": "gpt2"'):
        build_shape(CASES["gpt2-without-model-type"]["config"])
    found = build_shape({**CASES["gpt2-without-model-type"]["config"], "model_type": "gpt2"})
    assert found.total() == 102_068_736
    for name, words in (
        ("jina-embeddings-v2-base", "JinaBertForMaskedLM"),
        ("qwen2-reward-model", "Qwen2ForRew"),
    ):
        with pytest.raises(
            ValueError, match=f"architectures: '{words}.*which transformers does not have for"
        ):
            build_shape(CASES[name]["config"])


def test_the_code_of_gemma_3_trains_what_is_stated_of_its_text_model() -> None:
    shape = build_shape(CASES["gemma-3-4b-code"]["config"])
    adapter = Adapter(8, "qv", text_only=True)
    assert r'r"model\.language_model\.(?:.*\.)?(?:q_proj|v_proj)"' in lora_code(shape, adapter)
    assert shape.count(adapter).trainable < shape.count(Adapter(8, "qv")).trainable


def test_a_saved_head_and_the_file_are_counted_in_the_precision_that_peft_keeps_them_in() -> None:
    expected = CASES["memory-saved-head"]["expected"]
    shape, adapter = CATALOGUE["Llama 3.1 8B"].shape(), Adapter(8, "qv", modules_to_save=("lm_head",))
    memory = adapter_memory(shape, adapter)
    assert (memory.trained, memory.gradients) == (expected["trained"], expected["gradients"])
    assert memory.optimizer == expected["optimizer (torch AdamW)"]
    assert memory.total == expected["total"]
    assert adapter_file_bytes(shape, adapter) == expected["file"]


def test_t5_keeps_wo_out_of_four_bits() -> None:
    shape = build_shape(CASES["memory-t5-11b-qlora"]["config"])
    memory = adapter_memory(shape, Adapter(8, "qv"), "nf4")
    assert memory.total == CASES["memory-t5-11b-qlora"]["expected"]["QLoRA total"]


def test_from_config_reads_a_case_by_way_of_the_worker() -> None:
    case = COUNTED["mistral-without-kv-heads"]
    shape = ModelShape.from_config(case["config"])
    assert shape == build_shape(case["config"])
    assert any("num_key_value_heads 8" in remark for remark in shape.remarks)
