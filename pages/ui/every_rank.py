"""The page of all ranks: which one is needed, what each one buys, what luck and learning rate do to it."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from lora_core.bank import Sweep
from lora_core.experiment import Experiment
from lora_core.figures import ranks as figures
from lora_core.figures.ranks_beyond import SpectrumInfo, spectrum_info, truncation
from lora_core.figures.ranks_numbers import Floats, RanksInfo, knee_words, ranks_info, table
from lora_core.numbers import bytes_text, loss_text, percent_text
from lora_core.stacked import BLOCK_BYTES
from pages.ui.caches import warm_up
from pages.ui.controls import set_field
from pages.ui.live_chart import preload, steady_chart
from pages.ui.rank_chart import click_chart, rank_chart
from pages.ui.rank_more import draw_map, draw_seeds
from pages.ui.rank_sweeps import Plan, problem_of, ranks_plan, trained

TICK = 0.25
"""Seconds between two looks at a sweep that grows."""
TOLERANCES = (0.001, 0.01, 0.05, 0.1)
HEIGHT = 330


class Drawn(NamedTuple):
    """What of the page no rank changes."""

    info: RanksInfo
    cut: Floats
    ranks: go.Figure
    heat: go.Figure
    truncated: go.Figure


def show(experiment: Experiment) -> None:
    """Draw every rank of the experiment: trained already, or growing."""
    preload()
    warm_up()
    said = st.container(key="verdict")
    tolerance = _tolerance()
    plan = ranks_plan(experiment)
    sweep = trained(plan, "ranks")
    if not sweep.complete:
        st.fragment(_grow, run_every=TICK)(plan, experiment, tolerance)
        return
    drawn = _drawn(plan, tolerance, sweep)
    said.markdown(f"### {knee_words(drawn.info, tolerance)}")
    rank_chart(drawn.ranks, drawn.info, experiment.rank, tolerance, key="ranks", on_pick=_pick)
    _draw_notes(drawn.info, experiment)
    _draw_details(plan, drawn, sweep, experiment)
    draw_seeds(experiment, tolerance)
    draw_map(experiment)


@st.cache_resource(show_spinner=False, max_entries=16)
def _drawn(plan: Plan, tolerance: float, _sweep: Sweep) -> Drawn:
    problem = problem_of(plan.experiment)
    info = ranks_info(_sweep, problem)
    cut = truncation(_sweep, problem, info.ranks)
    charts = figures.draw_ranks(info, tolerance), figures.draw_heat(info), figures.draw_truncation(info, cut)
    return Drawn(info, cut, *charts)


def _tolerance() -> float:
    chosen = st.segmented_control(
        "Tolerance", TOLERANCES, default=0.01, key="tolerance",
        format_func=lambda share: f"{100 * share:g} %",
        help="A rank is enough where its floor is at most this share of the base loss above that of full "
        "fine-tuning.",
    )  # fmt: skip
    return 0.01 if chosen is None else float(chosen)


def _pick(rank: int) -> None:
    set_field("rank", rank)


def _grow(plan: Plan, experiment: Experiment, tolerance: float) -> None:
    sweep = trained(plan, "ranks")
    if sweep.complete:
        st.rerun()
    st.progress(sweep.done / sweep.total, f"{sweep.done} of {sweep.total} ranks trained")
    info = ranks_info(sweep, problem_of(plan.experiment))
    figure = figures.draw_ranks(info, tolerance)
    rank_chart(figure, info, experiment.rank, tolerance, key="ranks growing", on_pick=_pick)


def _draw_notes(info: RanksInfo, experiment: Experiment) -> None:
    """What the chart cannot say for itself: which ranks it holds, and how its numbers were computed."""
    notes = []
    if experiment.rank not in info.ranks:
        near = info.ranks[info.place(experiment.rank)]
        notes.append(f"Rank {experiment.rank} is not among the trained ones: the handle stands at {near}.")
    if len(info.ranks) < info.experiment.full_rank:
        notes.append(
            f"A layer this large is trained at {len(info.ranks)} ranks, in blocks that hold at most about "
            f"{bytes_text(BLOCK_BYTES)}."
        )
    notes.append(
        f"{len(info.ranks)} ranks, trained together in 32-bit numbers: a run of one rank agrees to about "
        f"0.1 %. Their curves hold {bytes_text(info.losses.nbytes)}. Drag the handle, or click a rank."
    )
    st.caption(" ".join(notes))


def _draw_details(plan: Plan, drawn: Drawn, sweep: Sweep, experiment: Experiment) -> None:
    info, cut, problem = drawn.info, drawn.cut, problem_of(plan.experiment)
    place = info.place(experiment.rank)
    first, second, third = st.columns(3)
    with first:
        st.markdown("**Loss by epoch and rank**")
        click_chart(
            drawn.heat, key="heat", height=HEIGHT, alt="Heat map of the loss by epoch and rank",
            on_click=lambda _, rank: _pick(int(rank)),
        )  # fmt: skip
        st.caption("Dark is a small loss. A click chooses the rank.")
    with second:
        st.markdown(f"**What rank {info.ranks[place]} has learnt**")
        if np.isfinite(info.final[place]):
            _draw_spectrum(spectrum_info(sweep, problem, info.ranks[place]))
        else:
            st.caption("This rank diverged: there is no change to look at.")
    with third:
        st.markdown("**Train large, then cut?**")
        words = _cut_words(info, cut, place)
        alt = f"Cutting the largest adapter against training at the rank. {words}"
        steady_chart(drawn.truncated, key="cut", alt=alt, height=HEIGHT)
        st.caption(words)
    _draw_table(info, cut)


def _draw_spectrum(found: SpectrumInfo) -> None:
    words = (
        f"Rank paid {found.rank}, effective rank used {found.used:.3g}. The best change of this rank keeps "
        f"{percent_text(found.energy)} of what there is to learn."
    )
    steady_chart(figures.draw_spectrum(found), key="spectrum", alt=f"Spectrum. {words}", height=HEIGHT)
    st.caption(words)


def _cut_words(info: RanksInfo, cut: Floats, place: int) -> str:
    rank, largest = info.ranks[place], info.ranks[-1]
    if not (np.isfinite(cut[place]) and np.isfinite(info.final[place])):
        return f"Rank {largest if not np.isfinite(cut[place]) else rank} diverged: nothing to compare."
    return (
        f"Rank {largest} cut to {rank}: {loss_text(float(cut[place]))}. Trained at {rank}: "
        f"{loss_text(float(info.final[place]))}. Floor: {loss_text(info.floor(place))}."
    )


def _draw_table(info: RanksInfo, cut: Floats) -> None:
    frame = pd.DataFrame(table(info, cut))
    with st.expander("All of it as a table"):
        st.dataframe(frame, hide_index=True, height=300)
    st.download_button(
        "Ranks as CSV", frame.to_csv(index=False), "every_rank.csv", "text/csv", icon=":material/download:"
    )
