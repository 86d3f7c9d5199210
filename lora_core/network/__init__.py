"""A real network small enough to train live: a decoder of 13 linear layers, adapted with LoRA and in full.

``from lora_core.network import NetworkExperiment, adapt, load_network, run_network``. The names are loaded
when they are first asked for, as those of ``lora_core``: an experiment needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_core.network.adapting import adapt, merge, unmerge
    from lora_core.network.experiment import NetworkExperiment
    from lora_core.network.model import load_network
    from lora_core.network.run import NetworkRun, run_network

_HOME = {
    "NetworkExperiment": "experiment",
    "NetworkRun": "run",
    "adapt": "adapting",
    "load_network": "model",
    "merge": "adapting",
    "run_network": "run",
    "unmerge": "adapting",
}

__all__ = ["NetworkExperiment", "NetworkRun", "adapt", "load_network", "merge", "run_network", "unmerge"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
