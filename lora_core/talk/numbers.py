"""The numbers that a scene can name, each with its unit and computed from the scene's run.

A talk is data that anyone may edit, so it never holds a result: its sentences name numbers, as in
``{final_loss}``, and its claims compare them (``lora_core.talk.expressions``).
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_core.accounting import break_even_storage, full_cost, lora_cost
from lora_core.formatting import loss_text, percent_text, times_text

if TYPE_CHECKING:
    from lora_core.training.run import Run


class Unit(StrEnum):
    """The unit of a number, which decides its format and the steps of a guess."""

    LOSS = "loss"
    TIMES = "times"
    PERCENT = "percent"
    COUNT = "count"
    RANK = "rank"


def number_text(value: float, unit: Unit) -> str:
    """A number with its unit as the stage writes it: 0.204, 21 times, 94.2 %, 4,096, 4."""
    if not math.isfinite(value):
        return "–"
    if unit is Unit.LOSS:
        return loss_text(value, 3)
    if unit is Unit.TIMES:
        return times_text(value)
    if unit is Unit.PERCENT:
        return percent_text(value / 100)
    return f"{value:,.0f}"


class Number(NamedTuple):
    """A number by its unit, its description, and the function that computes it from a run."""

    unit: Unit
    says: str
    of: Callable[[Any], float]


def _floor(run: "Run", more: int = 0) -> float:
    """The floor of the adapter's rank and some more."""
    return _floor_of(run, run.last.rank + more)


def _floor_of(run: "Run", rank: int) -> float:
    # A late import: theory loads torch, and a talk is read before the page is drawn.
    from lora_core.theory import floor_at

    return floor_at(run.floors, max(0, rank))


def _knee(run: "Run") -> int:
    from lora_core.theory import knee  # as above

    return knee(run.floors)


def _directions(run: "Run", share: float) -> float:
    """Directions of the trained change that hold this share of its energy; NaN if the training diverged."""
    last = run.lora.snapshots.get(run.experiment.epochs)
    if last is None or last.B is None:
        return math.nan
    from lora_core.adapters.spectra import spectrum_of_factors  # as above

    return spectrum_of_factors("", last.A.T, last.B.T).rank_for(share)


def _trained(run: "Run", rank: int = 0) -> int:
    """What LoRA trains at its own rank, or at another."""
    e = run.last
    return lora_cost(e.in_features, e.out_features, rank or e.rank, e.train_bias).trainable


def _full_trained(run: "Run") -> int:
    e = run.experiment
    return full_cost(e.in_features, e.out_features, e.train_bias).trainable


def _percent(curve: object, at: int) -> float:
    """One value of an accuracy curve in percent; NaN on tasks without one."""
    return math.nan if curve is None else 100 * float(curve[at])  # type: ignore[index]


def ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.inf


