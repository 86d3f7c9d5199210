"""Changes in the middle of the run: as the session keeps them, and as a link carries them.

``course=60:rank=4~120:learning_rate=0.003`` in the link. The sidebar holds how the run starts; with "changes
apply: from here on" a move of one of its controls becomes a change after the update that the playback shows.
"""

from typing import Any

import streamlit as st

from lora_core.course import CHANGEABLE, MOST_CHANGES, Change, Course, parse_changes, text_of
from lora_core.experiment import LIMITS, Experiment
from pages.runtime.callbacks import run_to_completion
from pages.runtime.from_browser import sent_number
from pages.ui.beside import BEFORE, SHOWN
from pages.ui.chosen_epoch import choose_epoch, chosen_epoch
from pages.ui.text import harmless

LINK = "course"
_CHANGES, _FROM_HERE, _TROUBLE = "changes on the way", "changes apply from here", "one change too many"
CHART = "loss"
"""Key of the playground's live chart, which reports the update that it shows as ``epoch``."""
WORDS = {
    "rank": "rank", "alpha": "alpha", "scaling_rule": "scaling", "optimizer": "optimizer",
    "learning_rate": "learning rate", "lr_ratio": "LoRA+ ratio",
}  # fmt: skip


def read_course_link() -> list[str]:
    """Take the changes of the link at a session's first page; returns a complaint if they cannot be read."""
    if _CHANGES in st.session_state:
        return []
    text = st.query_params.get(LINK, "")
    try:
        st.session_state[_CHANGES] = parse_changes(text)
    except ValueError as error:
        st.session_state[_CHANGES] = ()
        return [f"The course in the link was left out: `{harmless(str(error), 300)}`"]
    return []


def write_course_link() -> None:
    """Write the session's changes into the link, if they are not there."""
    text = course_words().get(LINK, "")
    if text and st.query_params.get(LINK) != text:
        st.query_params[LINK] = text
    elif not text and LINK in st.query_params:
        del st.query_params[LINK]


def course_words() -> dict[str, str]:
    """The changes as a link writes them; empty without any."""
    text = text_of(changes())
    return {LINK: text} if text else {}


def changes() -> tuple[Change, ...]:
    """The session's changes; some may lie beyond the last update."""
    found: tuple[Change, ...] = st.session_state.get(_CHANGES, ())
    return found


def set_changes(new: tuple[Change, ...]) -> None:
    """Put other changes in the session; for callbacks."""
    st.session_state[_CHANGES] = tuple(new)


def shown_course(experiment: Experiment) -> Course:
    """The experiment with the session's changes, as far as it is trained."""
    return Course(experiment, tuple(each for each in changes() if each.update <= experiment.epochs))


def from_here() -> bool:
    """Whether a move of a control changes the course from the shown update on."""
    return bool(st.session_state.get(_FROM_HERE))


def apply_from(here: bool) -> None:
    """Choose whether changes apply from here on; for callbacks."""
    st.session_state[_FROM_HERE] = here


def update_here(course: Course) -> int:
    """The update that the playback shows, 0..epochs."""
    chosen = chosen_epoch()
    return course.experiment.epochs if chosen is None else min(chosen, course.experiment.epochs)


def trouble() -> str | None:
    """Why the last change was not made, once; None if it was."""
    found: str | None = st.session_state.pop(_TROUBLE, None)
    return found


@run_to_completion
def control_moved(name: str) -> None:
    """Make a moved control of the sidebar a change of the course, and return the control to the start."""
    shown, value = st.session_state.get(SHOWN), st.session_state.get(name)
    if shown is None or value is None or value == getattr(shown.experiment, name):
        return
    try:
        LIMITS[name].read(name, value)
    except ValueError:  # of a forged message: the control then takes its default
        return
    change_here(name, value)
    start = getattr(shown.experiment, name)
    st.session_state[name] = str(start) if isinstance(start, str) else start


def change_here(name: str, value: Any) -> None:
    """Let ``name`` have a value from the shown update on; the run without it becomes the ghost."""
    shown: Course = st.session_state[SHOWN]
    reported = sent_number(CHART, "epoch", range(shown.experiment.epochs + 1))
    if reported is not None:  # of this very moment: the callback of the chart may come later
        choose_epoch(reported, shown.experiment.epochs)
    at = update_here(shown)
    value = LIMITS[name].read(name, value)
    kept = tuple(each for each in shown.changes if (each.update, each.field) != (at, name))
    without = Course(shown.experiment, kept)
    if len(kept) >= MOST_CHANGES:
        st.session_state[_TROUBLE] = f"A run may change {MOST_CHANGES} times: take one change back first."
        return
    same = getattr(without.in_force(at), name) == value
    course = without if same else without.with_change(at, name, value)
    _show(course, without)


def take_back(change: Change) -> None:
    """Run without a change; the run with it becomes the ghost."""
    set_changes(tuple(each for each in changes() if each != change))


def move(change: Change, update: int) -> None:
    """Let a change happen at another update; one of the same field there gives way."""
    shown: Course = st.session_state[SHOWN]
    at = max(0, min(update, shown.experiment.epochs))
    kept = [e for e in changes() if e != change and (e.update, e.field) != (at, change.field)]
    set_changes(tuple(sorted([*kept, change._replace(update=at)], key=_order)))


def _order(change: Change) -> tuple[int, int]:
    return change.update, CHANGEABLE.index(change.field)


def _show(course: Course, without: Course) -> None:
    """Put a course on the screen; changes beyond its last update stay in the session."""
    beyond = tuple(each for each in changes() if each.update > course.experiment.epochs)
    set_changes((*course.changes, *beyond))
    st.session_state[SHOWN], st.session_state[BEFORE] = course, without if course != without else None


def course_sentence(course: Course) -> str:
    """What changes on the way, for a page that looks at the run."""
    words = ", ".join(f"{words_of_change(each)} at update {each.update}" for each in course.changes)
    return f"This run changes on its way: {words}."


def words_of_change(change: Change) -> str:
    """A change as its mark and its button say it: rank 4."""
    value = f"{change.value:g}" if isinstance(change.value, float) else str(change.value)
    return f"{WORDS[change.field]} {value}"
