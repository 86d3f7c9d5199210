"""What did this run show? Two lines, computed from its numbers: the message, and what it rests on.

The cases are tried in order of precedence: after a divergence, say, the rank is not judged. Every number in
a line is one of the run's, rounded only here.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lora_core.accounting import break_even_storage, full_cost, lora_cost
from lora_core.experiment import Experiment, Task
from lora_core.findings.outcome import Outcome, outcome_of_run
from lora_core.formatting import loss_text, percent_text, plural, times_text
from lora_core.theory import TOLERANCE, knee
from lora_core.training.run import Run

LEFT = 0.05
"""The optimizer left more than this share of what the rank could have gained: it has not arrived."""
STILL_FALLING = 0.01
"""The last tenth of the updates lowered the error by more than this share: it has not stopped.

Of fewer than ten updates there is no tenth: there any fall of the last one counts."""
OVERFIT = 3.0
"""An error on new data this many times the training error is learnt by heart."""
BETTER = 1.2
"""An error on new data this many times another one is the worse of the two."""
NOTHING = 0.01
"""Full fine-tuning could lower the base's error by less than this share."""

AS_LOW = 0.01
"""A floor above full fine-tuning's by no more than this share of it is as low."""


class Verdict(NamedTuple):
    """``kind`` names the corner, ``title`` is the message, ``detail`` the numbers that it rests on."""

    kind: str
    title: str
    detail: str

    @property
    def sentence(self) -> str:
        """Both lines in one."""
        return f"{self.title} {self.detail}"


def verdict(run: Run) -> Verdict:
    """The two lines for a run, complete or still growing."""
    return verdict_on(outcome_of_run(run))


def verdict_on(outcome: Outcome) -> Verdict:
    """The same for an outcome: a run's, or that of one rank of a sweep."""
    if not outcome.complete:
        done = max(outcome.lora.updates, outcome.full.updates)
        of = plural(outcome.experiment.epochs, "update")
        return Verdict(
            "training", f"Training: {done:,} of {of} done.", "The curves grow as they are trained."
        )
    found = next(filter(None, (corner(outcome) for corner in _CORNERS)), None) or _within_reach(outcome)
    accuracy = outcome.lora.accuracy
    if accuracy is None or outcome.lora.diverged_at is not None:
        return found
    before, after = (percent_text(share) for share in accuracy)
    return found._replace(detail=f"{found.detail} New digits read right: {before} before, {after} after.")


def _dead(o: Outcome) -> Verdict | None:
    if not o.dead:
        return None
    stays = "only the bias moves" if o.experiment.train_bias else f"the error stays at {_last(o)}"
    return Verdict(
        "dead", "A dead start.", f"A and B are both zero, so no gradient reaches either of them and {stays}."
    )


def _diverged(o: Outcome) -> Verdict | None:
    lora, full, rate = o.lora.diverged_at, o.full.diverged_at, f"{o.experiment.learning_rate:g}"
    if lora is None and full is None:
        return None
    if lora is None:
        return Verdict(
            "diverged",
            f"Learning rate {rate} is too high for full fine-tuning.",
            f"It diverged at update {full}; LoRA ends at {_last(o)}.",
        )
    other = "full fine-tuning did not" if full is None else f"full fine-tuning at update {full}"
    return Verdict(
        "diverged", f"Learning rate {rate} is too high here.", f"LoRA diverged at update {lora}, {other}."
    )


def _nothing_to_learn(o: Outcome) -> Verdict | None:
    e, floors = o.experiment, _floors(o)
    if e.task is Task.NOISE:
        return Verdict(
            "nothing",
            "There is nothing to learn: the targets are noise.",
            f"Rank {e.rank} ends at {_last(o)} (its floor is {_floor(o)}), and full fine-tuning's "
            f"{loss_text(o.full.last)} is {loss_text(o.full.new)} on new data.",
        )
    if floors[0] - floors[-1] < NOTHING * floors[0]:
        return Verdict(
            "nothing",
            "There is nothing to learn.",
            f"The base is at {loss_text(floors[0])}, and no change of its weights gets below "
            f"{loss_text(floors[-1])}.",
        )
    return None


