"""The axis of ranks beside the live chart, and where its curves come from.

Every rank that the slider offers is trained once for an experiment, when a hand comes near the control, and
never because another slider moves: a sweep for each visitor's move would starve the room. Those of the
default and of the presets are trained after the first page is drawn.
"""

import time
from weakref import ReferenceType, ref

import numpy as np
import streamlit as st

from lora_core.figures.ranks.shared_axis import shared_axis_info, trained_axis_info
from lora_core.presets import PRESETS
from lora_core.training.run import Run
from lora_core.training.sweep import Sweep
from pages.components.rank_axis import axis_message, rank_axis
from pages.runtime.courses import RANK_COURSES, RankPlan, rank_plan
from pages.runtime.courses import is_quick as is_quick_plan
from pages.runtime.sweeps import SWEEPS, Plan, is_quick, problem_of, slider_plan
from pages.ui.chosen_rank import rerun_on_new_rank
from pages.ui.controls import DEFAULT, set_field
from pages.ui.on_the_way import change_here, from_here, shown_course, update_here

_WANTED = "experiment whose ranks a hand wants"
_NEAR = "time until which a hand is near"
NEAR = 4.0
"""Seconds for which a hand that came near is taken to want the ranks of another update too."""
NOTES = {
    "trained": "Every rank is trained: drag, and all numbers follow.",
    "untrained": "Every rank is trained as soon as a hand comes near.",
    "waiting": "Others are training: every rank follows in a moment.",
    "here": "From update {} on every rank is trained: drag, and the rest of the curve follows.",
    "later": "Its rank is trained where you let go.",
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
    that a hand's arrival redraws nothing else. With changes on the way, or where they are to be, the ranks
    are those of the rest of the run.
    """
    st.fragment(_axis)(ref(run), from_here())


def _axis(held: ReferenceType[Run], here: bool) -> None:
    # A fragment is kept with its session, which Streamlit remembers for two minutes after its visitor has
    # left: by a reference of its own it would keep the run for as long.
    run = held()
    if run is None:
        st.rerun()
    rerun_on_new_rank(run.experiment)
    if shown_course(run.experiment) != run.course or here != from_here():
        st.rerun()
    if run.course.changes or here:
        _draw_axis_of_course(run)
        return
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


def _draw_axis_of_course(run: Run) -> None:
    plan = rank_plan(run.course, update_here(run.course) if from_here() else None)
    quick = run.complete and is_quick_plan(plan)
    near = st.session_state.get(_WANTED) == plan or time.monotonic() < st.session_state.get(_NEAR, 0.0)
    sweep = RANK_COURSES.finished(plan) if quick and near else RANK_COURSES.kept(plan)
    if sweep is not None and quick:
        message = _trained_on_the_way(plan, sweep)
    elif quick and near:
        message = _untrained(run, "untrained", NOTES["waiting"], repr(plan))
        st.fragment(_ask_again_on_the_way, run_every=1.0)(plan)
    else:
        state, note = ("untrained", "untrained") if quick else ("large", "later")
        message = _untrained(run, state, NOTES[note], repr(plan))

    def chosen(rank: int) -> None:
        if from_here():
            change_here("rank", rank)
        else:
            set_field("rank", rank)

    # A hand that comes near holds a playback: the update, and with it the plan, may be another one by then.
    rank_axis(message, key="ranks", on_rank=chosen, on_near=lambda: st.session_state.update(_near(plan)))


def _ask_again_on_the_way(plan: RankPlan) -> None:
    if RANK_COURSES.finished(plan) is not None:
        st.rerun()


def _near(plan: RankPlan) -> dict[str, object]:
    return {_WANTED: plan, _NEAR: time.monotonic() + NEAR}


@st.cache_resource(show_spinner=False, max_entries=16)
def _trained_on_the_way(plan: RankPlan, _sweep: Sweep) -> bytes:
    info = trained_axis_info(_sweep, problem_of(plan.course.experiment))
    note = NOTES["trained"] if plan.update is None else NOTES["here"].format(plan.update)
    return axis_message(info, state="trained", note=note, digits=info.digits, name=repr(plan))


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


def _untrained(run: Run, state: str, note: str, name: str = "") -> bytes:
    floors = run.known_floors
    full = run.full.loss[-1] if run.full.diverged_at is None else np.nan
    info = shared_axis_info(run.last, float(run.full.loss[0]), float(full), floors)
    return axis_message(info, state=state, note=note, name=name)


@st.cache_resource(show_spinner=False, max_entries=32)
def _trained(plan: Plan, _sweep: Sweep) -> bytes:
    info = trained_axis_info(_sweep, problem_of(plan.experiment))
    return axis_message(info, state="trained", note=NOTES["trained"], digits=info.digits)
