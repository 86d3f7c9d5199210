"""What came of a rank: the numbers that a verdict needs, of a run or of one rank of a sweep.

A run has every curve in float64. A sweep has the training curves of all its ranks in float32 and the error on
new data at the end alone, so that what asks for more (the best error on new data on the way) is not known.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from lora_core.data import Problem
from lora_core.experiment import Experiment
from lora_core.theory import floor_at
from lora_core.training.run import Run
from lora_core.training.sweep import Sweep


@dataclass(frozen=True, eq=False)
class Ending:
    """How LoRA's training, or full fine-tuning's, went: its curve up to the last finite loss, by updates.

    ``new`` is the error on new data after the last update, ``best_new`` the least on the way, NaN if that was
    not recorded; ``accuracy`` the share of new digits read right before and after, None if there are none.
    """

    loss: np.ndarray
    new: float
    best_new: float
    accuracy: tuple[float, float] | None
    diverged_at: int | None

    @property
    def last(self) -> float:
        return float(self.loss[-1])

    @property
    def updates(self) -> int:
        return len(self.loss) - 1


@dataclass(frozen=True, eq=False)
class Outcome:
    """An experiment, LoRA and full fine-tuning beside it; ``floors`` (0..min(in, out)) or None if unknown."""

    experiment: Experiment
    lora: Ending
    full: Ending
    floors: np.ndarray | None
    dead: bool = False
    complete: bool = True

    @property
    def floor(self) -> float:
        """The least error of this rank; NaN if the floors are unknown."""
        return np.nan if self.floors is None else floor_at(self.floors, self.experiment.rank)

    @property
    def full_floor(self) -> float:
        """The least error of full fine-tuning; NaN if the floors are unknown."""
        return np.nan if self.floors is None else float(self.floors[-1])

    @property
    def left(self) -> float:
        """What more training could still win at this rank; NaN if that is not known."""
        if self.lora.diverged_at is not None:
            return np.nan
        return float(np.maximum(0.0, self.lora.last - self.floor))


def outcome_of_run(run: Run) -> Outcome:
    """The outcome of a run, complete or still growing; that of a course has the rank of its end."""
    lora, full = (
        Ending(
            curves.loss, float(curves.test_loss[-1]), float(curves.test_loss.min()),
            None if curves.test_accuracy is None
            else (float(curves.test_accuracy[0]), float(curves.test_accuracy[-1])),
            curves.diverged_at,
        ) for curves in (run.lora, run.full)
    )  # fmt: skip
    floors = run.floors if run.complete else run.known_floors
    return Outcome(run.last, lora, full, floors, run.dead, run.complete)


def outcomes_of_sweep(sweep: Sweep, problem: Problem) -> list[Outcome]:
    """The outcome of every rank of a complete sweep, in its order: its first seed and learning rate."""
    full = _ending(sweep.full_loss[0], float(sweep.full_test_losses[0, 0]))
    accuracies = _accuracies(sweep, problem)
    found = []
    for place, rank in enumerate(sweep.ranks):
        A, B, _ = sweep.adapters[rank]
        lora = _ending(sweep.loss[place, 0], float(sweep.test_loss[place, 0]), accuracies[place])
        dead = not (A.any() or B.any())  # what starts at zero in both stays there
        found.append(Outcome(replace(sweep.experiment, rank=rank), lora, full, sweep.floors[0], dead))
    return found


def _ending(losses: np.ndarray, new: float, accuracy: tuple[float, float] | None = None) -> Ending:
    wrong = np.flatnonzero(~np.isfinite(losses))
    diverged_at = int(wrong[0]) if len(wrong) else None
    return Ending(losses[:diverged_at], new, np.nan, accuracy, diverged_at)


@torch.no_grad()
def _accuracies(sweep: Sweep, problem: Problem) -> list[tuple[float, float] | None]:
    """Share of new digits read right by the base and by each rank's adapter; None if there are no digits.

    A sweep keeps no trained bias: with one the share after training is not known here.
    """
    labels = problem.labels_test
    if labels is None or problem.train_bias:
        return [None] * len(sweep.ranks)
    base = problem.base(problem.X_test)

    def right(outputs: torch.Tensor) -> float:
        return float(outputs.argmax(1).eq(labels).double().mean())

    before = right(base)
    adapters = (sweep.adapters[rank] for rank in sweep.ranks)
    return [(before, right(base + s * (problem.X_test @ A) @ B)) for A, B, s in adapters]
