"""Start of every page: title, links to the other pages, sidebar, and warnings about the link."""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import streamlit as st

from lora_core.experiment import Experiment
from pages.components.copy_link import copy_link
from pages.components.navigation import one_entry_a_page
from pages.runtime.callbacks import run_to_completion
from pages.runtime.descriptors import raise_descriptor_limit
from pages.runtime.uploads import bound_uploads
from pages.ui.beside import forget_beside
from pages.ui.controls import DEFAULT, draw_controls, set_fields
from pages.ui.link import Link, address, link_to, read_link, words_of, words_of_controls
from pages.ui.on_the_way import course_words, from_here, read_course_link, write_course_link
from pages.ui.presets import draw_preset_buttons

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_COMPLAINTS, _TOLD = "complaints of the link", "complaints that were told"
_PAGE, _WORDS = "page shown", "words of the controls"

ICON = "data:image/png;base64," + b64encode(Path(__file__).with_name("icon.png").read_bytes()).decode()
"""Own picture as a data URL: a Material icon would be fetched from outside, and one that Streamlit serves
is dropped on a change of page, so that a browser which asks for it then gets a 404 (seen in 1.67.0)."""

PAGES = (
    ("app.py", "Playground", ":material/tune:"),
    ("pages/1_Every_rank.py", "Every rank", ":material/bar_chart:"),
    ("pages/2_Inside_the_layer.py", "Inside the layer", ":material/grid_on:"),
    ("pages/7_A_small_network.py", "A small network", ":material/hub:"),
    ("pages/3_On_stage.py", "On stage", ":material/co_present:"),
    ("pages/4_The_code.py", "The code", ":material/code:"),
    ("pages/5_Real_models.py", "Real models", ":material/account_tree:"),
    ("pages/6_Your_adapter.py", "Your adapter", ":material/content_cut:"),
)
"""The pages in the order of the story: script, label, icon."""


def begin(title: str) -> Experiment:
    """Start a page and return the experiment of the sidebar, which is also that of the link."""
    _configure(title)
    link = read_link()
    st.session_state.setdefault(_COMPLAINTS, []).extend([*link.complaints, *read_course_link()])
    kept = st.session_state.get(_WORDS, {}) if st.session_state.get(_PAGE, title) != title else {}
    lost = {name: word for name, word in kept.items() if st.query_params.get(name) != word}
    # After a complaint too: a bad value left in the link may raise in Streamlit (seed=1e999, in 1.67.0).
    if lost or link.reworded or link.complaints:
        _rewrite_link(lost | link.reworded, title)
    with st.sidebar:
        links = st.container(key="pages")
        experiment = draw_controls(link.fields, on_the_way=title == "Playground" and from_here())
        words = words_of_controls()
        st.session_state[_PAGE], st.session_state[_WORDS] = title, words
        write_course_link()
        with links:
            _draw_links(words | course_words())
        if title != "Playground":  # which has room for them beside the picture
            draw_preset_buttons()
        _draw_tools(_reset, link_to(experiment, **course_words(), pins=st.query_params.get("pins", "")))
        one_entry_a_page()
    _draw_complaints(st.session_state.pop(_COMPLAINTS, []))
    return experiment


class OwnControls(Protocol[T_co]):
    """The controls of a page that has its own in the sidebar, in place of the experiment's."""

    def read(self) -> Link:
        """What the link says of them."""

    def draw(self, linked: dict[str, Any]) -> T_co:
        """Draw them, and return what they describe."""

    def words(self) -> dict[str, str]:
        """What they hold, as a link writes it, less the defaults."""

    def reset(self) -> None:
        """Put the defaults into them; a callback."""


def begin_apart(title: str, controls: OwnControls[T]) -> T:
    """Start a page with controls of its own; what those of the other pages hold waits until one is opened.

    Its own outlive a change of page in the same way.
    """
    _configure(title)
    own_link = _read_links(controls.read)
    kept, arrived = st.session_state.get(f"{_WORDS}: {title}", {}), arriving(title)
    lost = kept if arrived and not own_link.fields else {}
    if lost or own_link.reworded or own_link.complaints:
        _rewrite_link(lost | own_link.reworded, title)
    st.session_state[_PAGE] = title
    with st.sidebar:
        _draw_links(st.session_state[_WORDS])
        found = controls.draw(own_link.fields)
        st.session_state[f"{_WORDS}: {title}"] = controls.words()
        _draw_tools(controls.reset, address(controls.words()))
        one_entry_a_page()
    _draw_complaints_while(found)
    return found


def begin_without_controls(title: str, shown: object) -> None:
    """Start a page that has no controls of an experiment; the visitor's waits until another page is opened.

    ``shown`` says what the page shows: warnings about the link stay as long as it does.
    """
    _configure(title)
    _read_links()
    st.session_state[_PAGE] = title
    with st.sidebar:
        _draw_links(st.session_state[_WORDS])
        one_entry_a_page()
    _draw_complaints_while(shown)


def begin_alone(title: str) -> None:
    """Start a page without a sidebar, which is no place to go on from."""
    _configure(title)


def _read_links(read: Callable[[], Link] = lambda: Link({}, {}, [])) -> Link:
    """Read the link of a page apart, keep the visitor's experiment in it, and collect complaints."""
    experiment_link, own_link = read_link(), read()
    st.session_state.setdefault(_WORDS, words_of(experiment_link.fields))
    complaints = st.session_state.setdefault(_COMPLAINTS, [])
    complaints += [*experiment_link.complaints, *own_link.complaints]
    return own_link


def _draw_complaints_while(shown: object) -> None:
    """Draw complaints until something else is shown: a growing run reruns the page once it is complete."""
    if st.session_state.get(_COMPLAINTS):
        st.session_state[_TOLD] = shown, st.session_state.pop(_COMPLAINTS)
    described, complaints = st.session_state.get(_TOLD, (None, []))
    if described == shown:
        _draw_complaints(complaints)


def _configure(title: str) -> None:
    raise_descriptor_limit()
    bound_uploads()
    st.set_page_config(
        page_title=f"{title} · LoRA playground", page_icon=ICON, layout="wide",
        initial_sidebar_state=236,
    )  # fmt: skip


def _draw_complaints(complaints: list[str]) -> None:
    for complaint in complaints:
        st.warning(complaint, icon=":material/link_off:")


def _draw_links(words: dict[str, str]) -> None:
    """Draw the links to the pages with the controls' values: a change of page is one history entry."""
    for script, label, icon in PAGES:
        st.page_link(script, label=label, icon=icon, query_params=words)


def arriving(title: str) -> bool:
    """Whether the session comes from another page or from a link; call it before the page is begun."""
    return bool(st.session_state.get(_PAGE) != title)


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


def _draw_tools(reset: Callable[[], None], link: str) -> None:
    with st.container(horizontal=True):
        st.button("Reset", icon=":material/restart_alt:", on_click=reset)
        copy_link(link, key="copy_link")


@run_to_completion
def _reset() -> None:
    """The default in the controls, and nothing beside it."""
    set_fields(DEFAULT)
    forget_beside()
