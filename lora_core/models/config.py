"""Read a config.json that nobody vouches for: every field checked once, every refusal one sentence.

What is pasted into a page may be malformed, huge, nested or hostile. A value is used only after its
type and its range are known; a wrong one is a ValueError that names the field, shows the value (cut short)
and says what would be right. Nothing is downloaded and nothing is executed.
"""

from collections.abc import Mapping
from typing import TypeVar

from lora_core.fields import quoted
from lora_core.text_file import parsed_json

MAX_CHARACTERS = 1_000_000
Range = tuple[int, int]
Value = TypeVar("Value", bool, str)

WIDTH: Range = (1, 2**20)
HIDDEN_WIDTH: Range = (1, 2**22)
HEADS: Range = (1, 2**14)
LAYERS: Range = (1, 10_000)
VOCABULARY: Range = (1, 2**24)
POSITIONS: Range = (1, 2**24)
TYPES: Range = (0, 4096)
LABELS: Range = (1, 1_000_000)

# Where mixtures of experts say how many experts they have; one expert, or none, is a dense model.
EXPERT_FIELDS = (
    "num_local_experts",
    "num_experts",
    "n_routed_experts",
    "moe_num_experts",
    "num_routed_experts",
    "num_experts_per_tok",
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


class Fields:
    """The fields of one config, read by type and range. A missing field takes the default given."""

    def __init__(self, config: Mapping[str, object]) -> None:
        if not isinstance(config, Mapping):
            raise ValueError(f"config: {quoted(config)}, expected an object of fields")
        self._config = config

    def get(self, name: str) -> object:
        return self._config.get(name)

    def over(self, defaults: Mapping[str, object]) -> "Fields":
        """The same fields with a class's defaults under those that are missing."""
        return Fields(
            {**defaults, **{name: value for name, value in self._config.items() if value is not None}}
        )

    def with_(self, name: str, value: object) -> "Fields":
        """The same fields with one of them set, unless the value is None."""
        return self if value is None else Fields({**self._config, name: value})

    def integer(self, names: str | tuple[str, ...], limits: Range, default: int | None = None) -> int:
        """The first of `names` that is present (older models spell fields otherwise)."""
        names = (names,) if isinstance(names, str) else names
        name = next((one for one in names if self._config.get(one) is not None), None)
        low, high = limits
        if name is None:
            if default is None:
                raise ValueError(f"{names[0]}: missing, expected an integer from {low} to {high}")
            return default
        value = self._config[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name}: {quoted(value)}, expected an integer from {low} to {high}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        return self._read(name, default, "true or false")

    def text(self, name: str, default: str) -> str:
        return self._read(name, default, "a word")

    def refuse(self, name: str, what: str) -> None:
        """ValueError where a flag is set, for `what` it adds cannot be counted here."""
        if self.flag(name, False):
            raise ValueError(f"{name}: true, expected false: {what} not counted here")

    def divided(self, hidden: int, heads: str | tuple[str, ...] = "num_attention_heads") -> int:
        """The number of heads; ValueError where they do not divide the hidden size."""
        count = self.integer(heads, HEADS)
        if hidden % count:
            name = heads if isinstance(heads, str) else heads[0]
            raise ValueError(f"{name}: {count}, expected a divisor of the hidden size {hidden}")
        return count

    def _read(self, name: str, default: Value, expected: str) -> Value:
        value = self._config.get(name)
        if value is None:
            return default
        if not isinstance(value, type(default)):
            raise ValueError(f"{name}: {quoted(value)}, expected {expected}")
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """A list of words, or one string of words apart by `|` as DeBERTa writes them."""
        value = self._config.get(name)
        if value is None:
            return ()
        if isinstance(value, str):
            return tuple(word.strip() for word in value.lower().split("|"))
        if isinstance(value, list) and len(value) <= 64 and all(isinstance(word, str) for word in value):
            return tuple(value)
        raise ValueError(f"{name}: {quoted(value)}, expected a list of at most 64 words")

    def labels(self) -> int:
        """How many classes a classification head has: `num_labels`, or the entries of `id2label`."""
        names = self._config.get("id2label")
        if self._config.get("num_labels") is None and names is not None:
            if not isinstance(names, Mapping) or not 1 <= len(names) <= LABELS[1]:
                raise ValueError(f"id2label: {quoted(names)}, expected from 1 to {LABELS[1]} labels")
            return len(names)
        return self.integer("num_labels", LABELS, 2)

    def experts(self) -> tuple[str, object] | None:
        """The field that makes this model a mixture of experts, with its value, or None."""
        nested = self._config.get("ffn_config")  # DBRX's place for them
        places = {"": self._config} | ({"ffn_config.": nested} if isinstance(nested, Mapping) else {})
        for where, place in places.items():
            for name in EXPERT_FIELDS:
                value = place.get(name)
                if isinstance(value, list) or (isinstance(value, int) and value > 1):
                    return where + name, value
        return None
