"""Inside the layer: the held-out input that the views of one input and of parts look at."""

import streamlit as st

from lora_core.training.run import Run

INPUT, VIEW = "input", "view"
"""Keys of the controls for the input and for the view, the tab that is open."""
ONE_INPUT = "One input"


def trace(index: int) -> None:
    """Open the view of one input on this one; for callbacks."""
    st.session_state[INPUT], st.session_state[VIEW] = index, ONE_INPUT


def choose_input(run: Run) -> int:
    """The control for the held-out input, and its value."""
    last = len(run.problem.X_test) - 1
    if st.session_state.get(INPUT, 0) > last:
        st.session_state[INPUT] = last
    chosen = st.number_input(
        "New input", 0, last, 0, key=INPUT, width=180, persist_state="session",
        help=f"One of the {last + 1:,} inputs of the new data, which no training sees.",
    )  # fmt: skip
    return int(chosen)
