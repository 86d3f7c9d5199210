"""Damaged configs: real ones with fields cut, renamed, swapped, nested or made absurd, by a fixed seed.

    python -m tests.damaged [--configs 30000] [--seed 1] [--log FILE]

reads them all through the worker, prints every kind of sentence with its number, and fails if a config gets
anything but a count or one sentence, or takes longer than the worker's limit. Whole are those of the
catalogue, those of known troubles, and the class defaults of every type of transformers, made shallow. The
tests read a share of them without a worker.
"""

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from lora_core.models import CATALOGUE
from lora_core.models.reading import SECONDS, Reader, read_shape
from lora_core.models.worker_process import START_SECONDS
from tests.kit.sweep import cases, class_defaults, shallow

CASES = Path(__file__).parent / "data" / "model_cases.json"
ABSURD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3, 7, 2**31, 10**18, 10**1000, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    "", "llama", "4096", "None", "\ud800", "\u202e\n", [], {}, [[]], [0], [-1, None], ["x"] * 100, [1, 2, 3],
    {"a": {"b": {"c": []}}}, {"0": 1}, "x" * 3000, [None], {"model_type": "gpt2"}, {"model_type": "no such"},
    {"__float__": "Infinity"}, "<img src=x>",
)  # fmt: skip
ROPES = (
    {"type": "linear", "factor": 2}, {"rope_type": "yarn"}, {"rope_type": "llama3", "factor": "8"},
    {"rope_type": "no such"}, {"rope_type": None, "rope_theta": "x"}, {"factor": -1}, "linear", [2.0], None,
    {"rope_type": "longrope", "short_factor": [1], "long_factor": "x"}, {"full_attention": {"rope_type": 3}},
    {"rope_type": "default", "rope_theta": 0}, {"rope_type": "default", "partial_rotary_factor": 90},
)  # fmt: skip
SPECIAL: dict[str, tuple[Any, ...]] = {  # fields that are no plain size, and what they are found to hold
    "rope_scaling": ROPES,
    "rope_parameters": ROPES,
    "layer_types": (
        ["full_attention"], ["sliding_attention", "no such"], ["linear_attention"] * 4, "full_attention",
        [None] * 2, [["full_attention"]], ["mamba", "attention", "moe"], {"0": "full_attention"},
    ),
    "quantization_config": (
        {"quant_method": "gptq", "bits": 4}, {"quant_method": "no such"}, {"quant_method": ["x"]}, "fp8", [],
        {"quant_method": "bitsandbytes", "load_in_4bit": "yes"}, {"quant_method": "x" * 3000}, 4,
    ),
    "auto_map": ({"AutoModelForCausalLM": "modeling_x.X"}, "modeling_x.X", [], {"AutoConfig": None}, True),
    "architectures": ([], [[]], ["LlamaForCausalLM", "X"], ["BertModel"], "BertModel", ["os.system"], [""]),
    "dtype": ("bfloat16", "no such", 16, None, ["float32"]),
    "torch_dtype": ("float16", "torch.float16", {"x": 1}),
    "hidden_act": ("no such", "GELU", None, ["gelu"], 3),
    "_attn_implementation": ("flash_attention_2", "no such", 3, {"a": "eager"}),
    "text_config": ({}, [], "llama", {"model_type": "bert"}, {"hidden_size": 0}),
    "vision_config": ({}, [], None, {"model_type": "llama"}, {"image_size": 0}, {"patch_size": [2, 3, 4]}),
}  # fmt: skip

OF_PYTHON = re.compile(
    r"NoneType|<class|Error\b|\bobject (has|is|of type)|positional|unhashable|operand|subscript"
)
"""Words of a programming language in which no sentence is to speak."""


@cache
def whole() -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """Configs without a fault, as many of the catalogue as of transformers' defaults; all fields in them."""
    troubles = json.loads(CASES.read_text(encoding="utf-8"))["cases"].values()
    found = [dict(entry.config) for entry in CATALOGUE.values()]
    found += [case["config"] for case in troubles if "config" in case]
    found *= 4
    for kind, name in cases():
        with suppress(StrictDataclassError):  # a type that no default of its own can be
            found.append(shallow(class_defaults(kind, name)))
    return tuple(found), tuple(sorted({name for config in found for name in config}))


