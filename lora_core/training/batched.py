"""Many adapters trained as one: a step of a whole stack of them costs a few wide products.

All adapters of one experiment share the sample's triangle S (see ``engine``). Ranks are padded with zero
rows, which no gradient moves: dL/dA = X^T E B^T is zero where B's row is, and dL/dB = A^T X^T E where A's
column is. The number of stacked adapters is bounded by the memory that they take.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lora_core.data import Problem
from lora_core.experiment import Experiment, Optimizer
from lora_core.training.engine import (
    AdapterStart,
    FlatParameters,
    ReducedSample,
    held_out_losses,
    held_out_losses_full,
    optimizer_of,
    reduce_sample,
)
from lora_core.training.history import DIVERGED
from lora_core.training.start import start_of

BLOCK_BYTES = 64_000_000
"""Residuals and parameters of the adapters trained at once take at most about this much memory."""
_GROUPS = (2, 4, 8, 12, 16, 24, 32, 40, 48, 56, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Upper bounds of the groups of ranks that are trained together, each padded to its largest rank."""

Adapter = tuple[Tensor, Tensor, float]
"""A (in, r) and B (r, out), float64, and the scaling."""


class BatchedAdapters:
    """Many adapters trained at once on one sample, ranks padded with zero rows, which stay zero.

    ``down`` (count, rows, in) holds their A^T and ``up`` (count, rows, out) their scaling * B. In residual
    form: ``error`` = S delta - T is known at each step, so its norm is the loss, without the
    cancellation that makes an expanded loss negative in float32.
    """

    def __init__(
        self, sample: ReducedSample, starts: Sequence[AdapterStart], optimizer: Optimizer, dtype: torch.dtype
    ) -> None:
        count, inputs, out_features = len(starts), sample.root.shape[1], sample.target.shape[1]
        rows = max(start.rank + start.train_bias for start in starts)
        flat = FlatParameters([(count, rows, inputs), (count, rows, out_features)], dtype)
        self.down, self.up = flat.values
        for i, start in enumerate(starts):
            rates = [rate[i] for rate in flat.rates]
            start.place(optimizer, self.down[i], self.up[i], rates, flat.epses[1][i])
        self.optimizer = optimizer_of(optimizer, flat)
        unit = (2 / sample.size) ** 0.5
        self.root, target = (sample.root * unit).to(dtype), (sample.target * unit).to(dtype)
        self.rest, m = sample.rest / sample.size, len(target)
        self.target = target.expand(count, m, out_features)
        new = flat.value.new_empty
        self.hidden, self.back = new(count, rows, m), new(count, rows, m)
        self.error = new(count, m, out_features)
        self.up_gradient = flat.gradients[1]
        one_below_the_other = self.down, self.hidden, self.back, flat.gradients[0]
        self.tall = [each.view(count * rows, -1) for each in one_below_the_other]
        self.transposed = self.root.T, self.hidden.transpose(1, 2), self.error.transpose(1, 2)

    def gradients(self) -> Tensor:
        """Gradients at the present parameters; returns the losses (count,)."""
        down, hidden, back, down_gradient = self.tall
        root_t, hidden_t, error_t = self.transposed
        torch.mm(down, root_t, out=hidden)
        torch.baddbmm(self.target, hidden_t, self.up, beta=-1, out=self.error)
        torch.bmm(self.hidden, self.error, out=self.up_gradient)
        torch.bmm(self.up, error_t, out=self.back)
        torch.mm(back, self.root, out=down_gradient)
        return torch.linalg.vector_norm(self.error, dim=(1, 2)).square_().mul_(0.5).add_(self.rest)

    def exact_losses(self, sample: ReducedSample) -> Tensor:
        """Losses (count,) of the present parameters on ``sample`` in float64, one adapter at a time."""
        root, target, losses = sample.root.double(), sample.target.double(), []
        for down, up in zip(self.down.double(), self.up.double(), strict=True):
            left = torch.addmm(target, root @ down.T, up, beta=-1)
            losses.append((left.square().sum() + sample.rest) / sample.size)
        return torch.stack(losses)


