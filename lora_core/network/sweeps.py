"""Many adaptations of one network beside each other: where the rank goes, what each buys, what rate it wants.

A sweep is a tuple of stacks, each a tuple of network experiments that are trained at once; its result is a
held-out loss and accuracy of each. ``cut_full`` takes full fine-tuning's change and cuts it to a rank: what
that reaches is no bound, for LoRA trained at that rank finds another change.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from lora_core.experiment import ScalingRule
from lora_core.geometry import truncate
from lora_core.network.data import task_of
from lora_core.network.experiment import NetworkExperiment, Targets
from lora_core.network.run import DIVERGED, NetworkLane, base_of, batch_order, scores
from lora_core.network.shape import MODULES, SHAPES, Network, path_of
from lora_core.network.stack import Stack
from lora_core.reproducible import one_thread

LOOK = 0.05
"""Seconds that a sweep trains, or one update if that takes longer, before it shows how far it is."""
MAP_RANKS = (1, 4, 16)
SPENT_ON = (Targets.QV, Targets.ATTENTION, Targets.MLP, Targets.ALL)
SPENT_RATES = (5e-3, 1e-2, 2e-2)
RATES = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2)
RATE_RANKS = (1, 4, 16)

Plan = tuple[tuple[NetworkExperiment, ...], ...]


@dataclass(frozen=True, eq=False)
class NetworkSweep:
    """``test_loss`` and ``accuracy`` (lanes,) as ``lanes``, NaN until trained and of what diverged.

    ``done`` and ``total`` count lanes, ``progress`` is the share of the updates that are done, 0 to 1.
    """

    lanes: tuple[NetworkExperiment, ...]
    test_loss: np.ndarray
    accuracy: np.ndarray
    done: int
    progress: float

    @property
    def total(self) -> int:
        return len(self.lanes)

    @property
    def complete(self) -> bool:
        return self.done == self.total


def train_sweep(plan: Plan) -> Iterator[NetworkSweep]:
    """A sweep as it grows: after every ``LOOK`` seconds, and after each stack."""
    steps = _steps(plan)
    while True:
        with one_thread():
            found = next(steps, None)
        if found is None:
            return
        yield found


def sweep(plan: Plan) -> NetworkSweep:
    """Train every lane of a plan to its end."""
    *_, last = train_sweep(plan)
    return last


def _steps(plan: Plan) -> Iterator[NetworkSweep]:
    lanes = tuple(lane for stack in plan for lane in stack)
    losses, accuracies = np.full(len(lanes), np.nan), np.full(len(lanes), np.nan)
    updates, of, done = 0, sum(lane.updates for lane in lanes), 0

    def so_far() -> NetworkSweep:
        share = 1.0 if done == len(lanes) else updates / of
        return NetworkSweep(lanes, losses.copy(), accuracies.copy(), done, share)

    due = time.monotonic() + LOOK
    for some in plan:
        first = some[0]
        task, order = task_of(first.network, first.task), batch_order(first)
        stack = Stack(base_of(first.network), some)
        for _ in range(first.updates):
            stack.step(task.batch(first.batch, order))
            updates += len(some)
            if time.monotonic() >= due:
                yield so_far()
                due = time.monotonic() + LOOK
        with torch.no_grad():
            new, _ = scores(stack.base, stack.weights(), first.network, first.task)
        finite = (new.loss <= DIVERGED).numpy()
        here = slice(done, done + len(some))
        losses[here] = np.where(finite, new.loss.numpy(), np.nan)
        accuracies[here] = np.where(finite, new.accuracy.numpy(), np.nan)
        done += len(some)
        yield so_far()


def module_plan(experiment: NetworkExperiment) -> Plan:
    """Each of the 13 modules alone, at each of ``MAP_RANKS``: a stack a module."""
    bare = replace(experiment.lora_only(), targets=Targets.OWN, rank=4, ranks="")
    return tuple(tuple(replace(bare, ranks=f"{module}:{rank}") for rank in MAP_RANKS) for module in MODULES)


def sweep_of(lanes: Sequence[NetworkExperiment], trained: Sequence[NetworkLane | None]) -> NetworkSweep:
    """Lanes that were trained alone, as a sweep; None where one is not trained yet."""
    losses, accuracies = np.full(len(lanes), np.nan), np.full(len(lanes), np.nan)
    for place, lane in enumerate(trained):
        if lane is not None and lane.diverged_at is None:
            losses[place], accuracies[place] = lane.test_loss[-1], lane.accuracy[-1]
    done = sum(lane is not None for lane in trained)
    return NetworkSweep(tuple(lanes), losses, accuracies, done, done / len(lanes))


def spending_plan(experiment: NetworkExperiment) -> Plan:
    """About as many numbers as the experiment trains, spent on ``SPENT_ON``, each at ``SPENT_RATES``."""
    bare, plan = replace(experiment.lora_only(), ranks=""), []
    for targets in SPENT_ON:
        rank = rank_for(experiment.network, targets, experiment.trainable())
        lane = replace(bare, targets=targets, rank=rank)
        plan.append(tuple(replace(lane, learning_rate=rate) for rate in SPENT_RATES))
    return tuple(plan)


def rank_for(network: Network, targets: Targets, numbers: int) -> int:
    """The rank at which these modules train about so many numbers, at least 1 and at most 64."""
    each = NetworkExperiment(network=network, targets=targets, rank=1).trainable()
    return min(64, max(1, round(numbers / each)))


def rates_plan(experiment: NetworkExperiment) -> Plan:
    """``RATE_RANKS`` at ``RATES`` under the three scaling rules: a stack a rule and rank."""
    bare = replace(experiment.lora_only(), ranks="")
    if bare.targets is Targets.OWN:
        bare = replace(bare, targets=Targets.ALL)
    return tuple(
        tuple(replace(bare, scaling_rule=rule, rank=rank, learning_rate=rate) for rate in RATES)
        for rule in ScalingRule
        for rank in RATE_RANKS
    )


@torch.no_grad()
def cut_full(
    experiment: NetworkExperiment, full: NetworkLane, ranks: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Held-out losses and accuracies (ranks,) of full fine-tuning's change, cut to each rank in each module.

    The cut is the best approximation of each module's change (Eckart and Young, 1936), which need not be the
    best for the loss: no floor.
    """
    base, losses, accuracies = base_of(experiment.network), [], []
    for rank in ranks:
        weights = {
            path: (base.weights[path].double() + truncate(change.double(), rank)).float()[None]
            for path, (change,) in full.factors.items()
        }
        new, _ = scores(base, weights, experiment.network, experiment.task)
        losses.append(float(new.loss))
        accuracies.append(float(new.accuracy))
    return np.array(losses), np.array(accuracies)


def spectra(full: NetworkLane) -> dict[str, np.ndarray]:
    """Singular values of full fine-tuning's change in each module, largest first, as shares of the energy."""
    found = {}
    for path, (change,) in full.factors.items():
        squares = torch.linalg.svdvals(change.double()).square().numpy()
        found[path] = squares / squares.sum() if squares.sum() > 0 else squares
    return found


def full_rank(network: Network) -> int:
    """The largest rank that a change of any module of a network can have."""
    sizes = SHAPES[network].modules()
    return max(min(sizes[path_of(module)]) for module in MODULES)
