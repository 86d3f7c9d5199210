"""The start of an experiment's adapter, as the engine takes it and as an ``nn.Module``."""

import torch

from lora_core.data import Problem
from lora_core.experiment import Experiment, Init
from lora_core.layer import LoRALayer, initialise
from lora_core.training.engine import AdapterStart


def lora_layer(experiment: Experiment, problem: Problem, dtype: torch.dtype = torch.float32) -> LoRALayer:
    """The experiment's layer as an ``nn.Module`` before training: the problem's base, its own adapter."""
    layer = LoRALayer(
        experiment.in_features,
        experiment.out_features,
        experiment.rank,
        experiment.alpha,
        experiment.scaling_rule,
        Init.ZERO,
        experiment.train_bias,
    ).to(dtype)
    layer.init = experiment.init  # of the columns that a growing rank adds
    start = start_of(experiment, problem)
    with torch.no_grad():
        layer.linear.weight.copy_(problem.base.weight)
        layer.linear.bias.copy_(problem.base.bias)
        layer.lora_A.copy_(start.A)
        layer.lora_B.copy_(start.B)
    return layer


def start_of(experiment: Experiment, problem: Problem) -> AdapterStart:
    """The start of the experiment's adapter: A and B as float64, scaling and learning rates.

    :raises ValueError: a problem of other sizes or another bias policy than the experiment's.
    """
    _check_fit(experiment, problem)
    sizes = (experiment.in_features, experiment.out_features, experiment.rank)
    A, B = initialise(*sizes, experiment.init, problem.adapter_generator())
    return AdapterStart(
        A.double(),
        B.double(),
        experiment.scaling,
        experiment.learning_rate,
        experiment.lr_ratio,
        experiment.train_bias,
    )


def _check_fit(experiment: Experiment, problem: Problem) -> None:
    given = problem.base.in_features, problem.base.out_features, problem.train_bias
    for name, value in zip(("in_features", "out_features", "train_bias"), given, strict=True):
        if value != getattr(experiment, name):
            raise ValueError(
                f"{name} is {value} in the problem: it must be {getattr(experiment, name)}, the experiment's."
            )
