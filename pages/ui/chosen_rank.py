"""The rank, where a fragment of a page lets a hand choose it."""

import streamlit as st

from lora_core.experiment import Experiment


def follow_finger(experiment: Experiment) -> None:
    """At the head of a fragment that holds a handle: a rank chosen there is the whole page's business."""
    if st.session_state.get("rank", experiment.rank) != experiment.rank:
        st.rerun()
