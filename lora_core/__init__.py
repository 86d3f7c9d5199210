"""Low-rank adaptation of one linear layer: the layer, its training, and what is exactly true of both.

Works without the playground: ``from lora_core import Experiment, run``. The names below are loaded when they
are first asked for, because torch takes more than a second to import and a page draws its controls, which
need ``Experiment`` alone, before that.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_core.bank import Sweep, sweep
    from lora_core.data import Problem, make_problem
    from lora_core.experiment import Experiment
    from lora_core.layer import LoRALayer, count_parameters
    from lora_core.presets import PRESETS
    from lora_core.training import Run, create_toy_dataset, run, train, train_model

_HOME = {
    "Experiment": "experiment",
    "LoRALayer": "layer",
    "PRESETS": "presets",
    "Problem": "data",
    "Run": "training",
    "Sweep": "bank",
    "count_parameters": "layer",
    "create_toy_dataset": "training",
    "make_problem": "data",
    "run": "training",
    "sweep": "bank",
    "train": "training",
    "train_model": "training",
}

__all__ = [
    "PRESETS",
    "Experiment",
    "LoRALayer",
    "Problem",
    "Run",
    "Sweep",
    "count_parameters",
    "create_toy_dataset",
    "make_problem",
    "run",
    "sweep",
    "train",
    "train_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
