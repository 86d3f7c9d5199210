"""How do the world's tools name the tensors of an adapter? Every name becomes a module and a part of it.

PEFT: ``base_model.model.<path>.lora_A.weight`` (r, in) and ``.lora_B.weight`` (out, r), with the adapter's
own name before ``.weight`` in a live state dict; ``lora_embedding_A``; ``lora_magnitude_vector`` of DoRA.
kohya's sd-scripts: ``lora_unet_<path>.lora_down.weight``, ``.lora_up.weight`` and a number ``.alpha``.
diffusers: ``<path>.processor.to_q_lora.down.weight``, ``<path>.lora.down.weight`` or, newer, PEFT's names
without its prefix. cloneofsimo/lora: ``unet:0:up`` and ``unet:0:down``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from lora_core.adapters.header import Entry
from lora_core.adapters.words import listed, named

PREFIX = "base_model.model."
"""What PEFT puts before the path of a module."""


class Family(StrEnum):
    """Who named the tensors, in the words of a sentence."""

    PEFT = "PEFT"
    KOHYA = "kohya"
    DIFFUSERS = "diffusers"
    CLONEOFSIMO = "cloneofsimo"


class Part(StrEnum):
    """What a tensor is to its module: A (r, in), B (out, r), or something beside them."""

    DOWN = "A"
    UP = "B"
    ALPHA = "alpha"
    MAGNITUDE = "magnitude"
    BIAS = "bias of B"


@dataclass
class Named:
    """The tensors of one module, by their part."""

    path: str
    family: Family
    embedding: bool = False
    parts: dict[Part, Entry] = field(default_factory=dict)


_PEFT = re.compile(
    r"(?P<path>.+)\.(?P<what>lora_embedding_[AB]|lora_magnitude_vector|lora_[AB])"
    r"(?:\.(?P<name>[^.]+))??(?P<end>\.weight|\.bias)?"
)
_DOWN_UP = re.compile(
    r"(?P<path>.+?)(?P<middle>\.lora_|_lora\.|\.lora\.|\.lora_linear_layer\.)(?P<what>down|up)\.weight"
)
_ALPHA_END = re.compile(r"(_lora|\.lora|\.lora_linear_layer)$")
_SAVED = re.compile(r"\.modules_to_save\.([^.]+)\.")
_NUMBERED = re.compile(r"(?P<path>(?:unet|text_encoder\w*):\d+):(?P<what>down|up)")

_REFUSED = (
    (re.compile(r"\blokr_[wt]"), "LoKr (a Kronecker product)"),
    (re.compile(r"\bhada_w|\bhada_t"), "LoHa (a Hadamard product)"),
    (re.compile(r"\boft_(blocks|diag|[rR])\b"), "OFT (rotations)"),
    (re.compile(r"\bboft_"), "BOFT (rotations)"),
    (re.compile(r"\blora_mid\b"), "a CP-decomposed LoCon (three factors)"),
    (re.compile(r"\.lora_E\b"), "AdaLoRA (three factors)"),
    (re.compile(r"\bvera_lambda|\bvblora_"), "VeRA or VB-LoRA (shared factors)"),
    (re.compile(r"\brandlora_"), "RandLoRA (random bases)"),
    (re.compile(r"\bhra_u\b"), "HRA (reflections)"),
    (re.compile(r"\.(diff|diff_b)$"), "a whole difference of weights, no factors"),
    (re.compile(r"\bia3_l"), "IA3 (one vector a module)"),
    (re.compile(r"\bdora_scale\b"), "DoRA in kohya's or LyCORIS' format"),
    (re.compile(r"(^|\.)experts\.(base_layer\.)?lora_[AB]"), "LoRA on fused experts (target_parameters)"),
)
_EMBEDDING = re.compile(
    r"(^|\.)(embed_tokens|wte|word_embeddings|embeddings?|embed_in|embed_out|lm_head|shared|tok_embeddings)\.|^<"
)


@dataclass(frozen=True)
class Sorted:
    """The modules with factors, and what stands beside them in the file, by key."""

    modules: tuple[Named, ...]
    others: tuple[Entry, ...]


def sort_names(entries: Iterable[Entry]) -> Sorted:
    """Every tensor to its module, or among the others.

    :raises ValueError: a method that is recognised but not LoRA, two adapters in one file, a factor alone.
    """
    modules: dict[str, Named] = {}
    others: list[Entry] = []
    adapters: set[str] = set()
    alphas: dict[str, Entry] = {}
    for entry in entries:
        for pattern, method in _REFUSED:
            if pattern.search(entry.key):
                raise ValueError(f"{named(entry.key)} belongs to {method}: only LoRA is opened here.")
        if entry.key.endswith(".alpha"):
            alphas[entry.key.removesuffix(".alpha")] = entry
        elif not _take(entry, modules, adapters):
            adapters |= {match[1] for match in [_SAVED.search(entry.key)] if match}
            others.append(entry)
    if len(adapters) > 1:
        raise ValueError(
            f"The file holds {len(adapters)} adapters, {listed(sorted(adapters))}: save one alone."
        )
    others += _give_alphas(modules, alphas)
    _check_pairs(modules)
    return Sorted(tuple(modules.values()), tuple(others))


def is_embedding(key: str) -> bool:
    """Whether a tensor copied whole is one of the embeddings, input or output, by the usual names."""
    return bool(_EMBEDDING.search(key))


def is_pefts(key: str) -> bool:
    """Whether a factor's key is one of PEFT's, prefix or not: a config can belong to it."""
    return bool(_PEFT.fullmatch(key))


def saved_key(key: str) -> str:
    """The key as `save_pretrained` writes it: without the adapter's own name, which a reader chooses."""
    if match := _PEFT.fullmatch(key):
        stem = f"{match['path']}.{match['what']}"
        plain = match["what"].startswith(("lora_embedding", "lora_magnitude"))
        return stem if plain else f"{stem}{match['end'] or ''}"
    return _SAVED.sub(".", key)


