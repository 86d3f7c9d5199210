"""The rule of a change in the middle of a run: what becomes of the adapter and of the optimizer's moments.

rank up        columns of A drawn as the init draws them, zero rows of B: the loss stays
rank down      the truncated SVD of A B, split by square roots: the loss jumps, see ``Cut``
any scaling    B is rescaled by old / new scaling, so that s A B, and so the loss, stays
the rest       holds from the next step on

Adam's moments stay with what stays (those of B in the size of its gradients), new entries have none, a cut
forgets the adapter's and a change of optimizer all; the step count of the bias correction goes on where
moments are kept. Full fine-tuning follows learning rate and optimizer, a trained bias too.

In the engine's terms (``up`` = s B) a new scaling moves neither ``up`` nor its moments, only its rates.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lora_core.data import stream
from lora_core.experiment import Experiment, scaling
from lora_core.geometry import truncate_factors
from lora_core.layer import change_factors
from lora_core.training.engine import Adam, AdapterStart, PairedStepper, ReducedSample

_GROWTH_STREAM = 3
"""The first of the streams from which a growing rank draws, one for each update."""


@dataclass(frozen=True)
class Cut:
    """A rank cut after ``update`` updates, and what it costs: training losses of the adapter.

    ``before`` and ``after`` the cut, which keeps the nearest change of weights (truncated SVD). ``nearest``
    is the loss of the cut whose *outputs* on the training inputs are nearest, ``floor`` the least that any
    change of the new rank reaches: floor - before is the least that any cut to that rank costs.
    """

    update: int
    rank_before: int
    rank: int
    before: float
    after: float
    nearest: float
    floor: float

    @property
    def cost(self) -> float:
        return self.after - self.before

    @property
    def least(self) -> float:
        """The least that any cut to this rank costs; not negative, as the next updates repair the rest."""
        return max(0.0, self.floor - self.before)


def growth_generator(experiment: Experiment, update: int) -> torch.Generator:
    """The generator from which a rank that grows after so many updates draws; of its own, so that nothing
    else moves."""
    return stream(experiment.seed, _GROWTH_STREAM + update)


def change_stepper(
    stepper: PairedStepper,
    start: AdapterStart,
    sample: ReducedSample,
    before: Experiment,
    after: Experiment,
    update: int,
    diverged: bool = False,
) -> tuple[PairedStepper, AdapterStart]:
    """The stepper that goes on after a change, and the start that reads and places its adapter.

    An adapter that has ``diverged`` is no longer recorded, and starts anew at zero.
    """
    A, B, bias = start.read(stepper.down, stepper.up)
    if diverged:
        A, B = A.new_zeros(len(A), after.rank), B.new_zeros(after.rank, B.shape[1])
    else:
        between = scaling(before.alpha, after.rank, before.scaling_rule)
        generator = growth_generator(before, update)
        A, B = change_factors(A, B * (before.scaling / between), after.rank, before.init, generator)
        B = B * (between / after.scaling)
    new_start = replace(
        start, A=A, B=B, scaling=after.scaling, rate=after.learning_rate, lr_ratio=after.lr_ratio
    )
    products = stepper.gram, stepper.cross
    new = PairedStepper(sample, new_start, after.optimizer, products)
    new.change.copy_(stepper.change)
    if bias is not None:
        new.up[-1] = bias
    if isinstance(stepper.optimizer, Adam) and isinstance(new.optimizer, Adam):
        kept = 0 if diverged or after.rank < before.rank else before.rank
        _keep_moments(stepper.optimizer, new.optimizer, kept, start.train_bias)
    return new, new_start


def _keep_moments(old: Adam, new: Adam, kept: int, train_bias: bool) -> None:
    """Copy the moments of the first ``kept`` rows of the adapter, of the bias and of full fine-tuning."""
    for name in ("mean", "square"):
        down, up, change = old.flat.views(getattr(old, name))
        new_down, new_up, new_change = new.flat.views(getattr(new, name))
        new_down[:kept], new_up[:kept] = down[:kept], up[:kept]
        new_change.copy_(change)
        if train_bias:
            new_up[-1] = up[-1]
    adapter, rest = old.ages
    (rows, _), (_, out_features), _ = new.flat.shapes
    entries = new.flat.values[0].numel() + (rows - train_bias) * out_features
    new.split(entries, (adapter if kept else 0, rest))


def nearest_loss(sample: ReducedSample, stepper: PairedStepper, rank: int, train_bias: bool) -> float:
    """The loss of the change of this rank whose outputs are nearest to the adapter's; the bias stays.

    X D = [X delta]_rank, which D = delta V V^T reaches, V the right singular vectors of X delta.
    """
    adapter = slice(None, -1) if train_bias else slice(None)
    A, B = truncate_factors(sample.root @ stepper.down[adapter].T, stepper.up[adapter], rank)
    error = A @ B - sample.target
    if train_bias:
        error += sample.root @ stepper.down[-1:].T @ stepper.up[-1:]
    return (float(error.square().sum()) + sample.rest) / sample.size


def paired_losses(stepper: PairedStepper) -> tuple[Tensor, Tensor]:
    """Losses (1,) of adapter and full fine-tuning at the present parameters."""
    return stepper.losses(torch.stack(stepper.gradients()).view(1, 4))
