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
from lora_core.figures.inside_matrices import factors
from lora_core.lanes import Snapshot
from lora_core.training import lora_layer, train_model

PROOF_EPOCHS, PROOF_SAMPLES = 5, 256
"""Updates and samples of the plain loop that shows W0 untouched."""


@dataclass(frozen=True)
class Gap:
    """Largest difference |merged(x) - adapter(x)| over the held-out inputs, and over the largest output."""

    largest: float
    relative: float


@dataclass(frozen=True)
class MergeInfo:
    """The proof: gaps in ``single`` and ``double`` precision; checksums of W0 at the ``start``, ``trained``,
    ``merged`` and ``unmerged`` again; multiply-adds for an input ``before`` and ``after`` the merge."""

    single: Gap
    double: Gap
    start: str
    trained: str
    merged: str
    unmerged: str
    before: int
    after: int


def merge_info(experiment: Experiment, problem: Problem, snapshot: Snapshot) -> MergeInfo:
    """Put a snapshot into the layer, merge it and take it out again; train a fresh layer a little."""
    layer = lora_layer(experiment, problem)
    start = checksum(layer.linear.weight)
    X, Y = (each[:PROOF_SAMPLES].float() for each in (problem.X, problem.Y))
    train_model(
        layer, X, Y, min(PROOF_EPOCHS, experiment.epochs), experiment.learning_rate,
        optimizer=experiment.optimizer, lr_ratio=experiment.lr_ratio, verbose=False,
    )  # fmt: skip
    trained = checksum(layer.linear.weight)
    single, merged, unmerged = _merged(experiment, problem, snapshot, torch.float32)
    double, _, _ = _merged(experiment, problem, snapshot, torch.float64)
    cost = lora_cost(experiment.in_features, experiment.out_features, experiment.rank)
    return MergeInfo(
        single, double, start, trained, merged, unmerged, cost.inference_unmerged, cost.inference_merged
    )


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
        layer.linear.bias += snapshot.bias.to(dtype)
    X = problem.X_test.to(dtype)
    adapter = layer(X)
    layer.merge()
    gap, merged = float((layer(X) - adapter).abs().max()), checksum(layer.linear.weight)
    layer.unmerge()
    size = float(adapter.abs().max())
    return Gap(gap, gap / size if size > 0 else 0.0), merged, checksum(layer.linear.weight)
