"""What every page begins with: its title, the links to the others, the sidebar, and the link's complaints."""

from importlib.resources import files
from urllib.parse import urlencode

import streamlit as st

from lora_core.experiment import Experiment
from pages.ui.controls import DEFAULT, differences, draw_controls, draw_scenes, read_link, set_fields

_COMPLAINTS = "complaints of the link"
_PAGE, _EXPERIMENT = "page shown", "experiment of the controls"

ICON = files("lora_core.figures") / "icon.png"
"""A file of our own: a Material icon would be fetched from outside."""

PAGES = (
    ("app.py", "Playground", ":material/tune:"),
    ("pages/1_Every_rank.py", "Every rank", ":material/bar_chart:"),
    ("pages/2_Inside_the_layer.py", "Inside the layer", ":material/grid_on:"),
    ("pages/4_The_code.py", "The code", ":material/code:"),
    ("pages/5_Real_models.py", "Real models", ":material/account_tree:"),
)
"""The pages in the order of the story: script, label, icon."""


def begin(title: str) -> Experiment:
    """Start a page and return the experiment that the sidebar, and so the link, describes."""
    st.set_page_config(
        page_title=f"{title} · LoRA playground", page_icon=str(ICON), layout="wide",
        initial_sidebar_state="auto",
    )  # fmt: skip
    link = read_link()
    st.session_state.setdefault(_COMPLAINTS, []).extend(link.complaints)
    if link.reworded:
        for name, text in link.reworded.items():
            st.query_params[name] = text
        st.rerun()
    if st.session_state.get(_PAGE, title) != title:
        set_fields(st.session_state[_EXPERIMENT])  # the controls of another page start anew here
    with st.sidebar:
        links = st.container()
        experiment = draw_controls(link.fields)
        st.session_state[_PAGE], st.session_state[_EXPERIMENT] = title, experiment
        # A page opens on what its link says, so each link says what the controls do.
        query = differences(experiment)
        if "pins" in st.query_params:
            query["pins"] = st.query_params["pins"]
        for script, label, icon in PAGES:
            links.page_link(script, label=label, icon=icon, query_params=query)
        draw_scenes()
        _draw_tools(experiment)
    for complaint in st.session_state.pop(_COMPLAINTS, []):
        st.warning(complaint, icon=":material/link_off:")
    return experiment


def link_to(experiment: Experiment, **more: str) -> str:
    """The address of this page with this experiment: only what differs from the default is in it."""
    query = urlencode(differences(experiment) | {name: value for name, value in more.items() if value})
    base = (st.context.url or "").partition("?")[0]
    return f"{base}?{query}" if query else base


def _draw_tools(experiment: Experiment) -> None:
    with st.container(horizontal=True):
        st.button("Reset", icon=":material/restart_alt:", on_click=set_fields, args=(DEFAULT,))
        with st.popover("Copy link", icon=":material/link:"):
            st.caption("Opens on this experiment, and so on this curve:")
            st.code(link_to(experiment, pins=st.query_params.get("pins", "")), language=None, wrap_lines=True)
