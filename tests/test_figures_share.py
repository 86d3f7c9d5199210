"""The share chart: its numbers are the accounting's, and its drawing shows them."""

import numpy as np
import plotly.graph_objects as go
import pytest

from lora_core import Experiment
from lora_core.accounting import lora_cost
from lora_core.figures.share import alt_text, share_drawing, share_info, table

SCRIPT = Experiment(task="noise", out_features=10, samples=1000, rank=4)


def test_the_script_trains_296_of_946_numbers_with_its_bias_frozen_and_306_with_it_trained() -> None:
    assert (share_info(SCRIPT).trainable, share_info(SCRIPT).total) == (296, 946)
    biased = share_info(Experiment(task="noise", out_features=10, samples=1000, rank=4, train_bias=True))
    assert (biased.trainable, biased.total, biased.full_trainable) == (306, 946, 650)


def test_the_curve_passes_full_fine_tuning_at_break_even() -> None:
    info = share_info(SCRIPT)
    assert info.break_even == pytest.approx(640 / 74)
    below = info.ranks < info.break_even
    assert np.all(info.shares[below] < 1)
    assert np.all(info.shares[~below] > 1)
    assert info.ranks[-1] > info.break_even
    assert info.shares[0] == lora_cost(64, 10, 1).trainable / 640


@pytest.mark.parametrize("rank", [1, 4, 9, 1024])
@pytest.mark.parametrize("sizes", [(2, 2), (64, 10), (1024, 1024)])
def test_it_is_drawn_at_every_size_with_bars_and_words_that_agree(sizes: tuple[int, int], rank: int) -> None:
    info = share_info(Experiment(in_features=sizes[0], out_features=sizes[1], rank=rank))
    figure = go.Figure(share_drawing(info))
    full, lora = figure.data[:2]
    assert list(full.x) == [100.0] * 4
    assert lora.x[-1] == pytest.approx(100 * info.trainable / info.full_trainable)
    assert lora.text[-1] == table(info)[f"LoRA, rank {rank}"][0]
    assert max(info.ranks) >= rank
    assert alt_text(info).startswith("Trainable share")


def test_plain_gradient_descent_keeps_no_state_on_either_side() -> None:
    state = share_info(Experiment(optimizer="sgd")).bars[2]
    assert (state.lora, state.full, state.share) == (0, 0, 0.0)
    assert table(share_info(Experiment(optimizer="sgd")))["LoRA / full"][2] == "–"