NUMBERS: dict[str, Number] = {
    "rank": Number(Unit.RANK, "the adapter's rank, at the end", lambda run: run.last.rank),
    "true_rank": Number(
        Unit.RANK, "the rank of the change to learn", lambda run: run.experiment.shift_rank or math.nan
    ),
    "epochs": Number(Unit.COUNT, "updates", lambda run: run.experiment.epochs),
    "base_loss": Number(Unit.LOSS, "loss of the frozen base", lambda run: float(run.full.loss[0])),
    "start_loss": Number(Unit.LOSS, "loss before the first update", lambda run: float(run.lora.loss[0])),
    "start_over_base": Number(
        Unit.TIMES, "start over base", lambda run: ratio(float(run.lora.loss[0]), float(run.full.loss[0]))
    ),
    "final_loss": Number(Unit.LOSS, "loss after the last update", lambda run: float(run.lora.loss[-1])),
    "full_loss": Number(Unit.LOSS, "last loss of full fine-tuning", lambda run: float(run.full.loss[-1])),
    "held_out_loss": Number(Unit.LOSS, "last loss on new data", lambda run: float(run.lora.test_loss[-1])),
    "full_held_out_loss": Number(
        Unit.LOSS, "full fine-tuning's last loss on new data", lambda run: float(run.full.test_loss[-1])
    ),
    "base_held_out_loss": Number(
        Unit.LOSS, "the base's loss on new data", lambda run: float(run.full.test_loss[0])
    ),
    "floor": Number(Unit.LOSS, "the least loss this rank can reach", _floor),
    "floor_one_less": Number(Unit.LOSS, "the least loss of one rank less", lambda run: _floor(run, -1)),
    "floor_one_more": Number(Unit.LOSS, "the least loss of one rank more", lambda run: _floor(run, 1)),
    "full_floor": Number(Unit.LOSS, "the least loss of any rank", lambda run: float(run.floors[-1])),
    "true_floor": Number(
        Unit.LOSS, "the least loss of the true rank",
        lambda run: _floor_of(run, run.experiment.shift_rank or 0),
    ),
    "last_rank_gain": Number(
        Unit.TIMES, "what the last rank divides the floor by",
        lambda run: ratio(_floor(run, -1), _floor(run)),
    ),
    "knee": Number(
        Unit.RANK, "the least rank that leaves at most 1 % of the base loss to gain",
        lambda run: float(_knee(run)),
    ),
    "directions_used": Number(
        Unit.RANK, "directions that hold 95 % of the energy of the adapter's change",
        lambda run: _directions(run, 0.95),
    ),
    "full_rank": Number(Unit.RANK, "the greatest rank of the layer", lambda run: run.experiment.full_rank),
    "break_even": Number(
        Unit.RANK, "the rank that trains as many numbers as full fine-tuning",
        lambda run: break_even_storage(run.experiment.in_features, run.experiment.out_features),
    ),
    "trained": Number(Unit.COUNT, "numbers that LoRA trains", _trained),
    "full_trained": Number(Unit.COUNT, "numbers that full fine-tuning trains", _full_trained),
    "share": Number(
        Unit.PERCENT, "LoRA's numbers of full fine-tuning's",
        lambda run: 100 * _trained(run) / _full_trained(run),
    ),
    "knee_share": Number(
        Unit.PERCENT, "numbers of the knee's rank, of full fine-tuning's",
        lambda run: 100 * _trained(run, max(1, _knee(run))) / _full_trained(run),
    ),
    "accuracy_before": Number(
        Unit.PERCENT, "accuracy on new digits before", lambda run: _percent(run.lora.test_accuracy, 0)
    ),
    "accuracy": Number(
        Unit.PERCENT, "accuracy on new digits after", lambda run: _percent(run.lora.test_accuracy, -1)
    ),
    "full_accuracy": Number(
        Unit.PERCENT, "full fine-tuning's accuracy", lambda run: _percent(run.full.test_accuracy, -1)
    ),
    "diverged_at": Number(
        Unit.COUNT, "the update at which LoRA diverged", lambda run: run.lora.diverged_at or math.nan
    ),
}  # fmt: skip
"""Name -> number. ``beside.NAME`` is the same number of the run that a scene shows beside its own."""

BESIDE = "beside."
NAME = r"(?:beside\.)?[a-z_]+"
IN_BRACES = re.compile(rf"\{{({NAME})\}}")


@dataclass(frozen=True, eq=False)
class SceneNumbers:
    """The numbers of a scene: those of its run, and of the run beside it if it has one.

    ``known`` are the numbers that such runs have, ``NUMBERS`` or those of ``network_numbers``.
    """

    run: Any
    beside: Any = None
    known: Mapping[str, Number] = field(default_factory=lambda: NUMBERS)

    def value(self, name: str) -> float:
        """The number of that name (one of ``known``, perhaps after ``beside.``); KeyError otherwise."""
        run = self.beside if name.startswith(BESIDE) else self.run
        if run is None:
            raise KeyError(name)
        return float(self.known[name.removeprefix(BESIDE)].of(run))

    def text(self, name: str) -> str:
        return number_text(self.value(name), self.known[name.removeprefix(BESIDE)].unit)

    def filled(self, template: str) -> str:
        """A sentence with its numbers put in."""
        return IN_BRACES.sub(lambda found: self.text(found[1]), template)
