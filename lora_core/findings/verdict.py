"""What did this run show? One sentence, computed from its numbers.

The cases are tried in order of precedence: after a divergence, say, the rank is not judged. Every number in
a sentence is one of the run's, rounded only here.
"""

from collections.abc import Callable
from typing import NamedTuple

from lora_core.accounting import break_even_storage, full_cost, lora_cost
from lora_core.experiment import Experiment, Task
from lora_core.formatting import loss_text, percent_text, plural, times_text
from lora_core.theory import TOLERANCE, floor_at, knee
from lora_core.training.run import Run

LEFT = 0.05
"""Above this share of the possible gain left over, the optimizer has not converged."""
STILL_FALLING = 0.01
"""A fall by more than this share over the last tenth of the updates means that the loss is still falling.

With fewer than ten updates, any fall over the last one counts."""
OVERFIT = 3.0
"""A held-out loss of this many times the training loss is overfitting."""
BETTER = 1.2
"""A held-out loss of this many times another one is clearly the worse."""
NOTHING = 0.01
"""If full fine-tuning can lower the base loss by less than this share, there is nothing to learn."""


class Verdict(NamedTuple):
    """The ``kind`` of a run, a key of next steps, and the ``sentence`` about it."""

    kind: str
    sentence: str


def verdict(run: Run) -> Verdict:
    """The sentence for a run, complete or still growing."""
    if not run.complete:
        done, of = run.updates, run.experiment.epochs
        return Verdict("training", f"Training: {done:,} of {plural(of, 'update')} done.")
    found = next(filter(None, (corner(run) for corner in _CORNERS)), None) or _within_reach(run)
    if run.lora.test_accuracy is None or run.lora.diverged_at is not None:
        return found
    before, after = (percent_text(run.lora.test_accuracy[i]) for i in (0, -1))
    return found._replace(
        sentence=f"{found.sentence} Accuracy on new digits: {before} before, {after} after."
    )


def _dead(run: Run) -> Verdict | None:
    if not run.dead:
        return None
    stays = "only the bias moves" if run.experiment.train_bias else f"the loss stays at {_last(run)}"
    return Verdict(
        "dead", f"A dead start: A and B are both zero, so no gradient reaches either of them and {stays}."
    )


def _diverged(run: Run) -> Verdict | None:
    lora, full, rate = run.lora.diverged_at, run.full.diverged_at, f"{run.experiment.learning_rate:g}"
    if lora is None and full is None:
        return None
    if lora is None:
        return Verdict(
            "diverged",
            f"Full fine-tuning diverged at update {full} at learning rate {rate}; LoRA ends at {_last(run)}.",
        )
    other = "full fine-tuning did not" if full is None else f"full fine-tuning at update {full}"
    return Verdict(
        "diverged", f"Learning rate {rate} is too high here: LoRA diverged at update {lora}, {other}."
    )


def _nothing_to_learn(run: Run) -> Verdict | None:
    e, floors = run.experiment, run.floors
    if e.task is Task.NOISE:
        new = loss_text(run.full.test_loss[-1])
        return Verdict(
            "nothing",
            f"Nothing to learn: the targets are noise. Rank {e.rank} ends at {_last(run)} (its floor is "
            f"{_floor(run)}), and full fine-tuning's {loss_text(run.full.loss[-1])} is {new} on new data.",
        )
    if floors[0] - floors[-1] < NOTHING * floors[0]:
        return Verdict(
            "nothing",
            f"Nothing to learn: the base is at {loss_text(floors[0])}, and no change of its weights gets "
            f"below {loss_text(floors[-1])}.",
        )
    return None


