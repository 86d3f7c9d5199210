"""What an adapter trains and stores beside full fine-tuning: the accounting's numbers, in words."""

import pytest

from lora_core import Experiment
from lora_core.figures.share import quantities, table

SCRIPT = {"task": "noise", "out_features": 10, "samples": 1000, "rank": 4}


@pytest.mark.parametrize(("bias", "lora", "full"), [(False, 296, 640), (True, 306, 650)])
def test_the_script_trains_296_of_640_numbers_and_with_its_bias_306_of_650(
    bias: bool, lora: int, full: int
) -> None:
    trained = quantities(Experiment(**SCRIPT, train_bias=bias))[0]
    assert (trained.lora, trained.full, trained.share) == (lora, full, lora / full)


@pytest.mark.parametrize("rank", [1, 4, 9, 1024])
@pytest.mark.parametrize("sizes", [(2, 2), (64, 10), (1024, 1024)])
def test_the_table_says_what_was_counted_at_every_size(sizes: tuple[int, int], rank: int) -> None:
    experiment = Experiment(in_features=sizes[0], out_features=sizes[1], rank=rank)
    trained = quantities(experiment)[0]
    said = table(experiment)
    assert trained.lora == rank * sum(sizes)
    assert said[f"LoRA, rank {rank}"][0] == trained.text(trained.lora)
    assert said["Full fine-tuning"][0] == trained.text(sizes[0] * sizes[1])


def test_plain_gradient_descent_keeps_no_state_on_either_side() -> None:
    state = quantities(Experiment(optimizer="sgd"))[2]
    assert (state.lora, state.full, state.share) == (0, 0, 0.0)
    assert table(Experiment(optimizer="sgd"))["LoRA / full"][2] == "–"
