"""Rank of pages with a fragment that can change it."""

import streamlit as st

from lora_core.experiment import Experiment


def rerun_on_new_rank(experiment: Experiment) -> None:
    """Rerun the whole page if its fragment has changed the rank; called at the head of the fragment."""
    if st.session_state.get("rank", experiment.rank) != experiment.rank:
        st.rerun()
