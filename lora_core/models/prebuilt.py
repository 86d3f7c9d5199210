"""The catalogue's shapes as a data file, so that its models need neither transformers nor a worker.

    python -m lora_core.models.prebuilt        # builds every model of catalogue.json, writes shapes.json

Parts that the heads of a model have in common are written once.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from lora_core.fields import quoted
from lora_core.models.parts import Part
from lora_core.models.serial import from_json, part_from_json, part_to_json, to_json
from lora_core.models.shape import ModelShape

FOLDER = Path(__file__).parent
HEADS = ("lm", "classification", "token-classification", "question-answering", "none")
"""What a model of the catalogue is offered with, where its type has it."""


@cache
def _models() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "shapes.json").read_text(encoding="utf-8"))
    return found


@cache
def prebuilt_shape(name: str, head: str | None = None) -> ModelShape:
    """The shape of a model of the catalogue with a head, the usual one for None.

    Raises ValueError naming the heads that it has.
    """
    model = _models()[name]
    head = model["usual"] if head is None else head
    if head not in model["shapes"]:
        raise ValueError(f"head: {quoted(head)}, expected one of {', '.join(model['shapes'])} for {name}")
    return from_json(
        model["shapes"][head] | {"parts": [model["parts"][place] for place in _places(model, head)]}
    )


def _places(model: dict[str, Any], head: str) -> list[int]:
    places: list[int] = model["shapes"][head]["parts"]
    return places


def model_to_json(config: dict[str, Any]) -> dict[str, Any]:
    """What shapes.json holds of one model: transformers builds it once for each head."""
    from lora_core.models.build import build_shape

    usual = build_shape(config)
    heads = [head for head in HEADS if head in usual.heads]
    usual_head = usual.head if usual.head in heads else heads[0]
    built = {head: build_shape(config, head) for head in heads}
    built[usual_head] = usual if usual.head == usual_head else built[usual_head]
    parts: dict[Part, int] = {}
    shapes = {}
    for head, shape in built.items():
        places = [parts.setdefault(part, len(parts)) for part in shape.parts]
        shapes[head] = to_json(shape) | {"heads": heads, "parts": places}
    return {"usual": usual_head, "parts": [part_to_json(part) for part in parts], "shapes": shapes}


def write() -> None:
    """Build the whole catalogue and write the data file, a part a line."""
    lines = []
    for raw in json.loads((FOLDER / "catalogue.json").read_text(encoding="utf-8")):
        model = model_to_json(raw["config"])
        parts = ",\n  ".join(json.dumps(part) for part in model["parts"])
        shapes = ",\n  ".join(
            f"{json.dumps(head)}: {json.dumps(one)}" for head, one in model["shapes"].items()
        )
        lines.append(
            f'{json.dumps(raw["name"])}: {{"usual": "{model["usual"]}",\n "parts": [\n  {parts}],\n'
            f' "shapes": {{\n  {shapes}}}}}'
        )
    (FOLDER / "shapes.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


__all__ = ["model_to_json", "part_from_json", "prebuilt_shape", "write"]

if __name__ == "__main__":
    write()
