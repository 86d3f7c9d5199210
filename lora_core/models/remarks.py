"""What a config.json says about itself that a reader should know, a sentence each."""

from collections.abc import Iterator, Mapping
from typing import Any

SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "vocab_size",
)  # fmt: skip


def remarks_on(config: Mapping[str, object], read: Any, class_name: str) -> Iterator[str]:
    """Its own code, quantised weights, the precision stored, sizes left out; `read` is the config as read."""
    if config.get("auto_map"):
        yield (
            f"The file brings code of its own (auto_map), which is not run: counted is transformers' "
            f"{class_name}."
        )
    stored = config.get("quantization_config")
    if isinstance(stored, Mapping):
        method = str(stored.get("quant_method", "a method it does not name"))[:30]
        yield (
            f"Its weights are stored quantised ({method}); counted are the numbers of the model before that, "
            "and memory at the precision chosen here."
        )
    kept = config.get("dtype", config.get("torch_dtype"))
    if isinstance(kept, str):
        yield f"The file stores its weights in {kept[:20]}."
    missing = _left_out(config, read)
    if missing:
        values = ", ".join(f"{name} {value:,}" for name, value in missing.items())
        yield f"Not in the file, so as transformers sets it: {values}."


def _left_out(config: Mapping[str, object], read: Any) -> dict[str, int]:
    """The sizes that the file does not say, as its class sets them."""
    text = config.get("text_config")
    there = {*config, *(text if isinstance(text, Mapping) else {})}
    names = (
        {read.attribute_map.get(name, name): name for name in SIZES} if hasattr(read, "attribute_map") else {}
    )
    values = {name: said(read, name) for name in names if name not in there}
    return {name: value for name, value in values.items() if isinstance(value, int)}


def said(config: Any, name: str) -> Any:
    """What a config says under a name; None where it says nothing, or something else for each layer."""
    try:
        return getattr(config, name, None)
    except Exception:
        return None
