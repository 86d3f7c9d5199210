"""Where the groups of controls stand."""

from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


class Places(NamedTuple):
    """Containers of the groups of controls, in their order on the page; they are drawn in another."""

    model: DeltaGenerator
    head: DeltaGenerator
    scope: DeltaGenerator
    targets: DeltaGenerator
    config: DeltaGenerator
    folded: DeltaGenerator
    switches: DeltaGenerator


def make_places() -> Places:
    """The containers, in one row and a row of switches."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    model, head, scope, targets = (row.container(width=width) for width in (190, 170, "content", 170))
    config, folded = (row.container(width="content") for _ in range(2))
    return Places(model, head, scope, targets, config, folded, st.container(horizontal=True))
