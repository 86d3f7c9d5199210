"""The page inside the layer: its views, and the number of updates that they all look at.

That number, see ``ui/chosen_epoch``, is also in the link. A run that takes long is opened while it is
trained: the maps follow what is done so far, the other views come at the end.
"""

import time
from functools import partial
from typing import NamedTuple

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lora_core.course import Course
from lora_core.experiment import Experiment, Task
from lora_core.figures.inside.matrices import MatricesInfo, matrices_info, nearest, table
from lora_core.formatting import loss_text, plural
from lora_core.training.history import DIVERGED
from lora_core.training.run import Run
from pages.components.time_machine import pack, time_machine
from pages.inside.chosen_input import ONE_INPUT, VIEW
from pages.inside.digits import draw_gallery, draw_pictures
from pages.inside.directions import draw_geometry
from pages.inside.first_steps import draw_start
from pages.inside.merge import draw_merge
from pages.inside.one_input import draw_input
from pages.inside.parts import draw_parts
from pages.runtime.runs import RUNS, advance_run, finished_run, warm_up
from pages.ui.chosen_epoch import EPOCH, choose_epoch, chosen_epoch
from pages.ui.on_the_way import course_sentence, shown_course
from pages.ui.text import harmless

SHARE = 0.25
"""Of the time of a run that grows, what its maps may take."""
GALLERY, MATRICES, PARTS, PROOFS = "Fixed and broken", "Matrices", "Parts", "Proofs"
MACHINE, _OPENED, _PARTIAL = "time machine", "time machine opened", "matrices of a run that grows"


class PartialMaps(NamedTuple):
    """A run as far as it was when its maps were made, the maps, and when they may follow it again."""

    run: Run
    info: MatricesInfo
    again: float


def show(experiment: Experiment) -> None:
    """Draw the sections of a trained run, or its maps while it grows."""
    st.title("Inside the layer", anchor=False)
    st.markdown(
        "A LoRA layer is a frozen weight W₀ and a change s·A·B, made of two thin matrices A and B. "
        "Training moves only these two." + (" Here it moves the bias too." if experiment.train_bias else "")
    )
    _take_link()
    warm_up()
    course = shown_course(experiment)
    if course.changes:
        st.caption(course_sentence(course))
    run = finished_run(course)
    st.fragment(_draw, run_every=RUNS.tick() if run is None else None)(course)


def _draw(course: Course) -> None:
    """A fragment, so that what the sidebar and the link had to say stays while epoch or view change."""
    news, said = st.container(), st.container()  # always there, so that the maps keep their place
    run = finished_run(course)
    room, view = _view(course.experiment)
    if run is None:
        with news:
            growing = _grow(course)
        growing, info, _ = _partial_maps(growing)
    else:
        growing, info = run, _matrices(course, run)
        st.session_state.pop(_PARTIAL, None)
        _keep_link(info)
    at = nearest(info.updates, chosen_epoch())
    with said:
        _draw_words(growing, info, at)
    with room:
        if view == MATRICES:
            _draw_machine(growing, info, at)
        if run is not None:
            _draw_view(view, run, at)


def _view(experiment: Experiment) -> tuple[DeltaGenerator, str]:
    """The tab that is open, and its name. Only that one is computed."""
    names = [MATRICES, ONE_INPUT, PARTS, PROOFS]
    if experiment.task is Task.DIGITS:
        names.insert(0, GALLERY)
    tabs = st.tabs(names, key=VIEW, bind="query-params")
    return next((tab, name) for tab, name in zip(tabs, names, strict=True) if tab.open)


def _draw_view(view: str, run: Run, at: int) -> None:
    if view == GALLERY:
        draw_gallery(run, at)
    elif view == ONE_INPUT:
        draw_input(run, at)
    elif view == PARTS:
        draw_parts(run, at)
    elif view == PROOFS:
        draw_start(run)
        draw_merge(run, at)
        draw_geometry(run, at)
    elif run.experiment.task is Task.DIGITS:
        draw_pictures(run, at)


def _grow(course: Course) -> Run:
    """Train a little further, and say how far the run is."""
    experiment, run = course.experiment, advance_run(course)
    if run.complete:
        st.rerun()
    done = f"{run.updates:,} of {plural(experiment.epochs, 'update')}"
    words = f"Training: {done} done. The other views follow at the end."
    st.progress(run.updates / experiment.epochs, words)
    return run


