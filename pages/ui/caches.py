"""What visitors share: trained runs, by experiment alone, so a room that opens one link trains one run.

A run that takes no longer than a moment is trained at once. A longer one grows: each tick of its page
trains a little, in the visitor's own session, and the finished run is then everybody's.
"""

import gc
import threading
import time
from collections.abc import Iterator
from weakref import WeakSet

import streamlit as st

from lora_core.experiment import Experiment
from lora_core.training import Run, train
from lora_core.training import run as train_to_the_end

AT_ONCE = 3e9
"""Multiply-adds that a visitor may wait for: about a third of a second on one core."""
SHARED_BUDGET, LEAST_BUDGET = 0.15, 0.03
"""Seconds of training in one tick: the first is shared by all who are growing a run, down to the second."""

TRAINING = threading.BoundedSemaphore(1)
"""Held by whoever trains, on any page: the cores are shared."""


@st.cache_resource(show_spinner=False)
def warm_up() -> bool:
    """Once a process: train once, and take all that is loaded out of the garbage collector's rounds.

    One thread, because the products of a small layer are slower on two, and visitors share the cores.
    """
    import torch

    torch.set_num_threads(1)
    train_to_the_end(Experiment(epochs=2))
    gc.collect()
    gc.freeze()
    return True


def work(experiment: Experiment) -> float:
    """Multiply-adds of a whole run, roughly; the constant stands for what each update costs at any size."""
    e = experiment
    update = e.in_features * (e.in_features + 512) * e.out_features + 4 * e.in_features**2 * e.rank
    return e.epochs * (update + 400_000)


def finished_run(experiment: Experiment) -> Run | None:
    """The run, trained now where that takes no longer than a moment; None for one that has yet to grow."""
    if work(experiment) <= AT_ONCE:
        return _trained_at_once(experiment)
    try:
        return _kept(experiment, None)
    except LookupError:
        return None


@st.cache_resource(show_spinner=False, max_entries=128)
def _trained_at_once(experiment: Experiment) -> Run:
    with TRAINING:
        run = train_to_the_end(experiment)
        run.problem.floors()
    return run


@st.cache_resource(show_spinner=False, max_entries=4)
def _kept(experiment: Experiment, _run: Run | None) -> Run:
    # A cache that is filled from outside: without a run it has nothing to keep, and an error is not kept.
    if _run is None:
        raise LookupError
    return _run


class Growing:
    """A run in the making, in one session. A rerun may start while the one before still trains it."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.steps: Iterator[Run] = train(experiment)
        self.lock = threading.Lock()
        self.run: Run | None = None
        self.seen = time.monotonic()

    def grow(self, seconds: float) -> Run:
        """Train for about so long, at least one stretch, and return the run so far."""
        with self.lock:
            self.seen = time.monotonic()
            if self.run is not None:
                self.run.problem.floors()  # only now: the first paint does not wait for them
            while self.run is None or not self.run.complete:
                with TRAINING:
                    self.run = next(self.steps)
                if time.monotonic() - self.seen > seconds:
                    break
            return self.run


_growing: WeakSet[Growing] = WeakSet()


def grown_run(experiment: Experiment) -> Run:
    """The run of this session, a little further than at the last call; another experiment cancels it."""
    growing = st.session_state.get("growing")
    if growing is None or growing.experiment != experiment:
        growing = st.session_state["growing"] = Growing(experiment)
        _growing.add(growing)
    now = time.monotonic()
    others = sum(now - each.seen < 1 for each in list(_growing) if each is not growing)
    run = growing.grow(max(LEAST_BUDGET, SHARED_BUDGET / (1 + others)))
    if run.complete:
        run.problem.floors()
        _kept(experiment, run)
        st.session_state.pop("growing", None)
    return run
