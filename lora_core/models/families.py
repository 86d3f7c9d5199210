"""Every family of models that is counted here, by the `model_type` of its config.json.

A family is a function from fields and head to parts, and the heads its classes offer, the usual one first.
What is not in this table is refused, never guessed: two families with equal fields may differ in a bias.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lora_core.models.config import Fields, show
from lora_core.models.decoders import RECIPES, decoder
from lora_core.models.early import bloom, falcon, gpt2, gpt_neox, gptj, opt
from lora_core.models.encoders import bert, deberta_v2, distilbert, roberta
from lora_core.models.heads import Head
from lora_core.models.parts import Part
from lora_core.models.t5 import mt5, t5
from lora_core.models.vit import vit

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
        "gptj": gptj,
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
    }.items()
}
FAMILIES |= {
    "vit": Architecture(vit, (Head.NONE, Head.CLASSIFICATION), pictures=True),
    "t5": Architecture(t5, (Head.LM, Head.NONE), "SEQ_2_SEQ_LM"),
    "mt5": Architecture(mt5, (Head.LM, Head.NONE), "SEQ_2_SEQ_LM"),
}


def family_of(fields: Fields) -> tuple[str, Architecture]:
    """The family of a config; ValueError, in one sentence, for one that cannot be counted exactly."""
    model_type = fields.get("model_type")
    if not isinstance(model_type, str):
        known = ", ".join(sorted(FAMILIES))
        raise ValueError(f"model_type: {show(model_type)}, expected one of {known}")
    experts = fields.experts()
    if experts is not None:
        raise ValueError(
            f"{experts[0]}: {show(experts[1])}, expected a dense model, not a mixture of experts"
        )
    if model_type not in FAMILIES:
        if isinstance(fields.get("text_config"), dict):
            raise ValueError(
                f"model_type: {show(model_type)}, expected a text model: paste its text_config by itself"
            )
        known = ", ".join(sorted(FAMILIES))
        raise ValueError(f"model_type: {show(model_type)}, expected one of {known}")
    return model_type, FAMILIES[model_type]
