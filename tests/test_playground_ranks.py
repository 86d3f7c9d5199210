"""The axis of ranks without a browser: trained when a hand wants it, once an experiment, and never large."""

import gc
from weakref import ref

import pytest

from lora_core import Experiment, run
from lora_core.training import sweep
from lora_core.training.batched import Trainer
from pages.playground import ranks
from pages.runtime.sweeps import SWEEPS, slider_plan
from tests.kit.pages import checked, components, open_page
from tests.test_live_chart_message import unpack


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seed of every sweep that has begun to train."""
    begun: list[int] = []

    class Counted(Trainer):
        def __init__(self, experiment, problem) -> None:
            begun.append(experiment.seed)
            super().__init__(experiment, problem)

    monkeypatch.setattr(sweep, "Trainer", Counted)
    monkeypatch.setattr(ranks, "_DONE", set(ranks.AHEAD))
    return begun


def state_of(app) -> str:
    """What the axis of ranks says of its ranks."""
    (axis,) = (each.proto for each in app.get("bidi_component") if each.proto.component_name == "rank_axis")
    return unpack(axis.bytes)["state"]


def come_near(app, **fields: object):
    """A hand comes near the control of the experiment shown."""
    app.session_state[ranks._WANTED] = slider_plan(Experiment(**fields))
    return checked(app.run())


def test_ranks_are_trained_when_a_hand_comes_near_and_once_for_an_experiment(sweeps: list[int]) -> None:
    app = open_page(seed="1001")
    checked(app.select_slider(key="rank").set_value(5).run())
    assert (sweeps, state_of(app)) == ([], "untrained")
    come_near(app, seed=1001)
    assert (sweeps, state_of(app)) == ([1001], "trained")
    checked(app.select_slider(key="rank").set_value(7).run())
    assert (sweeps, state_of(app)) == ([1001], "trained")
    checked(app.number_input(key="seed").set_value(1002).run())
    assert (sweeps, state_of(app)) == ([1001], "untrained")
    other = come_near(open_page(seed="1001", rank="3"), seed=1001)
    assert (sweeps, state_of(other)) == ([1001], "trained")


def test_a_large_layer_is_never_swept_and_says_so(sweeps: list[int]) -> None:
    fields = {"in_features": 512, "out_features": 512, "epochs": 20, "seed": 1001}
    app = open_page(**{name: str(value) for name, value in fields.items()})
    come_near(app, **fields)
    assert (sweeps, state_of(app)) == ([], "large")


def test_the_default_and_the_presets_are_there_before_anybody_asks() -> None:
    open_page()
    assert slider_plan(Experiment()) in ranks.AHEAD
    assert all(SWEEPS.kept(plan) is not None for plan in ranks.AHEAD)
    assert state_of(open_page(rank="9")) == "trained"


@pytest.mark.parametrize(
    "fields", [{"task": "digits"}, {"rank": 96}, {"rank": 17}, {"init": "zero"}, {"train_bias": True}]
)
def test_every_kind_of_experiment_has_its_axis(fields: dict[str, object]) -> None:
    app = open_page(**{name: str(value).lower() for name, value in fields.items()})
    come_near(app, **fields)
    assert state_of(app) == "trained"
    assert components(app)["five_numbers"] == 1
    assert not app.warning


def test_the_rank_s_range_follows_the_layer_and_a_link_s_value_holds() -> None:
    app = open_page(in_features="8", out_features="8", rank="40")
    assert app.session_state["rank"] == 40
    assert app.select_slider(key="rank").options[-2:] == ["16", "40"]
    checked(app.select_slider(key="rank").set_value(4).run())
    assert app.select_slider(key="rank").options[-1] == "16"


def test_reset_forgets_pins_and_the_run_before() -> None:
    app = open_page(rank="9", pins="rank:4~rank:8")
    checked(app.select_slider(key="rank").set_value(5).run())
    checked(next(button for button in app.button if button.label == "Reset").click().run())
    assert not [button for button in app.button if button.label.startswith("Unpin")]
    assert "pins" not in app.query_params
    assert app.session_state["rank"] == 3


def test_the_fragment_of_the_axis_keeps_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[object] = []
    monkeypatch.setattr(ranks.st, "fragment", lambda _: lambda *given: kept.extend(given))
    found = run(Experiment(epochs=2))
    ranks.draw_rank_axis(found)
    assert kept
    alive = ref(found)
    del found
    gc.collect()
    assert alive() is None
