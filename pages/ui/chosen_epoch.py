"""The number of updates that the pages look at, chosen on the playground's scrub bar or on the time machine.

It is kept as ``st.session_state["epoch"]``, None for the last, and outlives a change of page.
"""

import streamlit as st

EPOCH = "epoch"


def chosen_epoch() -> int | None:
    """The number of updates that a hand or the link chose, None for the last."""
    chosen: int | None = st.session_state.get(EPOCH)
    return chosen


def choose_epoch(updates: int, last: int) -> None:
    """Look at the layer after so many updates; the ``last`` stays the last, however long another run is."""
    st.session_state[EPOCH] = updates if updates < last else None


def forget_epoch() -> None:
    """Look at the end again."""
    st.session_state[EPOCH] = None
