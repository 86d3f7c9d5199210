"""Lanes and sweeps that all sessions share; full fine-tuning is trained once for all ranks.

The ranks of the slider are lanes like any other, trained one after the other: what is shown while the rank is
dragged is then what its release shows, to the bit.
"""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import streamlit as st

from lora_core.network.experiment import RANKS, NetworkExperiment, Targets
from lora_core.network.floors import DeepLinearFound, trained_deep_linear
from lora_core.network.run import NetworkLane, NetworkRun, train_lane
from lora_core.network.sweeps import NetworkSweep, Plan, train_sweep
from pages.runtime.queue import QUICK, BusyError
from pages.runtime.result_cache import ResultCache, show_busy

FIRST, BUDGET = 0.06, 0.4
"""Seconds of training in the first tick of a lane that grows alone, and in the others: a run takes one."""
A_LOOK = 0.01
"""Seconds in which one look is trained, and no more: whoever waits is not kept waiting."""
MEGABYTES = 100
BRIEF = 2 * 100 * 32
"""Updates times batch up to which every rank of the slider may be trained because a hand comes near it."""
_AHEAD: set[NetworkExperiment] = set()
"""What was trained ahead, once a process: if the cache has made room since, the page asks for them."""

LORA: ResultCache[NetworkExperiment, NetworkLane] = ResultCache(
    train_lane, is_quick=lambda _: False, slow_start=lambda _: False, megabytes=MEGABYTES, budget=BUDGET,
    first=FIRST,
)  # fmt: skip
FULL: ResultCache[NetworkExperiment, NetworkLane] = ResultCache(
    lambda experiment: train_lane(experiment, full=True),
    is_quick=lambda _: False, slow_start=lambda _: False, megabytes=MEGABYTES, budget=BUDGET,
    first=FIRST,
)  # fmt: skip
SWEEPS: ResultCache[Plan, NetworkSweep] = ResultCache(
    train_sweep, is_quick=lambda _: False, slow_start=lambda _: False, megabytes=MEGABYTES, budget=BUDGET
)


DEEP_LINEAR: ResultCache[int, DeepLinearFound] = ResultCache(
    trained_deep_linear, is_quick=lambda _: False, slow_start=lambda _: False, megabytes=1
)


def tick() -> float:
    """Seconds between the ticks of a page that trains a run: its second points follow the first ones soon."""
    return 0.6 * LORA.tick()


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


def grown_run(
    experiment: NetworkExperiment, meanwhile: Callable[[], object] | None = None, name: str = "network"
) -> NetworkRun:
    """The run after one more tick of training: LoRA first, then full fine-tuning beside it.

    A session grows one run per ``name``. When the server is busy the script ends here: it shows a notice,
    draws ``meanwhile`` and reruns by itself.
    """
    try:
        lora = LORA.advance(experiment.lora_only(), f"{name} lora")
        full = kept_full(experiment)
        if full is None:
            full = FULL.advance(experiment.full_only(), f"{name} full") if lora.complete else None
        return NetworkRun(experiment, lora, full if full is not None else beginning(lora, experiment))
    except BusyError as busy:
        show_busy(busy, meanwhile)


def untrained(experiment: NetworkExperiment) -> NetworkRun:
    """The run before its first update."""
    lane = next(train_lane(experiment.lora_only()))
    return NetworkRun(experiment, lane, beginning(lane, experiment))


def beginning(lora: NetworkLane, experiment: NetworkExperiment) -> NetworkLane:
    """Full fine-tuning before its first update, in the state in which LoRA starts: both are the base."""
    return NetworkLane(
        experiment.trainable_full(), lora.updates[:1], lora.test_loss[:1], lora.accuracy[:1],
        lora.old_loss[:1], lora.old_accuracy[:1], lora.batch_loss[:0], lora.words[:1],
        lora.change[:1] * 0, {}, None, False,
    )  # fmt: skip


def train_default_ahead() -> None:
    """Train what the page opens on, so that its first paint has it, while no session waits for a slot.

    For the end of a page, when everything is drawn; a newer rerun of the session ends it in between.
    """
    default = NetworkExperiment()
    if default not in _AHEAD and train_ahead(default):
        _AHEAD.add(default)


def train_ahead(experiment: NetworkExperiment, end: float = math.inf) -> bool:
    """Train both lanes of a run while no session waits for a slot; returns whether they are trained.

    Until ``end``, in seconds of ``time.monotonic``, and for one look at least.

    A newer rerun of the session ends it between two looks.
    """
    late = False
    try:
        while kept_run(experiment) is None and not len(QUICK):
            if late:
                return False
            _ = "visitor" in st.session_state  # Streamlit ends a script here: see `queue.wait`
            if LORA.advance(experiment.lora_only(), "ahead lora", A_LOOK).complete:
                FULL.advance(experiment.full_only(), "ahead full", A_LOOK)
            late = time.monotonic() >= end
    except BusyError:
        return False
    return kept_run(experiment) is not None


def rank_lanes(experiment: NetworkExperiment) -> tuple[NetworkExperiment, ...]:
    """The experiment's LoRA at each of the slider's ranks; none where no module's rank is the slider's."""
    if experiment.targets is Targets.OWN:
        return ()
    return tuple(replace(experiment.lora_only(), rank=rank) for rank in RANKS)


def is_brief(experiment: NetworkExperiment) -> bool:
    """Whether every rank may be trained unasked."""
    return experiment.updates * experiment.batch <= BRIEF


def kept_ranks(experiment: NetworkExperiment) -> tuple[NetworkLane | None, ...]:
    """The lane of each of the slider's ranks, as far as it is trained."""
    return tuple(LORA.kept(lane) for lane in rank_lanes(experiment))


def grow_ranks(experiment: NetworkExperiment, unasked: bool = False) -> None:
    """Train the ranks of the slider for one more tick, the lowest that is missing.

    ``unasked``: only while no other session waits for a slot or trains a network.
    """
    for lane in rank_lanes(experiment):
        if LORA.kept(lane) is None:
            if not (unasked and (len(QUICK) or FULL.growing() or LORA.growing_beside(lane))):
                with suppress(BusyError):
                    LORA.advance(lane, "network ranks")
            return


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
