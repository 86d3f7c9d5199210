"""What is an adapter made of? Its modules with their factors and scaling, and all that lies beside them.

An `AdapterFile` is what the header and the config say, checked against each other; no factor has been read
yet. Factors come in one shape for every kind of layer: A (r, in) and B (out, r), the change of the weight is
scaling * B A, up to a transpose (embeddings, Conv1D) or a reshape (convolutions, in * kernel).
"""

import json
import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from lora_core.adapters.config import AdapterConfig, check_fit, config_from, read_config
from lora_core.adapters.grid import natural
from lora_core.adapters.header import Entry, Header, read_header
from lora_core.adapters.names import Family, Named, Part, is_embedding, is_pefts, sort_names
from lora_core.adapters.source import Parts, Source
from lora_core.adapters.words import named

FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Dtypes that factors may have, and torch's names for them."""
MOST_RANK = 1024
MOST_NUMBERS = 2**25
"""Of one factor: 256 MB when it is read, in float64."""


class Share(StrEnum):
    """What bytes of a file are for, in the words of a legend."""

    FACTORS = "LoRA factors"
    EMBEDDINGS = "embeddings copied whole"
    LAYERS = "layers saved whole"
    MAGNITUDES = "DoRA magnitudes"
    BIASES = "biases"
    HEADER = "names and shapes"


@dataclass(frozen=True)
class Module:
    """One module with an adapter: its path, its two tensors, rank r, sizes, and the factor before B A.

    `parts` holds what else belongs to it: alpha, DoRA's magnitude, the bias of B.
    """

    path: str
    down: Entry
    up: Entry
    rank: int
    in_features: int
    out_features: int
    scaling: float
    embedding: bool
    parts: Mapping[Part, Entry]

    @property
    def largest_rank(self) -> int:
        """The largest rank that the change can have: min(r, in, out)."""
        return min(self.rank, self.in_features, self.out_features)

    @property
    def width(self) -> int:
        """Numbers that one rank takes: in + out."""
        return self.in_features + self.out_features


@dataclass(frozen=True, eq=False)
class AdapterFile:
    """An adapter before its factors are read.

    `copied` are tensors that are no factor, with what they are for. `scale_known` is False for PEFT's names
    without a config: then the scaling is taken to be 1. `config` is None as well where names
    that carry their own scaling came with one: `config_unused` tells.
    """

    source: Source
    header: Header
    family: Family
    modules: tuple[Module, ...]
    copied: tuple[tuple[Entry, Share], ...]
    config: AdapterConfig | None
    scale_known: bool
    config_unused: bool = False

    @property
    def dora(self) -> bool:
        """Whether the change is scaled by DoRA's magnitudes, which B A alone does not show."""
        return any(Part.MAGNITUDE in module.parts for module in self.modules)

    @property
    def rank(self) -> int:
        """The largest rank of a module."""
        return max(module.rank for module in self.modules)

    @property
    def dtype(self) -> str:
        """The dtype that most bytes of the factors have."""
        sizes: Counter[str] = Counter()
        for module in self.modules:
            sizes[module.down.dtype] += module.down.bytes
            sizes[module.up.dtype] += module.up.bytes
        return sizes.most_common(1)[0][0]

    def shares(self) -> dict[Share, int]:
        """Bytes of the file by what they are for; they add up to the file."""
        found = dict.fromkeys(Share, 0)
        for module in self.modules:
            found[Share.FACTORS] += module.down.bytes + module.up.bytes
        for entry, share in self.copied:
            found[share] += entry.bytes
        found[Share.HEADER] = self.header.file_bytes - sum(found.values())
        return {share: size for share, size in found.items() if size}


def open_adapter(parts: Parts) -> AdapterFile:
    """The adapter in these parts, its header read and checked.

    :raises ValueError: in one sentence, whatever does not fit.
    """
    if parts.weights is None:
        raise ValueError("adapter_model.safetensors is missing: the config alone holds no adapter.")
    header = read_header(parts.weights)
    names = sort_names(header.tensors.values())
    family = names.modules[0].family
    for_config = all(is_pefts(each.parts[Part.DOWN].key) for each in names.modules)
    config = read_config(parts.config) if parts.config is not None and for_config else None
    ordered = sorted(names.modules, key=lambda each: natural(each.path))
    modules = tuple(_module(parts.weights, each) for each in ordered)
    configs = {"": config} if config is not None else _packed(header) if family is Family.DIFFUSERS else {}
    for prefix, each in configs.items():
        modules = _with_config(modules, f"{prefix}." if prefix else "", each)
    copied = [(entry, _share(entry)) for entry in names.others]
    for module in modules:
        copied += [(entry, _SHARES[part]) for part, entry in module.parts.items()]
    own = family is not Family.PEFT or all(Part.ALPHA in module.parts for module in modules)
    return AdapterFile(
        parts.weights, header, family, modules, tuple(copied), config, config is not None or own,
        parts.config is not None and not for_config,
    )  # fmt: skip


_SHARES = {Part.ALPHA: Share.FACTORS, Part.MAGNITUDE: Share.MAGNITUDES, Part.BIAS: Share.BIASES}


