"""The playground's picture: verdict, five numbers, the live loss chart, the trainable share, the formula."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lora_core.experiment import Experiment, ScalingRule
from lora_core.figures import share
from lora_core.figures.loss import numbers
from lora_core.findings.next_steps import next_steps
from lora_core.findings.verdict import verdict
from lora_core.formatting import loss_text, percent_text
from lora_core.theory import floor_at
from lora_core.training.history import History
from lora_core.training.run import Run
from pages.components.live_chart import live_chart
from pages.components.still_chart import steady_chart
from pages.playground.comparisons import draw_pins, ghost, pinned, remember
from pages.playground.exports import draw_exports
from pages.playground.rank_scrubber import draw_finger, draw_finger_toggle
from pages.runtime.runs import RUNS, advance_run, finished_run, kept_run, warm_up
from pages.ui.chosen_epoch import choose_epoch
from pages.ui.chosen_rank import follow_finger
from pages.ui.controls import set_fields
from pages.ui.link import name_of

_LAST = "last finished experiment"
HEIGHT = 390
"""Of both columns, in CSS pixels: what 1280 x 720 leaves under a verdict of two lines."""
TOGGLE = 40
"""Of the toggle under the share chart, with the gap above it."""
_MEANS = {
    "Trainable share": "What LoRA trains of all numbers of the adapted layer, the frozen ones included. The "
    "chart above compares with what full fine-tuning trains.",
    "Final loss": "Mean squared error on the training sample after the last update.",
    "Loss so far": "Mean squared error on the training sample after the last update so far.",
    "Left by optimizer": "Final loss less the floor of this rank: what more updates could still win.",
    "Cost of the rank": "Floor of this rank less full fine-tuning's: what no optimizer can win at this rank.",
    "Held-out loss": "Mean squared error on samples that were not trained on.",
    "Held-out accuracy": "Digits read rightly, of those that were not trained on.",
}
"""The five numbers in other words."""


def show(experiment: Experiment) -> None:
    """Draw the experiment: trained already, or growing."""
    warm_up()
    remember(experiment)
    run = finished_run(experiment)
    # One place for both, so that the charts of a run that has grown up stay where they are. What has buttons
    # stands outside: a button in a fragment would rerun the fragment alone.
    st.fragment(_picture, run_every=RUNS.tick() if run is None else None)(experiment)
    draw_pins(experiment)
    _draw_formula(experiment)
    if run is not None:
        _draw_next_steps(run)
        draw_exports(run)
        _draw_tables(run)


def _picture(experiment: Experiment) -> None:
    """Verdict, numbers and charts of the run; one that grows is a little further at every call."""
    follow_finger(experiment)
    words = st.container(key="verdict")
    left, right = st.columns([0.6, 0.4])
    with right:
        _draw_share(experiment)  # counted, not trained: a large layer has it at once
        finger = draw_finger_toggle()
    finished = kept_run(experiment)
    with words:
        run = finished or advance_run(experiment, meanwhile=lambda: _draw_last(left, experiment))
        st.markdown(f"### {verdict(run).sentence}")
    with left:
        _draw_loss(run)
    _draw_numbers(run)
    if finger:
        with left:
            draw_finger(experiment)
    if run.complete:
        st.session_state[_LAST] = experiment
        if finished is None:
            st.rerun()


def _draw_last(place: DeltaGenerator, experiment: Experiment) -> None:
    """The last finished curve stays on the screen while the room is busy."""
    last = st.session_state.get(_LAST)
    run = None if last is None else kept_run(last)
    if run is not None:
        st.caption(f"Until then the chart shows the run before: {name_of(run.experiment, experiment)}.")
        with place:
            _draw_loss(run, alone=True)


def _draw_numbers(run: Run) -> None:
    e, info, lora, full = run.experiment, share.share_info(run.experiment), run.lora, run.full
    floors = np.array([np.nan]) if run.known_floors is None else run.known_floors
    floor, full_floor = floor_at(floors, e.rank), float(floors[-1])
    left = np.nan if lora.diverged_at is not None else np.maximum(0.0, lora.loss[-1] - floor)
    trained = f"{info.trainable:,} of {info.total:,}"
    loss_label = "Final loss" if run.complete else "Loss so far"
    numbers = [
        ("Trainable share", percent_text(info.trainable / info.total), trained),
        (loss_label, _last(lora, "loss"), f"full: {_last(full, 'loss')}"),
        ("Left by optimizer", loss_text(left), f"floor {loss_text(floor)}"),
        ("Cost of the rank", loss_text(floor - full_floor), f"full's floor {loss_text(full_floor)}"),
    ]
    if lora.test_accuracy is None:
        numbers.append(("Held-out loss", _last(lora, "test_loss"), f"full: {_last(full, 'test_loss')}"))
    else:
        other = f"full: {_last(full, 'test_accuracy', percent_text)}"
        numbers.append(("Held-out accuracy", _last(lora, "test_accuracy", percent_text), other))
    with st.container(horizontal=True):
        for label, value, note in numbers:
            st.metric(
                label, value, note, delta_color="off", delta_arrow="off", border=True, help=_MEANS[label]
            )


def _last(history: History, curve: str, text: Callable[[float], str] = loss_text) -> str:
    """The last value of a curve in words; after a divergence it would be that of an update long past."""
    return "diverged" if history.diverged_at is not None else text(getattr(history, curve)[-1])


def _draw_loss(run: Run, alone: bool = False) -> None:
    e, info = run.experiment, _loss_info(run, alone)
    live_chart(
        info, run_id=run.fingerprint, epochs=e.epochs, key="loss", height=HEIGHT,
        streaming=None if run.complete else (run.updates, e.epochs),
        on_epoch=partial(choose_epoch, last=run.updates),
    )  # fmt: skip


def _loss_info(run: Run, alone: bool = False) -> numbers.LossInfo:
    e = run.experiment
    return numbers.loss_info(run) if alone else numbers.loss_info(run, ghost(e), pinned(e))


def _draw_share(experiment: Experiment) -> None:
    info = share.share_info(experiment)
    steady_chart(share.share_drawing(info), key="share", alt=share.alt_text(info), height=HEIGHT - TOGGLE)


def _draw_formula(experiment: Experiment) -> None:
    e = experiment
    factor = {
        ScalingRule.STANDARD: rf"\tfrac{{{e.alpha:g}}}{{{e.rank}}}",
        ScalingRule.RSLORA: rf"\tfrac{{{e.alpha:g}}}{{\sqrt{{{e.rank}}}}}",
        ScalingRule.CONSTANT: f"{e.alpha:g}",
    }[e.scaling_rule]
    size = rf"{e.in_features} \times {e.out_features}"
    st.markdown(
        rf"$W = W_0 + {factor}\,A\,B$, with $W_0$ (${size}$) frozen, "
        rf"$A$ (${e.in_features} \times {e.rank}$) and $B$ (${e.rank} \times {e.out_features}$) trained."
    )


def _draw_next_steps(run: Run) -> None:
    steps = next_steps(run, verdict(run).kind)
    if steps:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**Try next**", width="content")
            for step in steps:
                st.button(step.label, key=f"try {step.label}", on_click=set_fields, args=(step.experiment,))


def _draw_tables(run: Run) -> None:
    """Both charts as words and numbers, for those who cannot see them."""
    if st.toggle("Charts as tables", key="tables"):
        st.dataframe(pd.DataFrame(numbers.table(_loss_info(run))), hide_index=True, height=250)
        st.table(pd.DataFrame(share.table(share.share_info(run.experiment))), border="horizontal")
