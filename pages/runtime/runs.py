"""Runs that visitors share: trained once for all who open the same experiment, at once or as it grows.

Who may train, and how many results grow and are kept, is decided in ``result_cache`` and ``queue``.
"""

import gc
import sys
from collections.abc import Callable

import streamlit as st

from lora_core.experiment import Experiment
from lora_core.training.run import Run, train
from lora_core.training.run import run as train_to_the_end
from pages.runtime.queue import PATIENCE, BusyError
from pages.runtime.result_cache import Shared, tell

AT_ONCE = 3e9
"""Multiply-adds that a visitor may wait for: about a third of a second on one core."""
LARGE = 256 * 256
"""Weights of a layer whose data and floors take long by themselves."""
SWITCH = 5e-4
"""Seconds for which a thread keeps the interpreter while another waits for it."""


@st.cache_resource(show_spinner=False)
def warm_up() -> bool:
    """Once a process: train once, and take all that is loaded out of the garbage collector's rounds.

    One thread, because the products of a small layer are slower on two, and visitors share the cores. A
    short switch interval, because torch lets go of the interpreter at each small product: at the usual 5 ms
    a run of 0.05 s took 0.4 s beside a few pages that were being drawn.
    """
    import torch

    torch.set_num_threads(1)
    sys.setswitchinterval(SWITCH)
    train_to_the_end(Experiment(epochs=2))
    gc.collect()
    gc.freeze()
    return True


def work(experiment: Experiment) -> float:
    """Multiply-adds of a whole run, roughly; the constant stands for what each update costs at any size."""
    e = experiment
    update = e.in_features * (e.in_features + 512) * e.out_features + 4 * e.in_features**2 * e.rank
    return e.epochs * (update + 400_000)


def large(experiment: Experiment) -> bool:
    """Whether its data and floors take long however little is trained."""
    return experiment.in_features * experiment.out_features > LARGE


def brief(experiment: Experiment) -> bool:
    """Whether the whole run takes no longer than a moment."""
    return work(experiment) <= AT_ONCE and not large(experiment)


RUNS: Shared[Experiment, Run] = Shared(
    lambda experiment: train(experiment),
    brief=brief,
    large=large,
    polish=lambda run: run.problem.floors(),
)


def finished_run(experiment: Experiment, patience: float = PATIENCE) -> Run | None:
    """The run, trained now where that takes a moment; None for one that has yet to grow, or to wait."""
    return RUNS.finished(experiment, patience)


def kept_run(experiment: Experiment) -> Run | None:
    """The run if it is trained already."""
    return RUNS.kept(experiment)


def grown_run(experiment: Experiment, meanwhile: Callable[[], object] | None = None) -> Run:
    """The run, a little further than at the last call; another experiment in its place cancels it.

    Where the room is busy the page ends here, with a notice, what ``meanwhile`` draws, and another try.
    """
    try:
        return RUNS.grown(experiment, "run")
    except BusyError as busy:
        tell(busy, meanwhile)
