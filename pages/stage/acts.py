"""Acts of the stage by name, as keys and buttons request them.

An act only changes the ``Stage``; the widgets follow when the page is drawn. No act reads the session,
because Streamlit ends a callback there if a newer rerun has been requested (streamlit issue 10578, seen in
1.67.0).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from lora_core.choices import rank_choices
from lora_core.talk.scenes import Talk
from pages.runtime.from_browser import sent_acts
from pages.stage.state import HIDEABLE, STAGE, Stage, current

KEYS_KEY = "stage_keys"
"""Key of the component that listens to the keyboard."""
PRESENTER = ("sidebar", "buttons")
"""Parts of the page that a presentation hides."""


def open_talk(talk: Talk) -> None:
    """Open another talk at its first scene."""
    stage = current()
    st.session_state[STAGE] = Stage(
        talk, talk.scenes[0].name, hidden=stage.hidden, done=stage.done, address=stage.address, acted=True,
        keyed=True, shown=talk.scenes[0].experiment,
    )  # fmt: skip


def perform(stage: Stage, *acts: str) -> None:
    """Perform acts of ``ACTS`` by name, in order; unknown names are ignored."""
    for act in acts:
        stage.acted = stage.keyed = True
        name, _, argument = act.partition(" ")
        if name in ACTS:
            ACTS[name](stage, argument)


def act_on_keys() -> None:
    """Perform the keyboard's pending acts; called before the page is drawn.

    They stay in the session until newer ones replace them, so a rerun that is ended here leaves them to the
    next.
    """
    sent = sent_acts(KEYS_KEY, "acts")
    if sent is not None:
        perform_from_keys(current(), sent.first, sent.acts)


def perform_from_keys(stage: Stage, first: int, acts: Sequence[str]) -> None:
    """Perform the acts that have not been performed; ``first`` is the number of the first act in the list.

    The browser sends an act again until it is confirmed, so no key press is lost or counted twice. A
    ``first`` beyond this session's count belongs to an earlier session, which performed those acts.
    """
    if first <= stage.done:
        perform(stage, *list(acts)[stage.done - first :])
        stage.done = max(stage.done, first + len(acts))


def remember_guess(stage: Stage) -> None:
    """Record that the guess widget was used; its value is read when the page is drawn."""
    stage.moved = stage.acted = True


def _go(stage: Stage, place: int) -> None:
    scene = stage.talk.scenes[min(max(place, 0), len(stage.talk.scenes) - 1)]
    if scene.name != stage.name:
        stage.name, stage.shown = scene.name, scene.experiment


def _reveal(stage: Stage, _: str) -> None:
    stage.revealed ^= {stage.name}


def _move(stage: Stage, by: int) -> None:
    """Move the guess up or down, or to the next answer; after the reveal, move the rank."""
    scene = stage.scene
    if stage.is_revealed:
        further = [rank for rank in rank_choices(stage.shown.full_rank) if (rank - stage.shown.rank) * by > 0]
        if further:
            stage.shown = replace(stage.shown, rank=min(further) if by > 0 else max(further))
    elif scene.guess is not None:
        options, before = scene.guess.options, stage.guess
        start = options.index(before) if isinstance(before, float) else len(options) // 2
        stage.guesses[stage.name] = options[min(max(start + by, 0), len(options) - 1)]
    else:
        says = [choice.says for choice in scene.choices]
        start = says.index(str(stage.guess)) if stage.guess else -1 if by > 0 else 0
        stage.guesses[stage.name] = says[(start + by) % len(says)]


def _choose(stage: Stage, number: str) -> None:
    choices = stage.scene.choices
    if not stage.is_revealed and number.isdecimal() and 1 <= int(number) <= len(choices):
        stage.guesses[stage.name] = choices[int(number) - 1].says


def _present(stage: Stage, _: str) -> None:
    stage.hidden = () if stage.hidden else PRESENTER


def _start(stage: Stage, _: str) -> None:
    """Hide the presenter's parts and stay at the scene: a press in the middle of a talk loses nothing."""
    stage.hidden = tuple(part for part in HIDEABLE if part in {*PRESENTER, *(stage.hidden or ())})


def _stop(stage: Stage, _: str) -> None:
    stage.hidden = ()


ACTS: dict[str, Callable[[Stage, str], Any]] = {
    "next": lambda stage, _: _go(stage, stage.place + 1),
    "previous": lambda stage, _: _go(stage, stage.place - 1),
    "first": lambda stage, _: _go(stage, 0),
    "last": lambda stage, _: _go(stage, len(stage.talk.scenes) - 1),
    "go": lambda stage, name: _go(stage, stage.talk.place(name) or 0),
    "reveal": _reveal,
    "up": lambda stage, _: _move(stage, 1),
    "down": lambda stage, _: _move(stage, -1),
    "choose": _choose,
    "present": _present,
    "start": _start,
    "stop": _stop,
}
"""Acts by name; ``choose 2`` and ``go knee`` carry an argument."""
