"""Buttons of the code page that put another experiment on the sliders, and say so."""

import streamlit as st

from lora_core.experiment import Experiment
from pages.code.words import Words
from pages.runtime.callbacks import run_to_completion
from pages.ui.controls import set_fields
from pages.ui.link import name_of


def try_button(
    words: Words, label: str, target: Experiment, experiment: Experiment, key: str | None = None
) -> None:
    """A button that sets the sliders to ``target``; it is disabled where they hold that already."""
    said = words("words.tried", fields=name_of(target, experiment))
    st.button(
        label, key=key, icon=":material/tune:", disabled=target == experiment, on_click=_set,
        args=(target, said),
    )  # fmt: skip


@run_to_completion
def _set(target: Experiment, said: str) -> None:
    set_fields(target)
    st.toast(said, icon=":material/tune:")