def _not_arrived(o: Outcome) -> Verdict | None:
    loss = o.lora.loss
    if loss[-1] - o.floor <= LEFT * (_floors(o)[0] - o.floor):
        return None
    updates = plural(o.experiment.epochs, "update")
    end = "ends" if o.experiment.epochs == 1 else "end"
    before = loss[-1 - max(1, o.lora.updates // 10)]
    fall = STILL_FALLING if o.lora.updates >= 10 else 0.0
    reach = f"rank {o.experiment.rank} could reach {_floor(o)}"
    if loss[-1] < min((1 - fall) * before, loss[0]):
        return Verdict(
            "too few", "Too few updates.", f"{updates} {end} at {_last(o)}, still falling; {reach}."
        )
    return Verdict(
        "stuck",
        "The optimizer, not the rank, is in the way.",
        f"{updates} {end} at {_last(o)}, and {reach}. Try another learning rate.",
    )


def _overfitting(o: Outcome) -> Verdict | None:
    lora, full = o.lora.new, o.full.new
    rank = f"rank {o.experiment.rank}"
    if full > OVERFIT * o.full.last and full > BETTER * lora:
        return Verdict(
            "overfitting",
            "Full fine-tuning learns the sample by heart.",
            f"It has {loss_text(o.full.last)} on it, {loss_text(full)} on new data. LoRA at {rank} has "
            f"{loss_text(lora)} there.",
        )
    best = o.lora.best_new
    if lora > OVERFIT * o.lora.last and lora > BETTER * best:
        return Verdict(
            "overfitting",
            "LoRA learns the sample by heart.",
            f"At {rank} it has {_last(o)} on it and {loss_text(lora)} on new data, where {loss_text(best)} "
            "was its best.",
        )
    return None


def _above_break_even(o: Outcome) -> Verdict | None:
    e = o.experiment
    if e.rank <= break_even_storage(e.in_features, e.out_features):
        return None
    lora, full = _trained(e)
    reach = o.floor - o.full_floor
    same = reach <= AS_LOW * o.full_floor
    gain = "reaches nothing lower" if same else f"still stops {loss_text(reach)} above it"
    return Verdict(
        "break-even",
        f"Rank {e.rank} trains more than full fine-tuning.",
        f"{lora:,} numbers are {times_text(lora / full)} its {full:,}, and rank {e.rank} {gain}.",
    )


def _below_the_true_rank(o: Outcome) -> Verdict | None:
    e, truth = o.experiment, o.experiment.shift_rank
    if truth is None or e.rank >= truth:
        return None
    better = _floors(o)[truth]
    factor = o.floor / better if better > 0 else float("inf")
    lower = f", {times_text(factor)} lower" if factor < 1e6 else ""
    short = "one short" if truth - e.rank == 1 else f"{truth - e.rank} short"
    return Verdict(
        "below",
        f"Rank {e.rank} is {short}.",
        f"It stops at {_floor(o)}. Rank {truth} would reach {loss_text(better)}{lower}.",
    )


def _at_or_above_the_true_rank(o: Outcome) -> Verdict | None:
    e, truth = o.experiment, o.experiment.shift_rank
    if truth is None:
        return None
    lora, full = _trained(e)
    if e.rank == truth:
        return Verdict(
            "at",
            f"Rank {e.rank} is enough.",
            f"It ends at {_last(o)}, where full fine-tuning has {loss_text(o.full.last)}, with "
            f"{percent_text(lora / full)} of the numbers.",
        )
    return Verdict(
        "above",
        f"Rank {e.rank} is more than needed.",
        f"Its floor is {_floor(o)}, and rank {truth} already reaches {loss_text(_floors(o)[truth])}.",
    )


def _within_reach(o: Outcome) -> Verdict:
    """No rank of the change is known: what this one costs, and what the next would buy."""
    e, floors = o.experiment, _floors(o)
    if e.rank >= knee(floors):
        return Verdict(
            "enough",
            f"Rank {e.rank} is enough.",
            f"Its floor {_floor(o)} is within {100 * TOLERANCE:g} % of the base's error of full "
            f"fine-tuning's, {loss_text(floors[-1])}.",
        )
    bought = floors[e.rank] - floors[e.rank + 1]
    return Verdict(
        "no knee",
        "No rank is the right one here.",
        f"Rank {e.rank} stops {loss_text(floors[e.rank] - floors[-1])} above full fine-tuning, and one rank "
        f"more would take off {loss_text(bought)} of it.",
    )


def _trained(experiment: Experiment) -> tuple[int, int]:
    sizes, bias = (experiment.in_features, experiment.out_features), experiment.train_bias
    return lora_cost(*sizes, experiment.rank, bias).trainable, full_cost(*sizes, bias).trainable


def _floors(o: Outcome) -> np.ndarray:
    assert o.floors is not None  # those of what is complete are known
    return o.floors


def _last(o: Outcome) -> str:
    return loss_text(o.lora.last)


def _floor(o: Outcome) -> str:
    return loss_text(o.floor)


_CORNERS: tuple[Callable[[Outcome], Verdict | None], ...] = (
    _dead,
    _diverged,
    _nothing_to_learn,
    _not_arrived,
    _overfitting,
    _above_break_even,
    _below_the_true_rank,
    _at_or_above_the_true_rank,
)
