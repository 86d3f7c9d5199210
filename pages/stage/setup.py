"""The speaker's settings: scenes, a talk file to upload, the phones' address, hidden parts.

A file is opened only if every scene is quick to train and its claims hold against the computed numbers; if
not, the current talk stays.
"""

import time
from dataclasses import dataclass

import streamlit as st

from lora_core.course import Course
from lora_core.experiment import Experiment
from lora_core.formatting import plural
from lora_core.network.experiment import NetworkExperiment
from lora_core.talk.network_numbers import NETWORK_NUMBERS
from lora_core.talk.numbers import SceneNumbers
from lora_core.talk.scenes import MOST_BYTES, Scene, Talk, check, own_talk, read_talk
from lora_core.text_file import decoded
from pages.runtime import networks, sweeps
from pages.runtime.callbacks import run_to_completion
from pages.runtime.runs import advance_run, finished_run, is_quick, kept_run
from pages.runtime.uploads import content
from pages.stage.acts import open_talk, perform
from pages.stage.join import draw_address, draw_notes
from pages.stage.state import HIDEABLE, Stage, current
from pages.ui.text import harmless, plain

_UPLOAD, _HIDDEN, _CHECKING = "talk file", "stage hidden", "talk that is checked"
FIRST, TICK, BUDGET = 3.0, 0.25, 0.3
"""Seconds of checking a talk before its page is drawn; then from tick to tick, and within each of them."""


def numbers_of(scene: Scene) -> SceneNumbers:
    """The scene's numbers, trained now if needed.

    When the server is busy the script ends here: it shows a notice and reruns by itself.
    """
    if scene.network is not None:
        return _network_numbers(scene.network, scene.network_beside)
    beside = None if scene.beside is None else advance_run(scene.beside)
    return SceneNumbers(advance_run(scene.course), beside)


def _network_numbers(network: NetworkExperiment, beside: NetworkExperiment | None) -> SceneNumbers:
    """The numbers of a scene of the small network, whose runs may still be growing: one after the other."""
    run = networks.grown_run(network)
    other = None
    if beside is not None:
        kept = networks.kept_run(beside)
        other = kept or (
            networks.grown_run(beside, name="beside") if run.complete else networks.untrained(beside)
        )
    return SceneNumbers(run, other, NETWORK_NUMBERS)


def kept_numbers(scene: Scene) -> SceneNumbers | None:
    """The scene's numbers if they are trained already, else None."""
    if scene.network is not None:
        kept = [networks.kept_run(each) for each in (scene.network, scene.network_beside) if each is not None]
        return None if None in kept else SceneNumbers(kept[0], kept[1] if kept[1:] else None, NETWORK_NUMBERS)
    run = kept_run(scene.course)
    beside = None if scene.beside is None else kept_run(scene.beside)
    missing = run is None or (scene.beside is not None and beside is None)
    return None if run is None or missing else SceneNumbers(run, beside)


def sized_talk(text: str) -> Talk:
    """Read a talk whose scenes all train in a moment.

    :raises ValueError: the message names the scene and what is wrong with it.
    """
    talk = read_talk(text)
    for scene in talk.scenes:
        for name, experiment in (("experiment", scene.experiment), ("beside", scene.beside)):
            if experiment is not None:
                _check_size(scene, name, experiment)
        for name, network in (("experiment", scene.network), ("beside", scene.network_beside)):
            if network is not None and not networks.is_brief(network):
                raise ValueError(
                    f"scene {scene.name}: {name} is too long for a stage, {network.updates} updates of "
                    f"{network.batch}: their product must be at most {networks.BRIEF:,}."
                )
    return talk


def _numbers_until(scene: Scene, end: float) -> SceneNumbers | None:
    """The numbers of a scene, trained to the end, or None if that was not possible before ``end``."""
    for network in filter(None, (scene.network, scene.network_beside)):
        if not networks.train_ahead(network, end):
            return None
    for course in () if scene.network else _courses(scene):
        if finished_run(course) is None:
            return None
    return kept_numbers(scene)


def _courses(scene: Scene) -> list[Course]:
    """What a scene trains: its own run, and the one beside it."""
    return [scene.course, *([] if scene.beside is None else [Course(scene.beside)])]


@dataclass(frozen=True)
class _Checking:
    """A talk of which so many scenes have been held against their computed numbers."""

    talk: Talk
    done: int = 0

    def further(self, seconds: float) -> "_Checking":
        """Check scenes for so long, at least one unless others are training.

        :raises ValueError: the message names the scene and what is wrong with it.
        """
        end, done = time.monotonic() + seconds, self.done
        for scene in self.talk.scenes[self.done :]:
            facts = _numbers_until(scene, end)
            if facts is None:
                break
            check(scene, facts)
            done += 1
            if time.monotonic() >= end:
                break
        return _Checking(self.talk, done)

    @property
    def complete(self) -> bool:
        return self.done == len(self.talk.scenes)


def prefetch(stage: Stage) -> None:
    """Train the other scenes, the next ones first, so that a change of scene costs only its drawing.

    At each ``pause.empty()`` Streamlit may end the script for a newer rerun, so a key press waits for one
    scene at most. Streamlit checks only in its own calls (seen in 1.67.0); streamlit issue 14523 asks for a
    call for this purpose.
    """
    scenes, place = stage.talk.scenes, stage.place
    pause = st.empty()
    for scene in scenes[place + 1 :] + scenes[:place]:
        for course in _courses(scene):
            pause.empty()
            finished_run(course)
        if scene.view == "ranks":
            pause.empty()
            sweeps.SWEEPS.finished(sweeps.ranks_plan(scene.experiment))
    if any(networks.kept_run(network) is None for network in _networks(stage.talk)):
        # From tick to tick: what a script draws no longer stays on the page until the script ends.
        st.fragment(_train_networks, run_every=2 * TICK)(stage.talk)


