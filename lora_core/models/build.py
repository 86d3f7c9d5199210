"""The shape of a real model: transformers builds it on the meta device, where no weight is ever allocated.

Runs in a process of its own (worker.py), because a config.json may ask for anything; nothing is downloaded
and no code of the config's is executed.
"""

import re
import warnings
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from lora_core.models.config import TOO_LARGE, check
from lora_core.models.heads import Chosen, choose, type_of
from lora_core.models.measure import measure
from lora_core.models.refusals import refusal
from lora_core.models.remarks import remarks_on
from lora_core.models.shape import ModelShape
from lora_core.models.traits import conversion, experts, refused_by_peft, text_model, widths

OF_THE_FILE = (  # what a file says about itself and no size depends on
    "architectures", "auto_map", "quantization_config", "compression_config", "dtype", "torch_dtype",
    "_name_or_path", "transformers_version", "_attn_implementation", "attn_implementation", "name_or_path",
    "_attn_implementation_internal", "model_type", "_commit_hash", "_experts_implementation",
)  # fmt: skip


def build_shape(config: Mapping[str, object], head: str | None = None) -> ModelShape:
    """The shape of the model that a config.json describes.

    Raises ValueError, in one sentence, where transformers has no such model or cannot build it.
    """
    return shape_of(*build(config, head))


def build(config: Mapping[str, object], head: str | None = None) -> tuple[Any, Chosen, tuple[str, ...]]:
    """The model of transformers on the meta device, the class chosen, and remarks about the file.

    Raises ValueError in one sentence.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    check(config)
    model_type, remarks = type_of(config)
    chosen = choose(model_type, config.get("architectures"), head)
    fields = {name: _decoded(value) for name, value in config.items() if name not in OF_THE_FILE}

    def attempt(fields: Mapping[str, object]) -> Exception | None:
        try:
            _built(model_type, fields, chosen.class_name)
        except MemoryError:
            raise
        except Exception as error:  # whatever a class makes of nonsense
            return error
        return None

    try:
        read, model = _built(model_type, fields, chosen.class_name)
    except MemoryError:
        raise ValueError(TOO_LARGE) from None
    except Exception as error:
        raise ValueError(
            refusal(chosen.class_name, fields, error, attempt, CONFIG_MAPPING[model_type])
        ) from None
    if model_type in ("t5", "mt5") and config.get("tie_word_embeddings") is False and chosen.head == "lm":
        _untie(model)
    return model, chosen, (*remarks, *remarks_on(config, read, chosen.class_name))


def _built(model_type: str, fields: Mapping[str, object], class_name: str) -> tuple[Any, Any]:
    """The config as its class reads it, and the model; raises whatever transformers makes of nonsense."""
    import torch
    import transformers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = transformers.AutoConfig.for_model(model_type, **deepcopy(dict(fields)))  # it writes into them
        _check_sizes(read)
        kind = getattr(transformers, class_name)
        inner = getattr(type(read), "sub_configs", {}).get("text_config")
        with torch.device("meta"):  # of a larger config the text model's, as the Auto classes do
            own = inner is not None and kind.config_class is inner
            return read, kind(read.get_text_config() if own else read)


def _decoded(value: object) -> object:
    """A value as transformers reads it: infinities are objects in its files, as JSON has no word for them."""
    if isinstance(value, Mapping):
        if value.keys() == {"__float__"} and value["__float__"] in ("Infinity", "-Infinity", "NaN"):
            return float(value["__float__"])
        return {key: _decoded(inner) for key, inner in value.items()}
    return [_decoded(inner) for inner in value] if isinstance(value, list) else value


def _check_sizes(config: Any) -> None:
    """ValueError where a size that the class read (its own or the file's) is not one."""
    for name, value in config.to_dict().items():
        if re.search(r"(hidden|vocab|intermediate)_size$|(layers|heads)$", name) and isinstance(value, int):
            least = 0 if "heads" in name or "layers" in name or value == 0 != config.vocab_size else 1
            if value < least and not isinstance(value, bool):
                raise ValueError(f"{name}: {value}, expected an integer from {least}")


def _untie(model: Any) -> None:
    """transformers ties T5's output when it builds it, and keeps it apart once a checkpoint brings both."""
    import torch

    model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))


def shape_of(model: Any, chosen: Chosen, remarks: tuple[str, ...] = ()) -> ModelShape:
    """Measure a built model: its parts in their order, the text model in it, its experts."""
    parts, others = measure(model)
    generates = chosen.task[-2:] != "LM" or hasattr(model, "prepare_inputs_for_generation")
    return ModelShape(
        model.config.model_type,
        chosen.head,
        parts,
        class_name=type(model).__name__,
        heads=chosen.heads,
        task=chosen.task if generates else "",
        text=text_model(model),
        others=others,
        experts=experts(model.config, parts),
        converted=conversion(model.config.model_type),
        refused=refused_by_peft(model),
        kept_whole=tuple(sorted(getattr(model, "_keep_in_fp32_modules", None) or ())),
        facts=widths(model.config),
        remarks=remarks,
    )
