"""State of a talk: current scene, guesses, revealed scenes; kept in the session and in the link.

A link's ``scene`` reads ``knee``, ``knee~20`` with a guess, or ``knee~20~revealed``, so a reload in the
middle of a talk restores its state. The page always shows the sidebar's experiment: entering a scene sets it,
and the controls may change it afterwards.
"""

from dataclasses import dataclass, field

import streamlit as st

from lora_core.experiment import Experiment
from lora_core.talk.scenes import Guess, Scene, Talk, own_talk
from pages.ui.controls import CONTROLS, set_fields, value_text
from pages.ui.frame import arriving, complain, take_over
from pages.ui.text import harmless

HIDEABLE = ("sidebar", "buttons", "numbers", "playback")
"""Parts of the page that a link's ``hide`` may name, by commas."""
STAGE, _REVEALED = "stage", "revealed"


@dataclass
class Stage:
    """One session's talk. A guess is a number, or the text of an answer."""

    talk: Talk
    name: str
    guesses: dict[str, float | str] = field(default_factory=dict)
    revealed: set[str] = field(default_factory=set)
    hidden: tuple[str, ...] | None = None
    """Hidden parts of the page; None until a link has been read."""
    done: int = 0
    """Number of keyboard acts that this session has performed."""
    address: str = ""
    """Address for phones; empty: this browser's own."""
    trouble: str = ""
    """Error of the last uploaded file."""
    trouble_address: str = ""
    acted: bool = False
    """Whether the state has changed since the link was written."""
    taking: str = ""
    """Name of a scene whose experiment the controls have not taken yet."""
    shown: Experiment = field(default_factory=Experiment)
    """Experiment of the controls, or the one that they take after an act."""
    keyed: bool = False
    """Whether an act was performed since the page was last drawn."""
    moved: bool = False
    """Whether the guess widget was used since the page was last drawn."""

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
        parts = [self.name, "" if guess is None else value_text(guess), _REVEALED if self.is_revealed else ""]
        return "~".join(filter(None, parts))


def current() -> Stage:
    """The session's talk, opened at its first scene."""
    if STAGE not in st.session_state:
        talk = own_talk()
        st.session_state[STAGE] = Stage(talk, talk.scenes[0].name)
    stage: Stage = st.session_state[STAGE]
    return stage


def arrive(title: str) -> None:
    """Take the scene from the link on arrival, and set the controls; called before the page is drawn.

    A link may carry fields besides its scene; without any it opens the scene's experiment. After arrival the
    link is only written, since the browser may still send the previous scene's link.
    """
    stage, link = current(), st.query_params.get("scene", "")
    _take_guess_from_widget(stage)
    bare = not any(name in st.query_params for name in CONTROLS)
    if arriving(title):
        found = _take_link(stage, link)
        if bare or not found:
            take_over(title, stage.scene.experiment)
            stage.taking, stage.shown = stage.name, stage.scene.experiment
    elif stage.keyed:
        _assert_acts(stage)
    elif stage.taking == stage.name:
        take_over(title, stage.scene.experiment)
        stage.taking = ""
    stage.keyed = False
    _take_hidden(stage)


def settle(stage: Stage, experiment: Experiment) -> None:
    """Rerun if the controls did not take the scene's experiment.

    On the browser's Back, Streamlit sets each bound control without a query parameter to its default, over
    values that the script has assigned (streamlit PR 16998, seen in 1.67.0).
    """
    if stage.taking == stage.name and experiment != stage.scene.experiment:
        st.rerun()
    stage.taking, stage.shown = "", experiment


def write_link(stage: Stage, experiment: Experiment) -> None:
    """Write the state into the link.

    A link without a scene stays as it is until the state changes: a new link would be a new entry in the
    browser's history, and Back would lead to the same page.
    """
    happened, stage.acted = stage.acted or experiment != stage.scene.experiment, False
    if "scene" not in st.query_params and not happened:
        return
    if st.query_params.get("scene") != stage.link:
        st.query_params["scene"] = stage.link
    hidden = ",".join(stage.hidden or ())
    if st.query_params.get("hide", "") != hidden:
        if hidden:
            st.query_params["hide"] = hidden
        else:
            del st.query_params["hide"]


def guess_key(scene: Scene) -> str:
    """The key of a scene's guess widget."""
    return f"guess {scene.name}"


def middle(guess: Guess) -> float:
    """Position of the slider before there is a guess."""
    return guess.options[len(guess.options) // 2]


def _take_guess_from_widget(stage: Stage) -> None:
    """Take the guess from its widget, unless a key was pressed: the widget's value is older than the key."""
    moved, stage.moved = stage.moved, False
    if not moved or stage.keyed:
        return
    value, guess = st.session_state.get(guess_key(stage.scene)), stage.scene.guess
    if value is None:
        stage.guesses.pop(stage.name, None)
    elif guess is None or stage.guess is not None or value != middle(guess):
        stage.guesses[stage.name] = value  # a slider at its initial position is no guess


def _assert_acts(stage: Stage) -> None:
    """Set the widgets to the state that the acts have produced.

    The browser sends all widget values with every key press, and they may be older than the act of the
    previous key (seen in Streamlit 1.67.0): taken as input, they would undo it.
    """
    set_fields(stage.shown)
    if stage.guess is not None:
        st.session_state[guess_key(stage.scene)] = stage.guess


def _take_link(stage: Stage, link: str) -> bool:
    """Go to the link's scene, with its guess and reveal; return whether this talk has the scene."""
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
    stage.guesses.pop(stage.name, None)
    if scene.guess is not None and value in scene.guess.options:
        stage.guesses[stage.name] = value
    elif scene.choices and value in range(1, len(scene.choices) + 1):
        stage.guesses[stage.name] = scene.choices[int(value) - 1].says


def _take_hidden(stage: Stage) -> None:
    """Take the hidden parts from the link on arrival; afterwards the session holds them."""
    if stage.hidden is not None:
        return
    asked = [part.strip() for part in st.query_params.get("hide", "").split(",") if part.strip()]
    stage.hidden = tuple(part for part in HIDEABLE if part in asked)
    unknown = [part for part in asked if part not in HIDEABLE]
    if unknown:
        complain(f"`{harmless(unknown[0])}` cannot be hidden: there are {', '.join(HIDEABLE)}.")