def _partial_maps(run: Run) -> PartialMaps:
    """The maps of a run that grows, a little behind it where they take long to make."""
    maps: PartialMaps | None = st.session_state.get(_PARTIAL)
    start = time.monotonic()
    if maps is None or maps.run.course != run.course or start > maps.again:
        info = matrices_info(run)
        seconds = time.monotonic() - start
        maps = st.session_state[_PARTIAL] = PartialMaps(run, info, time.monotonic() + seconds / SHARE)
    return maps


def _draw_words(run: Run, info: MatricesInfo, at: int) -> None:
    """The number of updates that every view looks at, in a sentence, and what is in its way."""
    st.markdown(_words(run, info, info.updates.index(at)))
    wanted = chosen_epoch()
    if wanted is not None and 0 <= wanted <= run.updates and wanted != at:
        st.caption(f"Update {wanted:,} was chosen: update {at:,} is the nearest whose A and B were kept.")
    if run.lora.diverged_at is not None:
        st.warning(
            f"LoRA diverged: at update {run.lora.diverged_at:,} its error was more than {DIVERGED:,.0f} "
            f"times the first, or not a number. The last kept before that is update {info.updates[-1]:,}.",
            icon=":material/trending_up:",
        )


def _draw_machine(run: Run, info: MatricesInfo, at: int) -> None:
    """The time machine, which chooses the number of updates, and all that it holds as a table."""
    opened = st.session_state.get(_OPENED)
    # The message says where to open, so it changes only with the run, or when the component is new.
    if MACHINE not in st.session_state or opened is None or opened[0] != run.fingerprint:
        opened = st.session_state[_OPENED] = (run.fingerprint, at)
    time_machine(
        _message(run.course, run.updates, opened[1], run, info), key=MACHINE,
        on_epoch=partial(choose_epoch, last=info.updates[-1]),
    )  # fmt: skip
    st.caption(
        "The norm is a matrix's size, the root of the sum of its squared entries; the rank is how many "
        "directions it has."
    )
    if st.toggle("Every kept update as a table", key="matrices as a table", persist_state="session"):
        st.dataframe(pd.DataFrame(table(info)), hide_index=True, height=250)


def _words(run: Run, info: MatricesInfo, index: int) -> str:
    e, norms, ranks = run.course.in_force(info.updates[index]), info.norms, info.ranks
    return (
        f"After {plural(info.updates[index], 'update')} A and B, "
        f"{e.rank * (e.in_features + e.out_features):,} numbers, make a change of rank "
        f"{ranks['delta'][index]} and norm {loss_text(norms['delta'][index])} to a weight of rank "
        f"{ranks['W0'][index]} and norm {loss_text(norms['W0'][index])}. "
        f"The error is {loss_text(info.loss[index])}."
    )


def _take_link() -> None:
    """Take the number of updates from the link, once a session."""
    text = st.query_params.get(EPOCH)
    if EPOCH in st.session_state:
        return
    st.session_state[EPOCH] = None
    if text is not None:
        try:
            st.session_state[EPOCH] = int(text)
        except ValueError:
            words = "it must be a whole number, the updates done. The last is shown."
            st.warning(f"Epoch in the link is `{harmless(text)}`: {words}", icon=":material/link_off:")


def _keep_link(info: MatricesInfo) -> None:
    """Keep the link in step with the number of updates shown."""
    text, chosen = st.query_params.get(EPOCH), nearest(info.updates, chosen_epoch())
    if chosen == info.updates[-1]:
        if text is not None:
            del st.query_params[EPOCH]
    elif text != str(chosen):
        st.query_params[EPOCH] = str(chosen)


@st.cache_resource(show_spinner=False, max_entries=16)
def _matrices(course: Course, _run: Run) -> MatricesInfo:
    return matrices_info(_run)


@st.cache_data(show_spinner=False, max_entries=16)
def _message(course: Course, updates: int, opens_at: int, _run: Run, _info: MatricesInfo) -> bytes:
    return pack(
        _info, run_id=_run.fingerprint, epochs=course.experiment.epochs, opens_at=opens_at,
        classes=course.experiment.task is Task.DIGITS,
    )  # fmt: skip
