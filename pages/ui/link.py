"""The link of a page: the fields of ``Experiment`` that differ from the default, by name.

An invalid value in a link gives a warning and is replaced by the default.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

import streamlit as st

from lora_core.course import Course
from lora_core.experiment import LIMITS, Experiment
from lora_core.fields import FieldLimit
from pages.runtime.from_browser import page_address
from pages.ui.controls import CONTROLS, DEFAULT, offer, value_text
from pages.ui.on_the_way import words_of_change
from pages.ui.text import harmless


class LinkedFields(NamedTuple):
    """Fields that a link may hold: controls, limits, defaults, and how a value joins a slider's options.

    A field's parameter, which is its widget's key, is its name after `prefix`.
    """

    controls: Mapping[str, Any]
    limits: Mapping[str, FieldLimit]
    default: Any
    offer: Callable[[str, Any], None]
    prefix: str = ""


EXPERIMENT = LinkedFields(CONTROLS, LIMITS, DEFAULT, offer)


def differences(experiment: Experiment, other: Experiment = DEFAULT) -> dict[str, str]:
    """Fields in which an experiment differs from another, formatted for a link."""
    pairs = ((name, getattr(experiment, name)) for name in CONTROLS)
    return {name: value_text(value) for name, value in pairs if value != getattr(other, name)}


def words_of(fields: dict[str, Any], linked: LinkedFields = EXPERIMENT) -> dict[str, str]:
    """Fields as a link writes them, less the defaults."""
    texts = ((name, value_text(value)) for name, value in fields.items())
    return {
        f"{linked.prefix}{name}": text
        for name, text in texts
        if text != value_text(getattr(linked.default, name))
    }


def words_of_controls() -> dict[str, str]:
    """Values of the controls that differ from the default, formatted for a link.

    Not the experiment's values: on digits it has 64 and 10 features, whatever the controls hold.
    """
    return words_of({name: st.session_state[name] for name in CONTROLS})


def name_of(other: Experiment, experiment: Experiment) -> str:
    """Name of another experiment: at most two of its differences from the current one."""
    apart = [
        f"{CONTROLS[name].label.lower()} {value}" for name, value in differences(other, experiment).items()
    ]
    if not apart:
        return "this run"
    return ", ".join(apart[:2]) + (f" and {len(apart) - 2} more" if len(apart) > 2 else "")


def name_of_course(other: Course, course: Course) -> str:
    """Name of another course: as its experiment, if that differs, else what changes on its way."""
    if other.changes == course.changes:
        return name_of(other.experiment, course.experiment)
    way = ", ".join(f"{words_of_change(each)} at {each.update}" for each in other.changes[:2])
    way += f" and {len(other.changes) - 2} more" if len(other.changes) > 2 else ""
    start = "" if other.experiment == course.experiment else name_of(other.experiment, course.experiment)
    return ", ".join(each for each in (start, way or "without a change") if each)


class Link(NamedTuple):
    """Contents of a link: valid fields, texts of fields to be normalised, warnings."""

    fields: dict[str, Any]
    reworded: dict[str, str]
    complaints: list[str]


def read_link(linked: LinkedFields = EXPERIMENT) -> Link:
    """Read the link's fields; valid values join the options of their slider.

    A bound slider accepts only the text that it would write itself (seen in Streamlit 1.67.0), so 1e-2 has to
    be rewritten as 0.01.
    """
    link = Link({}, {}, [])
    for name, control in linked.controls.items():
        key, limit = f"{linked.prefix}{name}", linked.limits[name]
        raw = st.query_params.get(key)
        if raw is None:
            continue
        try:
            value = limit.read(name, limit.parse(raw.strip()))
        except ValueError:
            default = value_text(getattr(linked.default, name)) or "empty"
            link.complaints.append(
                f"{control.label} in the link is `{harmless(raw)}`: it must be {limit}. It is {default} now."
            )
            del st.query_params[key]
            continue
        linked.offer(name, value)
        link.fields[name] = value
        if raw != value_text(value):
            link.reworded[key] = value_text(value)
    return link


def link_to(experiment: Experiment, **more: str) -> str:
    """Link to this page with an experiment, without the fields that have their default."""
    return address(differences(experiment) | {name: value for name, value in more.items() if value})


def address(words: Mapping[str, str | list[str]]) -> str:
    """Link to this page with these query parameters; a list is a parameter that stands several times."""
    query = urlencode(words, doseq=True)
    base = page_address()._replace(query="", fragment="").geturl()
    return f"{base}?{query}" if query else base
