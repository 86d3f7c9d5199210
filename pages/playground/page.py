"""The playground's first screen: what it is, verdict, live chart beside the axis of ranks, five numbers."""

from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lora_core.course import Course
from lora_core.experiment import Experiment, ScalingRule
from lora_core.figures import share
from lora_core.figures.loss import numbers
from lora_core.findings.five_numbers import MEANINGS, five_numbers
from lora_core.findings.next_steps import next_steps
from lora_core.findings.outcome import outcome_of_run
from lora_core.findings.verdict import verdict, verdict_on
from lora_core.training.run import Run
from pages.components.live_chart import live_chart
from pages.components.rank_axis import five_numbers_line, sketch
from pages.playground.changes import draw_changes
from pages.playground.comparisons import draw_pins, ghost, pinned, remember
from pages.playground.exports import draw_exports
from pages.playground.ranks import draw_rank_axis, train_ahead
from pages.runtime.runs import RUNS, advance_run, finished_run, kept_run, warm_up
from pages.ui.chosen_epoch import choose_epoch
from pages.ui.chosen_rank import rerun_on_new_rank
from pages.ui.controls import set_fields
from pages.ui.link import name_of_course
from pages.ui.on_the_way import (
    CHART,
    apply_from,
    from_here,
    move,
    shown_course,
    update_here,
    words_of_change,
)
from pages.ui.presets import draw_presets

_LAST = "last finished course"
HEIGHT = 390
"""Of the live chart, in CSS pixels, until the page's style has come, which fits it to the window."""
WHAT = (
    "**LoRA playground.** A trained layer W₀ stays frozen; beside it LoRA trains only two thin matrices, A "
    "and B. How thin is their **rank**: drag it, and see what it buys and what it costs."
)


def show(experiment: Experiment) -> None:
    """Draw the experiment: trained already, or growing."""
    warm_up()
    course = shown_course(experiment)
    remember(course)
    run = finished_run(course)
    with st.container(key="first_screen"):
        _draw_masthead(experiment)
        # The same place for both, so that the charts of a growing run are kept once it is complete. Elements
        # with buttons are outside: a button in a fragment would rerun the fragment only.
        st.fragment(_picture, run_every=RUNS.tick() if run is None else None)(course, from_here())
        with st.container(key="next", horizontal=True, vertical_alignment="center"):
            if run is not None:
                draw_changes(run)
                _draw_next_steps(run)
            draw_pins(course)
    _draw_formula(experiment)
    if run is not None:
        draw_exports(run)
        _draw_tables(run)
    train_ahead()


def _draw_masthead(experiment: Experiment) -> None:
    """What this is: a name, a sentence and a drawing, with the presets beside them."""
    with st.container(key="masthead", horizontal=True, vertical_alignment="center"):
        st.caption(WHAT)
        sketch(experiment, key="sketch")
        draw_presets()


def _picture(course: Course, here: bool) -> None:
    """Verdict, charts and numbers of the run; one that grows is a little further at every call."""
    rerun_on_new_rank(course.experiment)
    # A change on the way, or where changes apply, may come from this fragment.
    if shown_course(course.experiment) != course or here != from_here():
        st.rerun()
    words = st.container(key="verdict")
    with st.container(key="picture"):
        left, right = st.columns([0.56, 0.44])
    finished = kept_run(course)
    with words:
        run = finished or advance_run(course, meanwhile=lambda: _draw_last(left, course))
        outcome = outcome_of_run(run)
        said = verdict_on(outcome)
        st.markdown(f"# {said.title}\n\n{said.detail}")
    found = five_numbers(outcome)
    names = [each.name for each in found]
    final = None if run.lora.diverged_at is not None else float(run.lora.loss[-1])
    five_numbers_line(
        names, [MEANINGS[name] for name in names], [(each.value, each.note) for each in found],
        rank=_rank_shown(course), final=final, key="numbers",
    )  # fmt: skip
    with left:
        _draw_loss(run)
    with right:
        draw_rank_axis(run)
    if run.complete:
        st.session_state[_LAST] = course
        if finished is None:
            st.rerun()


def _rank_shown(course: Course) -> int:
    """The rank that the live control holds: in force where changes apply, or that of the start."""
    return course.in_force(update_here(course)).rank if from_here() else course.experiment.rank


def _draw_last(place: DeltaGenerator, course: Course) -> None:
    """The last finished curve stays on the screen while the room is busy."""
    last = st.session_state.get(_LAST)
    run = None if last is None else kept_run(last)
    if run is not None:
        st.caption(f"Until then the chart shows the run before: {name_of_course(run.course, course)}.")
        with place:
            _draw_loss(run, alone=True)


def _draw_loss(run: Run, alone: bool = False) -> None:
    e, info = run.experiment, _loss_info(run, alone)
    live_chart(
        info, run_id=run.fingerprint, epochs=e.epochs, key=CHART, height=HEIGHT,
        rank=_rank_shown(run.course), streaming=None if run.complete else (run.updates, e.epochs),
        on_epoch=partial(choose_epoch, last=run.updates), here=from_here(), on_here=apply_from,
        title=numbers.setting_text(run.course),
        marks=[(each.update, words_of_change(each)) for each in run.course.changes],
        on_mark=lambda place, update: move(run.course.changes[place], update),
    )  # fmt: skip


def _loss_info(run: Run, alone: bool = False) -> numbers.LossInfo:
    if alone:
        return numbers.loss_info(run)
    return numbers.loss_info(run, ghost(run.course), pinned(run.experiment))


def _draw_formula(experiment: Experiment) -> None:
    """The layer as it is trained, in plain letters: a typeset formula is a first visit's longest file."""
    e = experiment
    factor = {
        ScalingRule.STANDARD: f"{e.alpha:g} / {e.rank}",
        ScalingRule.RSLORA: f"{e.alpha:g} / √{e.rank}",
        ScalingRule.CONSTANT: f"{e.alpha:g}",
    }[e.scaling_rule]
    formula = f"W = W₀ + ({factor}) A B"
    shapes = [
        f"{name} ({rows} × {columns})"
        for name, rows, columns in (
            ("W₀", e.in_features, e.out_features), ("A", e.in_features, e.rank), ("B", e.rank, e.out_features)
        )
    ]  # fmt: skip
    formula, base, A, B = (text.replace(" ", "\u00a0") for text in (formula, *shapes))  # never broken
    st.markdown(f"**{formula}**, with {base} frozen, {A} and {B} trained.")


def _draw_next_steps(run: Run) -> None:
    """Next steps of a run without changes on the way: a step is another experiment, from the start."""
    steps = [] if run.course.changes else next_steps(run, verdict(run).kind)
    if steps:
        st.markdown("**Try next**", width="content")
    for step in steps:
        st.button(step.label, key=f"try {step.label}", on_click=set_fields, args=(step.experiment,))


def _draw_tables(run: Run) -> None:
    """Both charts as words and numbers, for those who cannot see them."""
    if st.toggle("Charts as tables", key="tables"):
        st.dataframe(pd.DataFrame(numbers.table(_loss_info(run))), hide_index=True, height=250)
        st.table(pd.DataFrame(share.table(run.last)), border="horizontal")
