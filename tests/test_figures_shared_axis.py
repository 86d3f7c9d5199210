"""Two panels over one axis of ranks: what a rank buys and costs, and every word that belongs to it."""

from dataclasses import replace

import numpy as np
import pytest

from lora_core import Experiment, make_problem, run, sweep
from lora_core.accounting import full_cost, lora_cost
from lora_core.choices import RANKS, rank_choices
from lora_core.figures.ranks.shared_axis import (
    loss_span,
    loss_ticks,
    shared_axis_info,
    shared_axis_message,
    trained_axis_info,
)
from lora_core.findings.verdict import verdict
from lora_core.theory import floor_at

SMALL = Experiment(in_features=8, out_features=6, samples=96, rank=1, epochs=60)
DIGITS = Experiment(task="digits", true_rank=4, rank=1)


def trained(experiment: Experiment):
    return trained_axis_info(
        sweep(experiment, ranks=rank_choices(experiment.full_rank)), make_problem(experiment)
    )


@pytest.mark.parametrize(
    ("full_rank", "last"), [(2, 4), (6, 12), (10, 20), (64, 128), (100, 192), (1024, 1024)]
)
def test_a_slider_offers_up_to_twice_the_layer_s_rank(full_rank: int, last: int) -> None:
    assert rank_choices(full_rank)[-1] == last
    assert rank_choices(full_rank) == RANKS[: RANKS.index(last) + 1]


def test_shares_and_floors_are_there_without_training() -> None:
    problem = make_problem(SMALL)
    info = shared_axis_info(SMALL, 1.0, 0.1, problem.floors())
    full = full_cost(8, 6).trainable
    assert not info.trained
    assert info.shares.tolist() == [lora_cost(8, 6, rank).trainable / full for rank in info.ranks]
    assert info.floors.tolist() == [floor_at(problem.floors(), rank) for rank in info.ranks]
    assert info.counts[2] == "42 of 48"
    assert info.break_even == pytest.approx(48 / 14)
    assert shared_axis_info(SMALL, 1.0, 0.1, None).floors is None


@pytest.mark.parametrize(
    "experiment", [SMALL, replace(SMALL, train_bias=True), DIGITS], ids=["plain", "bias", "digits"]
)
def test_no_end_lies_below_its_floor_and_the_words_are_the_runs(experiment: Experiment) -> None:
    info = trained(experiment)
    assert (info.final >= info.floors - 1e-9 * info.base).all()
    for place in (0, 3, len(info.ranks) - 1):
        said = verdict(run(replace(experiment, rank=info.ranks[place])))
        assert info.titles[place] == said.title


def test_a_sweep_of_other_ranks_is_refused() -> None:
    with pytest.raises(ValueError, match="ranks are"):
        trained_axis_info(sweep(SMALL), make_problem(SMALL))


def test_digits_flip_from_wrong_to_right_as_the_rank_grows() -> None:
    info = trained(DIGITS)
    right = info.digits.right
    assert info.digits.labels.tolist() == list(range(10))
    assert right.shape == (len(info.ranks), 10)
    assert right[3].sum() > right[0].sum()
    assert trained(SMALL).digits is None
    sent = shared_axis_message(info)["trained"]["digits"]  # flat, as the view reads it: ten to a rank
    assert sent["guesses"].tolist() == info.digits.guesses.reshape(-1).tolist()
    assert sent["right"].tolist() == right.reshape(-1).tolist()


def test_what_is_sent_is_plain_and_holds_every_rank() -> None:
    message = shared_axis_message(trained(SMALL))
    count = len(rank_choices(6))
    for name in ("ranks", "shares", "percents", "counts", "shareWords", "floors"):
        assert len(message[name]) == count, name
    for name in ("curves", "finals", "tests", "titles", "details", "numbers"):
        assert len(message["trained"][name]) == count, name
    assert shared_axis_message(shared_axis_info(SMALL, 1.0, 0.1, None))["trained"] is None


def test_a_diverged_rank_has_no_end_but_a_headline() -> None:
    info = trained(replace(SMALL, optimizer="sgd", learning_rate=1.0, alpha=64.0))
    place = int(np.flatnonzero(np.isnan(info.final))[0])
    assert shared_axis_message(info)["trained"]["finals"][place] is None
    assert "too high" in info.titles[place]
    low, high = loss_span(info)
    assert 0 < low < high < np.inf


@pytest.mark.parametrize(
    ("low", "high"), [(0.005, 1.3), (0.027, 0.15), (0.99, 1.6), (1e-9, 250.0), (0.2, 0.3)]
)
def test_an_axis_has_few_ticks_and_at_least_one(low: float, high: float) -> None:
    ticks = loss_ticks(low, high)
    assert 1 <= len(ticks) <= 6
    assert all(low <= tick <= high for tick in ticks)
