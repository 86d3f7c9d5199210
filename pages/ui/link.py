"""The page's address: every field of ``Experiment`` by its name, where it differs from the default.

What a link says wrongly is told, and the default stands in for it.
"""

from typing import Any, NamedTuple
from urllib.parse import urlencode

import streamlit as st

from lora_core.experiment import LIMITS, Experiment
from pages.ui.controls import CONTROLS, DEFAULT, offer, value_text
from pages.ui.text import harmless


def differences(experiment: Experiment, other: Experiment = DEFAULT) -> dict[str, str]:
    """The fields in which an experiment differs from another, as a link writes them."""
    pairs = ((name, getattr(experiment, name)) for name in CONTROLS)
    return {name: value_text(value) for name, value in pairs if value != getattr(other, name)}


def words_of_controls() -> dict[str, str]:
    """What the controls hold, as a link writes it, less the defaults.

    Not what the experiment makes of it: on digits a size reads 64 or 10 whatever its control holds.
    """
    pairs = ((name, value_text(st.session_state[name])) for name in CONTROLS)
    return {name: text for name, text in pairs if text != value_text(getattr(DEFAULT, name))}


def name_of(other: Experiment, experiment: Experiment) -> str:
    """What sets another experiment apart from the one on the screen, in at most two differences."""
    apart = [
        f"{CONTROLS[name].label.lower()} {value}" for name, value in differences(other, experiment).items()
    ]
    if not apart:
        return "this run"
    return ", ".join(apart[:2]) + (f" and {len(apart) - 2} more" if len(apart) > 2 else "")


class Link(NamedTuple):
    """What a link says: the fields it sets, the words of those it writes in its own way, what is wrong."""

    fields: dict[str, Any]
    reworded: dict[str, str]
    complaints: list[str]


def read_link() -> Link:
    """Read the link's fields; values within their limits join their slider's options.

    A slider takes from a link only what it would write itself, so 1e-2 has to be reworded as 0.01.
    """
    link = Link({}, {}, [])
    for name, control in CONTROLS.items():
        raw = st.query_params.get(name)
        if raw is None:
            continue
        try:
            value = LIMITS[name].read(name, LIMITS[name].parse(raw.strip()))
        except ValueError:
            default = value_text(getattr(DEFAULT, name))
            link.complaints.append(
                f"{control.label} in the link is `{harmless(raw)}`: it must be {LIMITS[name]}. "
                f"It is {default} now."
            )
            del st.query_params[name]
            continue
        offer(name, value)
        link.fields[name] = value
        if raw != value_text(value):
            link.reworded[name] = value_text(value)
    return link


def link_to(experiment: Experiment, **more: str) -> str:
    """The address of this page with this experiment: only what differs from the default is in it."""
    query = urlencode(differences(experiment) | {name: value for name, value in more.items() if value})
    base = (st.context.url or "").partition("?")[0]
    return f"{base}?{query}" if query else base
