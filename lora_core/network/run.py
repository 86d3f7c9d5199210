"""A small network adapted with LoRA and, from the same base on the same batches, fine-tuned in full.

Each of the two is a lane of its own, and what one does moves no bit of the other: full fine-tuning is
trained once for all ranks. Every ``EVERY`` updates a lane is looked at: losses on held-out rows of the new
task and of the old one, what it writes, and how far each module has moved.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lora_core.network.data import CopyTask, Rows, old_task, task_of
from lora_core.network.experiment import NetworkExperiment
from lora_core.network.model import load_network
from lora_core.network.shape import MODULES, Network, path_of
from lora_core.network.stack import Base, Stack, Weights, decode
from lora_core.network.writing import luck, questions_shown, write_answers, write_words
from lora_core.reproducible import computed_once, one_thread

EVERY = 5
"""Updates from one look to the next."""
_HELD_OUT_ROWS, _OLD_ROWS = 128, 64
"""Most rows of the new task and of the old one that a look reads: it takes about as long as two updates."""
DIVERGED = 50.0
"""Nats per sign from which a lane counts as diverged: guessing at random costs 3.3."""


class Scores(NamedTuple):
    """Held-out loss, nats per sign, and share of signs whose likeliest guess is right; (lanes,) each."""

    loss: Tensor
    accuracy: Tensor


@dataclass(frozen=True, eq=False)
class NetworkLane:
    """One of the two curves, float64, by look: ``updates`` done at each, the first before any update.

    ``test_loss`` and ``accuracy`` are held out of the new task, ``old_loss`` and ``old_accuracy`` of the old
    one; ``batch_loss`` (updates,) is each batch's, before its update. ``words``: what it writes at each look.
    ``change`` (looks, 13): norm of each module's change over that of its base weight. ``factors``: path ->
    (A (in, r), B (r, out)) in the end, of full fine-tuning the change (in, out) alone. ``diverged_at``: the
    updates after which no finite loss came.
    """

    trained: int
    updates: np.ndarray
    test_loss: np.ndarray
    accuracy: np.ndarray
    old_loss: np.ndarray
    old_accuracy: np.ndarray
    batch_loss: np.ndarray
    words: tuple[tuple[str, ...], ...]
    change: np.ndarray
    factors: dict[str, tuple[Tensor, ...]]
    diverged_at: int | None
    complete: bool


class Pair(NamedTuple):
    """The same of LoRA and of full fine-tuning."""

    lora: np.ndarray
    full: np.ndarray


class Writing(NamedTuple):
    """What is written with the same draws: by the base, and at each look by LoRA and by full fine-tuning."""

    base: tuple[str, ...]
    lora: tuple[tuple[str, ...], ...]
    full: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class NetworkRun:
    """A network experiment trained: ``lora`` and ``full``, and what both have in common."""

    experiment: NetworkExperiment
    lora: NetworkLane
    full: NetworkLane

    @property
    def old_loss(self) -> Pair:
        """Held-out losses on what the network had been trained on, by look."""
        return Pair(self.lora.old_loss, self.full.old_loss)

    @property
    def words(self) -> Writing:
        """What is written, by look; the first look of both is the base."""
        return Writing(self.lora.words[0], self.lora.words, self.full.words)

    @property
    def complete(self) -> bool:
        return self.lora.complete and self.full.complete

    @computed_once
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ where any loss or word of the run does."""
        digest = hashlib.sha256()
        for lane in (self.lora, self.full):
            for curve in (lane.test_loss, lane.old_loss, lane.batch_loss):
                digest.update(np.ascontiguousarray(curve).tobytes() + b"|")
            digest.update(repr(lane.words).encode())
        return digest.hexdigest()[:16]


def run_network(experiment: NetworkExperiment) -> NetworkRun:
    """Train both lanes to their end. Equal experiments give equal runs, to the bit."""
    return NetworkRun(experiment, run_lane(experiment), run_lane(experiment, full=True))


def run_lane(experiment: NetworkExperiment, full: bool = False) -> NetworkLane:
    """Train LoRA, or full fine-tuning, to its end."""
    *_, last = train_lane(experiment, full)
    return last


def train_lane(experiment: NetworkExperiment, full: bool = False) -> Iterator[NetworkLane]:
    """The same lane as it grows, look by look; the first is the base."""
    looks = _looks(experiment, full)
    while True:
        with one_thread():
            lane = next(looks, None)
        if lane is None:
            return
        yield lane


@lru_cache
def base_of(network: Network, dtype: torch.dtype = torch.float32) -> Base:
    """The shipped network's frozen numbers."""
    model = load_network(network)
    return Base(model, model.shape, dtype)


@lru_cache
def held_out_rows(network: Network, task: str) -> tuple[Rows, int]:
    """Held-out rows of a task and, after them, of the old one; and how many are the new task's."""
    new, old = task_of(network, task).held_out, old_task(network).held_out
    most = (new, _HELD_OUT_ROWS), (old, _OLD_ROWS)
    parts = [Rows(*(part[:count] for part in rows)) for rows, count in most]
    both = Rows(*(torch.cat(part) for part in zip(*parts, strict=True)))
    return both, len(parts[0].inputs)


