"""Every model type of transformers with its class's defaults, made shallow, and what PEFT makes of it."""

import json
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unittest.mock import patch

import peft
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig

from lora_core.models.build import build, shape_of
from lora_core.models.code import lora_code
from lora_core.models.heads import mappings
from lora_core.models.shape import ModelShape
from lora_core.models.targets import Adapter

MAPPINGS = (
    "causal-lm", "masked-lm", "seq-to-seq-causal-lm", "image-classification", "audio-classification",
    "image-text-to-text",
)  # fmt: skip
DEPTH = re.compile(r"^(num_hidden_layers|n_layers?|num_layers|(en|de)coder_layers|num_decoder_layers|depth)$")
EXPERTS = re.compile(r"^(num_|n_|moe_num_)(local_|routed_)?experts$")
FILLS = ("kaiming_uniform_", "xavier_uniform_", "uniform_", "normal_", "trunc_normal_", "zeros_", "ones_")


@dataclass(frozen=True)
class Result:
    """What came of one class: nothing wrong, something wrong, refused here or by the libraries themselves."""

    case: str
    wrong: str = ""
    refused: str = ""
    peft_refuses: str = ""
    cannot_be: str = ""  # transformers itself cannot build it from its class defaults

    @property
    def outcome(self) -> str:
        if self.refused:
            return "refused"
        return "PEFT refuses" if self.peft_refuses else "cannot be built" if self.cannot_be else "counted"

    @property
    def why(self) -> str:
        return self.refused or self.peft_refuses or self.cannot_be


def cases() -> list[tuple[str, str]]:
    """(model type, class) of every entry of the mappings, once each."""
    found: dict[tuple[str, str], None] = {}
    for word in MAPPINGS:
        for kind, names in mappings()[word].items():
            for name in (names,) if isinstance(names, str) else tuple(names):  # type: ignore[arg-type]
                found[kind, name] = None
    return sorted(found)


def shallow(fields: dict[str, Any]) -> dict[str, Any]:
    """The same sizes with two layers and four experts: on the meta device width costs nothing, depth does."""
    depths = {value for key, value in fields.items() if DEPTH.match(key) and isinstance(value, int)}
    found: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, dict):
            value = shallow(value)
        elif DEPTH.match(key) and isinstance(value, int) and value > 2:
            value = 2
        elif EXPERTS.match(key) and isinstance(value, int) and value > 4:
            value = 4
        elif isinstance(value, list) and len(value) in depths and len(value) > 2:
            value = value[:2]
        found[key] = value
    return found


def class_defaults(kind: str, name: str) -> dict[str, Any]:
    """The config.json of a type that says all that its class would set."""
    plain = json.loads(AutoConfig.for_model(kind).to_json_string(use_diff=False))
    return plain | {"model_type": kind, "architectures": [name]}


def built(kind: str, name: str) -> Any:
    """The model, its class, its remarks: shallow where the class can be, else with its own depth."""
    plain = class_defaults(kind, name)
    # Why a shallow one cannot be is no answer to anything, and to find its field at fault takes many builds.
    with suppress(ValueError), patch("lora_core.models.build.refusal", lambda *_: "it cannot be shallow"):
        return build(shallow(plain))
    return build(plain)


@contextmanager
def unfilled() -> Iterator[None]:
    """Leave tensors of the meta device as they are: they have no numbers, and to draw none takes long."""

    def unless_meta(fill: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(fill)
        def filled(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            return tensor if tensor.is_meta else fill(tensor, *args, **kwargs)

        return filled

    with ExitStack() as patches:
        for name in FILLS:
            fill = unless_meta(getattr(torch.nn.init, name))
            patches.enter_context(patch.object(torch.nn.init, name, fill))
        yield


def possible(kind: str, name: str) -> bool:
    """Whether transformers builds the class from its defaults at all."""
    try:
        config = AutoConfig.for_model(kind)
        inner = getattr(type(config), "sub_configs", {}).get("text_config")
        model_class = getattr(transformers, name)
        with torch.device("meta"):
            model_class(config.get_text_config() if model_class.config_class is inner else config)
    except Exception:
        return False
    return True


def check(kind: str, name: str) -> Iterator[Result]:
    """Hold one class to transformers' total and to PEFT's counts under two adapters."""
    case = f"{kind}, {name}"
    with warnings.catch_warnings(), unfilled():
        warnings.simplefilter("ignore")
        try:
            model, chosen, remarks = built(kind, name)
            shape = shape_of(model, chosen, remarks)
        except ValueError as error:
            yield Result(case, **{"refused" if possible(kind, name) else "cannot_be": str(error)})
            return
        except StrictDataclassError as error:
            yield Result(case, cannot_be=str(error))
            return
        total = sum(tensor.numel() for tensor in model.parameters())
        if shape.total() != total:
            yield Result(case, wrong=f"total {shape.total():,}, expected {total:,}")
        result = compare(case, model, shape, Adapter(8, "all-linear"))
        yield result
        if result.peft_refuses:  # and leaves the model adapted by half
            model, *_ = built(kind, name)
        second = "qv" if any(part.role for part in shape.parts) else "attention"
        yield compare(case, model, shape, Adapter(8, second), take_off=False)


def compare(case: str, model: Any, shape: ModelShape, adapter: Adapter, take_off: bool = True) -> Result:
    """Attach the adapter by executing the code to copy, count, and take it off again for the next."""
    where = f"{case}, {adapter.targets}"
    try:
        count = shape.count(adapter)
        scope: dict[str, Any] = {}
        exec(lora_code(shape, adapter), scope)
    except ValueError as error:
        if "names no linear layer" in str(error):
            return Result(where)
        try:
            adapted = peft.get_peft_model(model, peft.LoraConfig(r=8, target_modules="all-linear"))
            adapted.unload()
        except Exception as theirs:
            return Result(where, peft_refuses=str(theirs))
        return Result(where, refused=str(error))
    try:
        with torch.device("meta"):
            adapted = peft.get_peft_model(model, scope["config"])
    except Exception as error:
        return Result(where, peft_refuses=f"{type(error).__name__}: {error}")
    theirs = adapted.get_nb_trainable_parameters()
    if take_off:
        adapted.unload()
    if (count.trainable, count.total) != theirs:
        return Result(where, wrong=f"{count.trainable:,} of {count.total:,}, PEFT {theirs}")
    return Result(where)
