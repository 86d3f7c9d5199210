"""Page of the small network: headline, curves, words, modules, learnt against forgotten."""

import streamlit as st

from lora_core.adapters.network_adapter import network_adapter_zip
from lora_core.figures.network import curves, parts
from lora_core.findings.network import finding
from lora_core.network.experiment import NetworkExperiment
from lora_core.network.run import EVERY, NetworkLane, NetworkRun
from lora_core.network.shape import Network
from pages.components.live_chart import live_chart, preload
from pages.components.network_view import network_modules, network_plane, network_words
from pages.network.controls import key_of
from pages.network.on_request import draw_on_request
from pages.network.one_module import (
    choose_module,
    chosen_module,
    draw_one_module,
    is_drawn,
    note_drawn,
)
from pages.network.ranks import draw_ranks, ranks_grow
from pages.runtime.networks import LORA, grow_ranks, grown_run, kept_lora, kept_run, tick
from pages.runtime.runs import warm_up

HEIGHT, LOWER = 340, 250
"""Heights of curves and words, and of modules and plane, in CSS pixels."""
_LUCK = {
    Network.WORDS: "Drawn with the same luck for all three: play, and the words turn.",
    Network.COPIER: "New questions and the likeliest answers; what is wrong is struck.",
}
_NEW = {Network.WORDS: "new names", Network.COPIER: "new questions"}
"""What curves are measured on, in the words of headline and axes."""
_SHOWN, _BEFORE = "network shown", "network before"


def show(experiment: NetworkExperiment) -> None:
    """Draw the network experiment, finished or growing."""
    preload()
    warm_up()
    _remember(experiment)
    note_drawn()
    done, ranks = kept_run(experiment) is not None, ranks_grow(experiment)
    every = tick() if not done else LORA.tick() if ranks else None
    # The same place for all, so that the charts of a growing run are kept once it is complete.
    st.fragment(_picture, run_every=every)(experiment, ranks)
    draw_one_module(experiment)
    if done:
        draw_on_request(experiment)
        _draw_take_home(experiment)


def _remember(experiment: NetworkExperiment) -> None:
    """Record the experiment shown; the one it replaces becomes the ghost, if both learn the same task."""
    shown = st.session_state.get(_SHOWN)
    if shown is not None and shown != experiment:
        st.session_state[_BEFORE] = shown
    st.session_state[_SHOWN] = experiment


def _ghost(experiment: NetworkExperiment) -> tuple[str, NetworkLane] | None:
    before = st.session_state.get(_BEFORE)
    if before is None or (before.network, before.task) != (experiment.network, experiment.task):
        return None
    lane = kept_lora(before) if before.lora_only() != experiment.lora_only() else None
    if lane is None or before.updates != experiment.updates:
        return None  # its points are at other updates
    return f"Before: {_apart(before, experiment)}", lane


def _apart(before: NetworkExperiment, experiment: NetworkExperiment) -> str:
    ours, theirs = experiment.to_dict(), before.to_dict()
    words = [f"{name.replace('_', ' ')} {theirs[name]}" for name in ours if ours[name] != theirs[name]]
    return words[0] if len(words) == 1 else "another setting"


def _picture(experiment: NetworkExperiment, ranks: bool) -> None:
    """Draw headline, curves, words, modules and plane; what grows is trained for a tick at each call.

    That is the run, or, where ``ranks``, the other ranks of the control under the curves.
    """
    moved = st.session_state.get(key_of("rank"), experiment.rank) != experiment.rank
    if moved or ranks != ranks_grow(experiment):
        st.rerun()  # by the control under the curves
    words = st.container(key="network_verdict")
    left, right = st.columns([0.58, 0.42])
    below = st.container()
    done = kept_run(experiment)
    with words:
        run = done or grown_run(experiment)
        found = finding(run)
        st.markdown(f"# {found.headline}")
        st.caption(found.beside)
    with left:
        _draw_curves(run)
        draw_ranks(experiment)
    with right:
        network_words(parts.words_info(run), experiment.rank, key="network words", height=HEIGHT - 40)
        st.caption(_LUCK[run.experiment.network])
    with below:
        _draw_parts(run)
    if ranks:
        grow_ranks(experiment, unasked=True)  # after the drawing, which does not wait for it
    ended = ranks and not ranks_grow(experiment)
    if (run.complete and done is None) or ended or not is_drawn():
        st.rerun()  # the whole page: elements with buttons are outside the fragment


def _draw_curves(run: NetworkRun) -> None:
    info = curves.curves_info(run, EVERY, _ghost(run.experiment))
    looks = len(info.places) - 1
    live_chart(
        curves.curves_drawing(info), run_id=run.fingerprint, epochs=looks, key="network", height=HEIGHT,
        streaming=None if run.complete else (_looks(run.lora) + _looks(run.full), 2 * looks), log=False,
        alt=curves.curves_alt(info), places=info.places, column=_NEW[run.experiment.network],
        rank=run.experiment.rank, zoom=f"{run.experiment.network} {run.experiment.task} {looks}",
    )  # fmt: skip


def _draw_take_home(experiment: NetworkExperiment) -> None:
    lane = kept_lora(experiment)
    if lane is None or not lane.factors:
        return
    st.download_button(
        "Adapter for PEFT", lambda: network_adapter_zip(experiment, lane), "small_network_adapter.zip",
        "application/zip", icon=":material/download:", on_click="ignore",
        help="Adapter, base, the network's source, and a script that trains it again with PEFT.",
    )  # fmt: skip


def _looks(lane: NetworkLane) -> int:
    return len(lane.updates) - 1


def _draw_parts(run: NetworkRun) -> None:
    left, right = st.columns([0.58, 0.42])
    with left:
        st.markdown("**Where it changed** · left half and percent LoRA, right half full fine-tuning")
        network_modules(
            parts.modules_info(run), run.experiment.rank, chosen_module(), key="network modules",
            height=LOWER, on_pick=choose_module,
        )  # fmt: skip
    with right:
        st.markdown("**Learnt against forgotten** · error in nats a letter, both lower is better")
        network_plane(parts.plane_info(run), run.experiment.rank, key="network plane", height=LOWER)
