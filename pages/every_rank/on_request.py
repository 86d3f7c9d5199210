"""Charts that take several sweeps, computed on request: the band of seeds, the map of rates."""

import streamlit as st

from lora_core.experiment import Experiment
from lora_core.figures.ranks import beside as figures
from lora_core.figures.ranks.beyond import NEAR, MapInfo, map_info, seeds_info
from lora_core.training.sweep import Sweep
from pages.components.rank_chart import click_chart, click_message
from pages.components.still_chart import steady_chart
from pages.runtime.sweeps import SEEDS, SWEEPS, Plan, map_plan, seeds_plan, trained
from pages.ui.controls import set_field

_LEAVE = "leave for the playground"


def leave_for_cell() -> None:
    """After a click on the map: on to the playground, which finds the cell's fields in its controls."""
    if st.session_state.pop(_LEAVE, False):
        # Without {} Streamlit refuses to clear parameters bound to a widget (PR 13681, seen in 1.67.0).
        st.switch_page("app.py", query_params={})


def draw_seeds(experiment: Experiment, tolerance: float) -> None:
    """The same ranks over several seeds, on request."""
    st.header("Is it luck?", anchor=False)
    wanted = st.toggle(
        f"Train the ranks with {SEEDS} seeds", key="over seeds", persist_state="session",
        help="Other data, another base and another start each time.",
    )  # fmt: skip
    if not wanted:
        return
    sweep = _sweep(seeds_plan(experiment), "seeds")
    if sweep is not None:
        info = seeds_info(sweep, tolerance)
        steady_chart(figures.draw_seeds(info), key="seeds", alt=f"Band of seeds. {info.words()}", height=330)
        st.caption(info.words())


def draw_map(experiment: Experiment) -> None:
    """Ranks by learning rates, on request; a click opens that cell in the playground."""
    st.header("Which learning rate?", anchor=False)
    rule = f"{experiment.scaling_rule}, {experiment.optimizer}"
    wanted = st.toggle(
        f"Train a map of ranks and rates ({rule})", key="over rates", persist_state="session",
        help="Change Scaling or Optimizer in the sidebar to see the ridge tilt.",
    )  # fmt: skip
    if not wanted:
        return
    sweep = _sweep(map_plan(experiment), "map")
    if sweep is not None:
        info = map_info(sweep)
        alt = f"Learning rate by rank. {info.words()}"
        figure = figures.draw_map(info, experiment.rank, experiment.learning_rate)
        message = click_message(figure, alt=alt, height=460)
        shape = len(info.ranks) + 1, len(info.rates)  # the last row is full fine-tuning
        click_chart(message, shape, key="map", on_click=lambda row, column: _open_cell(info, row, column))
        marks = f"A star marks the best of a row, dots what ends within {100 * NEAR:g} % of it, a frame you."
        st.caption(f"{info.words()} {marks} A click opens a cell in the playground.")


def _open_cell(info: MapInfo, row: int, column: int) -> None:
    set_field("learning_rate", info.rates[column])
    if row < len(info.ranks):
        set_field("rank", info.ranks[row])
    st.session_state[_LEAVE] = True


def _sweep(plan: Plan, name: str) -> Sweep | None:
    """The sweep if it is complete; else a piece of the page shows how far it is, and asks for the rest."""
    sweep = trained(plan, name)
    if sweep.complete:
        return sweep

    def grow() -> None:
        found = trained(plan, name)
        if found.complete:
            st.rerun()
        st.progress(found.progress, f"{found.done} of {found.total} runs trained")

    st.fragment(grow, run_every=SWEEPS.tick())()
    return None
