"""State of a talk: current scene, guesses, revealed scenes, changed ranks; kept in the session and the link.

A link's ``scene`` reads ``knee``, ``knee~20`` with a guess, ``knee~20~revealed``, ``knee~revealed~rank5``
with another rank or ``what-is-lora~step2``; its ``said`` has the other scenes in the same words. So a reload,
or a phone that was locked for longer than the server keeps a session, finds the whole talk again. The
visitor's own experiment is no part of it: it waits in link and session until another page is opened.
"""

import secrets
import time
from dataclasses import dataclass, field, replace

import streamlit as st

from lora_core.choices import rank_choices
from lora_core.experiment import Experiment
from lora_core.talk.scenes import Guess, Scene, Talk, own_talk
from pages.stage.opened_talks import TALK, kept_talk, name_of_talk
from pages.ui.controls import value_text
from pages.ui.frame import arriving, complain
from pages.ui.text import harmless

HIDEABLE = ("sidebar", "buttons", "numbers", "playback")
"""Parts of the page that a link's ``hide`` may name, by commas."""
STAGE, SAID = "stage", "said"
_REVEALED, _RANK, _STEP = "revealed", "rank", "step"
_BETWEEN = "_"
"""Between two scenes of ``said``; no part of a scene's name or state has it, and no URL escapes it."""


@dataclass
class Stage:
    """One session's talk. A guess is a number, or the text of an answer."""

    talk: Talk
    name: str
    guesses: dict[str, float | str] = field(default_factory=dict)
    revealed: set[str] = field(default_factory=set)
    ranks: dict[str, int] = field(default_factory=dict)
    """Ranks that replace those of their scenes, after the reveal or in a drawing."""
    steps: dict[str, int] = field(default_factory=dict)
    """How far drawings have grown."""
    forgotten: tuple[dict[str, float | str], set[str], dict[str, int], dict[str, int], str] | None = None
    """What "start over" has cleared, for its second press."""
    round: int = 0
    """Number of fresh starts; part of the guess widgets' keys, since a widget keeps its value by its key."""
    hidden: tuple[str, ...] | None = None
    """Hidden parts of the page; None until a link has been read."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    """Name of this stage for its keyboard and for the speaker's notes; no link that the room sees has it."""
    started: float = field(default_factory=time.time)
    """When the talk began, for the speaker's clock: at its opening, and at each fresh start."""
    followed: bool = False
    """Whether the speaker's notes were asked for."""
    done: int = 0
    """Number of keyboard acts that this session has performed."""
    address: str = ""
    """Address for phones; empty: this browser's own."""
    trouble: str = ""
    """Error of the last uploaded file."""
    trouble_address: str = ""
    acted: bool = False
    """Whether the state has changed since the link was written."""
    keyed: bool = False
    """Whether an act was performed since the page was last drawn."""
    fresh: bool = True
    """Whether this is the session's first run, in which no widget has a callback: after a phone was locked
    for long the browser keeps its page, and its next press begins a new session."""
    moved: bool = False
    """Whether the guess widget was used since the page was last drawn."""
    telling: str = ""
    """Name of a reveal that the browser plays; empty for what it shows at once."""
    tellings: int = 0

    @property
    def scene(self) -> Scene:
        return self.talk.scenes[self.place]

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
    def step(self) -> int:
        return self.steps.get(self.name, 0)

    @property
    def experiment(self) -> Experiment:
        """The scene's experiment, with its changed rank."""
        scene = self.scene
        return replace(scene.experiment, rank=self.ranks.get(scene.name, scene.experiment.rank))

    @property
    def link(self) -> str:
        """The current scene as a link writes it."""
        return self.words(self.name)

    @property
    def said(self) -> str:
        """The other scenes that have a state, as a link writes them."""
        known = {*self.guesses, *self.revealed, *self.ranks, *self.steps} - {self.name}
        return _BETWEEN.join(self.words(scene.name) for scene in self.talk.scenes if scene.name in known)

    def words(self, name: str, guessed: bool = True) -> str:
        """A scene's name and state as a link writes them, with the room's guess or without it."""
        guess = self.guesses.get(name) if guessed else None
        if isinstance(guess, str):
            choices = self.talk.scenes[self.talk.place(name) or 0].choices
            guess = 1 + [choice.says for choice in choices].index(guess)
        parts = [name, "" if guess is None else value_text(guess)]
        parts += [_REVEALED] if name in self.revealed else []
        parts += [f"{_RANK}{self.ranks[name]}"] if name in self.ranks else []
        parts += [f"{_STEP}{self.steps[name]}"] if name in self.steps else []
        return "~".join(filter(None, parts))


def current() -> Stage:
    """The session's talk, opened at its first scene."""
    if STAGE not in st.session_state:
        talk = own_talk()
        st.session_state[STAGE] = Stage(talk, talk.scenes[0].name)
    stage: Stage = st.session_state[STAGE]
    return stage