@torch.no_grad()
def scores(base: Base, weights: Weights, network: Network, task: str) -> tuple[Scores, Scores]:
    """Held-out scores of the new task and of the old one."""
    rows, new = held_out_rows(network, task)
    logits = decode(base, weights, rows.inputs[None], rows.targets.shape[1])
    own = logits.gather(3, rows.targets[None, :, :, None].expand(len(logits), -1, -1, 1))[..., 0]
    losses = logits.logsumexp(3) - own
    right = (logits.argmax(3) == rows.targets).double()
    parts = slice(None, new), slice(new, None)
    old_and_new = [Scores(losses[:, part].mean((1, 2)), right[:, part].mean((1, 2))) for part in parts]
    return old_and_new[0], old_and_new[1]


def write(experiment: NetworkExperiment, weights: Weights) -> tuple[str, ...]:
    """What a lane writes with the experiment's luck."""
    base, task = base_of(experiment.network), task_of(experiment.network, experiment.task)
    if isinstance(task, CopyTask):
        return tuple(write_answers(base, weights, questions_shown(experiment.seed, task)[0]))
    return tuple(write_words(base, weights, luck(experiment.seed, base.shape.vocabulary)))


def _looks(experiment: NetworkExperiment, full: bool) -> Iterator[NetworkLane]:
    base, task = base_of(experiment.network), task_of(experiment.network, experiment.task)
    stack = Stack(base, [experiment], full)
    record = _Record(experiment, stack)
    order = batch_order(experiment)
    yield record.look(0)
    for update in range(1, experiment.updates + 1):
        record.batch_loss.append(float(stack.step(task.batch(experiment.batch, order))))
        if not record.batch_loss[-1] <= DIVERGED:
            record.diverged_at = update
        elif update % EVERY and update < experiment.updates:
            continue
        yield record.look(update)
        if record.diverged_at is not None:
            return


def batch_order(experiment: NetworkExperiment) -> torch.Generator:
    """The generator that draws the batches: of the seed alone."""
    return torch.Generator().manual_seed(experiment.seed)


class _Record:
    """What a lane has shown so far."""

    def __init__(self, experiment: NetworkExperiment, stack: Stack) -> None:
        self.experiment, self.stack = experiment, stack
        self.updates: list[int] = []
        self.curves: list[list[float]] = [[], [], [], []]
        self.batch_loss: list[float] = []
        self.words: list[tuple[str, ...]] = []
        self.change: list[list[float]] = []
        self.diverged_at: int | None = None

    @torch.no_grad()
    def look(self, update: int) -> NetworkLane:
        """Everything so far, this moment included, if it is finite."""
        e, weights = self.experiment, self.stack.weights()
        new, old = scores(self.stack.base, weights, e.network, e.task)
        if self.diverged_at is None and not float(new.loss) <= DIVERGED:
            self.diverged_at = update
        if self.diverged_at is None:
            self.updates.append(update)
            for curve, value in zip(self.curves, (*new, *old), strict=True):
                curve.append(float(value))
            self.words.append(write(e, {path: weight[0] for path, weight in weights.items()}))
            self.change.append(relative_change(self.stack.base, weights))
        complete = self.diverged_at is not None or update == e.updates
        test_loss, accuracy, old_loss, old_accuracy = (np.array(curve) for curve in self.curves)
        trained = e.trainable_full() if self.stack.full else e.trainable()
        return NetworkLane(
            trained, np.array(self.updates), test_loss, accuracy, old_loss, old_accuracy,
            np.array(self.batch_loss), tuple(self.words), np.array(self.change),
            factors(self.stack) if complete else {}, self.diverged_at, complete,
        )  # fmt: skip


def relative_change(base: Base, weights: Weights) -> list[float]:
    """|W - W0| / |W0| (Frobenius) of each of the 13 modules of one lane; 0 where it is frozen."""
    found = []
    for module in MODULES:
        path = path_of(module)
        change = weights[path][0] - base.weights[path] if path in weights else None
        found.append(0.0 if change is None else float(change.norm() / base.weights[path].norm()))
    return found


def factors(stack: Stack, lane: int = 0) -> dict[str, tuple[Tensor, ...]]:
    """Path -> (A (in, r), B (r, out)) of a lane of LoRA, or the change (in, out) of full fine-tuning."""
    values = [value.detach()[lane] for value in stack.values]
    if stack.full:
        return {
            path: (value - stack.base.weights[path],)
            for path, value in zip(stack.modules, values, strict=True)
        }
    return {
        path: (
            values[2 * i][:, : stack.ranks[lane][path]].clone(),
            values[2 * i + 1][: stack.ranks[lane][path]].clone(),
        )
        for i, path in enumerate(stack.modules)
        if path in stack.ranks[lane]
    }
