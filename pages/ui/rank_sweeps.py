"""Sweeps that visitors share: at once where that takes a moment, else growing tick by tick.

A sweep is kept by its plan, in which the rank counts for nothing: a new rank on the same experiment trains
nothing. A growing one belongs to its session, and another plan in its place cancels it.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from lora_core.bank import Sweep, sweep, train_sweep
from lora_core.data import Problem, make_problem
from lora_core.experiment import Experiment
from pages.ui.caches import TRAINING

AT_ONCE = 2.2e10
"""Multiply-adds that a visitor may wait for: somewhat less than a second on one core."""
BUDGET = 0.15
"""Seconds of training in one tick, or one block of adapters if that takes longer."""
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


def trained(plan: Plan, name: str) -> Sweep:
    """The sweep of a plan: complete, or a little further than at the last call for ``name``."""
    if work(plan) <= AT_ONCE:
        return _at_once(plan)
    try:
        return _kept(plan, None)
    except LookupError:
        return _grown(plan, name)


@st.cache_resource(show_spinner=False, max_entries=16)
def problem_of(experiment: Experiment) -> Problem:
    """The data and the base layer of a plan's experiment."""
    return make_problem(experiment)


@st.cache_resource(show_spinner=False, max_entries=16)
def _at_once(plan: Plan) -> Sweep:
    with TRAINING:
        return sweep(*plan)


@st.cache_resource(show_spinner=False, max_entries=8)
def _kept(plan: Plan, _sweep: Sweep | None) -> Sweep:
    # A cache that is filled from outside: without a sweep it has nothing to keep, and an error is not kept.
    if _sweep is None:
        raise LookupError
    return _sweep


class _Growing:
    """A sweep in the making. A rerun may start while the one before still trains it."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.lock = plan, threading.Lock()
        self.steps: Iterator[Sweep] = train_sweep(*plan)
        self.sweep: Sweep | None = None

    def grow(self, seconds: float) -> Sweep:
        with self.lock:
            start = time.monotonic()
            while self.sweep is None or not self.sweep.complete:
                with TRAINING:
                    self.sweep = next(self.steps)
                if time.monotonic() - start > seconds:
                    break
            return self.sweep


def _grown(plan: Plan, name: str) -> Sweep:
    key = f"growing {name}"
    growing = st.session_state.get(key)
    if growing is None or growing.plan != plan:
        growing = st.session_state[key] = _Growing(plan)
    found: Sweep = growing.grow(BUDGET)
    if found.complete:
        _kept(plan, found)
        st.session_state.pop(key, None)
    return found
