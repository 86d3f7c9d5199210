"""Low-rank adaptation of one linear layer: the layer, its training, and what is exactly true of both.

Works without the playground: ``from lora_core import Experiment, run``. The names below are loaded when they
are first asked for, because torch takes more than a second to import and a page draws its controls, which
need ``Experiment`` alone, before that.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_core.course import Course
    from lora_core.data import Problem, make_problem
    from lora_core.experiment import Experiment
    from lora_core.layer import LoRALayer, count_parameters
    from lora_core.presets import PRESETS
    from lora_core.training.loop import create_toy_dataset, train_model
    from lora_core.training.run import Run, run, train
    from lora_core.training.sweep import Sweep, sweep

_HOME = {
    "Course": "course",
    "Experiment": "experiment",
    "LoRALayer": "layer",
    "PRESETS": "presets",
    "Problem": "data",
    "Run": "training.run",
    "Sweep": "training.sweep",
    "count_parameters": "layer",
    "create_toy_dataset": "training.loop",
    "make_problem": "data",
    "run": "training.run",
    "sweep": "training.sweep",
    "train": "training.run",
    "train_model": "training.loop",
}

__all__ = [
    "PRESETS",
    "Course",
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
