"""Acts of the stage by name, as keys, buttons and the speaker's phone request them.

An act only changes the ``Stage``; the widgets follow when the page is drawn. No act reads the session,
because Streamlit ends a callback there if a newer rerun has been requested (streamlit issue 10578, seen in
1.67.0).
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from lora_core.choices import rank_choices
from lora_core.talk.scenes import Talk, own_talk
from pages.runtime.from_browser import sent_acts
from pages.stage.following import fetch_acts
from pages.stage.opened_talks import keep_talk
from pages.stage.state import HIDEABLE, STAGE, Stage, current, middle

KEYS_KEY = "stage_keys"
"""Key of the component that listens to the keyboard."""
PRESENTER = ("sidebar", "buttons")
"""Parts of the page that a presentation hides."""


def open_talk(talk: Talk) -> None:
    """Open another talk at its first scene."""
    stage = current()
    if talk is not own_talk():
        keep_talk(talk)
    st.session_state[STAGE] = Stage(
        talk, talk.scenes[0].name, hidden=stage.hidden, done=stage.done, token=stage.token,
        followed=stage.followed, round=stage.round + 1, address=stage.address, acted=True, keyed=True,
    )  # fmt: skip


def perform(stage: Stage, *acts: str) -> None:
    """Perform acts of ``ACTS`` by name, in order; unknown names are ignored."""
    for act in acts:
        stage.acted = stage.keyed = True
        stage.fresh = False
        name, _, argument = act.partition(" ")
        if name in ACTS:
            ACTS[name](stage, argument)


def act_on_keys() -> None:
    """Perform pending acts of the keyboard and of the speaker's notes; called before the page is drawn.

    They stay in the session until newer ones replace them, so a rerun that is ended here leaves them to the
    next. Those that were meant for another session are ignored: the browser sends them again to this one.
    """
    sent, stage = sent_acts(KEYS_KEY, "acts"), current()
    if sent is not None and sent.stage in (None, stage.token):
        perform_from_keys(stage, sent.first, sent.acts)
    if stage.followed:
        perform(stage, *fetch_acts(stage.token))


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
    stage.name = stage.talk.scenes[min(max(place, 0), len(stage.talk.scenes) - 1)].name
    stage.telling = ""


def _on(stage: Stage, _: str) -> None:
    """What comes next: the drawing's next step, the reveal, or the next scene."""
    if stage.step < len(stage.scene.steps) - 1 or (stage.scene.asks and not stage.is_revealed):
        _reveal(stage, "")
    else:
        _go(stage, stage.place + 1)


def _back(stage: Stage, _: str) -> None:
    """The drawing's step before, or the scene before; what is revealed stays revealed."""
    if stage.step:
        _grow(stage, -1)
    else:
        _go(stage, stage.place - 1)


def _reveal(stage: Stage, _: str) -> None:
    """Reveal or hide the answer; a drawing grows.

    The slider's position counts as the guess: whoever agrees with it has no reason to touch it.
    """
    scene = stage.scene
    if not scene.asks:
        return _grow(stage, 1)
    stage.revealed ^= {stage.name}
    stage.telling = ""
    if stage.is_revealed:
        stage.tellings += 1
        stage.telling = f"{stage.name} {stage.tellings}"
        if scene.guess is not None:
            stage.guesses.setdefault(stage.name, middle(scene.guess))
    else:
        stage.ranks.pop(stage.name, None)


def _grow(stage: Stage, by: int) -> None:
    step = min(max(stage.step + by, 0), len(stage.scene.steps) - 1)
    stage.steps[stage.name] = step
    if not step:
        del stage.steps[stage.name]


def _move(stage: Stage, by: int) -> None:
    """Move the guess up or down, or to the next answer; after the reveal, and in a drawing, move the rank."""
    scene = stage.scene
    if scene.view == "picture":  # whose steps are its ranks
        _grow(stage, by)
    elif stage.is_revealed or not scene.asks:
        _move_rank(stage, by)
    elif scene.guess is not None:
        options, before = scene.guess.options, stage.guess
        start = options.index(before) if isinstance(before, float) else len(options) // 2
        stage.guesses[stage.name] = options[min(max(start + by, 0), len(options) - 1)]
    else:
        says = [choice.says for choice in scene.choices]
        start = says.index(str(stage.guess)) if stage.guess else -1 if by > 0 else 0
        stage.guesses[stage.name] = says[(start + by) % len(says)]


def _move_rank(stage: Stage, by: int) -> None:
    if stage.scene.network is not None:
        return  # whose ranks are not the layer's
    now, own = stage.experiment, stage.scene.experiment.rank
    further = [rank for rank in {*rank_choices(now.full_rank), own} if (rank - now.rank) * by > 0]
    if further:
        stage.telling = ""
        stage.ranks[stage.name] = min(further) if by > 0 else max(further)
        if stage.ranks[stage.name] == own:
            del stage.ranks[stage.name]


def _choose(stage: Stage, number: str) -> None:
    choices = stage.scene.choices
    if not stage.is_revealed and number.isdecimal() and 1 <= int(number) <= len(choices):
        stage.guesses[stage.name] = choices[int(number) - 1].says


def _start_over(stage: Stage, _: str) -> None:
    """Hide all answers and forget all guesses, at the first scene; pressed again, bring them back."""
    state = (stage.guesses, stage.revealed, stage.ranks, stage.steps, stage.name)
    first = stage.talk.scenes[0].name
    if state != ({}, set(), {}, {}, first):
        stage.forgotten = state
        stage.guesses, stage.revealed, stage.ranks, stage.steps, stage.name = {}, set(), {}, {}, first
    elif stage.forgotten is not None:
        stage.guesses, stage.revealed, stage.ranks, stage.steps, stage.name = stage.forgotten
        stage.forgotten = None
    stage.round += 1
    stage.telling, stage.started = "", time.time()


def _follow(stage: Stage, _: str) -> None:
    stage.followed = True


def _present(stage: Stage, _: str) -> None:
    stage.hidden = () if stage.hidden else PRESENTER


def _start(stage: Stage, _: str) -> None:
    """Hide the presenter's parts and stay at the scene: a press in the middle of a talk loses nothing."""
    stage.hidden = tuple(part for part in HIDEABLE if part in {*PRESENTER, *(stage.hidden or ())})


def _stop(stage: Stage, _: str) -> None:
    stage.hidden = ()


ACTS: dict[str, Callable[[Stage, str], Any]] = {
    "on": _on,
    "back": _back,
    "next": lambda stage, _: _go(stage, stage.place + 1),
    "previous": lambda stage, _: _go(stage, stage.place - 1),
    "first": lambda stage, _: _go(stage, 0),
    "last": lambda stage, _: _go(stage, len(stage.talk.scenes) - 1),
    "go": lambda stage, name: _go(stage, stage.talk.place(name) or 0),
    "reveal": _reveal,
    "up": lambda stage, _: _move(stage, 1),
    "down": lambda stage, _: _move(stage, -1),
    "choose": _choose,
    "over": _start_over,
    "notes": _follow,
    "present": _present,
    "start": _start,
    "stop": _stop,
}
"""Acts by name; ``choose 2`` and ``go knee`` carry an argument."""
