"""The sidebar's scenes: experiments worth a look, each a click away."""

import streamlit as st

from lora_core.presets import PRESETS
from pages.ui.controls import set_fields


def draw_scenes() -> None:
    """The presets, each a click away, with its sentence; drawn while they are unfolded.

    Folded they would still be sent and laid out at every move of a slider, a fifth of what its answer costs
    the browser.
    """
    with st.expander("Scenes", key="scenes", on_change="rerun") as folder:
        for name, preset in PRESETS.items() if folder.open else ():
            st.button(
                preset.title,
                key=f"scene {name}",
                on_click=set_fields,
                args=(preset.experiment,),
                width="stretch",
            )
            st.caption(preset.sentence)
