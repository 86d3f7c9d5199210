"""The axis of ranks beside the live chart, and where its curves come from.

Every rank that the slider offers is trained once for an experiment, when a hand comes near the control, and
never because another slider moves: a sweep for each visitor's move would starve the room. Those of the
default and of the presets are trained after the first page is drawn.
"""

import numpy as np
import streamlit as st

from lora_core.figures.ranks.shared_axis import shared_axis_info, trained_axis_info
from lora_core.presets import PRESETS
from lora_core.training.run import Run
from lora_core.training.sweep import Sweep
from pages.components.rank_axis import axis_message, rank_axis
from pages.runtime.sweeps import SWEEPS, Plan, is_quick, problem_of, slider_plan
from pages.ui.chosen_rank import rerun_on_new_rank
from pages.ui.controls import DEFAULT, set_field

_WANTED = "experiment whose ranks a hand wants"
NOTES = {
    "trained": "Every rank is trained: drag, and all numbers follow.",
    "untrained": "Every rank is trained as soon as a hand comes near.",
    "waiting": "Others are training: every rank follows in a moment.",
    "large": "This layer is too large to train every rank at once: its rank is trained where you let go.",
}

AHEAD = {
    plan
    for each in (DEFAULT, *(preset.experiment for preset in PRESETS.values()))
    if is_quick(plan := slider_plan(each))
}
"""What is trained before anybody asks for it,"""
_DONE: set[Plan] = set()
"""once a process: if it has made room since, a hand asks for it like for any other."""


def draw_rank_axis(run: Run) -> None:
    """The axis of the run's experiment: trained if it is kept or wanted, else what is known without.

    Drawn after the rest of the picture, which does not wait for every rank, and in a fragment of its own, so
    that a hand's arrival redraws nothing else.
    """
    st.fragment(_axis)(run)


def _axis(run: Run) -> None:
    rerun_on_new_rank(run.experiment)
    plan = slider_plan(run.experiment)
    wanted = st.session_state.get(_WANTED) == plan and is_quick(plan)
    sweep = SWEEPS.finished(plan) if wanted else SWEEPS.kept(plan)
    if sweep is not None:
        message = _trained(plan, sweep)
    elif wanted:
        message = _untrained(run, "untrained", NOTES["waiting"])
        st.fragment(_ask_again, run_every=1.0)(plan)
    else:
        state = "untrained" if run.complete and is_quick(plan) else "large"
        message = _untrained(run, state, NOTES[state])
    rank_axis(
        message, key="ranks", on_rank=lambda rank: set_field("rank", rank),
        on_near=lambda: st.session_state.update({_WANTED: plan}),
    )  # fmt: skip


def _ask_again(plan: Plan) -> None:
    """Ask once more for the ranks that a busy server did not train in time."""
    if SWEEPS.finished(plan) is not None:
        st.rerun()


def train_ahead() -> None:
    """Train the ranks of the default and of the presets, one after the other, where that takes a moment.

    And then what the page of the small network opens on.

    For the end of a page, when everything is drawn; a newer rerun of the session ends it in between.
    """
    for plan in AHEAD - _DONE:
        _ = _WANTED in st.session_state  # ends a script that is out of date: see `queue.wait`
        if SWEEPS.finished(plan, patience=0.0) is not None:
            _DONE.add(plan)
    from pages.runtime.networks import train_default_ahead  # late: the first paint needs no network

    train_default_ahead()


def _untrained(run: Run, state: str, note: str) -> bytes:
    floors = run.known_floors
    full = run.full.loss[-1] if run.full.diverged_at is None else np.nan
    info = shared_axis_info(run.experiment, float(run.full.loss[0]), float(full), floors)
    return axis_message(info, state=state, note=note)


@st.cache_resource(show_spinner=False, max_entries=32)
def _trained(plan: Plan, _sweep: Sweep) -> bytes:
    info = trained_axis_info(_sweep, problem_of(plan.experiment))
    return axis_message(info, state="trained", note=NOTES["trained"], digits=info.digits)
