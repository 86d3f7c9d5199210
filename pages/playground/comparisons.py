"""What the live chart compares with: the run before this one, and the runs that a visitor pinned.

Pins travel in the link as what sets each apart from the default, whatever experiment the link itself is:
``pins=rank:4~rank:8,learning_rate:0.03``. So a moved slider never rewrites them, which would carry the rank
of that moment over a newer one in the address.
"""

from dataclasses import replace

import streamlit as st

from lora_core.course import Course
from lora_core.experiment import DATA_FIELDS, LIMITS, Experiment
from lora_core.training.run import Run
from pages.runtime.callbacks import run_to_completion
from pages.runtime.runs import finished_run
from pages.ui.beside import BEFORE as _BEFORE
from pages.ui.beside import PINS as _PINS
from pages.ui.beside import SHOWN as _SHOWN
from pages.ui.chosen_epoch import forget_epoch
from pages.ui.controls import DEFAULT
from pages.ui.link import differences, name_of, name_of_course
from pages.ui.on_the_way import from_here

MOST_PINS = 3


def remember(course: Course) -> None:
    """Note the course on the screen; the one it replaces becomes the ghost, and the new one is shown to its
    end, unless changes apply from the update that is shown."""
    shown = st.session_state.get(_SHOWN)
    if shown is not None and shown != course:
        st.session_state[_BEFORE] = shown
        if not from_here():
            forget_epoch()
    st.session_state[_SHOWN] = course
    if _PINS not in st.session_state:
        st.session_state[_PINS] = _read(st.query_params.get("pins", ""))
    written = "~".join(_words(pin) for pin in pins())
    if written != st.query_params.get("pins", ""):
        st.query_params["pins"] = written
        if not written:
            del st.query_params["pins"]


def pins() -> list[Experiment]:
    """The pinned experiments, in the order they were pinned."""
    return list(st.session_state.get(_PINS, []))


def ghost(course: Course) -> tuple[str, Run] | None:
    """Name and run of the course before this one, where both have the same data: else none compares."""
    before = st.session_state.get(_BEFORE)
    if before is None:
        return None
    one, other = before.experiment, course.experiment
    if before == course or any(getattr(one, name) != getattr(other, name) for name in DATA_FIELDS):
        return None
    run = finished_run(before, patience=0.0)
    return None if run is None else (f"Before: {name_of_course(before, course)}", run)


def pinned(experiment: Experiment) -> list[tuple[str, Run]]:
    """Names and runs of the pinned experiments that differ from this one."""
    found = (_named("Pinned", pin, experiment) for pin in pins() if pin != experiment)
    return [each for each in found if each is not None]


def draw_pins(course: Course) -> None:
    """Buttons to pin what is shown, and to unpin each or all."""
    experiment, kept = course.experiment, pins()
    reason = None
    if course.changes:
        reason = "A run that changes on its way cannot be pinned: its link keeps it."
    elif len(kept) >= MOST_PINS:
        reason = f"{MOST_PINS} runs are pinned: unpin one first."
    elif experiment in kept:
        reason = "This run is pinned already."
    st.button(
        "Pin this run", icon=":material/keep:", help=reason or "Keep this curve to compare with.",
        disabled=reason is not None, on_click=_change, args=([*kept, experiment],),
    )  # fmt: skip
    for index, pin in enumerate(kept):
        st.button(
            f"Unpin {name_of(pin, experiment)}", key=f"unpin {index}", icon=":material/keep_off:",
            on_click=_change, args=([each for each in kept if each != pin],),
        )  # fmt: skip
    if len(kept) > 1:
        st.button("Clear pins", icon=":material/clear_all:", on_click=_change, args=([],))


@run_to_completion
def _change(kept: list[Experiment]) -> None:
    keep_pins(kept)


def _named(word: str, other: Experiment, experiment: Experiment) -> tuple[str, Run] | None:
    run = finished_run(other, patience=0.0)  # it only stands beside: where others wait it is left out
    return None if run is None else (f"{word}: {name_of(other, experiment)}", run)


def keep_pins(kept: list[Experiment]) -> None:
    """Pin these instead of what is pinned; for callbacks."""
    st.session_state[_PINS] = kept[:MOST_PINS]


def _words(pin: Experiment) -> str:
    """A pin as a link writes it; its rank always, so that the default too has a word."""
    apart = {"rank": str(pin.rank)} | differences(pin)
    return ",".join(f"{name}:{value}" for name, value in apart.items())


def _read(text: str) -> list[Experiment]:
    """The pins that a link carries, less what cannot be read."""
    found: list[Experiment] = []
    for part in text.split("~")[:MOST_PINS] if text else ():
        pairs = [pair.partition(":") for pair in part.split(",") if pair]
        try:
            changes = {name: LIMITS[name].parse(value) for name, _, value in pairs}
            found.append(replace(DEFAULT, **changes))
        except (KeyError, ValueError):
            continue
    return list(dict.fromkeys(found))
