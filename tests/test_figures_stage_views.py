"""Views of scenes without a curve: counted by hand, and silent about the answer before the reveal."""

import json

import numpy as np
import pytest

from lora_core.experiment import Experiment
from lora_core.figures.stage import views
from lora_core.figures.stage.views import (
    layer_drawing,
    picture_drawing,
    picture_info,
    reading_drawing,
    reading_info,
    share_drawing,
    share_info,
)
from tests.kit.runs import layer_of, trained

DIGITS = Experiment(task="digits", true_rank=1, rank=1)


def test_the_bars_of_a_share_hide_it_until_the_reveal_on_a_scale_that_stays() -> None:
    info = share_info(Experiment(rank=48))
    assert (info.lora, info.full, info.share) == (48 * 128, 4096, 1.5)
    hidden = share_drawing(info, revealed=False, guess=160, most=300)
    assert "6,144" not in json.dumps(hidden)
    assert "150" not in json.dumps(hidden)
    told = share_drawing(info, revealed=True, guess=160, most=300)
    assert [row["of"] for row in hidden["rows"]] == [pytest.approx(1 / 3), 0]
    assert [row["of"] for row in told["rows"]] == pytest.approx([1 / 3, 1.5 / 3])
    assert told["guess"] == {"of": pytest.approx(160 / 300), "says": "Our guess: 160 %"}
    assert told["rows"][1]["says"] == "6,144 numbers, 150 %"


def test_a_layer_grows_step_by_step_and_stays_at_its_last() -> None:
    info = share_info(Experiment(rank=4))
    parts = [layer_drawing(info, step)["part"] for step in range(6)]
    assert parts == ["base", "change", "factors", "numbers", "numbers", "numbers"]
    assert layer_drawing(info, 3)["says"] == "512 numbers, 12.5 % of 4,096"
    assert "512" not in layer_drawing(info, 2)["alt"]


def test_a_picture_is_the_sum_of_its_ranks() -> None:
    info = picture_info()
    assert info.picture.shape == (8, 8)
    assert (info.picture.min(), info.picture.max()) == (0, 1)
    energy = (info.picture**2).sum()
    for rank in range(9):
        built = info.columns[:, :rank] @ info.rows[:rank]
        left = ((info.picture - built) ** 2).sum()  # no table of this rank comes nearer (Eckart and Young)
        assert left == pytest.approx((1 - info.held[rank]) * energy, abs=1e-9)
        assert np.linalg.matrix_rank(built, tol=1e-9) == min(rank, np.linalg.matrix_rank(info.picture))
    assert info.held[1] < 0.7 < 0.95 < info.held[3]
    drawn = picture_drawing(info, 2)
    assert drawn["head"] == [f"Rank 2: 32 numbers for 64, {100 * info.held[2]:.1f} % of the picture"]
    assert np.array(drawn["columns"]) @ np.array(drawn["rows"]) == pytest.approx(
        info.columns[:, :2] @ info.rows[:2], abs=5e-3
    )
    assert picture_drawing(info, 0)["columns"] == [[]] * 8


def test_digits_are_read_as_the_layer_reads_them() -> None:
    run = trained(DIGITS)
    info = reading_info(run)
    labels = run.problem.labels_test
    assert labels is not None
    layer = layer_of(run)
    read = layer(run.problem.X_test).argmax(1).numpy()
    places = [place for label in range(10) for place in np.flatnonzero(labels.numpy() == label)[:3]]
    assert info.after.tolist() == read[places].tolist()
    assert info.accuracy == pytest.approx((read == labels.numpy()).mean())
    assert info.labels.tolist() == [label for label in range(10) for _ in range(3)]
    swapped = (info.labels == 3) | (info.labels == 8)
    assert (info.before[swapped] != info.labels[swapped]).all()  # as the base learnt their names
    hidden, told = reading_drawing(info, revealed=False), reading_drawing(info, revealed=True)
    assert hidden["before"] == hidden["after"] == told["before"]
    assert "LoRA" not in json.dumps(hidden)
    assert told["labels"] == [*range(10)] * 3
    assert told["head"][1] == f"LoRA, rank 1: {100 * info.accuracy:.1f} %"
    assert len(told["pictures"]) == 30 * 64


def test_what_has_no_digits_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="one of digits"):
        reading_info(trained(Experiment()))
    assert views.EXAMPLES == 3
