"""The five numbers of a run, in words: what it trains, where it ends, what is left, what it costs, new data.

Of what the rank leaves above full fine-tuning's reach one part is the rank's (its floor) and the rest the
training's. An error that three digits cannot tell from its floor has left nothing.
"""

from dataclasses import dataclass

import numpy as np

from lora_core.accounting import break_even_storage, full_cost, lora_cost
from lora_core.findings.outcome import Ending, Outcome
from lora_core.formatting import loss_text, percent_text

NOTHING = 5e-3
"""What is left is nothing where it is less than this share of the error itself,"""
NEGLIGIBLE = 1e-6
"""or than this share of the base's error."""


@dataclass(frozen=True)
class Number:
    """A name, its value and a note beside it."""

    name: str
    value: str
    note: str


MEANINGS = {
    "Trains": "How many numbers LoRA trains, of those that full fine-tuning trains. They are equally many at "
    "the break-even rank, in × out / (in + out).",
    "Ends at": "Mean squared error on the training sample after the last update: the lower, the better.",
    "Stands at": "Mean squared error on the training sample after the last update so far.",
    "Training left": "How far training stopped above the floor, the least error that any training can reach "
    "at this rank. More updates could still win it.",
    "Rank costs": "How far the floor of this rank lies above that of full fine-tuning: only more rank can "
    "win it.",
    "On new data": "Mean squared error on samples that were not trained on.",
    "New digits read": "Share of digits read right, of those that were not trained on.",
}
"""What each name means, for those who ask."""


def five_numbers(outcome: Outcome) -> list[Number]:
    """The numbers of an outcome, a run's or that of one rank of a sweep."""
    o = outcome
    lora, full = trained_of(o)
    numbers = [
        Number("Trains", f"{lora:,} of {full:,}", percent_text(lora / full)),
        Number("Ends at" if o.complete else "Stands at", _last(o, o.lora), f"full {_last(o, o.full)}"),
        Number("Training left", _left(o), f"above its floor {_text(o, o.floor)}"),
        Number("Rank costs", _text(o, o.floor - o.full_floor), f"above full's {_text(o, o.full_floor)}"),
    ]
    if o.lora.accuracy is None:
        return [*numbers, Number("On new data", _new(o, o.lora), f"full {_new(o, o.full)}")]
    diverged = o.lora.diverged_at is not None
    after = "diverged" if diverged else percent_text(o.lora.accuracy[1])
    return [*numbers, Number("New digits read", after, f"before {percent_text(o.lora.accuracy[0])}")]


def trained_of(outcome: Outcome) -> tuple[int, int]:
    """How many numbers LoRA and full fine-tuning train."""
    e = outcome.experiment
    sizes = e.in_features, e.out_features
    lora = lora_cost(*sizes, e.rank, e.train_bias).trainable
    return lora, full_cost(*sizes, e.train_bias).trainable


def share_words(outcome: Outcome) -> str:
    """What the rank costs in numbers trained, in a sentence."""
    e = outcome.experiment
    lora, full = trained_of(outcome)
    even = break_even_storage(e.in_features, e.out_features)
    side = "more" if lora > full else "as many" if lora == full else "fewer"
    than = "as" if lora == full else "than"
    return (
        f"Trainable share: rank {e.rank} trains {lora:,} of {full:,}, {percent_text(lora / full)}, "
        f"{side} {than} full fine-tuning. Break-even is rank {even:.3g}."
    )


def _left(o: Outcome) -> str:
    left = o.left
    if not np.isfinite(left):
        return "–"
    scale = float(o.floors[0]) if o.floors is not None else o.lora.last
    if left <= max(NOTHING * o.lora.last, NEGLIGIBLE * scale):
        return "nothing"
    return loss_text(left)


def _text(o: Outcome, value: float) -> str:
    """A floor in words; what is negligible beside the base's error is 0."""
    if o.floors is not None and abs(value) <= NEGLIGIBLE * float(o.floors[0]):
        return "0"
    return loss_text(value)


def _last(o: Outcome, ending: Ending) -> str:
    return "diverged" if ending.diverged_at is not None else _text(o, ending.last)


def _new(o: Outcome, ending: Ending) -> str:
    return "diverged" if ending.diverged_at is not None else loss_text(ending.new)
