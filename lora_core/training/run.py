"""A run: an experiment's adapter and full fine-tuning, trained on the same data.

``run`` trains to the end, ``train`` yields the run after each stretch of updates. Losses are float64 and
their index is the number of updates done: 0 is the base with its fresh adapter. Where a course changes, the
loss is that of the adapter after the change, with which the next update starts.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lora_core.course import Course, course_of
from lora_core.data import Problem, make_problem
from lora_core.experiment import Experiment
from lora_core.fields import IntRange
from lora_core.reproducible import computed_once, one_thread
from lora_core.theory import floor_at
from lora_core.training.course import Cut, change_stepper, nearest_loss, paired_losses
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

    ``dead`` marks a start, or a cut, at A = B = 0, from which no gradient moves the adapter; ``complete`` is
    False while the run grows. ``course`` holds the changes on the way, none as a rule, and ``cuts`` what each
    cut of the rank has cost; ``experiment`` is how it starts.
    """

    experiment: Experiment
    problem: Problem
    lora: History
    full: History
    dead: bool
    complete: bool
    course: Course
    cuts: tuple[Cut, ...] = ()

    @property
    def last(self) -> Experiment:
        """The experiment as it stands at the end of the course."""
        return self.course.last

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
    experiment: Experiment | Course, problem: Problem | None = None, snapshots: Iterable[int] | None = None
) -> Run:
    """Train an experiment, or a course, to its end. Equal ones give equal runs, to the bit.

    ``problem`` is made from the experiment if None; ``snapshots`` chooses the updates after which A and B are
    kept (by default some fifty, fewer where they are large).

    :raises ValueError: a problem of other sizes or another bias policy, an update beyond the epochs.
    """
    *_, last = train(experiment, problem, snapshots)
    return last


def train(
    experiment: Experiment | Course, problem: Problem | None = None, snapshots: Iterable[int] | None = None
) -> Iterator[Run]:
    """Train as `run`, and yield the run so far after each stretch of updates; the last one is ``run``'s."""
    stretches = _stretches(course_of(experiment), problem, snapshots)
    while True:
        with one_thread():
            run = next(stretches, None)
        if run is None:
            return
        yield run


def _stretches(course: Course, problem: Problem | None, snapshots: Iterable[int] | None) -> Iterator[Run]:
    training = _Training(course, make_problem(course.experiment) if problem is None else problem, snapshots)
    segments = course.segments()
    ends = [*(segment.first for segment in segments[1:]), course.experiment.epochs + 1]
    for (first, experiment), end in zip(segments, ends, strict=True):
        training.change(first, experiment)
        for _ in training.stretches(first, end):
            yield training.so_far()
        if training.over:
            return


class _Training:
    """A course in training: stepper, recorders and the experiment in force."""

    def __init__(self, course: Course, problem: Problem, snapshots: Iterable[int] | None) -> None:
        self.course, self.problem = course, problem
        self.experiment = experiment = course.experiment
        self.start = start_of(experiment, problem)
        self.dead = not (self.start.A.any() or self.start.B.any())
        self.sample = reduce_sample(problem.X, problem.residual(), experiment.train_bias)
        self.stepper = PairedStepper(self.sample, self.start, experiment.optimizer)
        updates = IntRange(0, experiment.epochs)
        chosen = snapshot_updates(course) if snapshots is None else snapshots
        keep = {updates.read("snapshots", update) for update in chosen}
        # A snapshot of full fine-tuning is a whole matrix: only the last is kept, and none after divergence.
        self.keeps = keep, {experiment.epochs} & keep
        held_out = reduce_sample(problem.X_test, problem.residual_test(), experiment.train_bias)
        self.recorders = [Recorder(problem, held_out, each) for each in (self.start, None)]
        self.cuts: list[Cut] = []
        self.done = -1

    @property
    def over(self) -> bool:
        """Whether both trainings have diverged."""
        return all(recorder.diverged_at is not None for recorder in self.recorders)

    def change(self, update: int, experiment: Experiment) -> None:
        """Take the step to ``update``, if there is one, and put another experiment in force there."""
        before, self.experiment = self.experiment, experiment
        if update:
            self.stepper.optimizer.step()
        if before == experiment:
            return
        diverged = self.recorders[0].diverged_at is not None
        old = self.stepper
        self.stepper, self.start = change_stepper(
            old, self.start, self.sample, before, experiment, update, diverged
        )
        self.recorders[0].start = self.start
        # Nothing is left of an adapter without a change that is cut: neither factor ever moves again.
        self.dead |= not (diverged or self.start.A.any() or self.start.B.any())
        if experiment.rank < before.rank and not diverged:
            self.cuts.append(self._cut(update, before, old))

    def _cut(self, update: int, before: Experiment, old: PairedStepper) -> Cut:
        rank = self.experiment.rank
        return Cut(
            update, before.rank, rank, float(paired_losses(old)[0]), float(paired_losses(self.stepper)[0]),
            nearest_loss(self.sample, old, rank, before.train_bias), floor_at(self.problem.floors(), rank),
        )  # fmt: skip

    def stretches(self, first: int, end: int) -> Iterator[None]:
        """Record the updates from ``first``, which is reached already, to the one before ``end``."""
        stepper, most = self.stepper, _stretch(self.experiment)
        past = [stepper.down.new_empty(most, *each.shape) for each in (stepper.down, stepper.up)]
        # Laid out side by side, so that one wide product gives the held-out losses of a whole stretch.
        inputs, out_features = stepper.change.shape
        past.append(stepper.change.new_empty(inputs, most, out_features).transpose(0, 1))
        for begin in range(first, end, most):
            count = min(most, end - begin)
            terms: list[Tensor] = []
            for i in range(count):
                if begin + i > first:
                    stepper.optimizer.step()
                terms += stepper.gradients()
                for kept, now in zip(past, (stepper.down, stepper.up, stepper.change), strict=True):
                    kept[i].copy_(now)
            down, up, full_change = (kept[:count] for kept in past)
            losses = stepper.losses(torch.stack(terms).view(count, 4))
            new = zip(self.recorders, losses, ((down, up), (full_change,)), self.keeps, strict=True)
            for recorder, loss, change, kept_at in new:
                recorder.add(begin, loss, change, kept_at)
            self.done = begin + count - 1
            yield
            if self.over:
                return

    def so_far(self) -> Run:
        lora, full = (recorder.history() for recorder in self.recorders)
        complete = self.over or self.done == self.course.experiment.epochs
        return Run(
            self.course.experiment, self.problem, lora, full, self.dead, complete, self.course,
            tuple(self.cuts),
        )  # fmt: skip


def snapshot_updates(given: Experiment | Course) -> list[int]:
    """The updates after which A and B are kept by default: evenly spread, first and last among them.

    So are those at which a course changes.
    """
    course = course_of(given)
    experiment = course.experiment
    size = 8 * course.highest_rank * (experiment.in_features + experiment.out_features)
    count = max(2, min(_SNAPSHOTS, experiment.epochs + 1, _SNAPSHOT_BYTES // size))
    even = {round(i * experiment.epochs / (count - 1)) for i in range(count)}
    return sorted(even | {change.update for change in course.changes})


def _stretch(experiment: Experiment) -> int:
    in_features, out_features = experiment.in_features, experiment.out_features
    size = 8 * (in_features * out_features + experiment.rank * (in_features + out_features))
    return max(1, min(_CHUNK_UPDATES, _CHUNK_BYTES // size))
