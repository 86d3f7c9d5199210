"""Presets in the sidebar and on the playground: experiments worth a look, each a click away."""

import streamlit as st

from lora_core.presets import PRESETS
from pages.ui.controls import set_fields


def draw_presets() -> None:
    """Draw the presets on a page that has room for them, in a popover."""
    with st.popover("Presets", icon=":material/auto_awesome:", key="presets", on_change="rerun") as list_:
        if list_.open:
            _draw_buttons()


def draw_preset_buttons() -> None:
    """Draw a button and a sentence for each preset, while the expander is open.

    Streamlit sends and lays out the contents of a closed expander at each rerun (seen in 1.67.0), here for a
    fifth of the browser's time.
    """
    with st.expander("Presets", key="presets", on_change="rerun") as folder:
        if folder.open:
            _draw_buttons()


def _draw_buttons() -> None:
    for name, preset in PRESETS.items():
        st.button(
            preset.title,
            key=f"scene {name}",
            on_click=set_fields,
            args=(preset.experiment, preset.changes),
            width="stretch",
        )
        st.caption(preset.sentence)
