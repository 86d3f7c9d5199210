"""Every family of models that is counted here, by the `model_type` of its config.json.

A family is a function from fields and head to parts, and the heads its classes offer, the usual one first.
What is not in this table is refused, never guessed: two families with equal fields may differ in a bias.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from lora_core.fields import quoted
from lora_core.models.config import Fields
from lora_core.models.families.bart import bart
from lora_core.models.families.decoders import decoder
from lora_core.models.families.early import (
    bloom,
    codegen,
    falcon,
    gpt2,
    gpt_bigcode,
    gpt_neo,
    gpt_neox,
    gptj,
    opt,
)
from lora_core.models.families.encoders import bert, deberta_v2, distilbert, roberta
from lora_core.models.families.heads import Head
from lora_core.models.families.modernbert import modernbert
from lora_core.models.families.recipes import CLASS_SIZES, RECIPES, SIZES
from lora_core.models.families.t5 import mt5, t5
from lora_core.models.families.vit import vit
from lora_core.models.parts import Part

Build = Callable[[Fields, Head], list[Part]]
TEXT = (Head.LM, Head.CLASSIFICATION, Head.TOKENS, Head.ANSWERS, Head.NONE)
BARE = (Head.NONE, Head.LM, Head.CLASSIFICATION, Head.TOKENS, Head.ANSWERS)


@dataclass(frozen=True)
class Architecture:
    """How to count one family; `lm_task` is PEFT's task type for its language-model head, if any."""

    build: Build
    heads: tuple[Head, ...]
    lm_task: str = ""
    pictures: bool = False


FAMILIES: dict[str, Architecture] = {
    name: Architecture(partial(decoder, name), TEXT, "CAUSAL_LM") for name in RECIPES
}
FAMILIES |= {
    name: Architecture(build, TEXT, "CAUSAL_LM")
    for name, build in {
        "gpt2": gpt2,
        "gpt_bigcode": gpt_bigcode,
        "gpt_neo": gpt_neo,
        "gptj": gptj,
        "codegen": codegen,
        "gpt_neox": gpt_neox,
        "bloom": bloom,
        "falcon": falcon,
        "opt": opt,
    }.items()
}
FAMILIES |= {
    name: Architecture(build, BARE)
    for name, build in {
        "bert": bert,
        "roberta": roberta,
        "xlm-roberta": roberta,
        "camembert": roberta,
        "distilbert": distilbert,
        "deberta-v2": deberta_v2,
        "modernbert": modernbert,
    }.items()
}
FAMILIES |= {
    "vit": Architecture(vit, (Head.NONE, Head.CLASSIFICATION), pictures=True),
    "bart": Architecture(bart, (Head.LM, Head.NONE), "SEQ_2_SEQ_LM"),
    "t5": Architecture(t5, (Head.LM, Head.NONE), "SEQ_2_SEQ_LM"),
    "mt5": Architecture(mt5, (Head.LM, Head.NONE), "SEQ_2_SEQ_LM"),
}


# Text models that larger ones bring along under names of their own, and the family they are built like.
ALIKE = {
    "qwen2_vl": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen2_5_vl": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen3_vl_text": "qwen3",
}
INSIDE = ("text_config", "llm_config", "language_config")
"""Fields under which a model that also sees or hears keeps its text model."""
SHARED = ("architectures", "num_labels", "id2label")
"""What such a model may say once for both."""
TIED = "tie_word_embeddings"
"""The output layer is the larger model's own, so its word on this comes first."""
MIXTURE = re.compile(r"moe|mixtral|dbrx|gpt_oss|deepseek_v[23]|switch_transformers", re.ASCII)
"""Names of families that are mixtures of experts, whatever their other fields say."""
WORD = re.compile(r"[\w.\-]{1,40}", re.ASCII)


class Found(NamedTuple):
    """A config's text model: its family and fields, where it was, and in what larger model."""

    model_type: str
    fields: Fields
    where: str = ""
    inside: str = ""


def text_model(fields: Fields) -> Found:
    """The text model of a config, which may be the `text_config` of one that also sees or hears.

    Raises ValueError, in one sentence, for a family that cannot be counted exactly.
    """
    model_type = _checked(fields)
    where = next((name for name in INSIDE if isinstance(fields.get(name), Mapping)), "")
    if model_type in FAMILIES or (model_type in ALIKE and not where):
        family = ALIKE.get(model_type, model_type)
        return Found(family, fields, inside="" if model_type == family else model_type)
    if not where or not WORD.fullmatch(model_type):
        raise _unknown(model_type)
    inner = Fields(fields.get(where))  # type: ignore[arg-type]
    try:
        kind = _checked(inner)
        family = ALIKE.get(kind, kind)
        if family not in FAMILIES:
            raise _unknown(kind)
    except ValueError as error:
        raise ValueError(f"{where}.{error}") from None
    sizes = dict(zip(SIZES, CLASS_SIZES.get(kind, ()), strict=False))
    said = {name: fields.get(name) for name in SHARED}
    return Found(family, inner.over({**sizes, **said}).with_(TIED, fields.get(TIED)), where, model_type)


def _checked(fields: Fields) -> str:
    """The `model_type` of a dense model."""
    model_type = fields.get("model_type")
    if not isinstance(model_type, str):
        raise _unknown(model_type)
    experts = fields.experts()
    if experts is None and MIXTURE.search(model_type):
        experts = "model_type", model_type
    if experts is not None:
        raise ValueError(
            f"{experts[0]}: {quoted(experts[1])}, expected a dense model, not a mixture of experts"
        )
    return model_type


def _unknown(model_type: object) -> ValueError:
    some = f"one of {len(FAMILIES)} families such as llama, qwen3, gpt2, bert, t5"
    return ValueError(f"model_type: {quoted(model_type)}, expected {some}")
