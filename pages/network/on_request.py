"""Sections of the small network's page that train more; one at a time, and a changed field cancels it."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from lora_core.figures.network import beside
from lora_core.figures.network import sweeps as figures
from lora_core.network.experiment import RANKS, NetworkExperiment, Targets
from lora_core.network.floors import DeepLinearFound, head_floor
from lora_core.network.run import NetworkLane
from lora_core.network.shape import Network
from lora_core.network.sweeps import (
    NetworkSweep,
    Plan,
    cut_full,
    module_plan,
    rates_plan,
    spending_plan,
    sweep_of,
)
from pages.components.message import Figure
from pages.components.still_chart import steady_chart
from pages.runtime.networks import (
    DEEP_LINEAR,
    LORA,
    SWEEPS,
    grow_ranks,
    grown_deep_linear,
    grown_sweep,
    kept_full,
    kept_ranks,
    rank_lanes,
)
from pages.runtime.queue import SLOW, BusyError
from pages.runtime.result_cache import show_busy

HEIGHT = 340


def draw_on_request(experiment: NetworkExperiment) -> None:
    """Draw the choice of sections, and the section chosen."""
    chosen = st.pills(
        "Train more", tuple(_SECTIONS), key="net_more", help="Each takes some seconds and streams."
    )
    if chosen is not None:
        _SECTIONS[chosen](experiment)


def _draw_modules(experiment: NetworkExperiment) -> None:
    st.markdown("Each module trained **alone**, all others frozen, at three ranks. Held out; dark is good.")

    def draw(sweep: NetworkSweep) -> None:
        info = figures.module_map_info(sweep)
        words = figures.module_map_words(info)
        _chart(figures.draw_module_map(info), words, key="net modules alone", height=430)

    _grow(module_plan(experiment), "net modules alone", draw)


def _draw_ranks(experiment: NetworkExperiment) -> None:
    full = kept_full(experiment)
    if full is None:
        return

    if experiment.targets is Targets.OWN:
        experiment = replace(experiment, targets=Targets.ALL, ranks="")

    def draw() -> None:
        ranks, sweep = RANKS, sweep_of(rank_lanes(experiment), kept_ranks(experiment))
        if not sweep.complete:
            st.progress(sweep.progress, f"{sweep.done} of {sweep.total} trained")
        cut = _cut(experiment.full_only(), ranks, full) if full.diverged_at is None else None
        info = figures.ranks_info(sweep, full, cut)
        words = figures.ranks_words(info, experiment.rank)
        _chart(figures.draw_network_ranks(info), words, key="net ranks", height=HEIGHT)

    def step() -> None:
        grow_ranks(experiment)
        draw()
        if not done and None not in kept_ranks(experiment):
            st.rerun()

    left, right = st.columns([0.58, 0.42])
    done = None not in kept_ranks(experiment)
    with left:
        st.fragment(step, run_every=None if done else LORA.tick())()
        st.caption(
            "Cut: full fine-tuning's change, the best approximation of that rank in each module. Neither "
            "line bounds the other: LoRA finds another change."
        )
    with right:
        if full.diverged_at is None:
            lines = "How many directions full fine-tuning's change has, a line a module."
            words = f"{lines} {figures.spectra_words(full)}"
            _chart(figures.draw_spectra(full), words, key="net spectra", height=HEIGHT)


def _draw_spending(experiment: NetworkExperiment) -> None:
    full = kept_full(experiment)
    if full is None:
        return
    own = 100 * full.accuracy[-1] if experiment.network is Network.COPIER else full.test_loss[-1]

    def draw(sweep: NetworkSweep) -> None:
        info = beside.spending_info(sweep)
        words = beside.spending_words(info)
        _chart(beside.draw_spending(info, float(own)), words, key="net spending", height=260)

    if not experiment.trainable():
        st.caption("No module has a rank: there are no numbers to spend.")
        return
    _grow(spending_plan(experiment), "net spending", draw)
    st.caption("The line is full fine-tuning at its own rate.")


def _draw_rates(experiment: NetworkExperiment) -> None:
    def draw(sweep: NetworkSweep) -> None:
        _chart(beside.draw_rates(sweep), beside.rates_words(sweep), key="net rates", height=HEIGHT)

    _grow(rates_plan(experiment), "net rates", draw)


def _draw_floors(experiment: NetworkExperiment) -> None:
    st.markdown(
        "For this network no floor is known. Two things **are** exact. In a deep *linear* network the ranks "
        "of the layers add up:"
    )

    def draw(found: DeepLinearFound) -> None:
        words = beside.deep_linear_words(found)
        _chart(beside.draw_deep_linear(found), words, key="net floors", height=HEIGHT)

    def step() -> None:
        found = grown_deep_linear(experiment.seed)
        draw(found)
        if found.complete and not done:
            st.rerun()

    done = DEEP_LINEAR.kept(experiment.seed) is not None
    st.fragment(step, run_every=None if done else DEEP_LINEAR.tick())()
    if experiment.network is Network.WORDS:
        try:
            floor = _head_floor(experiment.language)
        except BusyError as busy:
            show_busy(busy)
        st.markdown(
            "And the head alone, on frozen features, is a convex problem: the best that any head can do on "
            f"the training names of this language is **{floor:.2f}** nats a letter, whatever its rank (by "
            "L-BFGS, to about 0.005)."
        )


_SECTIONS: dict[str, Callable[[NetworkExperiment], None]] = {
    "Where does the rank go?": _draw_modules,
    "Every rank, trained and cut": _draw_ranks,
    "Equal numbers": _draw_spending,
    "Learning rates": _draw_rates,
    "What is exact?": _draw_floors,
}


def _grow(plan: Plan, name: str, draw: Callable[[NetworkSweep], None]) -> None:
    """Draw a sweep, and redraw it at each tick until it is complete."""
    done = SWEEPS.kept(plan) is not None

    def step() -> None:
        sweep = grown_sweep(plan, name)
        if not sweep.complete:
            st.progress(sweep.progress, f"{sweep.done} of {sweep.total} trained")
        if sweep.done:
            draw(sweep)
        if sweep.complete and not done:
            st.rerun()

    st.fragment(step, run_every=None if done else SWEEPS.tick())()


def _chart(figure: Figure, words: str, *, key: str, height: int) -> None:
    steady_chart(figure, key=key, alt=words, height=height)
    st.caption(words)


@st.cache_resource(show_spinner=False, max_entries=64)
def _cut(experiment: NetworkExperiment, ranks: tuple[int, ...], _full: NetworkLane) -> tuple:
    return cut_full(experiment, _full, ranks)


@st.cache_resource(show_spinner=False, max_entries=8)
def _head_floor(language: str) -> float:
    with SLOW.slot():
        return head_floor(NetworkExperiment.from_dict({"language": language}), 300)
