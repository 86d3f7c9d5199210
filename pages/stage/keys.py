"""Keyboard of the stage: the table of keys, and the component that listens and shows help and QR code.

The component draws nothing in the page but its stylesheet and overlays. ``st.button`` takes one shortcut, and
an act here has several keys (a remote's, an arrow, a letter); page-level shortcuts are streamlit issue 13112
(seen in 1.67.0). Acts of the page are sent to Python, numbered; acts of the browser stay there.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from pages.components.serving import component
from pages.stage.acts import KEYS_KEY
from pages.stage.join import browser_address, join, notes_link
from pages.stage.state import Stage


class Key(NamedTuple):
    """An act, its keys (as ``KeyboardEvent.key``), and its name in the help."""

    act: str
    keys: tuple[str, ...]
    says: str


KEYS = (
    Key("on", ("PageDown",), "On: grow, reveal, next scene"),
    Key("back", ("PageUp",), "Back: a step, or a scene"),
    Key("next", ("ArrowRight", "n"), "Next scene"),
    Key("previous", ("ArrowLeft", "p"), "Scene before"),
    Key("reveal", ("Enter", "v"), "Reveal, or hide again; skip"),
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
    Key("notes", ("w",), "Speaker's notes, clock"),
    Key("theme", ("t",), "Light or dark"),
    Key("over", ("0",), "Start over; again: undo"),
    Key("first", ("Home",), "First scene"),
    Key("last", ("End",), "Last scene"),
    Key("help", ("?",), "These keys"),
)
"""All keys of the stage; the live chart handles ``play`` itself."""


def stage_keys(stage: Stage) -> None:
    """Mount the component, with the contents of help and QR code and the reveal that is to be played."""
    way_in = join(stage)
    data = {
        "stage": stage.token,
        "telling": stage.telling,
        "keys": [each._asdict() for each in KEYS],
        "done": stage.done,
        "hidden": stage.hidden or (),
        "link": way_in.link,
        "notes": notes_link(stage, browser_address()),
        "rows": way_in.rows,
        "note": way_in.note,
    }
    _component()(key=KEYS_KEY, data=data, on_acts_change=lambda: None)  # read by `act_on_keys`


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("stage_keys", "stage/on_stage.js")
