"""The handle on the playground without a browser: only on request, one sweep for all ranks, none large."""

import pytest

from lora_core.training import sweep
from lora_core.training.batched import Trainer
from pages.playground import rank_scrubber
from tests.kit.pages import checked, components, open_page

TOGGLE = "rank under the finger"


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each seed that any sweep has begun to train."""
    begun: list[int] = []

    class Counted(Trainer):
        def __init__(self, experiment, problem) -> None:
            begun.append(experiment.seed)
            super().__init__(experiment, problem)

    monkeypatch.setattr(sweep, "Trainer", Counted)
    return begun


def test_no_rank_is_swept_before_it_is_asked_for_and_each_experiment_once(sweeps: list[int]) -> None:
    app = open_page(seed="1001")
    checked(app.select_slider(key="rank").set_value(5).run())
    assert not app.toggle(key=TOGGLE).value
    assert sweeps == []
    checked(app.toggle(key=TOGGLE).set_value(True).run())
    assert sweeps == [1001]
    checked(app.select_slider(key="rank").set_value(7).run())
    assert sweeps == [1001]
    checked(app.number_input(key="seed").set_value(1002).run())
    assert sweeps == [1001, 1002]
    checked(app.toggle(key=TOGGLE).set_value(False).run())
    checked(app.number_input(key="seed").set_value(1003).run())
    assert sweeps == [1001, 1002]


def test_the_toggle_is_a_view_and_not_in_the_link() -> None:
    app = open_page(seed="1001", rank="5")
    before = dict(app.query_params)
    checked(app.toggle(key=TOGGLE).set_value(True).run())
    assert dict(app.query_params) == before


def test_a_large_layer_is_referred_to_the_page_that_streams_it(sweeps: list[int]) -> None:
    app = open_page(in_features="512", out_features="512", epochs="2000", seed="1001")
    checked(app.toggle(key=TOGGLE).set_value(True).run())
    assert any("takes longer than a moment" in each.value for each in app.caption)
    assert "rank_chart" not in components(app)
    assert sweeps == []


def test_a_sweep_with_ranks_missing_is_not_kept_as_the_handle(monkeypatch: pytest.MonkeyPatch) -> None:
    link = {"in_features": "8", "out_features": "6", "seed": "1011"}
    with monkeypatch.context() as lost:  # as where a kept sweep has made room since it was looked for
        lost.setattr(rank_scrubber, "trained", lambda plan, _: next(sweep.train_sweep(*plan)))
        app = open_page(**link)
        checked(app.toggle(key=TOGGLE).set_value(True).run())
        assert any("takes longer than a moment" in each.value for each in app.caption)
    checked(app.run())
    assert not any("takes longer than a moment" in each.value for each in app.caption)
    assert components(app)["rank_chart"] == 1


@pytest.mark.parametrize(
    "link", [{"task": "digits"}, {"rank": "96"}, {"init": "zero"}, {"train_bias": "true"}]
)
def test_every_kind_of_experiment_has_its_handle(link: dict[str, str]) -> None:
    app = open_page(**link)
    assert "rank_chart" not in components(app)
    checked(app.toggle(key=TOGGLE).set_value(True).run())
    assert components(app)["rank_chart"] == 1
    assert not app.warning
