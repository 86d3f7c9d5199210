"""The sidebar's scenes: experiments worth a look, each a click away."""

import streamlit as st

from lora_core.presets import PRESETS
from pages.ui.controls import set_fields


def draw_presets() -> None:
    """The presets on a page that has room for them, in a list that opens."""
    with st.popover("Presets", icon=":material/auto_awesome:", key="presets", on_change="rerun") as list_:
        if list_.open:
            _draw_buttons()


def draw_scenes() -> None:
    """Draw a button and a sentence for each preset, while the expander is open.

    Drawn in a closed expander they would be sent and laid out at each rerun, a fifth of the browser's time
    for it.
    """
    with st.expander("Presets", key="presets", on_change="rerun") as folder:
        if folder.open:
            _draw_buttons()


def _draw_buttons() -> None:
    for name, preset in PRESETS.items():
        st.button(
            preset.title, key=f"scene {name}", on_click=set_fields, args=(preset.experiment,), width="stretch"
        )
        st.caption(preset.sentence)
