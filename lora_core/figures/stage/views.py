"""What do scenes without a curve show? Bars of shares, digits and their readings, a layer, a picture.

Each has its numbers (``x_info``) and the message that the browser draws (``x_drawing``), which holds
nothing of the answer before the reveal.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from lora_core.accounting import full_cost, lora_cost
from lora_core.data import read_digits
from lora_core.experiment import Experiment
from lora_core.formatting import percent_text
from lora_core.training.run import Run

FIVE = 291
"""Place in the digits' file of the picture that is built up: a five, unread at rank 1 and read at rank 3."""
SIDE = 8
EXAMPLES = 3
"""Digits that are shown of each label."""
LAYER_PARTS = ("base", "change", "factors", "numbers")
"""What a drawing of a layer adds, step by step."""


@dataclass(frozen=True)
class ShareInfo:
    """Numbers that LoRA of a rank and full fine-tuning train in one layer of ``inputs`` and ``outputs``."""

    rank: int
    inputs: int
    outputs: int
    lora: int
    full: int

    @property
    def share(self) -> float:
        return self.lora / self.full


@dataclass(frozen=True, eq=False)
class ReadingInfo:
    """New digits: ``pictures`` (n, 64) of 0..1, ``labels`` (n,) that the task wants, readings (n,) ``before``
    by the base and ``after`` by the adapter; accuracies on all ``count`` new digits."""

    rank: int
    pictures: np.ndarray
    labels: np.ndarray
    before: np.ndarray
    after: np.ndarray
    accuracy_before: float
    accuracy: float
    accuracy_full: float
    count: int


@dataclass(frozen=True, eq=False)
class PictureInfo:
    """A picture (8, 8) of 0..1 as a sum of columns (8, 8) times rows (8, 8), strongest first (its SVD);
    ``held`` (9,) is the share of its squared ink that so many ranks hold."""

    picture: np.ndarray
    columns: np.ndarray
    rows: np.ndarray
    held: np.ndarray

    def numbers(self, rank: int) -> int:
        """Numbers in so many columns and rows."""
        return rank * 2 * SIDE


def share_info(experiment: Experiment) -> ShareInfo:
    """Count an experiment's adapter and full fine-tuning under the same bias policy."""
    e = experiment
    lora = lora_cost(e.in_features, e.out_features, e.rank, e.train_bias).trainable
    full = full_cost(e.in_features, e.out_features, e.train_bias).trainable
    return ShareInfo(e.rank, e.in_features, e.out_features, lora, full)


def share_drawing(info: ShareInfo, *, revealed: bool, guess: float | None, most: float) -> dict[str, Any]:
    """Bars of full fine-tuning and LoRA; ``guess`` in percent, ``most`` the greatest percentage guessed."""
    scale = max(100.0, most, 100 * info.share if revealed else 0)
    rows = [{"name": "Full fine-tuning", "part": "full", "of": 100 / scale, "says": f"{info.full:,} numbers"}]
    name = f"LoRA, rank {info.rank}"
    if revealed:
        says = f"{info.lora:,} numbers, {percent_text(info.share)}"
        rows.append({"name": name, "part": "lora", "of": 100 * info.share / scale, "says": says})
    else:
        rows.append({"name": name, "part": "lora", "of": 0, "says": "?"})
    marked = None if guess is None else {"of": guess / scale, "says": f"Our guess: {guess:g} %"}
    alt = f"{info.full:,} numbers trained by full fine-tuning. "
    alt += f"LoRA of rank {info.rank} trains {rows[1]['says'] if revealed else 'how many?'}."
    return {"kind": "share", "rows": rows, "guess": marked, "alt": alt}


