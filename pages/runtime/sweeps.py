"""Sweeps that visitors share: at once where that takes a moment, else growing tick by tick.

A sweep is kept by its plan, in which the rank counts for nothing: a new rank on the same experiment trains
nothing. Who may train, and how many sweeps grow and are kept, is decided in ``result_cache`` and ``queue``.
"""

from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from lora_core.data import Problem, make_problem
from lora_core.experiment import DATA_FIELDS, Experiment
from lora_core.training.sweep import Sweep, train_sweep
from pages.runtime.queue import BusyError
from pages.runtime.result_cache import Shared, tell
from pages.runtime.runs import large

AT_ONCE = 2.2e10
"""Multiply-adds that a visitor may wait for: somewhat less than a second on one core."""
ALL_RANKS = 64
"""Layers of a larger full rank are trained at a geometric set of ranks."""
SOME_RANKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
MAP_RANKS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 48, 64)
MAP_RATES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SEEDS = 5


class Plan(NamedTuple):
    """What is trained: an experiment, its rank and any other field below normalised out."""

    experiment: Experiment
    ranks: tuple[int, ...]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]


def ranks_plan(experiment: Experiment) -> Plan:
    """Every rank of an experiment, or a geometric set of them for a large layer."""
    full = experiment.full_rank
    ranks = tuple(range(1, full + 1)) if full <= ALL_RANKS else tuple(r for r in SOME_RANKS if r <= full)
    rate, seed = (experiment.learning_rate,), (experiment.seed,)
    return Plan(replace(experiment, rank=1), ranks, rate, seed)


def seeds_plan(experiment: Experiment) -> Plan:
    """The same ranks with this seed and the ones after it."""
    last = 2**31 - 1
    seeds = tuple(min(experiment.seed, last - SEEDS) + i for i in range(SEEDS))
    return ranks_plan(experiment)._replace(seeds=seeds)


def map_plan(experiment: Experiment) -> Plan:
    """Sixteen ranks at twelve learning rates; the learning rate in use counts for nothing."""
    ranks = tuple(rank for rank in MAP_RANKS if rank <= experiment.full_rank)
    bare = replace(experiment, rank=1, learning_rate=MAP_RATES[0])
    return Plan(bare, ranks, MAP_RATES, (experiment.seed,))


def work(plan: Plan) -> float:
    """Multiply-adds of a whole sweep, roughly; the constants stand for what is not a product."""
    e, count = plan.experiment, len(plan.ranks)
    inputs, out = e.in_features, e.out_features
    adapters = sum(plan.ranks) * inputs * (2 * inputs + 3 * out) + count * (20 * inputs * out + 50_000)
    return e.epochs * len(plan.rates) * len(plan.seeds) * (adapters + 2 * inputs**2 * out)


def brief(plan: Plan) -> bool:
    """Whether the whole sweep takes no longer than a moment."""
    return work(plan) <= AT_ONCE and not large(plan.experiment)


SWEEPS: Shared[Plan, Sweep] = Shared(
    lambda plan: train_sweep(*plan), brief=brief, large=lambda plan: large(plan.experiment)
)


def grows(plan: Plan) -> bool:
    """Whether the sweep takes longer than a moment and is not there yet."""
    return not brief(plan) and SWEEPS.kept(plan) is None


def trained(plan: Plan, name: str) -> Sweep:
    """The sweep of a plan: complete, or a little further than at the last call for ``name``.

    Where the room is busy the page ends here, with a notice and another try.
    """
    try:
        return SWEEPS.grown(plan, name)
    except BusyError as busy:
        tell(busy)


def problem_of(experiment: Experiment) -> Problem:
    """The data and the base layer of a plan's experiment."""
    fields = {name: getattr(experiment, name) for name in (*DATA_FIELDS, "train_bias")}
    return _problem(Experiment(**fields))


@st.cache_resource(show_spinner=False, max_entries=4)
def _problem(data: Experiment) -> Problem:
    # Few, as a large one holds a hundred megabytes; what does not move the data is normalised out.
    return make_problem(data)
