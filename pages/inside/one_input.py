"""Inside the layer: one held-out input traced through, as a drawn flow."""

import streamlit as st

from lora_core.experiment import Task
from lora_core.figures.inside import digits as pictures
from lora_core.figures.inside import one_input
from lora_core.training.run import Run
from pages.inside.parts import INPUT
from pages.ui.theme import is_dark


def choose_input(run: Run) -> int:
    """The control for the held-out input that the page looks at, and its value."""
    last = len(run.problem.X_test) - 1
    if st.session_state.get(INPUT, 0) > last:
        st.session_state[INPUT] = last
    return int(st.number_input("Held-out input", 0, last, 0, key=INPUT, width=180))


def draw_input(run: Run, at: int) -> None:
    """The way of the input's numbers through base and adapter."""
    st.subheader("One input, all the way through", anchor=False)
    digits, snapshot = run.experiment.task is Task.DIGITS, run.lora.snapshots[at]
    index = choose_input(run)
    info = one_input.flow_info(run.problem, snapshot, run.experiment.scaling, index)
    name = f"digit {info.followed}" if digits else f"output {info.followed + 1}"
    if digits and run.problem.labels_test is not None:
        picture, words = st.columns([0.2, 0.8], vertical_alignment="center")
        picture.plotly_chart(
            pictures.draw_digits(run.problem.X_test[index : index + 1], is_dark()), key="digit",
            config={"staticPlot": True}, alt=f"Held-out digit {index}, 8 by 8 pixels.",
        )  # fmt: skip
        words.markdown(
            f"The label is **{int(run.problem.labels_test[index])}**. The base says "
            f"**{pictures.said(info.base)}**, with the adapter the layer says "
            f"**{pictures.said(info.y)}**."
        )
    st.plotly_chart(one_input.draw_flow(info, is_dark(), digits), key="flow", alt=one_input.alt_text(info))
    st.markdown(one_input.follow(info, name))
