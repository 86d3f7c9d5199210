"""Start of every page: title, links to the other pages, sidebar, and warnings about the link."""

from base64 import b64encode
from pathlib import Path
from typing import NoReturn

import streamlit as st

from lora_core.experiment import Experiment
from pages.components.navigation import one_entry_a_page
from pages.ui.controls import DEFAULT, draw_controls, set_fields
from pages.ui.link import link_to, read_link, words_of_controls
from pages.ui.presets import draw_scenes

_COMPLAINTS = "complaints of the link"
_PAGE, _WORDS = "page shown", "words of the controls"

ICON = "data:image/png;base64," + b64encode(Path(__file__).with_name("icon.png").read_bytes()).decode()
"""Own picture as a data URL: a Material icon would be fetched from outside, and one that Streamlit serves
is dropped on a change of page, so that a browser which asks for it then gets a 404 (seen in 1.67.0)."""

PAGES = (
    ("app.py", "Playground", ":material/tune:"),
    ("pages/1_Every_rank.py", "Every rank", ":material/bar_chart:"),
    ("pages/2_Inside_the_layer.py", "Inside the layer", ":material/grid_on:"),
    ("pages/3_On_stage.py", "On stage", ":material/co_present:"),
    ("pages/4_The_code.py", "The code", ":material/code:"),
    ("pages/5_Real_models.py", "Real models", ":material/account_tree:"),
    ("pages/6_Your_adapter.py", "Your adapter", ":material/content_cut:"),
)
"""The pages in the order of the story: script, label, icon."""


def begin(title: str) -> Experiment:
    """Start a page and return the experiment of the sidebar, which is also that of the link."""
    st.set_page_config(
        page_title=f"{title} · LoRA playground", page_icon=ICON, layout="wide",
        initial_sidebar_state="auto",
    )  # fmt: skip
    link = read_link()
    st.session_state.setdefault(_COMPLAINTS, []).extend(link.complaints)
    kept = st.session_state.get(_WORDS, {}) if st.session_state.get(_PAGE, title) != title else {}
    lost = {name: word for name, word in kept.items() if st.query_params.get(name) != word}
    # After a complaint too: a bad value left in the link may raise in Streamlit (seed=1e999, in 1.67.0).
    if lost or link.reworded or link.complaints:
        _rewrite_link(lost | link.reworded, title)
    with st.sidebar:
        links = st.container(key="pages")
        experiment = draw_controls(link.fields)
        words = words_of_controls()
        st.session_state[_PAGE], st.session_state[_WORDS] = title, words
        with links:
            _draw_links(words)
        draw_scenes()
        _draw_tools(experiment)
        one_entry_a_page()
    for complaint in st.session_state.pop(_COMPLAINTS, []):
        st.warning(complaint, icon=":material/link_off:")
    return experiment


def _draw_links(words: dict[str, str]) -> None:
    """Draw the links to the pages with the controls' values, so that a change of page is one history entry.

    The stage opens on its own scene.
    """
    for script, label, icon in PAGES:
        st.page_link(script, label=label, icon=icon, query_params=None if label == "On stage" else words)


def arriving(title: str) -> bool:
    """Whether the session comes from another page or from a link; call it before ``begin``."""
    return bool(st.session_state.get(_PAGE) != title)


def take_over(title: str, experiment: Experiment) -> None:
    """Open a page with its own experiment instead of the previous page's; call it before ``begin``."""
    st.session_state[_PAGE] = title
    set_fields(experiment)


def complain(sentence: str) -> None:
    """Add a warning about the link, shown above the page; call it before ``begin``."""
    st.session_state.setdefault(_COMPLAINTS, []).append(sentence)


def _rewrite_link(fields: dict[str, str], title: str) -> NoReturn:
    """Write fields into the link and rerun the page, so that its controls take them from there.

    On a change of page without the sidebar's links (history, or a link drawn before the last change)
    Streamlit drops the parameters that the previous page had bound and keeps only values that a widget event
    has set; values that came with the link would be lost (seen in 1.67.0, after the fix of streamlit issue
    14350).
    """
    st.query_params.update(fields)
    st.session_state[_PAGE] = title
    st.rerun()


def _draw_tools(experiment: Experiment) -> None:
    with st.container(horizontal=True):
        st.button("Reset", icon=":material/restart_alt:", on_click=set_fields, args=(DEFAULT,))
        with st.popover("Copy link", icon=":material/link:"):
            st.caption("Opens on this experiment, and so on this curve:")
            st.code(link_to(experiment, pins=st.query_params.get("pins", "")), language=None, wrap_lines=True)