def _networks(talk: Talk) -> list[NetworkExperiment]:
    pairs = ((scene.network, scene.network_beside) for scene in talk.scenes)
    return [network for pair in pairs for network in pair if network is not None]


def _train_networks(talk: Talk) -> None:
    """Train the networks of a talk for a moment."""
    end = time.monotonic() + BUDGET
    for network in _networks(talk):
        if not networks.train_ahead(network, end):
            return


def draw_scenes(stage: Stage) -> None:
    """Draw the stage's own controls in the sidebar: the list of scenes, and a fresh start."""
    with st.sidebar:
        with st.container(key="stage_scenes", gap=None):
            for place, scene in enumerate(stage.talk.scenes):
                name = f"{place + 1}\\. {plain(scene.title)}"
                st.button(
                    f"**{name}**" if scene.name == stage.name else name, key=f"to {scene.name}",
                    type="tertiary", on_click=perform, args=(stage, f"go {scene.name}"),
                )  # fmt: skip
        st.button(
            "Start over", key="stage over", icon=":material/restart_alt:", on_click=perform,
            args=(stage, "over"),
            help="Hides all answers and forgets all guesses. Pressed once more, it brings them back.",
        )  # fmt: skip


def draw_talk(stage: Stage) -> None:
    """Draw the file, the phones' address and the hidden parts."""
    with st.container(key="stage_setup"):
        with st.expander("A talk of your own", expanded=bool(stage.trouble) or _CHECKING in st.session_state):
            _draw_file(stage)
        with st.expander("Phones in the room"):
            draw_address(stage)
        with st.expander("Speaker's notes"):
            draw_notes(stage)
        with st.expander("What is shown"):
            st.pills(
                "Hide", HIDEABLE, selection_mode="multi", default=list(stage.hidden or ()), key=_HIDDEN,
                on_change=_hide, args=(stage,),
                help="The key H hides sidebar and buttons, and brings everything back.",
            )  # fmt: skip


def _draw_file(stage: Stage) -> None:
    st.markdown(
        "The talk is one text file. Download it, change its scenes in any editor, and open it here: its "
        "numbers are computed anew, and a claim that does not hold is refused."
    )
    with st.container(horizontal=True):
        st.download_button(
            "Download this talk", lambda: stage.talk.text, "talk.toml", "application/toml",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        if stage.talk is not own_talk():
            st.button("Back to the playground's talk", on_click=_restore, icon=":material/undo:")
    st.file_uploader("Open a talk (TOML)", "toml", key=_UPLOAD, on_change=_take_upload, max_upload_size=1)
    if _CHECKING in st.session_state:
        st.fragment(_check_further, run_every=TICK)()
    if stage.trouble:
        st.error(f"The file was not opened: `{stage.trouble}`", icon=":material/error:")


@run_to_completion
def _take_upload() -> None:
    """Open an uploaded talk, at once or in ticks, or keep the current one and record the reason."""
    file = st.session_state.get(_UPLOAD)
    current().trouble = ""
    st.session_state.pop(_CHECKING, None)
    if file is None:
        return
    try:
        _check(_Checking(sized_talk(decoded(content(file), "the talk", MOST_BYTES))), FIRST)
    except ValueError as error:
        current().trouble = harmless(str(error), 600)


def _check(checking: _Checking, seconds: float) -> None:
    """Check further, and open the talk once it is complete. ValueError as ``_Checking.further``."""
    checking = checking.further(seconds)
    if checking.complete:
        open_talk(checking.talk)
    else:
        st.session_state[_CHECKING] = checking


def _check_further() -> None:
    """Show how far the check is, with a way to leave it, and go on; a fragment."""
    checking: _Checking | None = st.session_state.get(_CHECKING)
    if checking is None:
        st.rerun()
    count = len(checking.talk.scenes)
    st.progress(checking.done / count, f"{checking.done} of {count} scenes checked")
    st.button("Leave it", key="leave the check", icon=":material/close:", on_click=_leave_check)
    del st.session_state[_CHECKING]
    try:
        _check(checking, BUDGET)
    except ValueError as error:
        current().trouble = harmless(str(error), 600)
    if _CHECKING not in st.session_state:
        st.rerun()


@run_to_completion
def _leave_check() -> None:
    st.session_state.pop(_CHECKING, None)


@run_to_completion
def _restore() -> None:
    open_talk(own_talk())


@run_to_completion
def _hide(stage: Stage) -> None:
    chosen = st.session_state.get(_HIDDEN)
    if chosen is not None:  # None if the page was left: its widget no longer exists
        stage.hidden = tuple(part for part in HIDEABLE if part in chosen)
        stage.acted = True


def _check_size(scene: Scene, name: str, experiment: Experiment) -> None:
    """Refuse an experiment that is not quick, for its updates or for its data and floors.

    :raises ValueError: the message names the scene, the size and the remedy.
    """
    quick = is_quick(experiment)
    if scene.view == "ranks":
        quick = quick and sweeps.is_quick(sweeps.ranks_plan(experiment))
    if not quick:
        e = experiment
        raise ValueError(
            f"scene {scene.name}: {name} is too large for a stage, {e.in_features} x {e.out_features} with "
            f"{plural(e.epochs, 'epoch')}: it must train in a moment. Fewer features or epochs will do."
        )
