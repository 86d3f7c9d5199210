"""The five numbers in words: the run's own, nothing where nothing is left, and one share everywhere."""

import pytest

from lora_core import Experiment, run
from lora_core.accounting import full_cost, lora_cost
from lora_core.findings.five_numbers import MEANINGS, five_numbers, share_words
from lora_core.findings.outcome import outcome_of_run
from lora_core.formatting import loss_text, percent_text


def numbers(**fields: object) -> dict[str, tuple[str, str]]:
    found = five_numbers(outcome_of_run(run(Experiment(**fields))))
    return {each.name: (each.value, each.note) for each in found}


def test_the_default_leaves_nothing_and_says_what_the_rank_costs() -> None:
    trained = run(Experiment())
    floor, least = trained.floors[3], trained.floors[-1]
    assert numbers() == {
        "Trains": ("384 of 4,096", "9.38 %"),
        "Ends at": (loss_text(trained.lora.loss[-1]), f"full {loss_text(trained.full.loss[-1])}"),
        "Training left": ("nothing", f"above its floor {loss_text(floor)}"),
        "Rank costs": (loss_text(floor - least), f"above full's {loss_text(least)}"),
        "On new data": (
            loss_text(trained.lora.test_loss[-1]),
            f"full {loss_text(trained.full.test_loss[-1])}",
        ),
    }


def test_what_training_left_is_said_where_it_stopped_early() -> None:
    trained = run(Experiment(epochs=10))
    left = trained.lora.loss[-1] - trained.floors[3]
    assert numbers(epochs=10)["Training left"][0] == loss_text(left)


@pytest.mark.parametrize("bias", [False, True])
def test_the_share_is_of_full_fine_tuning(bias: bool) -> None:
    lora, full = lora_cost(64, 10, 4, bias).trainable, full_cost(64, 10, bias).trainable
    fields = {"out_features": 10, "rank": 4, "train_bias": bias}
    assert numbers(**fields)["Trains"] == (f"{lora} of {full}", percent_text(lora / full))
    said = share_words(outcome_of_run(run(Experiment(epochs=2, **fields))))
    assert said.startswith(
        f"Trainable share: rank 4 trains {lora} of {full}, {percent_text(lora / full)}, fewer"
    )


def test_a_rank_that_diverged_has_no_error_left() -> None:
    found = numbers(optimizer="sgd", learning_rate=1.0, alpha=64.0)
    assert (found["Ends at"][0], found["Training left"][0]) == ("diverged", "–")
    assert found["On new data"][0] == "diverged"


def test_a_floor_of_nothing_is_0_and_no_power_of_ten() -> None:
    found = numbers(samples=16, rank=128, epochs=400)
    assert found["Rank costs"] == ("0", "above full's 0")
    assert not any("e-" in text for value, note in found.values() for text in (value, note))


def test_digits_are_read_and_every_number_is_explained() -> None:
    found = numbers(task="digits", true_rank=1, rank=1)
    assert found["New digits read"] == ("94.2 %", "before 79.0 %")
    assert set(found) | set(numbers(epochs=1)) | {"Stands at"} == set(MEANINGS)
