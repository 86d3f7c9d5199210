"""What a built model says of itself beside its parts: text model, widths, experts, what PEFT makes of it."""

from typing import Any

from lora_core.models.measure import star
from lora_core.models.parts import Family, Part
from lora_core.models.remarks import said
from lora_core.models.shape import Experts

PICKED = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk", "top_k_experts",
          "moe_k", "top_k", "moe_top_k", "num_selected_experts")  # fmt: skip
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts")
WIDTHS = {
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "layers": "num_hidden_layers",
}


def _text_config(config: Any) -> Any:
    """The config of the text model; None where there are several, or none that is told apart."""
    try:
        return config.get_text_config()
    except Exception:
        return None


def widths(config: Any) -> tuple[tuple[str, int], ...]:
    """Hidden size, heads and layers of the text model, as far as its config names them."""
    config = _text_config(config)
    if config is None:
        return ()
    found = {word: said(config, name) for word, name in WIDTHS.items()}
    found["kv_heads"] = found["kv_heads"] or found["heads"]
    if isinstance(found["hidden"], int) and isinstance(found["heads"], int) and found["heads"]:
        found["head_dim"] = found["head_dim"] or found["hidden"] // found["heads"]
    return tuple((name, value) for name, value in found.items() if isinstance(value, int))


def text_model(model: Any) -> str:
    """The path of the text model inside a larger one, "" where the model stands alone."""
    inner = _text_config(model.config)
    if inner is None or inner is model.config or getattr(model.config, "is_encoder_decoder", False):
        return ""
    for path, module in model.named_modules():
        if path and getattr(module, "config", None) is inner and hasattr(module, "get_input_embeddings"):
            return star(path)
    return ""


def experts(config: Any, parts: tuple[Part, ...]) -> Experts | None:
    """How many routed experts a layer has and a token passes; None for a dense model."""
    routed = [part for part in parts if part.family is Family.EXPERTS]
    if not routed:
        return None
    config = _text_config(config) or config
    places = [config, getattr(config, "ffn_config", None)]
    fused = next((part.kernel for part in routed if part.fused), 0)
    return Experts(fused or _first_number(places[::-1], EXPERTS), _first_number(places, PICKED))


def _first_number(places: list[Any], names: tuple[str, ...]) -> int:
    """The first of these fields that is a number other than 0; 0 where none is."""
    for place in places:
        for name in names:
            value = getattr(place, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and value:
                return value
    return 0


def refused_by_peft(model: Any) -> str:
    """Why PEFT adapts nothing of this class, "" where it does."""
    tied = isinstance(model._tied_weights_keys, dict)  # PEFT then asks which weights are tied to them
    try:
        if tied and getattr(model.config, "tie_word_embeddings", None) is not False:
            model.get_input_embeddings()
    except NotImplementedError:
        return (
            f"PEFT adapts no {type(model).__name__}: transformers cannot say which are its input embeddings"
        )
    return ""


def conversion(model_type: str) -> str:
    """The family by whose rules PEFT 0.21 turns names of experts into `target_parameters`, or ""."""
    from transformers.conversion_mapping import (
        _MODEL_TO_CONVERSION_PATTERN,
        get_checkpoint_conversion_mapping,
    )

    if get_checkpoint_conversion_mapping(model_type) is None:
        return ""
    found = "mixtral" if model_type == "mixtral" else _MODEL_TO_CONVERSION_PATTERN.get(model_type, "")
    return found if found in ("mixtral", "qwen2_moe") else ""
