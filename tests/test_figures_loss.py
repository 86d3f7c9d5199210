"""The loss chart: its numbers, the words for them, and what is drawn."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lora_core.course import Course
from lora_core.experiment import Experiment
from lora_core.figures import palette
from lora_core.figures.loss.drawing import draw_loss
from lora_core.figures.loss.numbers import (
    Floor,
    LossCurve,
    LossInfo,
    alt_text,
    axis_range,
    format_loss,
    loss_info,
    setting_text,
    table,
)
from lora_core.training.course import Cut

FLOORS = np.array([1.0, 0.5, 0.25, 0.125])


@dataclass(frozen=True)
class Model:
    loss: np.ndarray
    test_loss: np.ndarray | None = None
    diverged_at: int | None = None


@dataclass(frozen=True)
class Pair:
    lora: Model
    full: Model
    experiment: Experiment = field(default_factory=lambda: Experiment(rank=2, epochs=3))
    known_floors: np.ndarray | None = field(default_factory=lambda: FLOORS)
    changes: tuple[Any, ...] = ()
    cuts: tuple[Cut, ...] = ()

    @property
    def course(self) -> Course:
        return Course(self.experiment, self.changes)


def halving(updates: int, start: float = 1.0) -> np.ndarray:
    return start * 0.5 ** np.arange(updates + 1)


@pytest.fixture
def info() -> LossInfo:
    """Three updates of a run with a ghost and a pin; rank 2 of 3."""
    run = Pair(Model(halving(3), halving(3, 2)), Model(halving(3, 4), halving(3, 8)))
    other = Pair(Model(halving(2, 16)), Model(halving(2)))
    return loss_info(run, ("Before", other), [("Pinned", other)])


def test_a_picture_is_entitled_by_its_setting() -> None:
    assert setting_text(Course(Experiment())) == (
        "Rank 3 on 64 × 64, task low-rank, true rank 4, alpha 8 (standard), adam at 0.01, seed 42"
    )
    changed = Course(Experiment(task="digits", true_rank=1, rank=1), ((60, "rank", 4),))
    assert setting_text(changed) == (
        "Rank 1 on 64 × 10, task digits, 1 pair swapped, alpha 8 (standard), adam at 0.01, seed 42, "
        "1 change on the way"
    )


def test_info_takes_the_run_whole_and_of_others_only_loras_training_curve(info):
    assert [(curve.role, curve.label) for curve in info.curves] == [
        ("lora", "LoRA, rank 2"),
        ("full", "Full fine-tuning"),
        ("ghost", "Before"),
        ("pin", "Pinned"),
    ]
    assert info.curves[2].loss[0] == 16
    assert [curve.test_loss is None for curve in info.curves] == [False, False, True, True]
    assert info.floors == (Floor("lora", "floor, rank 2", 0.25), Floor("full", "floor, full", 0.125))


@pytest.mark.parametrize("rank", [3, 4, 1000])
def test_a_rank_that_reaches_all_has_the_floor_of_full(rank):
    run = Pair(Model(halving(3)), Model(halving(3)), Experiment(rank=rank, epochs=3))
    floors = loss_info(run).floors
    own, full = (f"floor, rank {rank}", 0.125), ("floor, full", 0.125)
    assert [(floor.label, floor.value) for floor in floors] == [own, full]


def test_floors_that_are_not_known_yet_are_not_shown():
    run = Pair(Model(halving(3)), Model(halving(3)), known_floors=None)
    assert loss_info(run).floors == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.17123, "0.1712"),
        (0.999951, "1.000"),
        (243.70667, "243.7"),
        (12.0, "12.00"),
        (123456.7, "123,457"),
        (1234567.0, "1.235e6"),
        (1e-4, "0.0001000"),
        (9.8124e-5, "9.812e-5"),
        (1e300, "1.000e300"),
        (0.0, "0"),
        (-0.25, "-0.2500"),
        (float("nan"), "–"),
        (float("inf"), "–"),
    ],
)
def test_format_keeps_four_digits_at_any_size(value, text):
    assert format_loss(value) == text


def test_table_is_a_data_frame_with_a_row_per_update(info):
    frame = pd.DataFrame(table(info))
    assert frame["updates"].tolist() == [0, 1, 2, 3]
    assert frame["LoRA, rank 2"].tolist() == [1, 0.5, 0.25, 0.125]
    assert frame["Before"].isna().tolist() == [False, False, False, True]
    assert frame["floor, full"].unique().tolist() == [0.125]


def test_table_keeps_curves_of_the_same_name():
    twice = tuple(LossCurve("pin", "rank 3", halving(1, start)) for start in (1.0, 3.0))
    assert pd.DataFrame(table(LossInfo(twice, (), 1)))["rank 3 (2)"].tolist() == [3.0, 1.5]


def test_alt_text_says_where_everything_ends(info):
    words = alt_text(info)
    assert words.startswith("Live loss chart: mean squared error over 3 updates.")
    assert "LoRA, rank 2 goes from 1.000 to 0.1250, on new data 0.2500." in words
    assert words.endswith("Floor, rank 2: 0.2500. Floor, full: 0.1250.")


def test_a_run_that_diverged_is_said_and_marked_at_its_last_number():
    loss = np.array([1.0, 100.0, 1e6, np.inf, np.nan])
    info = LossInfo((LossCurve("lora", "LoRA, rank 1", loss, None, 3),), (), 10)
    assert "goes from 1.000 to 1.000e6, and diverged at update 3." in alt_text(info)
    mark = draw_loss(info).data[-1]
    assert (mark.meta["kind"], mark.x, mark.y) == ("mark", (2,), (10.0,))  # at the top: 1e6 is beyond it
    assert axis_range(info, log=False)[1] == pytest.approx(10.5)  # ten times the first loss, not a million


def test_axis_holds_every_curve_and_every_floor_near_them(info):
    for log in (True, False):
        low, high = axis_range(info, log)
        assert high > 16
        assert low < 0.125
    assert axis_range(info, log=False)[0] == 0


@pytest.mark.parametrize(("floor", "inside"), [(0.002, True), (1e-4, False), (0.0, False)])
def test_log_axis_reaches_for_a_floor_only_so_far(floor, inside):
    info = LossInfo((LossCurve("lora", "a", halving(3)),), (Floor("lora", "floor", floor),), 3)
    low, _ = axis_range(info, log=True)
    assert (low < floor) == inside
    assert low > floor / 2
    assert low > 0


@pytest.mark.parametrize(
    "loss",
    [np.array([1.0]), np.zeros(4), np.full(3, np.nan), np.array([0.5, 0.5]), np.array([1.0, 0.0, 1e-30])],
)
def test_axis_is_never_empty(loss):
    for log in (True, False):
        low, high = axis_range(LossInfo((LossCurve("lora", "a", loss),), (), 3), log)
        assert np.isfinite([low, high]).all()
        assert high > low
        assert low > 0 or not log


def test_drawing_keeps_the_numbers_and_gives_each_meaning_its_look(info):
    figure = draw_loss(info)
    traces = {trace.name: trace for trace in figure.data}
    for label, values in list(table(info).items())[1:7]:
        drawn = np.asarray(traces[label].y)
        np.testing.assert_array_equal(drawn, values[: len(drawn)])
    assert figure.data[-1].name == "LoRA, rank 2"  # on top
    looks = {name: (trace.line.color, trace.line.dash) for name, trace in traces.items()}
    assert looks["LoRA, rank 2"] == (palette.LORA, None)
    assert looks["LoRA, rank 2, new data"] == (palette.LORA, "dot")
    assert looks["Full fine-tuning"] == (palette.FULL, None)
    assert looks["Before"] == (palette.GHOST, None)
    assert looks["Pinned"] == palette.pin(0)
    assert [trace.meta["play"] for trace in figure.data] == [False, False, True, True, True, True]


def test_floors_are_dashed_lines_with_their_value_at_the_right_end(info):
    figure = draw_loss(info)
    lines = [(line.y0, line.y1, line.line.dash, line.line.color) for line in figure.layout.shapes]
    assert lines == [(0.25, 0.25, "dash", palette.LORA), (0.125, 0.125, "dash", palette.FULL)]
    labels = figure.layout.annotations
    assert [label.text for label in labels] == ["floor, rank 2: 0.250", "floor, full: 0.125"]
    assert [10**label.y for label in labels] == pytest.approx([0.25, 0.125], rel=1e-4)
    assert [label.y for label in draw_loss(info, log=False).layout.annotations] == [0.25, 0.125]


@pytest.mark.parametrize("value", [0.0, 1e-17])
def test_a_zero_floor_lies_at_the_foot_of_a_log_axis_and_is_labelled_0(value):
    curves = (LossCurve("lora", "a", halving(3)),)
    info = LossInfo(curves, (Floor("full", "floor, full", value),), 3)
    figure = draw_loss(info)
    assert (figure.layout.shapes[0].yref, figure.layout.shapes[0].y0) == ("paper", 0)
    assert figure.layout.annotations[0].text == "floor, full: 0"
    assert figure.layout.annotations[0].yref == "paper"
    assert draw_loss(info, log=False).layout.shapes[0].yref == "y"
    assert figure.layout.meta["floors"] == (0.0,) or figure.layout.meta["floors"] == [0.0]


def test_a_floor_far_below_the_axis_lies_at_its_foot_with_its_own_value():
    info = LossInfo((LossCurve("lora", "a", halving(3)),), (Floor("full", "floor", 1e-6),), 3)
    figure = draw_loss(info)
    assert figure.layout.shapes[0].yref == "paper"
    assert figure.layout.annotations[0].text == "floor: 1.00e-6"


def test_axes_are_titled_with_what_they_count(info):
    layout = draw_loss(info).layout
    assert layout.xaxis.title.text == "Updates"
    assert layout.yaxis.title.text == "Error (log scale)"
    assert list(layout.xaxis.range) == [0, 3]
    assert layout.meta["axes"]["linear"]["title"] == "Error"
    assert draw_loss(info, log=False).layout.yaxis.type == "linear"


def test_an_empty_chart_can_be_drawn():
    figure = draw_loss(LossInfo((), (), 5))
    assert len(figure.data) == 0
    assert alt_text(LossInfo((), (), 5)) == "Live loss chart: mean squared error over 5 updates."


def test_bad_numbers_are_named():
    with pytest.raises(ValueError, match="epochs must be at least 1, got 0"):
        LossInfo((), (), 0)
    with pytest.raises(ValueError, match=r"loss of 'a' must be \(updates \+ 1,\), got \(2, 2\)"):
        LossInfo((LossCurve("lora", "a", np.ones((2, 2))),), (), 1)
    with pytest.raises(ValueError, match=r"test_loss of 'a' must be \(3,\) as its loss, got \(2,\)"):
        LossInfo((LossCurve("lora", "a", np.ones(3), np.ones(2)),), (), 2)
