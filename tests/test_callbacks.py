"""No key and no click is lost or half done where the next one ends the script."""

import itertools
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
import streamlit as st
from streamlit.runtime.scriptrunner import RerunData, RerunException

from lora_core.data import make_problem
from lora_core.experiment import Experiment
from lora_core.figures.ranks.numbers import ranks_info
from lora_core.talk.scenes import own_talk
from lora_core.training.sweep import sweep
from pages.components import live_chart, rank_chart, time_machine
from pages.runtime.callbacks import run_to_completion
from pages.stage.acts import KEYS_KEY, act_on_keys
from pages.stage.state import STAGE, Stage
from pages.ui.controls import CONTROLS, set_again_what_was_undone, set_field, set_fields


class Session(dict[str, Any]):
    """A session in which so many looks are free; at the next a newer run is wanted and ends the script."""

    def __init__(self, looks: int, **content: Any) -> None:
        super().__init__(content)
        self.looks = looks

    def __contains__(self, key: object) -> bool:
        self._look()
        return super().__contains__(key)

    def __getitem__(self, key: str) -> Any:
        self._look()
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._look()
        super().__setitem__(key, value)

    def get(self, key: str, default: Any = None) -> Any:
        self._look()
        return super().get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        self._look()
        return super().setdefault(key, default)

    def _look(self) -> None:
        if not self.looks:
            self.looks = sys.maxsize
            raise RerunException(RerunData())
        self.looks -= 1


Ended = Callable[..., Iterator[tuple[dict[str, Any], bool]]]


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Ended:
    """`ended(act, **content)`: the session after `act`, ended at its first look, its second, and so on.

    Beside each whether it was ended; the last one was not.
    """

    def each(act: Callable[[], None], **content: Callable[[], Any]) -> Iterator[tuple[dict[str, Any], bool]]:
        for looks in itertools.count():
            session = Session(looks, **{key: make() for key, make in content.items()})
            monkeypatch.setattr(st, "session_state", session)
            try:
                act()
                was_ended = False
            except RerunException:
                was_ended = True
            session.looks = sys.maxsize
            yield session, was_ended
            if not was_ended:
                return

    return each


def test_every_field_is_set_wherever_a_newer_run_is_wanted(ended: Ended) -> None:
    chosen = Experiment(rank=7, alpha=5.5, learning_rate=0.0123, seed=9)
    times = 0
    for session, _ in ended(lambda: set_fields(chosen)):
        assert Experiment.from_dict({name: session[name] for name in CONTROLS}) == chosen
        times += 1
    assert times > len(CONTROLS)


def test_a_callback_that_is_not_whole_would_be_left_half_done(ended: Ended) -> None:
    def two() -> None:
        set_field("rank", 7)
        set_field("seed", 9)

    halves = [len(session) for session, was_ended in ended(two) if was_ended]
    wholes = [len(session) for session, was_ended in ended(run_to_completion(two)) if was_ended]
    assert halves == [0, 1]
    assert wholes == [2, 2]


def test_a_component_whose_page_was_left_has_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    callbacks: list[Callable[[], None]] = []

    def component(*_: Any, **each: Any) -> None:
        callbacks.extend(act for name, act in each.items() if name.startswith("on_"))

    told: list[object] = []
    for module in (live_chart, rank_chart, time_machine):
        monkeypatch.setattr(module, "_component", lambda *_: component)
    info = ranks_info(sweep(Experiment(), ranks=[1, 2]), make_problem(Experiment()))
    live_chart.live_chart(
        go.Figure(), run_id="x", epochs=2, key="live", alt="", on_epoch=lambda each: told.append(each)
    )
    rank_chart.rank_chart(b"", info, 1, key="ranks", on_pick=told.append)
    rank_chart.click_chart(b"", (1, 1), key="map", on_click=lambda *each: told.append(each))
    time_machine.time_machine(b"", key="machine", on_epoch=told.append)
    monkeypatch.setattr(st, "session_state", Session(sys.maxsize))
    for callback in callbacks:
        callback()
    assert len(callbacks) == 4
    assert not told


def test_no_run_starts_beside_the_one_that_it_replaces() -> None:
    """Two at a time write into one session without a common lock (see the setting)."""
    settings = tomllib.loads((Path(__file__).parents[1] / ".streamlit" / "config.toml").read_text())
    assert settings["runner"]["fastReruns"] is False


def test_an_act_of_the_keyboard_is_done_once_and_not_counted_before(ended: Ended) -> None:
    scenes = own_talk().scenes
    start = scenes[place := own_talk().place("one-short") or 0]
    sent = {"acts": {"first": 0, "acts": ["next", "reveal"]}}
    times = 0
    content = {STAGE: lambda: Stage(own_talk(), start.name), KEYS_KEY: lambda: sent}
    for session, was_ended in ended(act_on_keys, **content):
        if was_ended:
            act_on_keys()  # as the newer run does; for it they are nothing new
        stage = session[STAGE]
        after = scenes[place + 1].name
        assert (stage.name, stage.revealed, stage.done) == (after, {after}, 2)
        times += 1
    assert times > 2


def test_what_a_callback_has_set_outlives_an_unaware_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", session)
    set_fields(Experiment())
    old = dict(session)
    set_fields(Experiment(rank=7, seed=9))
    set_again_what_was_undone()  # the callback's own run
    session.update({name: old[name] for name in CONTROLS})  # what a browser sends that has not heard of it
    set_again_what_was_undone()
    assert (session["rank"], session["seed"]) == (7, 9)
    session.update({name: old[name] for name in CONTROLS})  # a hand that goes back
    set_again_what_was_undone()
    assert session["rank"] == old["rank"]
