"""The theme of the visitor's browser."""

import streamlit as st


def is_dark() -> bool:
    """Whether the page is shown in the dark theme."""
    return st.context.theme.type == "dark"
