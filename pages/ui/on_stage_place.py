"""Where the talk stands: its scene, the room's guesses, what is revealed. In the session, and in the link.

Keys and buttons do the same few acts, here by name. A link's ``scene`` reads ``knee``, ``knee~20`` with a
guess, or ``knee~20~revealed``, so that a page that is loaded anew in the middle of a talk goes on where it
was. What is shown is always the experiment of the sidebar: coming to a scene sets it, and a hand may then
change it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from lora_core.experiment import Experiment
from lora_core.scenes import Guess, Scene, Talk, own_talk
from pages.ui.controls import CONTROLS, RANKS, harmless, set_field, set_fields
from pages.ui.frame import arriving, complain, take_over

HIDEABLE = ("sidebar", "buttons", "numbers", "playback")
"""Parts of the page that a link's ``hide`` may name, by commas."""
PRESENTER = ("sidebar", "buttons")
"""What the key that starts a presentation hides."""
_STAGE, _REVEALED = "stage", "revealed"


@dataclass
class Stage:
    """The talk in one session. A guess is a number, or the words of an answer."""

    talk: Talk
    name: str
    guesses: dict[str, float | str] = field(default_factory=dict)
    revealed: set[str] = field(default_factory=set)
    hidden: tuple[str, ...] | None = None
    """Parts of the page that are hidden; None until a link has been read."""
    done: int = 0
    """Acts that came from the keyboard, over the whole session."""
    address: str = ""
    """What phones are told instead of this browser's own address."""
    trouble: str = ""
    """What was wrong with the last file."""
    trouble_address: str = ""
    written: str = ""
    acted: bool = False
    taking: str = ""
    """The scene whose experiment has yet to arrive in the controls."""

    @property
    def scene(self) -> Scene:
        return self.talk.scenes[self.talk.place(self.name) or 0]

    @property
    def place(self) -> int:
        return self.talk.place(self.name) or 0

    @property
    def is_revealed(self) -> bool:
        return self.name in self.revealed

    @property
    def guess(self) -> float | str | None:
        return self.guesses.get(self.name)

    @property
    def link(self) -> str:
        """The scene as a link writes it."""
        guess = self.guess
        if isinstance(guess, str):
            guess = 1 + [choice.says for choice in self.scene.choices].index(guess)
        parts = [self.name, "" if guess is None else f"{guess:g}", _REVEALED if self.is_revealed else ""]
        return "~".join(filter(None, parts))


def current() -> Stage:
    """The session's talk, opened at its first scene."""
    if _STAGE not in st.session_state:
        talk = own_talk()
        st.session_state[_STAGE] = Stage(talk, talk.scenes[0].name)
    stage: Stage = st.session_state[_STAGE]
    return stage


def arrive(title: str) -> None:
    """Before the page is drawn: take the scene from a link, or go on with it, and put it into the controls.

    A link that names a scene may carry fields of its own; one that names none opens the scene's experiment.
    A run that a key started does not read the link: it may still be that of the scene before.
    """
    stage, link = current(), st.query_params.get("scene", "")
    bare = not any(name in st.query_params for name in CONTROLS)
    if arriving(title) or (link and link != stage.written and not stage.acted):
        found = _take_link(stage, link)
        if bare or not found:
            take_over(title, stage.scene.experiment)
            stage.taking = stage.name
    elif stage.taking == stage.name:
        take_over(title, stage.scene.experiment)
        stage.taking = ""
    _take_hidden(stage)


def settle(stage: Stage, experiment: Experiment) -> None:
    """Once more, where the controls did not take the scene's experiment.

    On the browser's Back, Streamlit puts every control that the address does not name at its default.
    """
    if stage.taking == stage.name and experiment != stage.scene.experiment:
        st.rerun()
    stage.taking = ""


def write_link(stage: Stage, experiment: Experiment) -> None:
    """Let the address say where the talk stands.

    One that names no scene is left as it is until something has happened: a new address would be a new entry
    in the browser's history, and Back would lead to the same page.
    """
    happened, stage.acted = stage.acted or experiment != stage.scene.experiment, False
    if "scene" not in st.query_params and not happened:
        return
    stage.written = stage.link
    if st.query_params.get("scene") != stage.link:
        st.query_params["scene"] = stage.link
    hidden = ",".join(stage.hidden or ())
    if st.query_params.get("hide", "") != hidden:
        if hidden:
            st.query_params["hide"] = hidden
        else:
            del st.query_params["hide"]


def open_talk(talk: Talk) -> None:
    """Put another talk on the stage, from its first scene; for callbacks."""
    stage = current()
    st.session_state[_STAGE] = Stage(
        talk, talk.scenes[0].name, hidden=stage.hidden, done=stage.done, address=stage.address, acted=True
    )
    set_fields(talk.scenes[0].experiment)


