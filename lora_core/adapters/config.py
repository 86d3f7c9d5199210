"""What does adapter_config.json say about an adapter? Its ranks, its scaling, and what a reader must know.

PEFT's scaling of a module is ``alpha / r``, with ``use_rslora`` ``alpha / sqrt(r)`` (Kalajdzievski, 2023); r
and alpha are those of ``rank_pattern`` and ``alpha_pattern`` where one of their keys, a regular expression,
matches the end of the module's path, ``(.*\\.)?(key)$`` (``peft.utils.other.get_pattern_key``). The first
that matches counts.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lora_core.adapters.words import listed, named, quoted
from lora_core.text_file import decoded, parsed_json

_OWN_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")
"""Initialisations that change the base layer too, so that the file's change is not the whole change."""
_OTHER_METHODS = (
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "monteclora_config",
    "kasa_config",
    "velora_config",
)
CARRIED = (
    "task_type", "base_model_name_or_path", "bias", "fan_in_fan_out", "modules_to_save",
    "layers_to_transform", "layers_pattern", "exclude_modules", "use_dora", "lora_bias", "layer_replication",
    "trainable_token_indices", "alora_invocation_tokens",
)  # fmt: skip
"""Keys that go on into the config of a cut adapter, where they are set."""

MOST_BYTES = 20_000_000
"""Of an adapter_config.json; one with a pattern for each of thousands of modules has some megabytes."""
_MOST_RANK = 1_000_000
_MOST_LOOKUPS = 4_000_000
_PLAIN = re.compile(r"\^?(?:[\w-]|\\\.|\.)+")
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\d*\}")
_TOO_INVOLVED = re.compile(r"\)[*+?{]|\(\?[^:]|\\\d")


@dataclass(frozen=True)
class Pattern:
    """`rank_pattern` or `alpha_pattern`, its keys compiled in their order."""

    keys: tuple[tuple[re.Pattern[str], Any], ...] = ()

    def find(self, path: str, default: Any) -> Any:
        """The value of the first key that matches, as PEFT looks it up."""
        return next((value for key, value in self.keys if key.match(path)), default)


@dataclass(frozen=True)
class AdapterConfig:
    """The parts of adapter_config.json that decide what a file means; `all` is everything that it says."""

    rank: int = 8
    alpha: float = 8
    rslora: bool = False
    rank_pattern: Pattern = field(default_factory=Pattern)
    alpha_pattern: Pattern = field(default_factory=Pattern)
    target_modules: tuple[str, ...] | str | None = None
    dora: bool = False
    all: Mapping[str, Any] = field(default_factory=dict)

    def rank_of(self, path: str) -> int:
        """The rank that PEFT gives the module of this path (without `base_model.model.`)."""
        return int(self.rank_pattern.find(path, self.rank))

    def alpha_of(self, path: str) -> float:
        """The alpha that PEFT gives it."""
        return float(self.alpha_pattern.find(path, self.alpha))

    def scaling_of(self, path: str) -> float:
        """The factor before B A."""
        rank = self.rank_of(path)
        return self.alpha_of(path) / (math.sqrt(rank) if self.rslora else rank)


def read_config(content: bytes | str) -> AdapterConfig:
    """The config in the bytes of an adapter_config.json.

    :raises ValueError: not JSON, another method than LoRA, a value outside its range.
    """
    text = content if isinstance(content, str) else decoded(content, "adapter_config.json", MOST_BYTES)
    found = parsed_json(text, "adapter_config.json")
    if not isinstance(found, dict):
        raise ValueError("adapter_config.json must be an object with peft_type, r and lora_alpha.")
    return config_from(found)


def config_from(found: Mapping[str, Any]) -> AdapterConfig:
    """The config in a dictionary of PEFT's keys. ValueError as `read_config`."""
    method = found.get("peft_type", "LORA")
    if method != "LORA":
        raise ValueError(f"adapter_config.json is of peft_type {named(method)}: only LORA is opened here.")
    if "peft_type" not in found and not {"r", "lora_alpha"} <= found.keys():
        raise ValueError(
            "adapter_config.json has neither peft_type nor r and lora_alpha: it is no adapter's."
        )
    _check_method(found)
    return AdapterConfig(
        rank=_rank("r", found.get("r", 8)),
        alpha=_alpha("lora_alpha", found.get("lora_alpha", 8)),
        rslora=_flag(found, "use_rslora"),
        rank_pattern=_pattern(found, "rank_pattern", _rank),
        alpha_pattern=_pattern(found, "alpha_pattern", _alpha),
        target_modules=_targets(found.get("target_modules")),
        dora=_flag(found, "use_dora"),
        all=found,
    )