def damaged(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Whole configs with one to four faults each."""
    draw = random.Random(seed)
    configs, names = whole()
    for _ in range(count):
        config = json.loads(json.dumps(draw.choice(configs)))
        for _ in range(draw.choice((1, 1, 2, 3, 4))):
            _harm(config, draw, names)
        yield config


def _harm(config: dict[str, Any], draw: random.Random, names: tuple[str, ...]) -> None:
    """One fault in the config or in one that it holds."""
    place = config
    while draw.random() < 0.4 and (inner := [one for one in place.values() if isinstance(one, dict) and one]):
        place = draw.choice(inner)
    name = draw.choice(list(place)) if place and draw.random() < 0.8 else draw.choice(names)
    value, kind = place.get(name), draw.random()
    if kind < 0.1:
        place.pop(name, None)
    elif kind < 0.2 and name in place:
        del place[name]
        place[draw.choice((name.upper(), f"{name}s", f"_{name}", name[:-1], f" {name}"))] = value
    elif kind < 0.4 and isinstance(value, int) and abs(value) < 2**60:
        place[name] = int(value * draw.choice((-1, 0.5, 2, 3, 1.1, 1000)))
    elif kind < 0.5:
        place[name] = draw.choice((str(value), [value], {"value": value}, [value, value], [[value]]))
    elif kind < 0.6:
        place[name] = deepcopy(place.get(draw.choice(list(place) or [name])))
    elif kind < 0.75:
        name = draw.choice(list(SPECIAL))
        place[name] = deepcopy(draw.choice(SPECIAL[name]))
    elif kind < 0.8:  # another model's type, class or sub-config
        other = draw.choice(whole()[0])
        name = draw.choice([*(one for one in ("model_type", "architectures") if one in other), *other])
        place[name] = deepcopy(other[name])
    else:
        place[name] = deepcopy(draw.choice(ABSURD))


def kind_of(sentence: str) -> str:
    """The sentence without what is this config's alone: names, values, numbers."""
    words = re.sub(r"'[^']*'|\"[^\"]*\"", "'_'", sentence)
    if not words.startswith("config.json"):
        words = re.sub(r"^[^:]{1,90}: .*?(?=, expected|, with which|$)", "FIELD: _", words)
    return re.sub(r"-?\d[\d.,e+-]*", "9", words)[:150]


def main() -> None:
    """Read them all and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    reader, kinds, slowest, wrong = Reader(), Counter[str](), 0.0, 0
    log = options.log.open("w", 1, encoding="utf-8") if options.log else None
    for config in damaged(options.configs, options.seed):
        start, words = time.monotonic(), "counted"
        try:
            assert read_shape(config, reader=reader).total() > 0
        except ValueError as error:
            words = str(error)
        took = time.monotonic() - start
        slowest = max(slowest, took)
        kinds[kind_of(words)] += 1
        if words != "counted" and (trouble := trouble_with(words)):
            wrong += 1
            print(f"{trouble}: {words!r} of {json.dumps(config)}")
        if log:
            log.write(json.dumps({"said": words, "took": round(took, 3), "config": config}) + "\n")
    reader.close()
    print(*(f"{count:6,} {kind}" for kind, count in kinds.most_common()), sep="\n")
    print(f"{kinds.total():,} configs, {kinds['counted']:,} counted, {wrong} wrong, slowest {slowest:.1f} s")
    assert slowest < SECONDS + START_SECONDS
    assert not wrong


def trouble_with(sentence: str) -> str:
    """Why this is not the one line that a person can read, "" where it is."""
    if not sentence.isprintable():
        return "more than a line"
    if not 10 < len(sentence) < 700 or ": " not in sentence:
        return "no sentence that begins with a field"
    return "words of Python" if OF_PYTHON.search(re.sub(r"'[^']*'", "", sentence)) else ""


if __name__ == "__main__":
    main()
