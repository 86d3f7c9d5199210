"""The page of all ranks without a browser: what it says, what it trains again, and what only on request."""

from typing import Any

import pytest
import streamlit as st

from lora_core import Experiment, make_problem, run, sweep
from lora_core.figures.ranks.numbers import knee_words, new_data_words, ranks_info
from lora_core.training import sweep as sweep_module
from lora_core.training.batched import Trainer
from pages.runtime import sweeps
from pages.runtime.sweeps import map_plan, ranks_plan, seeds_plan, work
from tests.kit.pages import checked, components, open_page, said, shown

PAGE = "pages/1_Every_rank.py"


def expected(experiment: Experiment, tolerance: float = 0.01) -> str:
    info = ranks_info(sweep(experiment), make_problem(experiment))
    return f"{knee_words(info, tolerance)} {new_data_words(info, tolerance)}"


def test_the_knee_is_in_words_with_its_share() -> None:
    app = open_page(PAGE)
    assert said(app) == expected(Experiment())
    assert said(app).startswith("You need rank 4")
    assert "12.5 %" in said(app)


def test_a_new_rank_trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(PAGE, seed="5")

    def trained_again(*_: object) -> None:
        raise AssertionError("a sweep was trained again")

    monkeypatch.setattr(sweeps, "train_sweep", trained_again)
    checked(app.select_slider(key="rank").set_value(7).run())
    assert any("rank 7 has learnt" in each.value for each in app.markdown)
    assert said(app) == expected(Experiment(seed=5))


@pytest.mark.parametrize(
    "link",
    [
        {"task": "digits"},
        {"task": "digits", "shift": "turn"},
        {"task": "noise", "out_features": "10"},
        {"task": "power-law"},
        {"init": "zero"},
        {"noise": "0"},
        {"optimizer": "sgd", "learning_rate": "1", "alpha": "64"},
        {"train_bias": "true"},
        {"in_features": "2", "out_features": "2", "epochs": "1"},
        {"samples": "32"},
        {"rank": "96"},
    ],
    ids=lambda link: "-".join(link.values()),
)
def test_every_kind_of_experiment_is_shown(link: dict[str, str]) -> None:
    app = open_page(PAGE, **link)
    assert said(app) == expected(shown(app))
    drawn = components(app)
    spectrum = run(shown(app)).lora.diverged_at is None
    assert (drawn["rank_chart"], drawn["click_chart"], drawn["steady_chart"]) == (1, 1, 1 + spectrum)
    assert not app.warning


def test_seeds_and_map_are_computed_on_request_only() -> None:
    app = open_page(PAGE, out_features="12")
    assert not any("Best learning rate" in each.value for each in app.caption)
    checked(app.toggle(key="over seeds").set_value(True).run())
    assert any(each.value.startswith("5 seeds: the knee is at rank 4 in each") for each in app.caption)
    checked(app.toggle(key="over rates").set_value(True).run())
    assert any("Best learning rate" in each.value for each in app.caption)


@pytest.mark.parametrize(
    "link", [{"optimizer": "sgd", "learning_rate": "1", "alpha": "1024"}, {"noise": "0", "samples": "16"}]
)
def test_seeds_and_map_of_what_diverges_or_ends_at_nothing(link: dict[str, str]) -> None:
    app = open_page(PAGE, in_features="8", out_features="6", **link)
    checked(app.toggle(key="over seeds").set_value(True).run())
    checked(app.toggle(key="over rates").set_value(True).run())
    assert any(each.value.startswith("5 seeds: the knee is") for each in app.caption)


def test_another_tolerance_finds_another_rank() -> None:
    app = open_page(PAGE, task="power-law")
    found = said(app)
    checked(app.segmented_control(key="tolerance").set_value(0.1).run())
    assert said(app) == expected(Experiment(task="power-law"), 0.1) != found


def test_a_large_layer_grows_and_ends_complete() -> None:
    experiment = Experiment(in_features=256, out_features=256, epochs=500)
    assert work(ranks_plan(experiment)) > sweeps.AT_ONCE
    app = open_page(PAGE, in_features="256", out_features="256", epochs="500")
    assert said(app) == "Training 14 ranks, which takes longer than a moment."
    shares = []
    while said(app).startswith("Training"):
        shares += [each.proto.value for each in app.get("progress")]
        checked(app.run())
    assert said(app).startswith("You need rank 4")
    assert len(set(shares)) > 2
    assert shares == sorted(shares)


def test_a_page_looks_less_often_where_many_sweeps_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: dict[str, float | None] = {}
    fragment = st.fragment

    def fragment_and_note(function: Any, *, run_every: float | None = None) -> Any:
        ticks[function.__module__] = run_every
        return fragment(function, run_every=run_every)

    monkeypatch.setattr(st, "fragment", fragment_and_note)
    monkeypatch.setattr(sweeps.SWEEPS, "growing", lambda: 8)
    open_page(PAGE, in_features="256", out_features="256", epochs="500", seed="5")
    assert ticks["pages.every_rank.page"] == 1.0
    app = open_page(PAGE, seed="5", epochs="300")
    checked(app.toggle(key="over rates").set_value(True).run())
    assert ticks["pages.every_rank.on_request"] == 1.0


def test_another_value_cancels_a_growing_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    updates: list[int] = []

    class Watched(Trainer):
        def _train(self, stack):
            steps = super()._train(stack)
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    return end.value
                updates.append(self.experiment.seed)
                yield

    monkeypatch.setattr(sweep_module, "Trainer", Watched)
    app = open_page(PAGE, in_features="256", out_features="256", epochs="2000", seed="71")
    checked(app.run())
    assert set(updates) == {71}
    checked(app.number_input(key="seed").set_value(72).run())
    updates.clear()
    checked(app.run())
    assert set(updates) == {72}
    assert any("Any other value on the left cancels it" in each.value for each in app.caption)


def test_plans_leave_out_what_does_not_change_them() -> None:
    one, other = Experiment(rank=2), Experiment(rank=9)
    assert ranks_plan(one) == ranks_plan(other)
    assert seeds_plan(one) == seeds_plan(other)
    assert map_plan(one) == map_plan(Experiment(rank=9, learning_rate=0.5))
    assert (len(map_plan(one).ranks), len(map_plan(one).rates)) == (16, 12)
