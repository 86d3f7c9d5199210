"""What stands beside the run on the playground, as the session keeps it: pins, and the run before."""

import streamlit as st

SHOWN, BEFORE, PINS = "shown experiment", "experiment before", "pinned experiments"
"""Keys in the session: the experiment on the screen, the one before it, and the pinned ones."""


def forget_beside() -> None:
    """Let nothing stand beside the next run; for callbacks."""
    for key in (SHOWN, BEFORE):
        st.session_state.pop(key, None)
    st.session_state[PINS] = []
