"""On stage: a talk of ten minutes, run on keys alone, in which the room guesses before it sees."""

import streamlit as st

from pages.stage.acts import act_on_keys
from pages.stage.state import arrive
from pages.ui.frame import begin_alone, begin_without_controls

if "notes" in st.query_params:
    begin_alone("Speaker's notes")
    from pages.stage.notes import show_notes

    show_notes(st.query_params["notes"])
else:
    act_on_keys()
    stage = arrive("On stage")
    begin_without_controls("On stage", stage.name)

    # After the sidebar is on its way: torch takes more than a second to import.
    from pages.stage.page import show

    show(stage)
