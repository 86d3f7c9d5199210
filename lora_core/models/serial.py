"""A shape as JSON and back: what the worker answers, and what the catalogue's data file holds."""

from dataclasses import asdict, fields
from typing import Any

from lora_core.models.parts import Family, Kind, Part
from lora_core.models.shape import Experts, ModelShape

_PART = [(field.name, field.default) for field in fields(Part)]


def part_to_json(part: Part) -> dict[str, Any]:
    """The fields of a part that differ from their defaults."""
    return {name: value for name, default in _PART if (value := getattr(part, name)) != default}


def part_from_json(raw: dict[str, Any]) -> Part:
    """The part that `part_to_json` wrote."""
    return Part(**{**raw, "kind": Kind(raw["kind"]), "family": Family(raw["family"])})


def to_json(shape: ModelShape) -> dict[str, Any]:
    """A shape as objects, lists, words and numbers."""
    found = {field.name: getattr(shape, field.name) for field in fields(shape)}
    found["parts"] = [part_to_json(part) for part in shape.parts]
    found["facts"] = [list(pair) for pair in shape.facts]
    found["experts"] = asdict(shape.experts) if shape.experts else None
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in found.items() if value
    }


def from_json(raw: dict[str, Any]) -> ModelShape:
    """The shape that `to_json` wrote."""
    found: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()
    }
    found["parts"] = tuple(part_from_json(part) for part in raw["parts"])
    found["facts"] = tuple((name, value) for name, value in raw.get("facts", ()))
    if raw.get("experts"):
        found["experts"] = Experts(**raw["experts"])
    return ModelShape(**found)
