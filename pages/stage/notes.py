"""The speaker's notes: a clock, the scene on the stage with its answer, what comes next, keys for a thumb.

A page of its own in a second window, or on the phone in the speaker's hand. It is drawn again once a second
and needs nothing but the server that the stage runs on.
"""

import time
from datetime import datetime
from zoneinfo import ZoneInfo

import streamlit as st

from lora_core.talk.scenes import Scene
from pages.stage.following import Followed, followed, leave_act
from pages.stage.setup import kept_numbers
from pages.ui.text import plain

NOTES = "notes"
"""Query parameter that opens the notes of the stage whose token it holds."""
_GONE = 5.0
"""Seconds after which a stage that fetches no acts counts as closed."""


def show_notes(token: str) -> None:
    """Draw the notes of a stage, once a second."""
    st.fragment(_draw, run_every=1.0)(token)


def _draw(token: str) -> None:
    stage = followed(token)
    if stage is None:
        st.warning("No stage is open under this link. On the stage, press **W** for a new one.")
        return
    st.markdown(f"# {_clock(stage)}")
    if time.time() - stage.seen > _GONE:
        st.caption(":material/link_off: The stage is closed at this moment; these are its last notes.")
    scene = stage.talk.scenes[stage.talk.place(stage.name) or 0]
    place = stage.talk.scenes.index(scene)
    st.markdown(f"## {place + 1}/{len(stage.talk.scenes)} {plain(scene.title)}")
    _draw_scene(scene, stage)
    later = stage.talk.scenes[place + 1 : place + 2]
    st.caption(f"Next: {plain(later[0].title)}" if later else "This is the last scene.")
    with st.container(horizontal=True, key="notes_keys"):
        what = "Go on" if not scene.asks or stage.revealed else "Reveal"
        for act, label, icon in (
            ("back", "Back", ":material/arrow_back:"),
            ("on", what, ":material/arrow_forward:"),
            ("down", "Lower", ":material/remove:"),
            ("up", "Higher", ":material/add:"),
        ):
            st.button(
                label, key=f"notes {act}", icon=icon, on_click=leave_act, args=(token, act),
                type="primary" if act == "on" else "secondary",
            )  # fmt: skip


def _draw_scene(scene: Scene, stage: Followed) -> None:
    """Draw question, answer and notes; the answer is here before the room sees it."""
    facts = kept_numbers(scene)
    if facts is None:
        st.caption("Training …")
    elif not scene.asks:
        step = plain(facts.filled(scene.steps[stage.step]))
        st.markdown(f"Step {stage.step + 1} of {len(scene.steps)}: {step}")
    else:
        truth = facts.text(scene.guess.number) if scene.guess else scene.right_answer(facts).says
        st.markdown(plain(facts.filled(scene.question)))
        shown = "The room sees the answer" if stage.revealed else "The room does not see it yet"
        st.markdown(f"**{plain(truth)}** · {shown}")
        st.markdown(plain(facts.filled(scene.sentence)))
    if scene.notes:
        st.info(plain(scene.notes), icon=":material/sticky_note_2:")


def _clock(stage: Followed) -> str:
    """Minutes and seconds since the talk began, and the time of day where the speaker is."""
    minutes, seconds = divmod(int(time.time() - stage.started), 60)
    try:
        zone = ZoneInfo(st.context.timezone or "UTC")
    except (KeyError, ValueError):  # a browser may name any
        zone = ZoneInfo("UTC")
    return f"{minutes}:{seconds:02} :gray[· {datetime.now(zone):%H:%M}]"
