"""A run: an experiment's adapter and full fine-tuning, trained on the same data.

``run`` trains to the end, ``train`` yields the run after each stretch of updates. Losses are float64 and
their index is the number of updates done: 0 is the base with its fresh adapter.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lora_core.data import Problem, make_problem
from lora_core.experiment import Experiment
from lora_core.fields import IntRange
from lora_core.reproducible import computed_once, one_thread
from lora_core.training.engine import PairedStepper, reduce_sample
from lora_core.training.history import History, Recorder
from lora_core.training.start import start_of

_CHUNK_BYTES = 4_000_000
_CHUNK_UPDATES = 64
_SNAPSHOTS = 51
_SNAPSHOT_BYTES = 48_000_000


@dataclass(frozen=True, eq=False)
class Run:
    """A trained experiment: its adapter (``lora``) and full fine-tuning (``full``).

    ``dead`` marks a start at A = B = 0, from which no gradient moves the adapter; ``complete`` is False while
    the run grows.
    """

    experiment: Experiment
    problem: Problem
    lora: History
    full: History
    dead: bool
    complete: bool

    @property
    def floors(self) -> np.ndarray:
        """The best training loss of every rank 0..min(in, out), float64."""
        return self.problem.floors()

    @property
    def known_floors(self) -> np.ndarray | None:
        """``floors`` if they are computed already, else None; those of a large layer take half a second."""
        return self.floors if self.problem.floors_known else None

    @property
    def updates(self) -> int:
        """Updates done: the greater number of adapter and full fine-tuning."""
        return max(self.lora.updates, self.full.updates)

    @computed_once
    def fingerprint(self) -> str:
        """16 hexadecimal digits of a hash over every loss of the run, to the bit."""
        digest = hashlib.sha256()
        for history in (self.lora, self.full):
            for curve in (history.loss, history.test_loss):
                digest.update(np.ascontiguousarray(curve).tobytes() + b"|")
        return digest.hexdigest()[:16]


def run(
    experiment: Experiment, problem: Problem | None = None, snapshots: Iterable[int] | None = None
) -> Run:
    """Train an experiment to its end. Equal experiments give equal runs, to the bit.

    ``problem`` is made from the experiment if None; ``snapshots`` chooses the updates after which A and B are
    kept (by default some fifty, fewer where they are large).

    :raises ValueError: a problem of other sizes or another bias policy, an update beyond the epochs.
    """
    *_, last = train(experiment, problem, snapshots)
    return last


def train(
    experiment: Experiment, problem: Problem | None = None, snapshots: Iterable[int] | None = None
) -> Iterator[Run]:
    """Train as `run`, and yield the run so far after each stretch of updates; the last one is ``run``'s."""
    stretches = _stretches(experiment, problem, snapshots)
    while True:
        with one_thread():
            run = next(stretches, None)
        if run is None:
            return
        yield run


def _stretches(
    experiment: Experiment, problem: Problem | None, snapshots: Iterable[int] | None
) -> Iterator[Run]:
    problem = make_problem(experiment) if problem is None else problem
    start = start_of(experiment, problem)
    dead = not (start.A.any() or start.B.any())
    sample = reduce_sample(problem.X, problem.residual(), experiment.train_bias)
    stepper = PairedStepper(sample, start, experiment.optimizer)
    updates = IntRange(0, experiment.epochs)
    chosen = snapshot_updates(experiment) if snapshots is None else snapshots
    keep = {updates.read("snapshots", update) for update in chosen}
    # A snapshot of full fine-tuning is a whole matrix: only the last is kept, and none after a divergence.
    keeps = keep, {experiment.epochs} & keep
    held_out = reduce_sample(problem.X_test, problem.residual_test(), experiment.train_bias)
    recorders = [Recorder(problem, held_out, each) for each in (start, None)]
    stretch = _stretch(experiment)
    past = [stepper.down.new_empty(stretch, *each.shape) for each in (stepper.down, stepper.up)]
    # Laid out side by side, so that one wide product gives the held-out losses of a whole stretch.
    inputs, out_features = stepper.change.shape
    past.append(stepper.change.new_empty(inputs, stretch, out_features).transpose(0, 1))
    for first in range(0, experiment.epochs + 1, stretch):
        count = min(stretch, experiment.epochs + 1 - first)
        terms: list[Tensor] = []
        for i in range(count):
            if first or i:
                stepper.optimizer.step()
            terms += stepper.gradients()
            for kept, now in zip(past, (stepper.down, stepper.up, stepper.change), strict=True):
                kept[i].copy_(now)
        down, up, full_change = (kept[:count] for kept in past)
        losses = stepper.losses(torch.stack(terms).view(count, 4))
        new = zip(recorders, losses, ((down, up), (full_change,)), keeps, strict=True)
        for recorder, loss, change, kept_at in new:
            recorder.add(first, loss, change, kept_at)
        over = all(recorder.diverged_at is not None for recorder in recorders)
        complete = over or first + count > experiment.epochs
        lora, full = (recorder.history() for recorder in recorders)
        yield Run(experiment, problem, lora, full, dead, complete)
        if over:
            return


def snapshot_updates(experiment: Experiment) -> list[int]:
    """The updates after which A and B are kept by default: evenly spread, first and last among them."""
    size = 8 * experiment.rank * (experiment.in_features + experiment.out_features)
    count = max(2, min(_SNAPSHOTS, experiment.epochs + 1, _SNAPSHOT_BYTES // size))
    return sorted({round(i * experiment.epochs / (count - 1)) for i in range(count)})


def _stretch(experiment: Experiment) -> int:
    in_features, out_features = experiment.in_features, experiment.out_features
    size = 8 * (in_features * out_features + experiment.rank * (in_features + out_features))
    return max(1, min(_CHUNK_UPDATES, _CHUNK_BYTES // size))
