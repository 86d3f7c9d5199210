"""The theme in which a visitor sees the page."""

import streamlit as st


def is_dark() -> bool:
    """Whether the page is dark at the moment."""
    return st.context.theme.type == "dark"
