"""Does merging change what the layer says?

    (W0 + delta^T) x + b  =  W0 x + b + s B^T A^T x        up to rounding

Proven on the layer itself, ``LoRALayer``: its outputs before and after ``merge``, its weight before and after
``unmerge``, and the checksum of W0 before and after training.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from lora_core.accounting import lora_cost
from lora_core.data import Problem
from lora_core.experiment import Experiment
from lora_core.figures.inside.matrices import factors
from lora_core.training.history import Snapshot
from lora_core.training.loop import train_model
from lora_core.training.start import lora_layer

PROOF = 1e9
"""Multiply-adds of the plain loop that shows W0 untouched, roughly: all samples and updates of a small layer,
fewer of a large one."""


@dataclass(frozen=True)
class Gap:
    """Largest difference |merged(x) - adapter(x)| over the held-out inputs, and over the largest output."""

    largest: float
    relative: float


@dataclass(frozen=True)
class MergeInfo:
    """The proof: gaps in ``single`` and ``double`` precision; checksums of W0 when ``merged`` and
    ``unmerged`` again; multiply-adds for an input ``before`` and ``after`` the merge."""

    single: Gap
    double: Gap
    merged: str
    unmerged: str
    before: int
    after: int


def merge_info(experiment: Experiment, problem: Problem, snapshot: Snapshot) -> MergeInfo:
    """Put a snapshot into the layer, merge it and take it out again."""
    single, merged, unmerged = _merged(experiment, problem, snapshot, torch.float32)
    double, _, _ = _merged(experiment, problem, snapshot, torch.float64)
    cost = lora_cost(experiment.in_features, experiment.out_features, experiment.rank)
    return MergeInfo(single, double, merged, unmerged, cost.inference_unmerged, cost.inference_merged)


@dataclass(frozen=True)
class FrozenInfo:
    """Checksums of W0 at the ``start`` and ``trained`` for so many ``updates`` by the plain loop, on so many
    ``samples``, which moved A and B by ``moved`` (the norm of both changes)."""

    start: str
    trained: str
    updates: int
    samples: int
    moved: float


def frozen_info(experiment: Experiment, problem: Problem) -> FrozenInfo:
    """Train a fresh layer by autograd, as far as ``PROOF`` goes, and look at its W0 before and after."""
    layer, before = (lora_layer(experiment, problem) for _ in range(2))
    start = checksum(layer.linear.weight)
    weights = 3 * experiment.in_features * experiment.out_features
    samples = min(len(problem.X), max(1, int(PROOF / weights)))
    updates = min(experiment.epochs, max(1, int(PROOF / (weights * samples))))
    train_model(
        layer, problem.X[:samples].float(), problem.Y[:samples].float(), updates, experiment.learning_rate,
        optimizer=experiment.optimizer, lr_ratio=experiment.lr_ratio, verbose=False,
    )  # fmt: skip
    moved = [layer.lora_A - before.lora_A, layer.lora_B - before.lora_B]
    length = float(torch.cat([each.detach().flatten() for each in moved]).norm())
    return FrozenInfo(start, checksum(layer.linear.weight), updates, samples, length)


def checksum(weight: Tensor) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of a weight's bytes."""
    return hashlib.sha256(weight.detach().contiguous().numpy().tobytes()).hexdigest()[:12]


@torch.no_grad()
def _merged(
    experiment: Experiment, problem: Problem, snapshot: Snapshot, dtype: torch.dtype
) -> tuple[Gap, str, str]:
    """The gap that merging leaves, and W0's checksums when merged and when unmerged again."""
    A, B = factors(snapshot)
    layer = lora_layer(experiment, problem, dtype)
    layer.lora_A.copy_(A)
    layer.lora_B.copy_(B)
    if snapshot.bias is not None:
        layer.linear.bias.add_(snapshot.bias.to(dtype))
    X = problem.X_test.to(dtype)
    adapter = layer(X)
    layer.merge()
    gap, merged = float((layer(X) - adapter).abs().max()), checksum(layer.linear.weight)
    layer.unmerge()
    size = float(adapter.abs().max())
    return Gap(gap, gap / size if size > 0 else 0.0), merged, checksum(layer.linear.weight)
