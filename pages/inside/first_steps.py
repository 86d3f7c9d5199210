"""Inside the layer: who moves first, A or B."""

import streamlit as st

from lora_core.experiment import Experiment
from lora_core.figures.inside import first_steps
from lora_core.formatting import loss_text
from lora_core.training.run import Run
from pages.components.still_chart import steady_chart


def draw_start(run: Run) -> None:
    """Gradient norms of A and B over the first updates, and of every way to start."""
    st.header("Who moves first", anchor=False)
    info, ways = _start(run.experiment, run)
    st.markdown(_first_mover(info, run.dead))
    left, right = st.columns([0.55, 0.45])
    norms = "; ".join(
        f"{name} {', '.join(map(loss_text, all_[:5]))}" for name, all_ in info.gradients.items()
    )
    alt = f"Norms of the gradients of A and B before each of the first updates: {norms}"
    with left:
        steady_chart(first_steps.draw_start(info), key="start", alt=alt)
    right.caption("Norms before the first update, for every way to start")
    right.table(
        {
            "Init": [str(way.init) for way in ways],
            "Error": [loss_text(way.loss) for way in ways],
            "Gradient of A": [loss_text(way.gradients[0]) for way in ways],
            "Gradient of B": [loss_text(way.gradients[1]) for way in ways],
            "Moves": [way.moves for way in ways],
        },
        border="horizontal",
    )


def _first_mover(info: first_steps.StartInfo, dead: bool) -> str:
    A, B = (info.gradients[name][0] for name in ("A", "B"))
    if dead:
        return "A dead start: A and B are both zero, so both gradients are exactly 0, and stay so."
    if A == 0:
        moved = info.moved["A"]
        second = (
            f"; the second moves A too, by {loss_text(moved[2])}." if len(moved) > 2 and moved[2] > 0 else "."
        )
        return (
            f"B is zero, so the gradient of A is exactly {loss_text(A)} and that of B {loss_text(B)}. The "
            f"first update moves B by {loss_text(info.moved['B'][1])} and A by {loss_text(moved[1])}{second}"
        )
    return (
        f"Both factors start random, so both move at once: the gradient of A is {loss_text(A)}, that of B "
        f"{loss_text(B)}."
    )


@st.cache_resource(show_spinner=False, max_entries=64)
def _start(experiment: Experiment, _run: Run) -> tuple[first_steps.StartInfo, list[first_steps.Beginning]]:
    problem = _run.problem
    return first_steps.start_info(experiment, problem), first_steps.beginnings(experiment, problem)
