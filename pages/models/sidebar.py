"""The sidebar of the page of real models: rank and alpha."""

from typing import Any, NamedTuple

import streamlit as st

from pages.models.controls import DEFAULTS, choose_segment, toggle
from pages.runtime.callbacks import run_to_completion
from pages.ui.link import Link

RANKS, DEFAULT_RANK = ("8", "16", "32", "64"), "16"
ALPHAS = {"= r": 1, "= 2 r": 2}
DEFAULT_ALPHA = "= 2 r"
LAST = "last real model"
"""Key of the last model and adapter that could be counted."""


class Scale(NamedTuple):
    """Rank, alpha and what goes with them: the sidebar of this page."""

    rank: int
    alpha: float
    rslora: bool = False


class ModelControls:
    """The page's own sidebar, with the methods that ``begin_apart`` calls."""

    def read(self) -> Link:
        """The page's own parameters of the link; each control tells what is wrong with its own."""
        return Link({key: st.query_params[key] for key in _own_parameters()}, {}, [])

    def draw(self, linked: dict[str, Any]) -> Scale:
        """Draw rank and alpha, and return them."""
        rank = choose_segment(
            "Rank", RANKS, DEFAULT_RANK, "model_rank", "Columns of A and rows of B, everywhere."
        )
        alpha = choose_segment(
            "Alpha", tuple(ALPHAS), DEFAULT_ALPHA, "model_alpha",
            "The factor of A B is alpha / r: 1 or 2 here, whatever the rank.",
        )  # fmt: skip
        rslora = toggle(
            "rsLoRA", "model_rslora", "Divides alpha by the square root of r (Kalajdzievski, 2023)."
        )
        return Scale(int(rank), float(ALPHAS[alpha] * int(rank)), rslora)

    def words(self) -> dict[str, Any]:
        """What a link to this page says of its controls."""
        return {
            key: values if len(values) > 1 else values[0]
            for key in _own_parameters()
            if (values := st.query_params.get_all(key))
        }

    @staticmethod
    @run_to_completion
    def reset() -> None:
        """Put the defaults into them; a callback."""
        for key, default in DEFAULTS.items():
            if key in st.session_state:
                st.session_state[key] = default
        st.session_state.pop(LAST, None)


MODEL_CONTROLS = ModelControls()


def _own_parameters() -> list[str]:
    return [key for key in st.query_params if key.startswith("model_")]
