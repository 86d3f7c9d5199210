"""Runs that all sessions share: trained once per experiment, at once or tick by tick.

``result_cache`` and ``queue`` decide which session trains, and how many results grow and are kept.
"""

import gc
import sys
from collections.abc import Callable

import streamlit as st

from lora_core.course import Course, course_of
from lora_core.experiment import Experiment
from lora_core.training.run import Run, train
from lora_core.training.run import run as train_to_the_end
from pages.runtime.queue import PATIENCE, BusyError
from pages.runtime.result_cache import ResultCache, show_busy

AT_ONCE = 3e9
"""Multiply-adds of the longest quick run: about a third of a second on one core."""
LARGE = 256 * 256
"""Weights above which a layer's data and floors alone take long."""
SWITCH = 5e-4
"""Seconds for which a thread keeps the GIL while another one waits for it."""


@st.cache_resource(show_spinner=False)
def warm_up() -> bool:
    """Train once per process, and exclude all loaded objects from garbage collection.

    One thread, because products of small matrices are slower on two, and sessions share the cores. A short
    switch interval, because torch releases the GIL around every small matmul: at the default of 5 ms a run of
    0.05 s took 0.4 s beside a few pages that were being drawn.
    """
    import torch

    torch.set_num_threads(1)
    sys.setswitchinterval(SWITCH)
    train_to_the_end(Experiment(epochs=2))
    gc.collect()
    gc.freeze()
    return True


def work(given: Experiment | Course) -> float:
    """Estimated multiply-adds of a run; the constant is the cost of an update at any size."""
    e, rank = course_of(given).experiment, course_of(given).highest_rank
    update = e.in_features * (e.in_features + 512) * e.out_features + 4 * e.in_features**2 * rank
    return e.epochs * (update + 400_000)


def slow_start(given: Experiment | Course) -> bool:
    """Whether data and floors take long, however few epochs are trained."""
    experiment = course_of(given).experiment
    return experiment.in_features * experiment.out_features > LARGE


def is_quick(given: Experiment | Course) -> bool:
    """Whether the whole run fits into one slot."""
    return work(given) <= AT_ONCE and not slow_start(given)


RUNS: ResultCache[Experiment | Course, Run] = ResultCache(
    lambda given: train(given),
    is_quick=is_quick,
    slow_start=slow_start,
    finalize=lambda run: run.problem.floors(),
)


def _key(given: Experiment | Course) -> Experiment | Course:
    """A course without changes is its experiment, to the bit: both have one key."""
    return given.experiment if isinstance(given, Course) and not given.changes else given


def finished_run(given: Experiment | Course, patience: float = PATIENCE) -> Run | None:
    """The run, trained now if it is quick; None if it is still growing or no slot is free."""
    return RUNS.finished(_key(given), patience)


def kept_run(given: Experiment | Course) -> Run | None:
    """The run if it is trained already, else None."""
    return RUNS.kept(_key(given))


def advance_run(given: Experiment | Course, meanwhile: Callable[[], object] | None = None) -> Run:
    """The run after one more tick of training; a session grows one run, so a new experiment cancels the last.

    When the server is busy the script ends here: it shows a notice, draws ``meanwhile`` and reruns by itself.
    """
    try:
        return RUNS.advance(_key(given), "run")
    except BusyError as busy:
        show_busy(busy, meanwhile)