def pattern_for(ranks: Mapping[str, int], default: int) -> dict[str, int]:
    """`rank_pattern` (and, with a baked scale, `alpha_pattern`) that gives each path its rank.

    A key without an anchor also hits a longer path that ends in it: it is anchored where there is one (PEFT
    0.15 and later read the anchor). Paths come without `base_model.model.`, a key with it never matches.
    """
    endings = {path[i + 1 :] for path in ranks for i, letter in enumerate(path) if letter == "."}
    return {
        ("^" if path in endings else "") + re.escape(path).replace(r"\-", "-"): rank
        for path, rank in ranks.items()
        if rank != default
    }


def check_fit(config: AdapterConfig, ranks: Mapping[str, int]) -> None:
    """Hold a config against the tensors' own ranks, by path.

    :raises ValueError: the ranks differ, or none of the config's target modules is among the paths.
    """
    keys = len(config.rank_pattern.keys) + len(config.alpha_pattern.keys)
    if keys * len(ranks) > _MOST_LOOKUPS:
        raise ValueError(f"adapter_config.json has {keys:,} patterns: too many for {len(ranks):,} modules.")
    wrong = [
        (path, config.rank_of(path), rank) for path, rank in ranks.items() if config.rank_of(path) != rank
    ]
    if wrong:
        path, said, found = wrong[0]
        raise ValueError(
            f"adapter_config.json does not belong to these tensors: it gives {named(path)} rank {said}, the "
            f"file has {found} there" + (f", and {len(wrong) - 1} more differ." if len(wrong) > 1 else ".")
        )
    targets = config.target_modules
    if isinstance(targets, tuple) and targets:
        ends = tuple(f".{target}" for target in targets)
        if not any(path in targets or path.endswith(ends) for path in ranks):
            raise ValueError(
                f"adapter_config.json belongs to another model: none of its target modules, "
                f"{listed(list(targets))}, is in the file."
            )


def _check_method(found: Mapping[str, Any]) -> None:
    if found.get("target_parameters"):
        raise ValueError(
            "adapter_config.json names target_parameters, LoRA on fused experts, whose orientation its "
            "readers do not agree on: only LoRA on modules is opened here."
        )
    for key in _OTHER_METHODS:
        if found.get(key):
            raise ValueError(f"adapter_config.json sets {key}: its change is another than s B A.")
    start = found.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_OWN_BASE):
        raise ValueError(
            f"adapter_config.json has init_lora_weights {named(start)}, which changes the base layer as "
            "well: save it with path_initial_model_for_weight_conversion first."
        )


def _targets(value: object) -> tuple[str, ...] | str | None:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    if value is None or isinstance(value, str):
        return value
    raise ValueError(
        f"adapter_config.json: target_modules is {named(value)}: it must be a name or a list of names."
    )


def _rank(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_RANK:
        return value
    raise ValueError(
        f"adapter_config.json: {name} is {quoted(value)}: it must be a whole number from 1 to {_MOST_RANK:,}."
    )


def _alpha(name: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12:
        return value
    raise ValueError(f"adapter_config.json: {name} is {quoted(value)}: it must be a number within 1e12.")


def _flag(found: Mapping[str, Any], name: str) -> bool:
    value = found.get(name) or False
    if isinstance(value, bool):
        return value
    raise ValueError(f"adapter_config.json: {name} is {quoted(value)}: it must be true or false.")


def _pattern(found: Mapping[str, Any], name: str, check: Callable[[str, object], Any]) -> Pattern:
    value = found.get(name) or {}
    if not isinstance(value, dict):
        raise ValueError(f"adapter_config.json: {name} is {named(value)}: it must map modules to numbers.")
    keys = [(_compiled(name, key), check(f"{name} of {named(key)}", each)) for key, each in value.items()]
    return Pattern(tuple(keys))


def _compiled(name: str, key: str) -> re.Pattern[str]:
    """The regular expression that PEFT makes of a key; none that could be matched for hours."""
    if not _PLAIN.fullmatch(key) and (
        len(key) > 200 or _TOO_INVOLVED.search(key) or len(_UNBOUNDED.findall(key)) > 2
    ):
        raise ValueError(
            f"adapter_config.json: {name} has the key {named(key)}, too involved to be matched here."
        )
    try:
        return re.compile(rf"(.*\.)?({key})$")
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(
            f"adapter_config.json: {name} has the key {named(key)}, which is no regular expression."
        ) from error