def _not_arrived(run: Run) -> Verdict | None:
    floor, loss = floor_at(run.floors, run.experiment.rank), run.lora.loss
    if loss[-1] - floor <= LEFT * (run.floors[0] - floor):
        return None
    updates = plural(run.experiment.epochs, "update")
    end = "ends" if run.experiment.epochs == 1 else "end"
    missing = f"{updates} {end} at {_last(run)}, and rank {run.experiment.rank} could reach {_floor(run)}"
    before = loss[-1 - max(1, run.lora.updates // 10)]
    fall = STILL_FALLING if run.lora.updates >= 10 else 0.0
    if loss[-1] < min((1 - fall) * before, loss[0]):
        return Verdict("too few", f"Too few epochs: {missing}. The loss is still falling.")
    return Verdict(
        "stuck", f"The optimizer, not the rank, is in the way: {missing}. Try another learning rate."
    )


def _overfitting(run: Run) -> Verdict | None:
    lora, full = run.lora.test_loss[-1], run.full.test_loss[-1]
    rank = f"rank {run.experiment.rank}"
    if full > OVERFIT * run.full.loss[-1] and full > BETTER * lora:
        return Verdict(
            "overfitting",
            f"Full fine-tuning learns the sample by heart: {loss_text(run.full.loss[-1])} on it, "
            f"{loss_text(full)} on new data. LoRA at {rank} has {loss_text(lora)} there.",
        )
    best = run.lora.test_loss.min()
    if lora > OVERFIT * run.lora.loss[-1] and lora > BETTER * best:
        return Verdict(
            "overfitting",
            f"LoRA overfits: at {rank} it has {_last(run)} on its sample and {loss_text(lora)} on new data, "
            f"where {loss_text(best)} was its best.",
        )
    return None


def _above_break_even(run: Run) -> Verdict | None:
    e = run.experiment
    if e.rank <= break_even_storage(e.in_features, e.out_features):
        return None
    lora, full = _trained(e)
    reach = floor_at(run.floors, e.rank) - run.floors[-1]
    gain = "reaches nothing lower" if reach <= 0 else f"its floor is still {loss_text(reach)} higher"
    return Verdict(
        "break-even",
        f"More than full: rank {e.rank} trains {lora:,} numbers, {times_text(lora / full)} the {full:,} of "
        f"full fine-tuning, and {gain}.",
    )


def _below_the_true_rank(run: Run) -> Verdict | None:
    e, truth = run.experiment, run.experiment.shift_rank
    if truth is None or e.rank >= truth:
        return None
    better = run.floors[truth]
    factor = floor_at(run.floors, e.rank) / better if better > 0 else float("inf")
    fewer = f", {times_text(factor)} less" if factor < 1e6 else ""
    short = "one short" if truth - e.rank == 1 else f"{truth - e.rank} short"
    return Verdict(
        "below",
        f"Rank {e.rank} is {short}: no optimizer gets below {_floor(run)}. Rank {truth} could reach "
        f"{loss_text(better)}{fewer}.",
    )


def _at_or_above_the_true_rank(run: Run) -> Verdict | None:
    e, truth = run.experiment, run.experiment.shift_rank
    if truth is None:
        return None
    lora, full = _trained(e)
    share = f"{100 * lora / full:.3g} % of the numbers"
    if e.rank == truth:
        return Verdict(
            "at",
            f"Rank {e.rank} is enough: {_last(run)}, where full fine-tuning has "
            f"{loss_text(run.full.loss[-1])}, with {share} it trains.",
        )
    return Verdict(
        "above",
        f"Rank {e.rank} is more than needed: its floor is {_floor(run)}, and rank {truth} already reaches "
        f"{loss_text(run.floors[truth])}.",
    )


def _within_reach(run: Run) -> Verdict:
    """The verdict on a task without a true rank: the cost of this rank, the gain of the next."""
    e, floors = run.experiment, run.floors
    if e.rank >= knee(floors):
        return Verdict(
            "enough",
            f"Rank {e.rank} is enough: its floor {_floor(run)} is within {100 * TOLERANCE:g} % of the base "
            f"loss of full fine-tuning's, {loss_text(floors[-1])}.",
        )
    bought = floors[e.rank] - floors[e.rank + 1]
    return Verdict(
        "no knee",
        f"No knee: rank {e.rank} costs {loss_text(floors[e.rank] - floors[-1])} above full fine-tuning, and "
        f"one rank more would take off {loss_text(bought)} of it.",
    )


def _trained(experiment: Experiment) -> tuple[int, int]:
    sizes, bias = (experiment.in_features, experiment.out_features), experiment.train_bias
    return lora_cost(*sizes, experiment.rank, bias).trainable, full_cost(*sizes, bias).trainable


def _last(run: Run) -> str:
    return loss_text(run.lora.loss[-1])


def _floor(run: Run) -> str:
    return loss_text(floor_at(run.floors, run.experiment.rank))


_CORNERS: tuple[Callable[[Run], Verdict | None], ...] = (
    _dead,
    _diverged,
    _nothing_to_learn,
    _not_arrived,
    _overfitting,
    _above_break_even,
    _below_the_true_rank,
    _at_or_above_the_true_rank,
)
