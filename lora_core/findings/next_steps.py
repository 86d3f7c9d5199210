"""Next steps after a run: experiments one change away, chosen by the kind of its verdict."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from lora_core.accounting import break_even_storage
from lora_core.experiment import LIMITS, Experiment, Init, Shift, Task
from lora_core.fields import FloatRange, IntRange
from lora_core.theory import knee
from lora_core.training.run import Run


class NextStep(NamedTuple):
    """A label in a few words, and the experiment that it stands for."""

    label: str
    experiment: Experiment


def next_steps(run: Run, kind: str) -> list[NextStep]:
    """One to three different experiments to go on with; ``kind`` is the verdict's.

    Two steps may give the same experiment, which is then offered once: at rank 1 both one rank more and twice
    the rank are rank 2.
    """
    steps = _STEPS[kind](run) if kind in _STEPS else []
    elsewhere = {step.experiment: step for step in steps if step.experiment != run.experiment}
    return list(elsewhere.values())


def _to(run: Run, label: str, **changes: Any) -> NextStep:
    """A step that changes some fields, kept within their limits; ``label`` may hold the first one's value."""
    kept = {}
    for name, value in changes.items():
        limit = LIMITS[name]
        if isinstance(limit, IntRange | FloatRange):
            value = min(max(value, limit.least), limit.greatest)
        kept[name] = value
    return NextStep(label.format(*kept.values()), replace(run.experiment, **kept))


def _rank(run: Run, rank: int) -> NextStep:
    return _to(run, "Rank {}", rank=rank)


def _rate(run: Run, factor: float) -> NextStep:
    rate = float(f"{run.experiment.learning_rate * factor:.1g}")
    return _to(run, "Learning rate {:g}", learning_rate=rate)


def _after_dead(run: Run) -> list[NextStep]:
    return [_to(run, "Let A start random", init=Init.KAIMING)]


def _after_diverged(run: Run) -> list[NextStep]:
    return [_rate(run, 0.1)]


def _after_nothing(run: Run) -> list[NextStep]:
    return [
        _to(run, "Start at the base: B zero", init=Init.KAIMING),
        _to(run, "Give it something to learn", task=Task.LOW_RANK, init=Init.KAIMING),
    ]


def _after_too_few(run: Run) -> list[NextStep]:
    return [_to(run, "{:,} epochs", epochs=4 * run.experiment.epochs)]


def _after_stuck(run: Run) -> list[NextStep]:
    return [_rate(run, 10), _rate(run, 0.1)]


def _after_overfitting(run: Run) -> list[NextStep]:
    return [
        _to(run, "{:,} samples", samples=4 * run.experiment.samples),
        _rank(run, run.experiment.rank // 2),
    ]


def _after_break_even(run: Run) -> list[NextStep]:
    e = run.experiment
    return [_rank(run, int(break_even_storage(e.in_features, e.out_features))), _rank(run, knee(run.floors))]


def _to_the_true_rank(run: Run) -> list[NextStep]:
    return [_rank(run, run.experiment.shift_rank or knee(run.floors))]


def _after_at(run: Run) -> list[NextStep]:
    rank = run.experiment.rank
    other = (
        _to(run, "No knee: a power law", task=Task.POWER_LAW)
        if run.experiment.task is Task.LOW_RANK
        else _to(run, "Turn the digits instead", shift=Shift.TURN)
    )
    return [_rank(run, rank - 1), _rank(run, 2 * rank), other]


def _after_no_knee(run: Run) -> list[NextStep]:
    return [_rank(run, run.experiment.rank + 1), _rank(run, 2 * run.experiment.rank)]


_STEPS: dict[str, Callable[[Run], list[NextStep]]] = {
    "dead": _after_dead,
    "diverged": _after_diverged,
    "nothing": _after_nothing,
    "too few": _after_too_few,
    "stuck": _after_stuck,
    "overfitting": _after_overfitting,
    "break-even": _after_break_even,
    "below": _to_the_true_rank,
    "at": _after_at,
    "above": _to_the_true_rank,
    "enough": _to_the_true_rank,
    "no knee": _after_no_knee,
}
