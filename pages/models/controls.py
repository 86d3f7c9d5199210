"""Controls of the page of real models, bound to the link, and what a link says wrongly of one.

Their keys begin with `model_`, so that no link takes them for a field of the playground's experiment.
"""

from collections.abc import Container, Sequence
from typing import Any

import streamlit as st

from pages.ui.choice import choose_one
from pages.ui.text import harmless

DEFAULTS: dict[str, Any] = {}
"""What every control of the page has held first, by its key: what a reset puts back."""
_COMPLAINTS = "complaints of the real models"


def choose_segment(label: str, options: Sequence[str], default: str, key: str, words: str) -> str:
    """Buttons of which one is down, bound to the link; a value of the link that is none of them is told."""
    check_link(key, label, options, default, "one of " + ", ".join(options))
    chosen = st.segmented_control(
        label, options, default=default, required=True, key=key, bind="query-params", help=words
    )
    return str(chosen or default)


def pick(label: str, options: Sequence[str], default: str, key: str, **more: Any) -> str:
    """A selectbox bound to the link; a value of the link that is not among the options is told."""
    check_link(key, label, options, default)
    index = options.index(default)
    return choose_one(label, options, index, key=key, bind="query-params", **more)


def toggle(label: str, key: str, words: str, on: bool = False, reason: str = "") -> bool:
    """A switch bound to the link; with a `reason` it is disabled, off, and says why."""
    check_link(key, label, ("true", "false"), str(on).lower(), "true or false")
    found = st.toggle(label, on, key=key, bind="query-params", help=reason + words, disabled=bool(reason))
    return found and not reason


def check_link(
    key: str, label: str, allowed: Container[str], default: str, rule: str = "one of the choices below"
) -> None:
    """Tell what a link says wrongly about a control that is about to be drawn for the first time."""
    DEFAULTS.setdefault(
        key, {"false": False, "true": True, "empty": None, "left out": []}.get(default, default)
    )
    if key in st.session_state:
        return
    for raw in st.query_params.get_all(key):
        if raw not in allowed:
            complain(f"{label} in the link is `{harmless(raw)}`: it must be {rule}. It is {default} now.")


def complain(sentence: str) -> None:
    """Note what is wrong; `complaints` tells it where the page has room for it."""
    st.session_state.setdefault(_COMPLAINTS, []).append(sentence)


def complaints() -> list[str]:
    """Complaints of this script run, each told once."""
    return list(st.session_state.pop(_COMPLAINTS, []))
