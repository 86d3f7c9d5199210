"""A real model as the sizes of its matrices: what a rank costs on it, without loading or downloading it.

    trainable = sum over the targeted matrices of r * (in + out)        share = trainable / total

The layers follow from a dozen integers in the model's config.json (Hu et al. 2021, arXiv 2106.09685, section
4.2, does this sum for GPT-3). Counts equal those of transformers and PEFT to the integer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lora_core.models.config import Fields
from lora_core.models.families.heads import Head, read_head
from lora_core.models.families.registry import FAMILIES, text_model
from lora_core.models.parts import Module, Part, named
from lora_core.models.targets import Adapter, Row, rows


@dataclass(frozen=True)
class Count:
    """What an adapter trains; `total` is PEFT's `all params`: model, adapter and copies of saved modules."""

    trainable: int
    total: int
    full: int  # what full fine-tuning trains: the model alone

    @property
    def share(self) -> float:
        """Trainable numbers against full fine-tuning's, from 0 (more than 1 is possible)."""
        return self.trainable / self.full


@dataclass(frozen=True)
class ModelShape:
    """The parts of one model with one head. Hashable: equal shapes count alike.

    `inside` is the family of the larger model whose text model this is, "" where it stands alone.
    """

    model_type: str
    head: Head
    parts: tuple[Part, ...]
    inside: str = ""

    @classmethod
    def from_config(cls, config: Mapping[str, object], head: str | None = None) -> "ModelShape":
        """The shape that a Hugging Face `config.json`, as a dictionary, describes.

        `head` is `lm`, `classification`, `token-classification`, `question-answering` or `none`; without it
        the class named in `architectures` decides. Of a model that also sees or hears, with a `text_config`,
        the text model is counted, alone.

        Raises ValueError, one sentence naming the field, the value and the range: a family that is not
        counted here, a mixture of experts, a missing, hostile or impossible field.
        """
        found = text_model(Fields(config))
        architecture = FAMILIES[found.model_type]
        try:
            kind = read_head(found.fields, head, architecture.heads)
            return cls(found.model_type, kind, named(architecture.build(found.fields, kind)), found.inside)
        except ValueError as error:
            raise ValueError(f"{found.where}.{error}" if found.where else str(error)) from None

    def modules(self) -> list[Module]:
        """The linear layers as (name, in, out, count): names as PEFT takes them, the head last."""
        found: dict[tuple[str, int, int], int] = {}
        for part in self.parts:
            if part.linear:
                key = (part.name, part.in_features, part.out_features)
                found[key] = found.get(key, 0) + part.count
        return [Module(*key, count) for key, count in found.items()]

    def total(self) -> int:
        """All parameters of the model, shared ones once: what full fine-tuning trains."""
        return self._total

    @cached_property
    def _total(self) -> int:
        return sum(part.own for part in self.parts)

    def trainable(
        self,
        rank: int,
        targets: str | Sequence[str] = "qv",
        *,
        rank_pattern: Mapping[str, int] | None = None,
        use_dora: bool = False,
        bias: str = "none",
        modules_to_save: Sequence[str] = (),
    ) -> int:
        """How many numbers an adapter of `rank` trains; `targets` is a preset or module names.

        Presets: `qv`, `attention`, `mlp`, `all-linear`. The rest are PEFT's fields of the same names.
        Raises ValueError naming the field, the value and what would be right.
        """
        adapter = Adapter(
            rank,
            targets if isinstance(targets, str) else tuple(targets),
            rank_pattern=tuple((rank_pattern or {}).items()),
            use_dora=use_dora,
            bias=bias,
            modules_to_save=tuple(modules_to_save),
        )
        return self.count(adapter).trainable

    def rows(self, adapter: Adapter) -> tuple[Row, ...]:
        """What each part contributes under an adapter, in the model's order."""
        return rows(self.parts, adapter)

    def count(self, adapter: Adapter) -> Count:
        """Trainable and total numbers under an adapter, as PEFT counts them."""
        found = self.rows(adapter)
        added = sum(row.lora + row.magnitudes + row.saved for row in found)
        return Count(sum(row.trainable for row in found), self.total() + added, self.total())
