"""The number of updates that all pages show, chosen on the playground's scrub bar or on the time machine.

It is kept as ``st.session_state["epoch"]``, None for the last update, and survives a change of page.
"""

import streamlit as st

EPOCH = "epoch"


def chosen_epoch() -> int | None:
    """The chosen number of updates, None for the last."""
    chosen: int | None = st.session_state.get(EPOCH)
    return chosen


def choose_epoch(updates: int, last: int) -> None:
    """Choose a number of updates; ``last`` is kept as None, so that it means the end of a longer run too."""
    st.session_state[EPOCH] = updates if updates < last else None


def forget_epoch() -> None:
    """Choose the last update again."""
    st.session_state[EPOCH] = None
