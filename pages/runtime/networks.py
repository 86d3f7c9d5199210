"""Lanes and sweeps that all sessions share; full fine-tuning is trained once for all ranks."""

from collections.abc import Callable

from lora_core.network.experiment import NetworkExperiment
from lora_core.network.floors import DeepLinearFound, trained_deep_linear
from lora_core.network.run import NetworkLane, NetworkRun, train_lane
from lora_core.network.sweeps import NetworkSweep, Plan, train_sweep
from pages.runtime.queue import BusyError
from pages.runtime.result_cache import ResultCache, show_busy

BUDGET = 0.4
"""Seconds of training in a tick of a lane that grows alone: a run takes about one."""
MEGABYTES = 100

LORA: ResultCache[NetworkExperiment, NetworkLane] = ResultCache(
    train_lane, is_quick=lambda _: False, slow_start=lambda _: False, megabytes=MEGABYTES, budget=BUDGET
)
FULL: ResultCache[NetworkExperiment, NetworkLane] = ResultCache(
    lambda experiment: train_lane(experiment, full=True),
    is_quick=lambda _: False, slow_start=lambda _: False, megabytes=MEGABYTES, budget=BUDGET,
)  # fmt: skip
SWEEPS: ResultCache[Plan, NetworkSweep] = ResultCache(
    train_sweep, is_quick=lambda _: False, slow_start=lambda _: False, megabytes=MEGABYTES, budget=BUDGET
)


DEEP_LINEAR: ResultCache[int, DeepLinearFound] = ResultCache(
    trained_deep_linear, is_quick=lambda _: False, slow_start=lambda _: False, megabytes=1
)


def kept_full(experiment: NetworkExperiment) -> NetworkLane | None:
    """Full fine-tuning's lane if it is trained already."""
    return FULL.kept(experiment.full_only())


def kept_run(experiment: NetworkExperiment) -> NetworkRun | None:
    """The run if both its lanes are trained already."""
    lora, full = kept_lora(experiment), kept_full(experiment)
    return None if lora is None or full is None else NetworkRun(experiment, lora, full)


def kept_lora(experiment: NetworkExperiment) -> NetworkLane | None:
    """LoRA's lane if it is trained already."""
    return LORA.kept(experiment.lora_only())


def grown_run(experiment: NetworkExperiment, meanwhile: Callable[[], object] | None = None) -> NetworkRun:
    """The run after one more tick of training: LoRA first, then full fine-tuning beside it.

    When the server is busy the script ends here: it shows a notice, draws ``meanwhile`` and reruns by itself.
    """
    try:
        lora = LORA.advance(experiment.lora_only(), "network lora")
        full = kept_full(experiment)
        if full is None:
            full = FULL.advance(experiment.full_only(), "network full") if lora.complete else None
        return NetworkRun(experiment, lora, full if full is not None else beginning(lora, experiment))
    except BusyError as busy:
        show_busy(busy, meanwhile)


def beginning(lora: NetworkLane, experiment: NetworkExperiment) -> NetworkLane:
    """Full fine-tuning before its first update, in the state in which LoRA starts: both are the base."""
    return NetworkLane(
        experiment.trainable_full(), lora.updates[:1], lora.test_loss[:1], lora.accuracy[:1],
        lora.old_loss[:1], lora.old_accuracy[:1], lora.batch_loss[:0], lora.words[:1],
        lora.change[:1] * 0, {}, None, False,
    )  # fmt: skip


def grown_deep_linear(seed: int) -> DeepLinearFound:
    """The deep linear companion after one more tick of training."""
    try:
        return DEEP_LINEAR.advance(seed, "deep linear")
    except BusyError as busy:
        show_busy(busy)


def grown_sweep(plan: Plan, name: str) -> NetworkSweep:
    """The sweep of a plan after one more tick of training; a session grows one per ``name``."""
    try:
        return SWEEPS.advance(plan, name)
    except BusyError as busy:
        show_busy(busy)
