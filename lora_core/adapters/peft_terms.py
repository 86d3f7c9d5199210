"""How does PEFT say this adapter? Its words for scaling and bias, in one place for script and adapter file.

PEFT's scaling is ``lora_alpha / r``, or ``lora_alpha / sqrt(r)`` with ``use_rslora`` (Kalajdzievski, 2023).
It has no constant scaling: an alpha of ``r * scaling`` gives it.
"""

from typing import NamedTuple

from lora_core.experiment import Experiment, ScalingRule

LAYER = "linear"
"""Name of the layer inside the model that carries the adapter."""


class PeftTerms(NamedTuple):
    """``lora_alpha`` (an int where it is whole), ``use_rslora`` and ``bias`` of a ``peft.LoraConfig``."""

    lora_alpha: float
    use_rslora: bool
    bias: str


def peft_terms(experiment: Experiment) -> PeftTerms:
    """The terms under which PEFT scales and trains as the experiment does."""
    e = experiment
    alpha = e.alpha * e.rank if e.scaling_rule is ScalingRule.CONSTANT else e.alpha
    return PeftTerms(
        int(alpha) if alpha == int(alpha) else alpha,
        e.scaling_rule is ScalingRule.RSLORA,
        "lora_only" if e.train_bias else "none",
    )