def layer_drawing(info: ShareInfo, step: int) -> dict[str, Any]:
    """The layer, and what a step of the explanation adds to it."""
    part = LAYER_PARTS[min(step, len(LAYER_PARTS) - 1)]
    alt = {
        "base": f"A table W0 of {info.inputs} x {info.outputs} numbers.",
        "change": "W0, and beside it a change of the same size, all of it trained.",
        "factors": f"W0, frozen, and beside it A times B, of rank {info.rank}.",
        "numbers": f"W0, frozen, and A times B of rank {info.rank}: {info.lora:,} numbers of {info.full:,}.",
    }[part]
    says = f"{info.lora:,} numbers, {percent_text(info.share)} of {info.full:,}"
    sizes = {"rank": info.rank, "inputs": info.inputs, "outputs": info.outputs}
    return {
        "kind": "layer",
        "part": part,
        **sizes,
        "full": f"{info.full:,} numbers",
        "says": says,
        "alt": alt,
    }


@torch.no_grad()
def reading_info(run: Run) -> ReadingInfo:
    """What base and trained adapter read, of each label the first three new digits.

    :raises ValueError: no task of digits, or a training that diverged.
    """
    problem, last = run.problem, run.lora.snapshots.get(run.experiment.epochs)
    if problem.labels_test is None or last is None or last.B is None:
        raise ValueError("the run has no digits to read: it must be a trained one of digits.")
    labels = problem.labels_test.numpy()
    shown = np.concatenate([np.flatnonzero(labels == label)[:EXAMPLES] for label in range(10)])
    X = problem.X_test[shown]
    base = problem.base(X)
    adapted = base + run.experiment.scaling * (X @ last.A) @ last.B
    own, full = run.lora.test_accuracy, run.full.test_accuracy
    assert own is not None
    assert full is not None
    return ReadingInfo(
        run.experiment.rank, X.numpy(), labels[shown], base.argmax(1).numpy(), adapted.argmax(1).numpy(),
        float(own[0]), float(own[-1]), float(full[-1]), len(labels),
    )  # fmt: skip


def reading_drawing(info: ReadingInfo, *, revealed: bool) -> dict[str, Any]:
    """The digits in columns by label, each with its reading."""
    order = np.arange(len(info.labels)).reshape(-1, EXAMPLES).T.ravel()  # rows of ten labels
    after = info.after if revealed else info.before
    heads = [f"The base reads {percent_text(info.accuracy_before)} of {info.count} new digits"]
    if revealed:
        heads += [f"LoRA, rank {info.rank}: {percent_text(info.accuracy)}"]
        heads += [f"full fine-tuning: {percent_text(info.accuracy_full)}"]
    right = int((after == info.labels).sum())
    return {
        "kind": "digits",
        "head": heads,
        "labels": info.labels[order].tolist(),
        "pictures": (info.pictures[order] * 255).round().astype(int).reshape(-1).tolist(),
        "before": info.before[order].tolist(),
        "after": after[order].tolist(),
        "alt": f"{'. '.join(heads)}. {right} of the {len(order)} digits shown are read right.",
    }


@lru_cache(maxsize=1)
def picture_info() -> PictureInfo:
    """A handwritten five and its singular value decomposition; each column times its row is one rank."""
    picture = read_digits()[0][FIVE].reshape(SIDE, SIDE).astype(np.float64) / 16
    U, s, V = np.linalg.svd(picture)
    sign = np.where(U.sum(0) < 0, -1.0, 1.0)  # so that the strongest column is ink
    held = np.concatenate([[0.0], np.cumsum(s**2) / np.sum(s**2)])
    root = np.sqrt(s)
    return PictureInfo(picture, U * sign * root, V * sign[:, None] * root[:, None], held)


def picture_drawing(info: PictureInfo, rank: int) -> dict[str, Any]:
    """The picture as so many columns times as many rows; the picture alone at rank 0."""
    stored = SIDE * SIDE
    head = f"{stored} numbers"
    if rank:
        held = percent_text(info.held[rank])
        head = f"Rank {rank}: {info.numbers(rank)} numbers for {stored}, {held} of the picture"
    return {
        "kind": "picture",
        "rank": rank,
        "head": [head],
        "picture": info.picture.round(3).ravel().tolist(),
        "columns": info.columns[:, :rank].round(3).tolist(),
        "rows": info.rows[:rank].round(3).tolist(),
        "alt": f"A handwritten five of 8 x 8 numbers. {head} (of its squared ink).",
    }