def _packed(header: Header) -> dict[str, AdapterConfig]:
    """The configs that diffusers (0.34 and later) packs into the metadata, by the model's part ("unet")."""
    try:
        found = json.loads(header.metadata.get("lora_adapter_metadata", "{}"))
        pairs = [(*key.partition(".")[::2], value) for key, value in dict(found).items()]
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError("The metadata's lora_adapter_metadata is not JSON of an object.") from error
    prefixes = {prefix for prefix, _, _ in pairs}
    return {
        prefix: config_from(
            {"peft_type": "LORA"} | {key: value for first, key, value in pairs if first == prefix}
        )
        for prefix in prefixes
    }


def _share(entry: Entry) -> Share:
    if is_embedding(entry.key):
        return Share.EMBEDDINGS
    return Share.BIASES if entry.key.endswith(".bias") else Share.LAYERS


def _with_config(modules: tuple[Module, ...], prefix: str, config: AdapterConfig) -> tuple[Module, ...]:
    """The modules under a prefix with the scaling that their config gives them.

    :raises ValueError: as `check_fit`, or a module with an alpha of its own that says something else.
    """
    paths = {each.path: each.path.removeprefix(prefix) for each in modules if each.path.startswith(prefix)}
    check_fit(config, {paths[each.path]: each.rank for each in modules if each.path in paths})
    found = []
    for each in modules:
        scaling = config.scaling_of(paths[each.path]) if each.path in paths else each.scaling
        if Part.ALPHA in each.parts and not math.isclose(scaling, each.scaling, rel_tol=1e-2):
            raise ValueError(
                f"{named(each.path)} has an alpha of its own, for a scaling of {each.scaling:.4g}, and its "
                f"config gives {scaling:.4g}: one of them must be left out."
            )
        found.append(replace(each, scaling=scaling))
    return tuple(found)


def _module(source: Source, found: Named) -> Module:
    """A module whose shapes fit each other; its scaling is that of its own alpha, 1 without one."""
    down, up = found.parts[Part.DOWN], found.parts[Part.UP]
    where = named(found.path)
    for entry in (down, up):
        if entry.dtype not in FLOATS:
            raise ValueError(f"{where}: its factors are {entry.dtype}: they must be {', '.join(FLOATS)}.")
        if len(entry.shape) < 2 or 0 in entry.shape:
            raise ValueError(
                f"{where}: {named(entry.key)} has the shape {list(entry.shape)}, which is no factor."
            )
    rank, in_features = down.shape[0], math.prod(down.shape[1:])
    out_features = up.shape[0]
    if math.prod(up.shape[1:]) != rank:
        raise ValueError(
            f"{where}: A {list(down.shape)} and B {list(up.shape)} do not fit: they must share their rank."
        )
    if rank > MOST_RANK or max(down.numbers, up.numbers) > MOST_NUMBERS:
        raise ValueError(
            f"{where}: rank {rank:,} of {in_features:,} x {out_features:,} is too large: at most rank "
            f"{MOST_RANK:,} and {MOST_NUMBERS:,} numbers a factor are read."
        )
    parts: dict[Part, Entry] = {
        part: entry for part, entry in found.parts.items() if part not in (Part.DOWN, Part.UP)
    }
    for part in (Part.BIAS, Part.MAGNITUDE):
        if part in parts:
            _check_vector(
                where, parts[part], part, (out_features, in_features) if found.embedding else (out_features,)
            )
    alpha = _alpha(source, where, parts.get(Part.ALPHA), rank)
    return Module(found.path, down, up, rank, in_features, out_features, alpha / rank, found.embedding, parts)


def _check_vector(where: str, entry: Entry, part: Part, sizes: tuple[int, ...]) -> None:
    """A bias or magnitude: floats, one for each output; an embedding's may count its tokens."""
    if entry.dtype not in FLOATS:
        raise ValueError(f"{where}: its {part} is {entry.dtype}: it must be {', '.join(FLOATS)}.")
    flat = len(entry.shape) == 1 or part is Part.MAGNITUDE  # of a convolution, (1, out, 1, 1)
    if entry.numbers not in sizes or max(entry.shape) != entry.numbers or not flat:
        raise ValueError(
            f"{where}: {named(entry.key)} has the shape {list(entry.shape)}: it must hold {sizes[0]:,} "
            "numbers, one for each output."
        )


_UNPACK = {
    "F64": "<d",
    "F32": "<f",
    "F16": "<e",
    "I64": "<q",
    "I32": "<i",
    "I16": "<h",
    "I8": "<b",
    "U8": "<B",
}


def _alpha(source: Source, where: str, entry: Entry | None, rank: int) -> float:
    """The number in an alpha tensor; the rank where there is none, as the readers of such files take it."""
    if entry is None:
        return rank
    if entry.numbers != 1 or not (entry.dtype in _UNPACK or entry.dtype == "BF16"):
        raise ValueError(
            f"{where}: {named(entry.key)} must be one number, it is {list(entry.shape)} of {entry.dtype}."
        )
    raw = bytes(source.read(entry.start, entry.stop))
    # bfloat16 is the upper half of a float32.
    code, raw = ("<f", b"\0\0" + raw) if entry.dtype == "BF16" else (_UNPACK[entry.dtype], raw)
    alpha = float(struct.unpack(code, raw)[0])
    if not math.isfinite(alpha):
        raise ValueError(f"{where}: its alpha is {alpha}: it must be a number.")
    return alpha
