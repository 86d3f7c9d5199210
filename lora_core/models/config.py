"""Read a config.json that nobody vouches for: every field checked once, every refusal one sentence.

What is pasted into a page may be malformed, huge, nested or hostile. A value is used only after its
type and its range are known; a wrong one is a ValueError that names the field, shows the value (cut short)
and says what would be right. Nothing is downloaded and nothing is executed; transformers builds what passes.
"""

import re
from collections.abc import Mapping

from lora_core.fields import quoted
from lora_core.text_file import parsed_json

MAX_CHARACTERS = 1_000_000
MOST_LEVELS = 12
LARGEST = 2**53
TOO_LARGE = "config.json: too large to be built in the memory that is set aside for it"

# What a field of this name may be, first match first: more would take minutes to build, or is no size.
COUNTS: tuple[tuple[str, tuple[int, int]], ...] = (
    (r"^(num_hidden_layers|n_layers?|num_layers|(en|de)coder_layers|num_decoder_layers|depth)$", (0, 1_000)),
    (r"^(num_|n_|moe_num_)(local_|routed_)?experts$", (0, 1_024)),
    (r"^(hidden_size|d_model|n_embd|dim)$", (1, 2**20)),
    (r"^(intermediate_size|moe_intermediate_size|d_ff|ffn_dim|(en|de)coder_ffn_dim|hidden_dim)$", (1, 2**22)),
    (r"^(num_attention_heads|n_heads?|num_heads|(en|de)coder_attention_heads)$", (1, 2**14)),
    (r"^num_key_value_heads$", (1, 2**14)),
    (r"^vocab_size$", (1, 2**24)),
    (r"^(max_position_embeddings|n_positions)$", (0, 2**27)),
    (r"^type_vocab_size$", (0, 4_096)),
    (r"^num_labels$", (1, 1_000_000)),
)


def parse(text: str) -> dict[str, object]:
    """The object in the text of a config.json.

    Raises ValueError, in one sentence, for anything but a JSON object of at most `MAX_CHARACTERS`.
    """
    if not isinstance(text, str):
        raise ValueError(f"config.json: {type(text).__name__}, expected text")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"config.json: {len(text):,} characters, at most {MAX_CHARACTERS:,}")
    value = parsed_json(text, "config.json")
    if not isinstance(value, dict):
        raise ValueError(f"config.json: {quoted(value)}, expected an object of fields")
    return value


def check(config: object) -> None:
    """Refuse what would take long to build, or cannot be a size, before anything is built.

    Raises ValueError naming the field, the value and the range.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"config: {quoted(config)}, expected an object of fields")
    _check_fields(config, "", 1)


def _check_fields(fields: Mapping[object, object], where: str, depth: int) -> None:
    if depth > MOST_LEVELS:
        raise ValueError(f"{where[:60]}: nested deeper than the {MOST_LEVELS} levels of any model's config")
    for key, value in fields.items():
        name = where + "".join(letter for letter in str(key)[:60] if letter.isprintable())
        _check_value(name, str(key), value)
        items = value if isinstance(value, list) else [value]
        for item in items:
            if isinstance(item, Mapping):
                _check_fields(item, f"{name}.", depth + 1)
            elif isinstance(item, list) and depth + 1 > MOST_LEVELS - 2:
                raise ValueError(f"{name[:60]}: nested deeper than any model's config")
            elif isinstance(item, list):
                _check_fields(dict(enumerate(item)), f"{name}.", depth + 1)


def _check_value(name: str, key: str, value: object) -> None:
    """A count must be a whole number of its range; any other number one that a machine can hold."""
    limits = next((limits for ends, limits in COUNTS if re.search(ends, key)), None)
    if limits and value is not None and not isinstance(value, list | str | Mapping):
        low, high = limits
        whole = isinstance(value, int) or (low == 0 and isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or not low <= value <= high:  # type: ignore[operator]
            raise ValueError(f"{name}: {quoted(value)}, expected an integer from {low} to {high}")
    elif limits and isinstance(value, str):
        raise ValueError(f"{name}: {quoted(value)}, expected an integer from {limits[0]} to {limits[1]}")
    numbers = value if isinstance(value, list) else [value]
    for number in numbers:
        if isinstance(number, int) and abs(number) > LARGEST:
            raise ValueError(f"{name}: {quoted(number)}, expected a number of at most {LARGEST:,}")
        if isinstance(number, float) and limits and not number.is_integer():
            raise ValueError(f"{name}: {quoted(number)}, expected an integer")
    if isinstance(value, str) and len(value) > 10_000:
        raise ValueError(f"{name}: {len(value):,} characters, at most 10,000")
    if isinstance(value, list) and len(value) > 20_000:
        raise ValueError(f"{name}: {len(value):,} entries, at most 20,000")
