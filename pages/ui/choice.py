"""A list to choose from whose answer is one of its options, whatever a browser sends.

Streamlit's ``selectbox`` returns any text that comes over the connection (seen in 1.67.0).
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

T = TypeVar("T")


def choose_one(
    label: str, options: Sequence[T], index: int = 0, *, place: DeltaGenerator | None = None, **more: Any
) -> T:
    """Draw a ``selectbox`` in ``place``, or where one stands, and return the option chosen."""
    draw = st.selectbox if place is None else place.selectbox
    found = draw(label, options, index, **more)
    return found if found in options else options[index]
