"""Which new digits does each rank read right? A few pictures that tell the ranks apart.

The pictures are chosen once for an experiment: half of those that the largest rank mends, the rest as they
come, so that a hand sees them flip as the rank grows, and also one that stays wrong.
"""

from dataclasses import dataclass

import numpy as np
import torch

from lora_core.data import Problem
from lora_core.training.sweep import Sweep

SHOWN = 10
"""Pictures beside the chart."""


@dataclass(frozen=True, eq=False)
class DigitsInfo:
    """Ten new digits: ``pictures`` (10, 64) of 0..1, ``labels`` (10,) that the task wants, and for every rank
    of a sweep what the layer reads, ``guesses`` (rank, 10). ``right`` (rank, 10)."""

    pictures: np.ndarray
    labels: np.ndarray
    guesses: np.ndarray

    @property
    def right(self) -> np.ndarray:
        return self.guesses == self.labels


@torch.no_grad()
def digits_info(sweep: Sweep, problem: Problem) -> DigitsInfo | None:
    """Ten digits and what every rank of a complete sweep reads; None if there are none, or a bias is trained.

    A sweep keeps no trained bias.
    """
    if problem.labels_test is None or problem.train_bias:
        return None
    base = problem.base(problem.X_test)
    adapters = (sweep.adapters[rank] for rank in sweep.ranks)
    guesses = torch.stack([(base + s * (problem.X_test @ A) @ B).argmax(1) for A, B, s in adapters]).numpy()
    labels = problem.labels_test.numpy()
    chosen = _chosen(labels, guesses)
    return DigitsInfo(problem.X_test[chosen].numpy(), labels[chosen], guesses[:, chosen])


def _chosen(labels: np.ndarray, guesses: np.ndarray) -> np.ndarray:
    """The first picture of every label, of those that change with the rank if there is one."""
    right = guesses == labels
    changing = right.any(0) & ~right.all(0)
    places = []
    for label in range(SHOWN):
        own = np.flatnonzero(labels == label)
        flips = own[changing[own]]
        places.append(int((flips if len(flips) else own)[0]))
    return np.array(places)
