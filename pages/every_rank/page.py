"""The page of all ranks: which one is needed, what each one buys, what luck and learning rate do to it."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from lora_core.experiment import Experiment
from lora_core.figures.ranks import beside
from lora_core.figures.ranks.beyond import SpectrumInfo, effective_ranks, spectrum_info, truncation
from lora_core.figures.ranks.drawing import draw_ranks
from lora_core.figures.ranks.numbers import Floats, RanksInfo, knee_words, new_data_words, ranks_info, table
from lora_core.formatting import bytes_text, loss_text, percent_text
from lora_core.theory import TOLERANCE
from lora_core.training.batched import BLOCK_BYTES
from lora_core.training.sweep import Sweep
from pages.components.live_chart import preload
from pages.components.message import Figure
from pages.components.rank_chart import click_chart, click_message, rank_chart, rank_message
from pages.components.still_chart import steady_chart
from pages.every_rank.on_request import draw_map, draw_seeds, leave_for_cell
from pages.runtime.runs import warm_up
from pages.runtime.sweeps import SWEEPS, Plan, grows, problem_of, ranks_plan, trained
from pages.ui.chosen_rank import rerun_on_new_rank
from pages.ui.controls import set_field
from pages.ui.on_the_way import shown_course

TOLERANCES = (0.001, TOLERANCE, 0.05, 0.1)
HEIGHT = 330


class Drawn(NamedTuple):
    """The parts of the page that no rank changes; charts as they are sent."""

    info: RanksInfo
    cut: Floats
    ranks: bytes
    heat: bytes
    truncated: Figure
    frame: pd.DataFrame
    csv: str


def show(experiment: Experiment) -> None:
    """Draw every rank of the experiment: trained already, or growing."""
    leave_for_cell()
    preload()
    warm_up()
    st.title("Every rank", anchor=False)
    said = st.container(key="verdict")
    if shown_course(experiment).changes:
        st.caption("Here every rank is trained from the start, without the changes on the way.")
    tolerance = _tolerance()
    plan = ranks_plan(experiment)
    if grows(plan):
        said = said.empty()
        said.markdown(f"## Training {len(plan.ranks)} ranks, which takes longer than a moment.")
    sweep = trained(plan, "ranks")
    if not sweep.complete:
        st.fragment(_grow, run_every=SWEEPS.tick())(plan, experiment, tolerance)
        return
    drawn = _drawn(plan, tolerance, sweep)
    new_data = new_data_words(drawn.info, tolerance)
    said.markdown(f"## {knee_words(drawn.info, tolerance)}\n\n{new_data}")
    rank_chart(drawn.ranks, drawn.info, experiment.rank, key="ranks", on_pick=_pick)
    _draw_notes(drawn.info, experiment)
    _draw_details(plan, drawn, sweep, experiment)
    draw_seeds(experiment, tolerance)
    draw_map(experiment)


@st.cache_resource(show_spinner=False, max_entries=16)
def _drawn(plan: Plan, tolerance: float, _sweep: Sweep) -> Drawn:
    problem = problem_of(plan.experiment)
    info = ranks_info(_sweep, problem)
    cut = truncation(_sweep, problem, info.ranks)
    ranks = rank_message(draw_ranks(info, tolerance), info, tolerance, key="ranks")
    heat = click_message(beside.draw_heat(info), alt="Map of the error by updates and rank", height=HEIGHT)
    frame = pd.DataFrame(table(info, cut, effective_ranks(_sweep, problem, info.ranks)))
    csv = frame.to_csv(index=False)
    return Drawn(info, cut, ranks, heat, beside.draw_truncation(info, cut), frame, csv)


@st.cache_resource(show_spinner=False, max_entries=64)
def _spectrum(plan: Plan, rank: int, _sweep: Sweep) -> tuple[SpectrumInfo, Figure]:
    found = spectrum_info(_sweep, problem_of(plan.experiment), rank)
    return found, beside.draw_spectrum(found)


def _tolerance() -> float:
    chosen = st.segmented_control(
        "Tolerance", TOLERANCES, default=TOLERANCE, key="tolerance",
        format_func=lambda share: f"{100 * share:g} %",
        help="A rank is enough where its floor is at most this share of the base's error above that of full "
        "fine-tuning.",
    )  # fmt: skip
    return TOLERANCE if chosen is None else float(chosen)


def _pick(rank: int) -> None:
    set_field("rank", rank)


def _grow(plan: Plan, experiment: Experiment, tolerance: float) -> None:
    rerun_on_new_rank(experiment)
    sweep = trained(plan, "ranks")
    if sweep.complete:
        st.rerun()
    st.progress(sweep.progress, f"{sweep.done} of {sweep.total} ranks trained")
    st.caption(f"{_memory()} Any other value on the left cancels it.")
    if sweep.done:
        info, message = _drawn_so_far(plan, tolerance, sweep.done, sweep)
        rank_chart(message, info, experiment.rank, key="ranks growing", on_pick=_pick)


@st.cache_resource(show_spinner=False, max_entries=4)
def _drawn_so_far(plan: Plan, tolerance: float, done: int, _sweep: Sweep) -> tuple[RanksInfo, bytes]:
    # ``done`` names how far the sweep is: between two ticks with no new rank nothing is drawn.
    info = ranks_info(_sweep, problem_of(plan.experiment))
    return info, rank_message(draw_ranks(info, tolerance), info, tolerance, key="ranks growing")


def _memory() -> str:
    return f"What is trained at once holds at most about {bytes_text(BLOCK_BYTES)}."


def _draw_notes(info: RanksInfo, experiment: Experiment) -> None:
    """What the chart cannot say for itself: which ranks it holds, and how its numbers were computed."""
    notes = []
    if experiment.rank not in info.ranks:
        near = info.ranks[info.place(experiment.rank)]
        notes.append(f"Rank {experiment.rank} is not among the trained ones: the handle stands at {near}.")
    if len(info.ranks) < info.experiment.full_rank:
        notes.append(f"A layer this large is trained at {len(info.ranks)} ranks. {_memory()}")
    notes.append(
        f"Drag the handle, or click a rank. {len(info.ranks)} ranks were trained together, with less "
        "precision than the run of one rank on the playground: the two agree to about 0.1 %."
    )
    st.caption(" ".join(notes))


def _draw_details(plan: Plan, drawn: Drawn, sweep: Sweep, experiment: Experiment) -> None:
    info = drawn.info
    place = info.place(experiment.rank)
    first, second, third = st.columns(3)
    with first:
        st.markdown("**Error by updates and rank**")
        shape = len(info.ranks), experiment.epochs + 1
        click_chart(drawn.heat, shape, key="heat", on_click=lambda row, _: _pick(info.ranks[row]))
        st.caption("Dark is a small error. A click chooses the rank.")
    with second:
        st.markdown(f"**What rank {info.ranks[place]} has learnt**")
        if np.isfinite(info.final[place]):
            _draw_spectrum(*_spectrum(plan, info.ranks[place], sweep))
        else:
            st.caption("This rank diverged: there is no change to look at.")
    with third:
        st.markdown("**Train large, then cut?**")
        # Its alt text names no rank: a chart that a new rank does not change is not drawn again.
        alt = f"The adapter of rank {info.ranks[-1]} cut to each rank, beside the adapters trained at it."
        steady_chart(drawn.truncated, key="cut", alt=alt, height=HEIGHT)
        st.caption(_cut_words(info, drawn.cut, place))
    _draw_table(drawn)


def _draw_spectrum(found: SpectrumInfo, figure: Figure) -> None:
    words = (
        f"Rank paid {found.rank}, effective rank used {found.used:.3g}. The best change of this rank keeps "
        f"{percent_text(found.energy)} of what there is to learn."
    )
    steady_chart(figure, key="spectrum", alt=f"Spectrum. {words}", height=HEIGHT)
    st.caption(words)


def _cut_words(info: RanksInfo, cut: Floats, place: int) -> str:
    rank, largest = info.ranks[place], info.ranks[-1]
    if not (np.isfinite(cut[place]) and np.isfinite(info.final[place])):
        return f"Rank {largest if not np.isfinite(cut[place]) else rank} diverged: nothing to compare."
    return (
        f"Rank {largest} cut to {rank}: {loss_text(float(cut[place]))}. Trained at {rank}: "
        f"{loss_text(float(info.final[place]))}. Floor: {loss_text(info.floor(place))}."
    )


def _draw_table(drawn: Drawn) -> None:
    with st.expander("All of it as a table"):
        st.dataframe(drawn.frame, hide_index=True, height=300)
    st.download_button(
        "Ranks as CSV", lambda: drawn.csv, "every_rank.csv", "text/csv", icon=":material/download:",
        on_click="ignore",
    )  # fmt: skip
