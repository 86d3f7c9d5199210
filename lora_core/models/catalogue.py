"""Real models as data, each with its source, and what papers and libraries have printed about them.

`catalogue.json` holds the fields of each model's config.json that its size depends on, `shapes.json` what
transformers builds from them (prebuilt.py writes it, a test holds it to transformers). `published.json` holds
published counts: those that these shapes reproduce to the integer, and those that they do not, with the
reason; and peaks and sizes of memory.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from lora_core.models.memory import adapter_file_bytes, adapter_memory, full_memory
from lora_core.models.prebuilt import prebuilt_shape
from lora_core.models.shape import ModelShape
from lora_core.models.targets import Adapter

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Entry:
    """One model of the catalogue; `repository` is its name on the Hugging Face hub, "" if it has none."""

    name: str
    repository: str
    source: str
    config: MappingProxyType[str, object]
    published_total: int | None = None  # what `published_source` prints for the head `published_head`
    published_head: str | None = None
    published_source: str = ""

    def shape(self, head: str | None = None) -> ModelShape:
        """The model's shape; `head` as in `ModelShape.from_config`, ValueError for one it does not have."""
        return prebuilt_shape(self.name, head)


@dataclass(frozen=True)
class PublishedCount:
    """A count as its source prints it, and the integer that these shapes give for it.

    Without a `rank` it is a model's size. `reason` says why the two differ; it is empty where they agree.
    """

    model: str
    published: str
    source: str
    head: str | None = None
    rank: int | None = None
    targets: str | tuple[str, ...] = "qv"
    trainable: int | None = None
    total: int | None = None
    reason: str = ""

    @property
    def reproduced(self) -> bool:
        return not self.reason

    def adapter(self) -> Adapter | None:
        """The adapter that was counted, or None for a model's size."""
        return None if self.rank is None else Adapter(self.rank, self.targets)

    def counted(self) -> tuple[int | None, int]:
        """Trainable numbers (None for a model's size) and total, counted anew."""
        shape = CATALOGUE[self.model].shape(self.head)
        adapter = self.adapter()
        if adapter is None:
            return None, shape.total()
        count = shape.count(adapter)
        return count.trainable, count.total


@dataclass(frozen=True)
class MeasuredPeak:
    """A measured peak of training memory, activations and all, in units of 1e9 bytes as printed."""

    model: str
    rank: int
    targets: tuple[str, ...]
    gigabytes: float
    source: str


@dataclass(frozen=True)
class PublishedSize:
    """Bytes of training or of a checkpoint as a source prints them, all numbers in 16 bits.

    Without a `rank` it is the whole model's; else that of an adapter on q and v.
    """

    model: str
    what: str
    published: str
    source: str
    rank: int | None = None
    reason: str = ""

    def counted(self) -> int:
        """Bytes, counted anew; training holds weights, gradients and Adam's moments."""
        shape, training = CATALOGUE[self.model].shape(), self.what.startswith("training")
        if self.rank is None:
            return full_memory(shape, "bf16", "adamw").total if training else 2 * shape.total()
        adapter = Adapter(self.rank, "qv")
        if training:
            return adapter_memory(shape, adapter, "bf16", "adamw", trained="bf16").total
        return adapter_file_bytes(shape, adapter, "bf16")


def _entry(raw: dict[str, Any]) -> Entry:
    published = raw.get("published", {})
    return Entry(
        raw["name"],
        raw["repository"],
        raw["source"],
        MappingProxyType(raw["config"]),
        published.get("total"),
        published.get("head"),
        published.get("source", ""),
    )


def _tuples(raw: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}


def _read(name: str) -> Any:
    return json.loads((_FOLDER / name).read_text(encoding="utf-8"))


CATALOGUE: Final = MappingProxyType({raw["name"]: _entry(raw) for raw in _read("catalogue.json")})
_PUBLISHED = _read("published.json")
PUBLISHED: Final = tuple(PublishedCount(**_tuples(raw)) for raw in _PUBLISHED["counts"])
PEAKS: Final = tuple(MeasuredPeak(**_tuples(raw)) for raw in _PUBLISHED["peaks"])
SIZES: Final = tuple(PublishedSize(**raw) for raw in _PUBLISHED["sizes"])
