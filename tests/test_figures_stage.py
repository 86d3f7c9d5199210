"""The stage's figures: what is hidden before the reveal, what stays beside it, and axes that do not move."""

from dataclasses import replace

import numpy as np
import pytest

from lora_core.data import make_problem
from lora_core.experiment import Experiment
from lora_core.figures import palette
from lora_core.figures.loss.numbers import LossInfo, alt_text, loss_info
from lora_core.figures.ranks.numbers import RanksInfo, ranks_info
from lora_core.figures.stage.curves import (
    GUESS_DASH,
    draw_scene,
    draw_scene_ranks,
    scene_alt,
    scene_ranks_alt,
)
from lora_core.training.run import run
from lora_core.training.sweep import sweep

EXPERIMENT = Experiment(in_features=16, out_features=12, samples=64, true_rank=3, rank=2, epochs=60)


@pytest.fixture(scope="module")
def info() -> LossInfo:
    found = run(EXPERIMENT)
    found.problem.floors()
    return loss_info(found)


@pytest.fixture(scope="module")
def ranks() -> RanksInfo:
    return ranks_info(sweep(EXPERIMENT, ranks=range(1, 13)), make_problem(EXPERIMENT))


def labels(figure) -> list[str]:
    return [each.text for each in figure.layout.annotations]


def test_before_the_reveal_there_is_only_the_base_and_the_guess(info: LossInfo) -> None:
    figure = draw_scene(info, 1.5, revealed=False, guess=0.25, ends=(0.1, 2.0))
    assert len(figure.data) == 0
    assert labels(figure) == ["Base: 1.50", "Our guess: 0.25"]
    assert [shape.y0 for shape in figure.layout.shapes] == figure.layout.meta["floors"] == [1.5, 0.25]
    assert [each.y for each in figure.layout.annotations] == pytest.approx(np.log10([1.5, 0.25]))
    assert [shape.line.color for shape in figure.layout.shapes] == [palette.BASE, palette.INK]


def test_after_it_the_curves_are_there_and_the_guess_still_is(info: LossInfo) -> None:
    figure = draw_scene(info, 1.5, revealed=True, guess=0.25, ends=(0.1, 2.0))
    names = {trace.name for trace in figure.data}
    assert names == {
        "LoRA, rank 2",
        "LoRA, rank 2, new data",
        "Full fine-tuning",
        "Full fine-tuning, new data",
    }
    assert labels(figure)[-2:] == ["Base: 1.50", "Our guess: 0.25"]
    assert len(figure.layout.shapes) == len(figure.layout.meta["floors"]) == 4
    assert figure.layout.shapes[-1].line.dash == GUESS_DASH


def test_the_axes_stay_through_the_reveal_and_hold_what_can_be_guessed(info: LossInfo) -> None:
    ends = (1e-4, 50.0)
    hidden, shown = (draw_scene(info, 1.5, revealed=each, guess=None, ends=ends) for each in (False, True))
    assert hidden.layout.yaxis.range == shown.layout.yaxis.range
    assert hidden.layout.meta["axes"] == shown.layout.meta["axes"]
    low, high = shown.layout.meta["axes"]["log"]["range"]
    assert low < ends[0]
    assert high > ends[1]
    assert shown.layout.meta["axes"]["linear"]["range"][1] > ends[1]
    assert shown.layout.yaxis.range == pytest.approx(np.log10([low, high]))


def test_a_guess_of_something_else_is_not_on_the_loss_axis(info: LossInfo) -> None:
    assert labels(draw_scene(info, 1.5, revealed=False, guess=None, ends=None)) == ["Base: 1.50"]


def test_before_the_reveal_no_rank_is_told(ranks: RanksInfo) -> None:
    figure = draw_scene_ranks(ranks, revealed=False, guess=5)
    assert [trace.name for trace in figure.data] == ["Base"]
    assert labels(figure) == ["Our guess: 5"]
    assert np.asarray(figure.data[0].y) == pytest.approx(ranks.base)


def test_after_it_every_rank_is_there_with_its_floor_and_the_knee(ranks: RanksInfo) -> None:
    figure = draw_scene_ranks(ranks, revealed=True, guess=5)
    lines = {trace.name: np.asarray(trace.y) for trace in figure.data}
    assert set(lines) == {"Base", "Full fine-tuning", "Floor", "LoRA, trained"}
    assert lines["LoRA, trained"] == pytest.approx(ranks.final)
    assert lines["Floor"] == pytest.approx(ranks.floors[1:])
    assert (lines["LoRA, trained"] >= lines["Floor"] * (1 - 1e-6)).all()
    assert labels(figure) == ["Enough: 3", "Our guess: 5"]
    assert [shape.x0 for shape in figure.layout.shapes] == [3, 5]


@pytest.mark.parametrize(
    ("guess", "sides"),
    [
        (None, ["left"]), (5, ["right", "left"]), (2, ["right", "right"]), (8, ["left", "left"]),
        (9, ["left", "left"]),
    ],
)  # fmt: skip
def test_names_stand_away_from_each_other_where_there_is_room(
    ranks: RanksInfo, guess: int | None, sides: list[str]
) -> None:
    # Twelve ranks, of which 8 is enough: left of 2 and right of 9 there is no room for words.
    at_eight = replace(ranks, floors=np.where(np.arange(13) < 8, 1.0, 0.01))
    names = draw_scene_ranks(at_eight, revealed=True, guess=guess).layout.annotations
    assert names[0].text == "Enough: 8"
    assert [{"right": "left", "left": "right"}[name.xanchor] for name in names] == sides


def test_the_charts_in_words_keep_the_secret_too(info: LossInfo, ranks: RanksInfo) -> None:
    hidden = scene_alt(alt_text(info), 1.5, revealed=False, guess=0.25)
    assert hidden.startswith("Loss chart before the reveal: no curve yet. The frozen base is at 1.50.")
    assert hidden.endswith("The room's guess is 0.250.")
    assert "LoRA, rank 2 goes from" in scene_alt(alt_text(info), 1.5, revealed=True, guess=None)
    hidden = scene_ranks_alt(ranks, "You need rank 3.", revealed=False, guess=5)
    assert "rank 3" not in hidden
    assert "guess is rank 5" in hidden
    assert scene_ranks_alt(ranks, "You need rank 3.", revealed=True, guess=None) == "You need rank 3."
