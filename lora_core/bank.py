"""Every rank, every learning rate, every seed: many adapters trained as one.

All adapters of one experiment share G's triangle, so their steps are a few wide products (see
``lora_core.engine``). Ranks are padded with zero rows, which no gradient moves, in groups of similar rank.
A sweep trains in float32: its curves agree with ``run`` to about 1e-3 at sensible rates; a chosen rank is
trained again, in float64, as a run.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lora_core.data import Problem, make_problem
from lora_core.engine import (
    Flat,
    Sample,
    Start,
    held_out_losses,
    held_out_losses_full,
    optimizer_of,
    reduce_sample,
)
from lora_core.experiment import LIMITS, Experiment, Optimizer
from lora_core.lanes import DIVERGED
from lora_core.training import start_of

BLOCK_BYTES = 64_000_000
"""Residuals and parameters of the adapters trained at once take at most about this much memory."""

_GROUPS = (2, 4, 8, 12, 16, 24, 32, 40, 48, 56, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Ranks up to the same of these are trained together, padded to their largest."""


class Bank:
    """Many adapters trained at once on one sample, ranks padded with zero rows, which stay zero.

    In residual form: E = S delta - T is at hand at each step, so its norm is the loss, without the
    cancellation that makes an expanded loss negative in float32.
    """

    def __init__(
        self, sample: Sample, starts: Sequence[Start], optimizer: Optimizer, dtype: torch.dtype
    ) -> None:
        count, inputs, out_features = len(starts), sample.root.shape[1], sample.target.shape[1]
        rows = max(start.rank + start.train_bias for start in starts)
        flat = Flat([(count, rows, inputs), (count, rows, out_features)], dtype)
        self.W, self.V = flat.values
        for i, start in enumerate(starts):
            start.place(optimizer, self.W[i], self.V[i], [rate[i] for rate in flat.rates], flat.epses[1][i])
        self.optimizer = optimizer_of(optimizer, flat)
        unit = (2 / sample.size) ** 0.5
        self.root, target = (sample.root * unit).to(dtype), (sample.target * unit).to(dtype)
        self.rest, m = sample.rest / sample.size, len(target)
        self.target = target.expand(count, m, out_features)
        new = flat.value.new_empty
        self.Z, self.Y, self.E = new(count, rows, m), new(count, rows, m), new(count, m, out_features)
        self.gV = flat.gradients[1]
        self.tall = [each.view(count * rows, -1) for each in (self.W, self.Z, self.Y, flat.gradients[0])]
        self.transposed = self.root.T, self.Z.transpose(1, 2), self.E.transpose(1, 2)

    def gradients(self) -> Tensor:
        """Gradients at the present parameters; returns the losses (count,)."""
        W, Z, Y, gW = self.tall
        root_t, Zt, Et = self.transposed
        torch.mm(W, root_t, out=Z)
        torch.baddbmm(self.target, Zt, self.V, beta=-1, out=self.E)
        torch.bmm(self.Z, self.E, out=self.gV)
        torch.bmm(self.V, Et, out=self.Y)
        torch.mm(Y, self.root, out=gW)
        return torch.linalg.vector_norm(self.E, dim=(1, 2)).square_().mul_(0.5).add_(self.rest)


class FullBank:
    """Full fine-tuning at several learning rates at once: D (count, in, out), as ``Bank`` otherwise."""

    def __init__(
        self, sample: Sample, rates: Sequence[float], optimizer: Optimizer, dtype: torch.dtype
    ) -> None:
        shape = (len(rates), sample.root.shape[1], sample.target.shape[1])
        flat = Flat([shape], dtype)
        (self.D,), (self.gD,) = flat.values, flat.gradients
        flat.rates[0].copy_(torch.tensor(rates, dtype=dtype)[:, None, None])
        self.optimizer = optimizer_of(optimizer, flat)
        unit = (2 / sample.size) ** 0.5
        root, target = (sample.root * unit).to(dtype), (sample.target * unit).to(dtype)
        self.rest = sample.rest / sample.size
        self.root = root.expand(len(rates), *root.shape)
        self.target = target.expand(len(rates), *target.shape)
        self.E = torch.empty(self.target.shape, dtype=dtype)

    def gradients(self) -> Tensor:
        """Gradients at the present parameters; returns the losses (count,)."""
        torch.baddbmm(self.target, self.root, self.D, beta=-1, out=self.E)
        torch.bmm(self.root.transpose(1, 2), self.E, out=self.gD)
        return torch.linalg.vector_norm(self.E, dim=(1, 2)).square_().mul_(0.5).add_(self.rest)


