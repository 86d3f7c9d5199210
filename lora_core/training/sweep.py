"""A sweep over ranks, learning rates and seeds of an experiment, trained as a few stacks of adapters.

A sweep trains in float32: its curves agree with ``run`` to about 1e-3 at sensible rates; a chosen rank is
trained again, in float64, as a run. Last losses are evaluated in float64, so that none falls below its floor
by more than rounding. ``train_sweep`` yields partial results about every ``PARTIAL_EVERY`` seconds, also
within a stack; how often they are taken changes no bit of the result.
"""

import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from lora_core.data import make_problem
from lora_core.experiment import LIMITS, Experiment
from lora_core.training.batched import Adapter, Trainer, blocks

PARTIAL_EVERY = 0.03
"""Seconds between two partial results of a sweep; one update if that takes longer."""

_Found = TypeVar("_Found")


@dataclass(frozen=True, eq=False)
class Sweep:
    """The curves of every rank at every learning rate, float64, NaN where a run had diverged.

    ``losses`` (seed, rank, rate, update) and ``test_losses`` (seed, rank, rate), held out, after the last
    update; ``full_losses`` (seed, rate, update) and ``full_test_losses`` (seed, rate) of full fine-tuning;
    ``floors`` (seed, 0..min(in, out)). ``adapters``: rank -> (A (in, r), B (r, out), scaling) as trained, of
    the first seed and rate. While it grows ``done`` and ``total`` count trained adapters, and ``progress`` is
    the share of the work that is done, 0 to 1.
    """

    experiment: Experiment
    ranks: tuple[int, ...]
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]
    losses: np.ndarray
    test_losses: np.ndarray
    full_losses: np.ndarray
    full_test_losses: np.ndarray
    floors: np.ndarray
    adapters: dict[int, Adapter]
    done: int
    total: int
    progress: float

    @property
    def loss(self) -> np.ndarray:
        """Training loss of the first seed: [rank, rate, update]."""
        return self.losses[0]

    @property
    def test_loss(self) -> np.ndarray:
        """Held-out loss of the first seed after the last update: [rank, rate]."""
        return self.test_losses[0]

    @property
    def full_loss(self) -> np.ndarray:
        """Training loss of full fine-tuning, first seed: [rate, update]."""
        return self.full_losses[0]

    @property
    def complete(self) -> bool:
        return self.done == self.total


def sweep(
    experiment: Experiment,
    ranks: Iterable[int] | None = None,
    learning_rates: Iterable[float] | None = None,
    seeds: Iterable[int] | None = None,
) -> Sweep:
    """Train an experiment at every rank (default 1..min(in, out)), learning rate and seed (default its own).

    :raises ValueError: an empty list, or a value outside its field's limit.
    """
    for found in train_sweep(experiment, ranks, learning_rates, seeds):
        last = found
    return last


def train_sweep(
    experiment: Experiment,
    ranks: Iterable[int] | None = None,
    learning_rates: Iterable[float] | None = None,
    seeds: Iterable[int] | None = None,
) -> Iterator[Sweep]:
    """Train as `sweep`, and yield the sweep so far, NaN where not trained yet; the last one is ``sweep``'s.

    Yields after each stack of adapters and, within one, about every ``PARTIAL_EVERY`` seconds.
    """
    all_ranks = _values("rank", range(1, experiment.full_rank + 1) if ranks is None else ranks)
    rates = _values("learning_rate", [experiment.learning_rate] if learning_rates is None else learning_rates)
    all_seeds = _values("seed", [experiment.seed] if seeds is None else seeds)
    record = _Record(experiment, all_ranks, rates, all_seeds)
    for s, seed in enumerate(all_seeds):
        seeded = replace(experiment, seed=seed)
        problem = make_problem(seeded)
        yield from record.look()
        record.floors[s] = problem.floors()
        yield from record.look()
        trainer = Trainer(seeded, problem)
        for some in trainer.stacks_of_full(len(rates)):
            training = trainer.train_full(rates[some])
            full_losses, full_tests = yield from record.paced(training, _work(seeded) * len(rates[some]))
            record.full_losses[s, some], record.full_tests[s, some] = full_losses, full_tests
        for block in blocks(seeded, all_ranks, rates):
            pairs = [(all_ranks[i], rates[j]) for i, j in block]
            work = sum(_work(seeded, rank) for rank, _ in pairs)
            trained = yield from record.paced(trainer.train_block(pairs), work)
            record.add(s, block, *trained)
            yield record.seen()


def _values(name: str, values: Iterable[float]) -> tuple:
    checked = tuple(dict.fromkeys(LIMITS[name].read(name, value) for value in values))
    if not checked:
        raise ValueError(f"{name} is an empty list: a sweep needs at least one value.")
    return checked


def _work(experiment: Experiment, rank: int | None = None) -> float:
    """Multiply-adds of an update, roughly: of an adapter, or of full fine-tuning."""
    inputs, out = experiment.in_features, experiment.out_features
    return 2.0 * inputs**2 * out if rank is None else rank * inputs * (2.0 * inputs + 3 * out) + inputs * out


class _Record:
    """The results of a sweep so far, and the time at which the next partial result is due."""

    def __init__(
        self,
        experiment: Experiment,
        ranks: tuple[int, ...],
        rates: tuple[float, ...],
        seeds: tuple[int, ...],
    ) -> None:
        self.names = experiment, ranks, rates, seeds
        shape = len(seeds), len(ranks), len(rates)
        self.losses, self.tests = np.full((*shape, experiment.epochs + 1), np.nan), np.full(shape, np.nan)
        self.full_losses, self.full_tests = self.losses[:, 0].copy(), self.tests[:, 0].copy()
        self.floors = np.full((len(seeds), experiment.full_rank + 1), np.nan)
        self.adapters: dict[int, Adapter] = {}
        self.done, self.total = 0, shape[0] * shape[1] * shape[2]
        each = _work(experiment) + sum(_work(experiment, rank) for rank in ranks)
        self.work = each * len(rates) * len(seeds) * (experiment.epochs + 1)
        self.worked = 0.0
        self.due = time.monotonic() + PARTIAL_EVERY

    def add(
        self, s: int, block: list[tuple[int, int]], losses: np.ndarray, tests: np.ndarray, made: list[Adapter]
    ) -> None:
        """Store a trained block of the seed at place ``s``."""
        for (i, j), loss, test, adapter in zip(block, losses, tests, made, strict=True):
            self.losses[s, i, j], self.tests[s, i, j] = loss, test
            if s == j == 0:
                self.adapters[self.names[1][i]] = adapter
        self.done += len(block)

    def seen(self) -> Sweep:
        """A copy of the results so far, independent of further training."""
        progress = 1.0 if self.done == self.total else min(1.0, self.worked / self.work)
        return Sweep(
            *self.names, self.losses.copy(), self.tests.copy(), self.full_losses.copy(),
            self.full_tests.copy(), self.floors.copy(), dict(self.adapters), self.done, self.total, progress,
        )  # fmt: skip

    def look(self) -> Iterator[Sweep]:
        """Yield a partial result if one is due."""
        if time.monotonic() >= self.due:
            yield self.seen()
            self.due = time.monotonic() + PARTIAL_EVERY

    def paced(self, steps: Generator[None, None, _Found], work: float) -> Generator[Sweep, None, _Found]:
        """Exhaust ``steps``, each of so much ``work``, yielding partial results; returns their result."""
        while True:
            try:
                next(steps)
            except StopIteration as end:
                found: _Found = end.value
                return found
            self.worked += work
            yield from self.look()
