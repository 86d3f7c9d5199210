"""A real model as the sizes of its matrices: what a rank costs on it, without loading or downloading it.

    trainable = sum over the targeted matrices of r * (in + out)        share = trainable / total

transformers builds the model from its config.json on the meta device (build.py), once; ranks, targets and
bytes are arithmetic on what was found (Hu et al. 2021, arXiv 2106.09685, section 4.2, does this sum for
GPT-3). Counts equal those of transformers and PEFT to the integer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lora_core.models.counting import rows
from lora_core.models.parts import Family, Module, Part
from lora_core.models.targets import Adapter, Row


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
class Experts:
    """Routed experts of a layer, and how many of them a token passes (0 where the config does not say)."""

    all: int
    picked: int


@dataclass(frozen=True)
class ModelShape:
    """The parts of one model with one head. Hashable: equal shapes count alike."""

    model_type: str
    head: str
    parts: tuple[Part, ...]
    class_name: str = ""
    heads: tuple[str, ...] = ()  # that the type offers
    task: str = ""  # PEFT's task type of the head
    text: str = ""  # the path of the text model inside, "" where the model stands alone
    others: tuple[str, ...] = ()  # modules PEFT cannot adapt that a plain name would also mean
    experts: Experts | None = None
    converted: str = ""  # the rule by which PEFT converts names of experts (converted.py)
    refused: str = ""  # why PEFT adapts nothing of this class
    kept_whole: tuple[str, ...] = ()  # modules that quantisation leaves as they are
    facts: tuple[tuple[str, int], ...] = ()  # widths of the text model that the peak needs (peak.py)
    remarks: tuple[str, ...] = ()  # what a reader of the config.json should know, a sentence each

    @classmethod
    def from_config(cls, config: Mapping[str, object], head: str | None = None) -> "ModelShape":
        """The shape that a Hugging Face `config.json`, as a dictionary, describes.

        `head` is one of the heads that transformers has for the model's type: `lm`, `classification`,
        `token-classification`, `question-answering`, `none` and others (`shape.heads`); without it the class
        named in `architectures` decides. transformers builds the model in a process of its own (reading.py).

        Raises ValueError, one sentence naming the field, the value and the range.
        """
        from lora_core.models.reading import read_shape

        return read_shape(config, head)

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

    def text_total(self) -> int:
        """Parameters of the text model inside and of the head on it; of the whole where it stands alone."""
        if not self.text:
            return self.total()
        inner = [
            part for part in self.parts if part.path.startswith(self.text + ".") or part.family is Family.HEAD
        ]
        return sum(part.own for part in inner)

    def active(self) -> int:
        """Parameters that a token meets: all but the routed experts that it does not pass."""
        if self.experts is None or not 0 < self.experts.picked <= self.experts.all:
            return self.total()
        routed = sum(part.own for part in self.parts if part.family is Family.EXPERTS)
        return self.total() - routed * (self.experts.all - self.experts.picked) // self.experts.all

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
        return rows(self, adapter)

    def count(self, adapter: Adapter) -> Count:
        """Trainable and total numbers under an adapter, as PEFT counts them."""
        found = self.rows(adapter)
        added = sum(row.lora + row.magnitudes + row.saved for row in found)
        return Count(sum(row.trainable for row in found), self.total() + added, self.total())
