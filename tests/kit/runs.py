"""Runs that several tests look at, each trained once, and the layer that they end with."""

from functools import cache

import torch

from lora_core import Course, Experiment, LoRALayer, Run, run
from lora_core.network.experiment import NetworkExperiment
from lora_core.network.run import NetworkLane, NetworkRun, run_lane
from lora_core.talk.network_numbers import NETWORK_NUMBERS
from lora_core.talk.numbers import SceneNumbers
from lora_core.talk.scenes import Scene
from lora_core.training.start import lora_layer

CORNERS = {
    "dead": Experiment(init="zero"),
    "diverged": Experiment(optimizer="sgd", learning_rate=1.0, alpha=64.0),
    "nothing": Experiment(task="noise", epochs=20),
    "too few": Experiment(epochs=10),
    "stuck": Experiment(learning_rate=1e-5),
    "overfitting": Experiment(samples=80, noise=0.5, rank=4),
    "break-even": Experiment(rank=48),
    "below": Experiment(),
    "at": Experiment(rank=4),
    "above": Experiment(rank=8),
    "enough": Experiment(task="power-law", decay=3.0, rank=16),
    "no knee": Experiment(task="power-law", rank=4),
}
"""Kind of verdict -> an experiment whose run gets it."""


@cache
def trained(experiment: Experiment | Course) -> Run:
    """The run of an experiment or a course, trained at the first call."""
    return run(experiment)


@cache
def lane(experiment: NetworkExperiment, full: bool = False) -> NetworkLane:
    """A lane of a network experiment, trained at the first call."""
    return run_lane(experiment, full)


@cache
def network_trained(experiment: NetworkExperiment) -> NetworkRun:
    """The run of a network experiment; full fine-tuning is trained once for all adapters of a task."""
    full = lane(experiment.full_only(), full=True)
    return NetworkRun(experiment, lane(experiment.lora_only()), full)


def facts(scene: Scene) -> SceneNumbers:
    """The numbers of a scene of the talk."""
    if scene.network is not None:
        beside = scene.network_beside and network_trained(scene.network_beside)
        return SceneNumbers(network_trained(scene.network), beside, NETWORK_NUMBERS)
    return SceneNumbers(trained(scene.course), scene.beside and trained(scene.beside))


def layer_of(found: Run, at: int | None = None, dtype: torch.dtype = torch.float64) -> LoRALayer:
    """The layer as a module after `at` updates, or after the last: an oracle of what a page says of it."""
    snapshots = found.lora.snapshots
    snapshot = snapshots[max(snapshots) if at is None else at]
    layer = lora_layer(found.experiment, found.problem, dtype)
    with torch.no_grad():
        layer.lora_A.copy_(snapshot.A)
        layer.lora_B.copy_(snapshot.B)
        if snapshot.bias is not None:
            layer.linear.bias += snapshot.bias.to(dtype)
    return layer
