"""A model small enough to count by hand, and the counts that papers have published."""

import json
from pathlib import Path
from typing import Any

from lora_core.models import ModelShape

DATA = Path(__file__).parents[1] / "data"
FACTS = json.loads((DATA / "published_counts.json").read_text(encoding="utf-8"))
TINY: dict[str, Any] = json.loads((DATA / "tiny_llama.json").read_text(encoding="utf-8"))


def tiny(**changes: Any) -> ModelShape:
    """The shape of the small model with some of its configuration changed."""
    return ModelShape.from_config({**TINY, **changes})