def perform(*acts: str) -> None:
    """Do some of ``ACTS`` by their names, in order; for callbacks. Other names are passed over."""
    stage = current()
    for act in acts:
        stage.acted = True
        name, _, argument = act.partition(" ")
        if name in ACTS:
            ACTS[name](stage, argument)


def perform_from_keys(first: int, acts: Sequence[str]) -> None:
    """Do the acts of the keyboard that are not done yet; ``first`` is the number of the first of them.

    The browser repeats what it has not yet seen done, so no press is lost and none counts twice.
    """
    stage = current()
    fresh = list(acts)[max(0, stage.done - first) :]
    stage.done = max(stage.done, first + len(acts))
    perform(*fresh)


def guess_key(scene: Scene) -> str:
    """The key of a scene's guess widget."""
    return f"guess {scene.name}"


def remember_guess() -> None:
    """Keep what the guess widget of the present scene holds: the widget itself is gone in the next scene."""
    stage = current()
    value, guess = st.session_state.get(guess_key(stage.scene)), stage.scene.guess
    stage.acted = True
    if value is None:
        stage.guesses.pop(stage.name, None)
    elif guess is None or stage.guess is not None or value != middle(guess):
        stage.guesses[stage.name] = value  # a slider that comes up where it always does is nobody's guess


def middle(guess: Guess) -> float:
    """Where the slider stands before anyone has guessed."""
    return guess.options[len(guess.options) // 2]


def set_guess(stage: Stage, value: float | str) -> None:
    stage.guesses[stage.name] = value
    st.session_state[guess_key(stage.scene)] = value


def _go(stage: Stage, place: int) -> None:
    scene = stage.talk.scenes[min(max(place, 0), len(stage.talk.scenes) - 1)]
    if scene.name != stage.name:
        stage.name = scene.name
        set_fields(scene.experiment)


def _reveal(stage: Stage, _: str) -> None:
    stage.revealed ^= {stage.name}


def _move(stage: Stage, by: int) -> None:
    """Before the reveal a guess goes up or down, or on to the next answer; after it the rank does."""
    scene = stage.scene
    if stage.is_revealed:
        rank = int(st.session_state.get("rank", scene.experiment.rank))
        further = [each for each in RANKS if (each - rank) * by > 0]
        if further:
            set_field("rank", min(further) if by > 0 else max(further))
    elif scene.guess is not None:
        options, before = scene.guess.options, stage.guess
        start = options.index(before) if isinstance(before, float) else len(options) // 2
        set_guess(stage, options[min(max(start + by, 0), len(options) - 1)])
    else:
        says = [choice.says for choice in scene.choices]
        start = says.index(str(stage.guess)) if stage.guess else -1 if by > 0 else 0
        set_guess(stage, says[(start + by) % len(says)])


def _choose(stage: Stage, number: str) -> None:
    choices = stage.scene.choices
    if not stage.is_revealed and number.isdecimal() and 1 <= int(number) <= len(choices):
        set_guess(stage, choices[int(number) - 1].says)


def _present(stage: Stage, _: str) -> None:
    stage.hidden = () if stage.hidden else PRESENTER


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
}
"""What a key or a button does, by name; ``choose 2`` and ``go knee`` carry an argument."""


def _take_link(stage: Stage, link: str) -> bool:
    """Go to the scene of a link, with its guess and its reveal; whether it named a scene of this talk."""
    if not link:
        return False
    name, *rest = link.split("~")
    if stage.talk.place(name) is None:
        complain(f"`{harmless(name)}` is no scene of this talk: here is {stage.scene.title}.")
        return False
    stage.name = name
    (stage.revealed.add if _REVEALED in rest else stage.revealed.discard)(name)
    guess = next((part for part in rest if part and part != _REVEALED), None)
    _take_guess(stage, guess)
    return True


def _take_guess(stage: Stage, text: str | None) -> None:
    scene = stage.scene
    try:
        value = float(text or "nan")
    except ValueError:
        value = float("nan")
    if scene.guess is not None and value in scene.guess.options:
        set_guess(stage, value)
    elif scene.choices and value in range(1, len(scene.choices) + 1):
        set_guess(stage, scene.choices[int(value) - 1].says)
    elif stage.guesses.pop(stage.name, None) is not None:
        st.session_state.pop(guess_key(scene), None)


def _take_hidden(stage: Stage) -> None:
    """The parts that the link hides when it is opened; after that a hand decides."""
    if stage.hidden is not None:
        return
    asked = [part.strip() for part in st.query_params.get("hide", "").split(",") if part.strip()]
    stage.hidden = tuple(part for part in HIDEABLE if part in asked)
    unknown = [part for part in asked if part not in HIDEABLE]
    if unknown:
        complain(f"`{harmless(unknown[0])}` cannot be hidden: there are {', '.join(HIDEABLE)}.")
