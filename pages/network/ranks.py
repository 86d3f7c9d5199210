"""The control of the rank under the curves: once every rank of the slider is trained, the page follows it.

Every rank is trained when a hand comes near the control and no other session trains, from tick to tick, and
for the default by itself; another setting ends that. The ranks are ordinary runs: a release trains nothing.
"""

from dataclasses import replace

import streamlit as st

from lora_core.figures.network.every_rank import every_rank_info
from lora_core.network.experiment import RANKS, NetworkExperiment
from lora_core.network.run import NetworkLane
from pages.components.network_view import every_rank_message, network_ranks
from pages.network.controls import DEFAULT, set_network_field
from pages.runtime.networks import (
    is_brief,
    kept_full,
    kept_ranks,
    kept_run,
)

_WANTED = "network experiment whose ranks a hand wants"
NOTES = {
    "trained": "Every rank is trained: drag, and the whole page follows.",
    "training": "Every rank is being trained: {} of {}.",
    "untrained": "Every rank is trained as soon as a hand comes near.",
    "large": "So long a training is run where you let go of the rank.",
    "growing": "",
    "own": "No module takes this rank: each has one of its own.",
}


def ranks_grow(experiment: NetworkExperiment) -> bool:
    """Whether the other ranks are trained now: the run itself is, a hand wants them, and some are missing."""
    return kept_run(experiment) is not None and _is_wanted(experiment) and None in kept_ranks(experiment)


def _any_rank(experiment: NetworkExperiment) -> NetworkExperiment:
    return replace(experiment.lora_only(), rank=1)


def _is_wanted(experiment: NetworkExperiment) -> bool:
    wanted = st.session_state.get(_WANTED) == _any_rank(experiment)
    return is_brief(experiment) and (wanted or _any_rank(experiment) == _any_rank(DEFAULT))


def draw_ranks(experiment: NetworkExperiment) -> None:
    """Draw the control of the rank, as far as the ranks are trained.

    Not a fragment of its own: one that ticks inside another may find its place gone, and the page then turns
    white (seen in Streamlit 1.67.0 on a busy machine; streamlit issue 16708).
    """
    lanes = kept_ranks(experiment)
    state = _state(experiment, lanes)
    network_ranks(
        _message(experiment, lanes, state), key="network ranks",
        on_rank=lambda rank: set_network_field("rank", rank),
        on_near=lambda: st.session_state.update({_WANTED: _any_rank(experiment)}),
    )  # fmt: skip


def _state(experiment: NetworkExperiment, lanes: tuple[NetworkLane | None, ...]) -> str:
    if not lanes:
        return "own"
    if kept_run(experiment) is None:
        return "growing"
    if None not in lanes:
        return "trained"
    if not is_brief(experiment):
        return "large"
    return "training" if _is_wanted(experiment) else "untrained"


def _message(experiment: NetworkExperiment, lanes: tuple[NetworkLane | None, ...], state: str) -> bytes:
    if state == "trained":
        return _trained(replace(experiment, rank=1), lanes)
    done = len(lanes) - lanes.count(None)
    info = every_rank_info(experiment, RANKS, lanes or (None,) * len(RANKS), None)
    return every_rank_message(info, state=state, note=NOTES[state].format(done, len(lanes)))


@st.cache_resource(show_spinner=False, max_entries=32)
def _trained(experiment: NetworkExperiment, _lanes: tuple[NetworkLane | None, ...]) -> bytes:
    info = every_rank_info(experiment, RANKS, _lanes, kept_full(experiment))
    return every_rank_message(info, state="trained", note=NOTES["trained"])
