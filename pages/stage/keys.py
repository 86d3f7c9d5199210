"""The stage's keys, its help and its code, and the style that makes the page readable from the back row.

A Streamlit component without a picture of its own. A button of Streamlit's has one shortcut, and a talk
needs several for one act: the key of a remote, an arrow, a letter. So one table says what each key does; what
the page does is sent to Python as numbered acts, and what only the browser does stays there.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from lora_core.experiment import Experiment
from pages.components.serving import component
from pages.stage.acts import KEYS_KEY
from pages.stage.join import join
from pages.stage.state import Stage


class Key(NamedTuple):
    """An act, the keys that do it (as ``KeyboardEvent.key``), and what it is called in the help."""

    act: str
    keys: tuple[str, ...]
    says: str


KEYS = (
    Key("next", ("PageDown", "ArrowRight", "n"), "Next scene"),
    Key("previous", ("PageUp", "ArrowLeft", "p"), "Scene before"),
    Key("reveal", ("Enter", "v"), "Reveal, or hide again"),
    Key("up", ("ArrowUp", "+"), "Higher guess; after the reveal: rank"),
    Key("down", ("ArrowDown", "-"), "Lower guess; after the reveal: rank"),
    Key("choose", ("1", "2", "3", "4", "5"), "Choose an answer"),
    Key("play", (" ",), "Play, pause"),
    Key("step", ("s",), "One update further"),
    Key("full", ("f",), "Full screen"),
    Key("present", ("h",), "Hide or show sidebar and buttons"),
    Key("start", ("F5",), "Hide sidebar and buttons: a remote's start"),
    Key("stop", ("Escape",), "Show them again: a remote's stop"),
    Key("code", ("q",), "Code for phones"),
    Key("blank", ("b", "."), "Black screen"),
    Key("first", ("Home",), "First scene"),
    Key("last", ("End",), "Last scene"),
    Key("help", ("?",), "These keys"),
)
"""Every key of the stage. ``play`` is the live chart's own."""


def stage_keys(stage: Stage, experiment: Experiment) -> None:
    """Listen to the keyboard, and hold ready what the keys for help and code show."""
    way_in = join(stage, experiment)
    data = {
        "keys": [each._asdict() for each in KEYS],
        "done": stage.done,
        "hidden": stage.hidden or (),
        "link": way_in.link,
        "rows": way_in.rows,
        "note": way_in.note,
    }
    _component()(key=KEYS_KEY, data=data, on_acts_change=lambda: None)  # `act_on_keys` takes them


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("stage_keys", "stage/on_stage.js")
