"""Section on one module of the network, chosen by a click: a rank of its own."""

import streamlit as st

from lora_core.network.experiment import NETWORK_LIMITS, NetworkExperiment
from lora_core.network.shape import MODULES, path_of
from pages.network.controls import set_network_field
from pages.runtime.callbacks import run_to_completion

_CHOSEN, _DRAWN, _RANK = "network module", "network module drawn", "network module rank"
RANKS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def chosen_module() -> str | None:
    """Short name of the module chosen, if any."""
    chosen: str | None = st.session_state.get(_CHOSEN)
    return chosen


def choose_module(module: str) -> None:
    """Choose a module; the chosen one a second time clears the choice."""
    if module in MODULES:
        st.session_state[_CHOSEN] = None if module == chosen_module() else module


def note_drawn() -> None:
    """Record that the page is drawn for the module chosen now."""
    st.session_state[_DRAWN] = chosen_module()


def is_drawn() -> bool:
    """Whether the page was drawn since a module was chosen, as a click reruns the fragment only."""
    return bool(st.session_state.get(_DRAWN) == chosen_module())


def draw_one_module(experiment: NetworkExperiment) -> None:
    """Draw the rank control of the chosen module, or a hint how to choose one."""
    module = chosen_module()
    if module is None:
        st.caption("Click a module to give it a rank of its own.")
        return
    path = path_of(module)
    inputs, outputs = experiment.shape.modules()[path]
    rank = experiment.module_ranks().get(module, 0)
    st.session_state[_RANK] = rank
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.select_slider(
            f"Rank of `{path}`, {inputs} x {outputs}", sorted({*RANKS, rank}), key=_RANK,
            on_change=_set_rank, args=(experiment, module), width=420,
            help="Rank 0 leaves it frozen. It stands in the link as a rank of its own.",
        )  # fmt: skip
        own = module in dict(pair.split(":") for pair in experiment.ranks.split(",") if pair)
        st.button(
            "As the others", disabled=not own, on_click=_set_ranks, args=(_without(experiment, module),),
            help=None if own else "It has no rank of its own.",
        )  # fmt: skip


@run_to_completion
def _set_rank(experiment: NetworkExperiment, module: str) -> None:
    rank = st.session_state.get(_RANK)
    if rank is not None:
        kept = _without(experiment, module)
        _set_ranks(f"{kept},{module}:{rank}" if kept else f"{module}:{rank}")


@run_to_completion
def _set_ranks(ranks: str) -> None:
    set_network_field("ranks", NETWORK_LIMITS["ranks"].read("ranks", ranks))


def _without(experiment: NetworkExperiment, module: str) -> str:
    return ",".join(pair for pair in experiment.ranks.split(",") if pair and pair.split(":")[0] != module)
