"""The history of a training, of an adapter or of full fine-tuning: curves, snapshots, divergence.

A history is recorded in stretches of updates. Held-out losses and, on digits, accuracies are computed once a
stretch from its parameters, which costs far less than once an update.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from lora_core.data import Problem
from lora_core.training.engine import AdapterStart, ReducedSample, held_out_losses, held_out_losses_full

DIVERGED = 1e9
"""A loss this many times the first one, or not finite, counts as diverged."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """An adapter after some updates: A (in, r), B (r, out), the bias's change (out) or None; float64.

    Of full fine-tuning, A is the change itself, (in, out), and B is None.
    """

    A: Tensor
    B: Tensor | None
    bias: Tensor | None


@dataclass(frozen=True, eq=False)
class History:
    """The curves and snapshots of one training. Arrays are float64, indexed by the number of updates done.

    ``accuracy`` and ``test_accuracy`` exist on digits only. After a divergence the finite part is kept, and
    ``diverged_at`` is the first update whose loss is not. ``snapshots``: updates done -> ``Snapshot``.
    """

    loss: np.ndarray
    test_loss: np.ndarray
    accuracy: np.ndarray | None = None
    test_accuracy: np.ndarray | None = None
    diverged_at: int | None = None
    snapshots: dict[int, Snapshot] = field(default_factory=dict)

    @property
    def updates(self) -> int:
        """Updates done whose loss is known."""
        return len(self.loss) - 1


class Recorder:
    """Builds a ``History`` from stretches of updates; ``start`` is None for full fine-tuning."""

    def __init__(self, problem: Problem, held_out: ReducedSample, start: AdapterStart | None) -> None:
        self.start, self.held_out, self.train_bias = start, held_out, problem.train_bias
        self.accuracies = _accuracies(problem)
        self.parts: list[list[np.ndarray]] = [[], [], [], []]
        self.snapshots: dict[int, Snapshot] = {}
        self.diverged_at: int | None = None
        self.limit = 0.0

    def add(self, first: int, loss: Tensor, change: tuple[Tensor, ...], keep: set[int]) -> None:
        """Append a stretch: losses (k,) after ``first``... updates, and the k parameters they belong to."""
        if self.diverged_at is not None:
            return
        if first == 0:
            self.limit = DIVERGED * float(loss[0])
        wrong = torch.nonzero(~(loss <= self.limit))
        count = int(wrong[0]) if len(wrong) else len(loss)
        if count < len(loss):
            self.diverged_at = first + count
        if count == 0:
            return
        change = tuple(each[:count] for each in change)
        if self.start is None:
            test_loss = held_out_losses_full(self.held_out, change[0].transpose(0, 1))
        else:
            test_loss = held_out_losses(self.held_out, *change)
        curves = [loss[:count], test_loss]
        if self.accuracies:
            total = change[0] if self.start is None else change[0].transpose(1, 2) @ change[1]
            curves += [accuracy(total) for accuracy in self.accuracies]
        for part, curve in zip(self.parts, curves, strict=False):
            part.append(curve.numpy().copy())
        for i in range(count):
            if first + i in keep:
                self.snapshots[first + i] = self._snapshot([each[i] for each in change])

    def _snapshot(self, change: list[Tensor]) -> Snapshot:
        if self.start is not None:
            return Snapshot(*self.start.read(change[0], change[1]))
        (D,) = change
        return (
            Snapshot(D[:-1].clone(), None, D[-1].clone())
            if self.train_bias
            else Snapshot(D.clone(), None, None)
        )

    def history(self) -> History:
        loss, test_loss, *accuracies = (np.concatenate(part) for part in self.parts if part)
        accuracy, test_accuracy = accuracies or (None, None)
        return History(loss, test_loss, accuracy, test_accuracy, self.diverged_at, dict(self.snapshots))


class _Accuracy:
    """Share of right answers (k,) of k changes (k, in, out): the largest output names the label."""

    def __init__(self, X: Tensor, labels: Tensor, base: nn.Linear, train_bias: bool) -> None:
        self.base = base(X).T
        ones = [X.new_ones(len(X), 1)] if train_bias else []
        self.inputs = torch.cat([X, *ones], dim=1).T.contiguous()
        self.labels = labels

    def __call__(self, change: Tensor) -> Tensor:
        outputs = change.transpose(1, 2) @ self.inputs + self.base
        own = outputs.gather(1, self.labels.expand(len(change), 1, -1)).squeeze(1)
        return (own >= outputs.amax(1)).double().mean(1)


@torch.no_grad()
def _accuracies(problem: Problem) -> list[_Accuracy]:
    if problem.labels is None or problem.labels_test is None:
        return []
    return [
        _Accuracy(problem.X, problem.labels, problem.base, problem.train_bias),
        _Accuracy(problem.X_test, problem.labels_test, problem.base, problem.train_bias),
    ]