def _take(entry: Entry, modules: dict[str, Named], adapters: set[str]) -> bool:
    """Whether the entry is a part of a module; if so it is put there."""
    key = entry.key
    if match := _PEFT.fullmatch(key):
        what, end = match["what"], match["end"]
        if match["name"]:
            adapters.add(match["name"])
        part = {"A": Part.DOWN, "B": Part.UP}.get(what[-1], Part.MAGNITUDE)
        if end == ".bias":
            if part is not Part.UP:
                return False
            part = Part.BIAS
        family = Family.PEFT if key.startswith(PREFIX) else Family.DIFFUSERS
        embedding = what.startswith("lora_embedding")
        path = match["path"].removeprefix(PREFIX)
    elif match := _NUMBERED.fullmatch(key):
        part, family, embedding, path = _side(match), Family.CLONEOFSIMO, False, match["path"]
    elif match := _DOWN_UP.fullmatch(key):
        family = Family.KOHYA if match["middle"] == ".lora_" else Family.DIFFUSERS
        part, embedding, path = _side(match), False, match["path"].replace(".processor.", ".")
    else:
        return False
    module = modules.setdefault(path, Named(path, family))
    if part in module.parts:
        raise ValueError(f"{named(module.parts[part].key)} and {named(key)} are the same part of one module.")
    module.parts[part] = entry
    module.embedding = module.embedding or embedding
    return True


def _side(match: re.Match[str]) -> Part:
    return Part.DOWN if match["what"] == "down" else Part.UP


def _give_alphas(modules: dict[str, Named], alphas: dict[str, Entry]) -> list[Entry]:
    """Each alpha to its module; those that have none are returned."""
    left = []
    for stem, entry in alphas.items():
        path = _ALPHA_END.sub("", stem).replace(".processor.", ".").removeprefix(PREFIX)
        module = modules.get(stem) or modules.get(path)
        if module is None:
            left.append(entry)
        else:
            module.parts[Part.ALPHA] = entry
    return left


def _check_pairs(modules: dict[str, Named]) -> None:
    if not any({Part.DOWN, Part.UP} & module.parts.keys() for module in modules.values()):
        raise ValueError(
            "The file holds no LoRA: none of its tensors has a name that PEFT, kohya or diffusers use."
        )
    for module in modules.values():
        for part, other in ((Part.DOWN, Part.UP), (Part.UP, Part.DOWN)):
            if part not in module.parts:
                rest = module.parts.get(other) or next(iter(module.parts.values()))
                raise ValueError(
                    f"{named(rest.key)} has no partner: module {named(module.path)} lacks its {part}."
                )
    families = sorted({module.family for module in modules.values()})
    if len(families) > 1:
        raise ValueError(f"The file mixes the names of {' and '.join(families)}: one of them must be left.")