class BatchedFull:
    """Full fine-tuning at several learning rates at once: ``change`` (count, in, out), its change."""

    def __init__(
        self, sample: ReducedSample, rates: Sequence[float], optimizer: Optimizer, dtype: torch.dtype
    ) -> None:
        shape = (len(rates), sample.root.shape[1], sample.target.shape[1])
        flat = FlatParameters([shape], dtype)
        (self.change,), (self.change_gradient,) = flat.values, flat.gradients
        flat.rates[0].copy_(torch.tensor(rates, dtype=dtype)[:, None, None])
        self.optimizer = optimizer_of(optimizer, flat)
        unit = (2 / sample.size) ** 0.5
        root, target = (sample.root * unit).to(dtype), (sample.target * unit).to(dtype)
        self.rest = sample.rest / sample.size
        self.root = root.expand(len(rates), *root.shape)
        self.target = target.expand(len(rates), *target.shape)
        self.error = torch.empty(self.target.shape, dtype=dtype)

    def gradients(self) -> Tensor:
        """Gradients at the present parameters; returns the losses (count,)."""
        torch.baddbmm(self.target, self.root, self.change, beta=-1, out=self.error)
        torch.bmm(self.root.transpose(1, 2), self.error, out=self.change_gradient)
        return torch.linalg.vector_norm(self.error, dim=(1, 2)).square_().mul_(0.5).add_(self.rest)

    def exact_losses(self, sample: ReducedSample) -> Tensor:
        """Losses (count,) of the present changes on ``sample`` in float64."""
        return held_out_losses_full(sample, self.change.double().transpose(0, 1))


def blocks(
    experiment: Experiment, ranks: Sequence[int], rates: Sequence[float]
) -> Iterator[list[tuple[int, int]]]:
    """Index pairs (rank, rate) to train at once: similar ranks, within ``BLOCK_BYTES``."""
    size = experiment.in_features * experiment.out_features + experiment.train_bias
    for low, high in zip((0, *_GROUPS), _GROUPS, strict=False):
        group = [(i, j) for i, rank in enumerate(ranks) if low < rank <= high for j in range(len(rates))]
        per_adapter = 4 * (size + 8 * high * (experiment.in_features + experiment.out_features))
        count = max(1, BLOCK_BYTES // per_adapter)
        for first in range(0, len(group), count):
            yield group[first : first + count]


class Trainer:
    """Trains the blocks of one seed in float32, on one reduced problem."""

    def __init__(self, experiment: Experiment, problem: Problem) -> None:
        self.experiment, self.problem = experiment, problem
        self.sample = reduce_sample(problem.X, problem.residual(), experiment.train_bias)
        self.held_out = reduce_sample(problem.X_test, problem.residual_test(), experiment.train_bias)

    def stacks_of_full(self, count: int) -> list[slice]:
        """Slices of ``count`` full fine-tunings to train at once, each within ``BLOCK_BYTES``."""
        at_once = max(1, BLOCK_BYTES // (40 * self.experiment.in_features * self.experiment.out_features))
        return [slice(first, first + at_once) for first in range(0, count, at_once)]

    def train_full(self, rates: Sequence[float]) -> Generator[None, None, tuple[np.ndarray, np.ndarray]]:
        """Losses (rate, update) and held-out losses (rate,) of full fine-tuning; yields at every update."""
        stack = BatchedFull(self.sample, rates, self.experiment.optimizer, torch.float32)
        losses = yield from self._train(stack)
        held_out = held_out_losses_full(self.held_out, stack.change.double().transpose(0, 1))
        return losses, _finite(losses, held_out)

    def train_block(
        self, block: Sequence[tuple[int, float]]
    ) -> Generator[None, None, tuple[np.ndarray, np.ndarray, list[Adapter]]]:
        """Losses (k, update), held-out losses (k,) and factors of the adapters of ``block``: (rank, rate).

        Yields at every update.
        """
        starts = [
            start_of(replace(self.experiment, rank=rank, learning_rate=rate), self.problem)
            for rank, rate in block
        ]
        stack = BatchedAdapters(self.sample, starts, self.experiment.optimizer, torch.float32)
        losses = yield from self._train(stack)
        down, up = stack.down.double(), stack.up.double()
        made = [(*start.read(d, u)[:2], start.scaling) for start, d, u in zip(starts, down, up, strict=True)]
        return losses, _finite(losses, held_out_losses(self.held_out, down, up)), made

    def _train(self, stack: BatchedAdapters | BatchedFull) -> Generator[None, None, np.ndarray]:
        by_update = []
        for update in range(self.experiment.epochs + 1):
            if update:
                stack.optimizer.step()
            by_update.append(stack.gradients())
            yield
        losses = torch.stack(by_update, dim=1).double()
        losses[:, -1] = stack.exact_losses(self.sample)
        wrong = ~(losses <= DIVERGED * losses[:, :1])
        losses[wrong.cumsum(1) > 0] = torch.nan
        return losses.numpy()


def _finite(losses: np.ndarray, scores: Tensor) -> np.ndarray:
    """Held-out losses (k,), NaN where the run had diverged."""
    return np.where(np.isnan(losses[:, -1]), np.nan, scores.double().numpy())