@dataclass(frozen=True, eq=False)
class Sweep:
    """The curves of every rank at every learning rate, float64, NaN where a run had diverged.

    ``losses`` (seed, rank, rate, update) and ``test_losses`` (seed, rank, rate), held out, after the last
    update; ``full_losses`` (seed, rate, update) and ``full_test_losses`` (seed, rate) of full fine-tuning;
    ``floors`` (seed, 0..min(in, out)). ``adapters``: rank -> (A (in, r), B (r, out), scaling) as trained, of
    the first seed and rate. ``done`` and ``total`` count trained adapters while it grows.
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
    adapters: dict[int, tuple[Tensor, Tensor, float]]
    done: int
    total: int

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
    *_, last = train_sweep(experiment, ranks, learning_rates, seeds)
    return last


def train_sweep(
    experiment: Experiment,
    ranks: Iterable[int] | None = None,
    learning_rates: Iterable[float] | None = None,
    seeds: Iterable[int] | None = None,
) -> Iterator[Sweep]:
    """The same sweep as it grows, block by block, entries not yet trained NaN. The last is ``sweep``'s."""
    all_ranks = _values("rank", range(1, experiment.full_rank + 1) if ranks is None else ranks)
    rates = _values("learning_rate", [experiment.learning_rate] if learning_rates is None else learning_rates)
    all_seeds = _values("seed", [experiment.seed] if seeds is None else seeds)
    shape = (len(all_seeds), len(all_ranks), len(rates))
    losses, test_losses = np.full((*shape, experiment.epochs + 1), np.nan), np.full(shape, np.nan)
    full_losses, full_tests = losses[:, 0].copy(), test_losses[:, 0].copy()
    floors = np.full((len(all_seeds), experiment.full_rank + 1), np.nan)
    adapters: dict[int, tuple[Tensor, Tensor, float]] = {}
    done, total = 0, shape[0] * shape[1] * shape[2]
    for s, seed in enumerate(all_seeds):
        seeded = replace(experiment, seed=seed)
        problem = make_problem(seeded)
        floors[s] = problem.floors()
        trainer = _Trainer(seeded, problem)
        full_losses[s], full_tests[s] = trainer.train_full(rates)
        for block in _blocks(seeded, all_ranks, rates):
            block_losses, block_tests, factors = trainer.train_block(
                [(all_ranks[i], rates[j]) for i, j in block]
            )
            for (i, j), loss, test, factor in zip(block, block_losses, block_tests, factors, strict=True):
                losses[s, i, j], test_losses[s, i, j] = loss, test
                if s == j == 0:
                    adapters[all_ranks[i]] = factor
            done += len(block)
            yield Sweep(
                experiment, all_ranks, rates, all_seeds, losses.copy(), test_losses.copy(),
                full_losses.copy(), full_tests.copy(), floors.copy(), dict(adapters), done, total,
            )  # fmt: skip


def _values(name: str, values: Iterable[float]) -> tuple:
    checked = tuple(dict.fromkeys(LIMITS[name].read(name, value) for value in values))
    if not checked:
        raise ValueError(f"{name} is an empty list: a sweep needs at least one value.")
    return checked


def _blocks(
    experiment: Experiment, ranks: Sequence[int], rates: Sequence[float]
) -> Iterator[list[tuple[int, int]]]:
    """Index pairs (rank, rate) to train at once: similar ranks, no more than ``BLOCK_BYTES``."""
    size = experiment.in_features * experiment.out_features + experiment.train_bias
    for low, high in zip((0, *_GROUPS), _GROUPS, strict=False):
        group = [(i, j) for i, rank in enumerate(ranks) if low < rank <= high for j in range(len(rates))]
        per_adapter = 4 * (size + 8 * high * (experiment.in_features + experiment.out_features))
        count = max(1, BLOCK_BYTES // per_adapter)
        for first in range(0, len(group), count):
            yield group[first : first + count]


class _Trainer:
    """What the blocks of one seed share: its problem, reduced, in float32."""

    def __init__(self, experiment: Experiment, problem: Problem) -> None:
        self.experiment, self.problem = experiment, problem
        self.sample = reduce_sample(problem.X, problem.residual(), experiment.train_bias)
        self.held_out = reduce_sample(problem.X_test, problem.residual_test(), experiment.train_bias)

    def train_full(self, rates: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """Losses (rate, update) and held-out losses (rate,), no more rates at once than ``BLOCK_BYTES``."""
        parts = []
        at_once = max(1, BLOCK_BYTES // (40 * self.experiment.in_features * self.experiment.out_features))
        for first in range(0, len(rates), at_once):
            some = rates[first : first + at_once]
            bank = FullBank(self.sample, some, self.experiment.optimizer, torch.float32)
            losses = self._train(bank)
            scores = held_out_losses_full(self.held_out, bank.D.double().transpose(0, 1))
            parts.append((losses, _finite(losses, scores)))
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def train_block(
        self, block: Sequence[tuple[int, float]]
    ) -> tuple[np.ndarray, np.ndarray, list[tuple[Tensor, Tensor, float]]]:
        """Losses (k, update), held-out losses (k,) and factors of the adapters of ``block``: (rank, rate)."""
        starts = [
            start_of(replace(self.experiment, rank=rank, learning_rate=rate), self.problem)
            for rank, rate in block
        ]
        bank = Bank(self.sample, starts, self.experiment.optimizer, torch.float32)
        losses = self._train(bank)
        factors = [
            (*start.read(W, V)[:2], start.scaling) for start, W, V in zip(starts, bank.W, bank.V, strict=True)
        ]
        return (
            losses,
            _finite(losses, held_out_losses(self.held_out, bank.W.double(), bank.V.double())),
            factors,
        )

    def _train(self, bank: "Bank | FullBank") -> np.ndarray:
        history = []
        for update in range(self.experiment.epochs + 1):
            if update:
                bank.optimizer.step()
            history.append(bank.gradients())
        losses = torch.stack(history, dim=1).double()
        wrong = ~(losses <= DIVERGED * losses[:, :1])
        losses[wrong.cumsum(1) > 0] = torch.nan
        return losses.numpy()


def _finite(losses: np.ndarray, scores: Tensor) -> np.ndarray:
    """Held-out losses (k,), NaN where the run had diverged."""
    return np.where(np.isnan(losses[:, -1]), np.nan, scores.double().numpy())
