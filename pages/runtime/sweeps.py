"""Sweeps that all sessions share: trained at once if quick, else tick by tick.

The key of a sweep is its plan, with the rank normalised out: another rank of an experiment trains nothing.
``result_cache`` and ``queue`` decide which session trains, and how many sweeps grow and are kept.
"""

from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from lora_core.choices import rank_choices
from lora_core.data import Problem, make_problem
from lora_core.experiment import DATA_FIELDS, Experiment
from lora_core.training.sweep import Sweep, train_sweep
from pages.runtime.queue import BusyError
from pages.runtime.result_cache import ResultCache, show_busy
from pages.runtime.runs import slow_start

AT_ONCE = 2.2e10
"""Multiply-adds of the longest quick sweep: somewhat less than a second on one core."""
ALL_RANKS = 64
"""Largest full rank at which every rank is trained; above it ``SOME_RANKS``."""
SOME_RANKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
MAP_RANKS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 48, 64)
MAP_RATES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SEEDS = 5


class Plan(NamedTuple):
    """Key of a sweep: an experiment, with its rank and the fields that are listed here normalised out."""

    experiment: Experiment
    ranks: tuple[int, ...]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]


def ranks_plan(experiment: Experiment) -> Plan:
    """Plan of every rank of an experiment, or of a geometric set of ranks for a large layer."""
    full = experiment.full_rank
    ranks = tuple(range(1, full + 1)) if full <= ALL_RANKS else tuple(r for r in SOME_RANKS if r <= full)
    rate, seed = (experiment.learning_rate,), (experiment.seed,)
    return Plan(replace(experiment, rank=1), ranks, rate, seed)


def slider_plan(experiment: Experiment) -> Plan:
    """Plan of the ranks that the rank slider offers for the layer: a fraction of all ranks."""
    rate, seed = (experiment.learning_rate,), (experiment.seed,)
    return Plan(replace(experiment, rank=1), rank_choices(experiment.full_rank), rate, seed)


def seeds_plan(experiment: Experiment) -> Plan:
    """Plan of the same ranks with this seed and the ones after it."""
    last = 2**31 - 1
    seeds = tuple(min(experiment.seed, last - SEEDS) + i for i in range(SEEDS))
    return ranks_plan(experiment)._replace(seeds=seeds)


def map_plan(experiment: Experiment) -> Plan:
    """Plan of sixteen ranks at twelve learning rates, with the experiment's own rate normalised out."""
    ranks = tuple(rank for rank in MAP_RANKS if rank <= experiment.full_rank)
    bare = replace(experiment, rank=1, learning_rate=MAP_RATES[0])
    return Plan(bare, ranks, MAP_RATES, (experiment.seed,))


def work(plan: Plan) -> float:
    """Estimated multiply-adds of a sweep; the constants stand for work other than products."""
    e, count = plan.experiment, len(plan.ranks)
    inputs, out = e.in_features, e.out_features
    adapters = sum(plan.ranks) * inputs * (2 * inputs + 3 * out) + count * (20 * inputs * out + 50_000)
    return e.epochs * len(plan.rates) * len(plan.seeds) * (adapters + 2 * inputs**2 * out)


def is_quick(plan: Plan) -> bool:
    """Whether a page waits for the whole sweep."""
    return work(plan) <= AT_ONCE and not slow_start(plan.experiment)


SWEEPS: ResultCache[Plan, Sweep] = ResultCache(
    lambda plan: train_sweep(*plan),
    is_quick=is_quick,
    slow_start=lambda plan: slow_start(plan.experiment),
    gives_way=True,
)


def grows(plan: Plan) -> bool:
    """Whether the sweep is neither quick nor finished."""
    return not is_quick(plan) and SWEEPS.kept(plan) is None


def trained(plan: Plan, name: str) -> Sweep:
    """The sweep of a plan, complete or after one more tick of training; a session grows one per ``name``.

    When the server is busy the script ends here: it shows a notice and reruns by itself.
    """
    try:
        return SWEEPS.advance(plan, name)
    except BusyError as busy:
        show_busy(busy)


def problem_of(experiment: Experiment) -> Problem:
    """Data and base layer of a plan's experiment."""
    fields = {name: getattr(experiment, name) for name in (*DATA_FIELDS, "train_bias")}
    return _problem(Experiment(**fields))


@st.cache_resource(show_spinner=False, max_entries=4)
def _problem(data: Experiment) -> Problem:
    # Few entries, as a large problem takes 100 MB; fields that do not affect the data are normalised out.
    return make_problem(data)