def arrive(title: str) -> Stage:
    """The session's talk with what the link or a widget says of it; called before the page is drawn.

    After arrival the link is only written, since the browser may still send the previous scene's link.
    """
    stage = current()
    _take_guess_from_widget(stage)
    if arriving(title):
        stage.telling = ""
        _take_talk(stage, st.query_params.get(TALK, ""))
        for words in st.query_params.get(SAID, "").split(_BETWEEN):
            take_scene(stage, words)
        _take_link(stage, st.query_params.get("scene", ""))
    elif stage.keyed and stage.guess is not None:
        # The browser sends all widget values with every key press, and they may be older than the act of the
        # previous key (seen in Streamlit 1.67.0): taken as input, they would undo it.
        st.session_state[guess_key(stage)] = stage.guess
    stage.keyed = False
    _take_hidden(stage)
    return stage


def write_link(stage: Stage) -> None:
    """Write the state into the link.

    A link without a scene stays as it is until the state changes.
    """
    happened, stage.acted = stage.acted, False
    if "scene" not in st.query_params and not happened:
        return
    own = stage.talk is own_talk()
    state = {
        "scene": stage.link,
        SAID: stage.said,
        TALK: "" if own else name_of_talk(stage.talk),
        "hide": ",".join(stage.hidden or ()),
    }
    for name, text in state.items():
        if text and st.query_params.get(name) != text:
            st.query_params[name] = text
        elif not text and name in st.query_params:
            del st.query_params[name]


def guess_key(stage: Stage) -> str:
    """The key of the current scene's guess widget."""
    return f"guess {stage.name}" + (f" {stage.round}" if stage.round else "")


def middle(guess: Guess) -> float:
    """Position of the slider before it was moved."""
    return guess.options[len(guess.options) // 2]


def _take_guess_from_widget(stage: Stage) -> None:
    """Take the guess from its widget, unless a key was pressed: the widget's value is older than the key."""
    moved, stage.moved = stage.moved, False
    if not moved or stage.keyed:
        return
    value = st.session_state.get(guess_key(stage))
    if value is None:
        stage.guesses.pop(stage.name, None)
    else:
        stage.guesses[stage.name] = value


def _take_talk(stage: Stage, name: str) -> None:
    """Open the talk that the link names, if this process still has it."""
    own = stage.talk is own_talk()
    if not name or (not own and name == name_of_talk(stage.talk)):
        return
    talk = kept_talk(name)
    if talk is None:
        complain(f"The talk `{harmless(name)}` is no longer here: open its file again. This is ours.")
    else:
        stage.talk, stage.name = talk, talk.scenes[0].name


def _take_link(stage: Stage, link: str) -> None:
    """Go to the link's scene, with its state."""
    if not link:
        return
    name = link.split("~")[0]
    if stage.talk.place(name) is None:
        complain(f"`{harmless(name)}` is no scene of this talk: here is scene {stage.place + 1}.")
        return
    stage.name = name
    take_scene(stage, link)


def take_scene(stage: Stage, words: str) -> None:
    """Take a scene's state from a link's words; what they do not name the scene has no longer."""
    name, *parts = words.split("~")
    place = stage.talk.place(name)
    if place is None:
        return
    scene = stage.talk.scenes[place]
    for states in (stage.guesses, stage.ranks, stage.steps):
        states.pop(name, None)
    (stage.revealed.add if _REVEALED in parts and scene.asks else stage.revealed.discard)(name)
    rank = next((_whole(part, _RANK) for part in parts if part.startswith(_RANK)), None)
    changeable = (name in stage.revealed or scene.view == "layer") and scene.network is None
    if changeable and rank in rank_choices(scene.experiment.full_rank) and rank != scene.experiment.rank:
        stage.ranks[name] = rank
    step = next((_whole(part, _STEP) for part in parts if part.startswith(_STEP)), None)
    if step and step < len(scene.steps):
        stage.steps[name] = step
    guess = _guess_in(scene, next((part for part in parts if part and part[0].isdecimal()), ""))
    if guess is not None:
        stage.guesses[name] = guess


def _whole(text: str, before: str) -> int | None:
    """The whole number after a word, None if there is none of at most four digits."""
    digits = text.removeprefix(before)
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 4 else None


def _guess_in(scene: Scene, text: str) -> float | str | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    if scene.guess is not None and value in scene.guess.options:
        return value
    if value in range(1, len(scene.choices) + 1):
        return scene.choices[int(value) - 1].says
    return None


def _take_hidden(stage: Stage) -> None:
    """Take the hidden parts from the link on arrival; afterwards the session holds them."""
    if stage.hidden is not None:
        return
    asked = [part.strip() for part in st.query_params.get("hide", "").split(",") if part.strip()]
    stage.hidden = tuple(part for part in HIDEABLE if part in asked)
    unknown = [part for part in asked if part not in HIDEABLE]
    if unknown:
        complain(f"`{harmless(unknown[0])}` cannot be hidden: there are {', '.join(HIDEABLE)}.")
