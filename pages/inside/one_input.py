"""Inside the layer: one held-out input traced through, as a drawn flow."""

import streamlit as st

from lora_core.experiment import Task
from lora_core.figures.inside import digits as pictures
from lora_core.figures.inside import one_input
from lora_core.training.run import Run
from pages.components.still_chart import steady_chart
from pages.inside.chosen_input import choose_input


def draw_input(run: Run, at: int) -> None:
    """The way of the input's numbers through base and adapter."""
    digits, snapshot = run.experiment.task is Task.DIGITS, run.lora.snapshots[at]
    index = choose_input(run)
    info = one_input.flow_info(run.problem, snapshot, run.course.in_force(at).scaling, index)
    name = f"digit {info.followed}" if digits else f"output {info.followed + 1}"
    if digits and run.problem.labels_test is not None:
        picture, words = st.columns([0.2, 0.8], vertical_alignment="center")
        with picture:
            digit = pictures.draw_digits(run.problem.X_test[index : index + 1])
            steady_chart(digit, key="digit", alt=f"New digit {index}, 8 by 8 pixels.")
        words.markdown(
            f"The label is **{int(run.problem.labels_test[index])}**. The base says "
            f"**{pictures.said(info.base)}**, with the adapter the layer says "
            f"**{pictures.said(info.y)}**."
        )
    steady_chart(one_input.draw_flow(info, digits), key="flow", alt=one_input.alt_text(info))
    st.markdown(one_input.follow(info, name))
