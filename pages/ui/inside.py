"""The page inside the layer: its sections, and the number of updates that they all look at.

What was chosen on the time machine is kept as ``st.session_state["epoch"]``, None for the last, and in the
link as ``epoch``, so that it outlives a change of page and of experiment.
"""

import time

import pandas as pd
import streamlit as st

from lora_core.experiment import Experiment, Task
from lora_core.figures.inside_matrices import MatricesInfo, matrices_info, nearest, table
from lora_core.numbers import loss_text, plural
from lora_core.training import Run
from pages.ui.caches import finished_run, grown_run, warm_up
from pages.ui.controls import harmless
from pages.ui.inside_digits import draw_digits
from pages.ui.inside_input import draw_input
from pages.ui.inside_parts import draw_parts
from pages.ui.inside_proofs import draw_geometry, draw_merge, draw_start
from pages.ui.time_machine import pack, time_machine

TICK = 0.25
"""Seconds between two looks at a run that grows."""
LATEST = 2.0
"""Seconds after which the other sections follow even if the browser has not said that it painted the maps."""
EPOCH, MACHINE, _OPENED = "epoch", "time machine", "time machine opened"


def show(experiment: Experiment) -> None:
    """Draw the sections of a trained run, or let it grow first."""
    st.header("Inside the layer", anchor=False)
    _take_link()
    warm_up()
    run = finished_run(experiment)
    if run is not None:
        _draw(run)
    else:
        st.fragment(_grow, run_every=TICK)(experiment)


def _grow(experiment: Experiment) -> None:
    run = grown_run(experiment)
    if run.complete:
        st.rerun()
    done = f"{run.updates:,} of {plural(experiment.epochs, 'update')}"
    st.progress(run.updates / experiment.epochs, f"Training: {done} done. The layer opens at the last.")
    st.page_link("app.py", label="Watch the loss fall on the playground", icon=":material/tune:")


@st.fragment
def _draw(run: Run) -> None:
    """A fragment, so that what the sidebar and the link had to say stays while the epoch moves."""
    info = _matrices(run.experiment, run)
    _keep_link(info)
    fresh = MACHINE not in st.session_state
    at = _draw_machine(run, info)
    if fresh:
        # The other figures would keep the browser busy for a second before it painted the maps.
        st.fragment(_follow, run_every=LATEST)(time.monotonic())
        return
    if run.experiment.task is Task.DIGITS:
        draw_digits(run, at)
    draw_input(run, at)
    draw_parts(run, at)
    draw_start(run)
    draw_merge(run, at)
    draw_geometry(run, at)


def _follow(since: float) -> None:
    """Called at once, and again if nothing has rerun the page by then."""
    if time.monotonic() - since > LATEST / 2:
        st.rerun()


def _draw_machine(run: Run, info: MatricesInfo) -> int:
    """The time machine; returns the number of updates that the rest of the page looks at."""
    at = nearest(info.updates, st.session_state.get(EPOCH))
    opened = st.session_state.get(_OPENED)
    # The message says where to open, so it may change only with the run, or when the component is new.
    if MACHINE not in st.session_state or opened is None or opened[0] != run.fingerprint:
        opened = st.session_state[_OPENED] = (run.fingerprint, at)
    st.subheader("The matrices after any number of updates", anchor=False)
    time_machine(_message(run.experiment, opened[1], run, info), key=MACHINE, on_epoch=_choose)
    index = info.updates.index(at)
    e, norms = run.experiment, info.norms
    st.markdown(
        f"After {plural(at, 'update')} A and B, {e.rank * (e.in_features + e.out_features):,} numbers, "
        f"make a change of rank {info.ranks['delta'][index]} and norm {loss_text(norms['delta'][index])} "
        f"to a weight of rank {info.ranks['W0'][index]} and norm {loss_text(norms['W0'][index])}. "
        f"The loss is {loss_text(info.loss[index])}."
    )
    if run.lora.diverged_at is not None:
        st.caption(f"LoRA diverged at update {run.lora.diverged_at:,}; what it was before is kept.")
    if st.toggle("Every kept update as a table", key="matrices as a table"):
        st.dataframe(pd.DataFrame(table(info)), hide_index=True, height=250)
    return at


def _choose() -> None:
    chosen = st.session_state[MACHINE].get("epoch")
    if chosen is not None:
        st.session_state[EPOCH] = int(chosen)


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
    text, chosen = st.query_params.get(EPOCH), nearest(info.updates, st.session_state[EPOCH])
    if chosen == info.updates[-1]:
        if text is not None:
            del st.query_params[EPOCH]
    elif text != str(chosen):
        st.query_params[EPOCH] = str(chosen)


@st.cache_resource(show_spinner=False, max_entries=16)
def _matrices(experiment: Experiment, _run: Run) -> MatricesInfo:
    return matrices_info(_run)


@st.cache_data(show_spinner=False, max_entries=16)
def _message(experiment: Experiment, opens_at: int, _run: Run, _info: MatricesInfo) -> bytes:
    return pack(_info, run_id=_run.fingerprint, opens_at=opens_at, classes=experiment.task is Task.DIGITS)
