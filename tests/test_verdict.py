"""Each corner of the verdict, from a run that is in it, with the numbers of that run in its sentence."""

from dataclasses import replace
from itertools import product

import pytest

from lora_core import Experiment, run, train
from lora_core.findings.next_steps import next_steps
from lora_core.findings.verdict import verdict
from lora_core.formatting import loss_text

CORNERS = {
    "dead": Experiment(init="zero"),
    "diverged": Experiment(optimizer="sgd", learning_rate=1.0, alpha=64.0),
    "nothing": Experiment(task="noise", epochs=20),
    "too few": Experiment(epochs=10),
    "stuck": Experiment(learning_rate=1e-5),
    "overfitting": Experiment(samples=80, noise=0.5, rank=4),
    "break-even": Experiment(rank=48),
    "below": Experiment(),
    "at": Experiment(rank=4),
    "above": Experiment(rank=8),
    "enough": Experiment(task="power-law", decay=3.0, rank=16),
    "no knee": Experiment(task="power-law", rank=4),
}


@pytest.mark.parametrize("kind", CORNERS)
def test_a_run_in_a_corner_is_told_so(kind: str) -> None:
    assert verdict(run(CORNERS[kind])).kind == kind


@pytest.mark.parametrize("kind", ["too few", "below", "at", "above", "no knee"])
def test_the_sentence_carries_the_numbers_of_the_run(kind: str) -> None:
    trained = run(CORNERS[kind])
    said = verdict(trained).sentence
    numbers = {
        "too few": (trained.lora.loss[-1], trained.floors[3]),
        "below": (trained.floors[3], trained.floors[4]),
        "at": (trained.lora.loss[-1], trained.full.loss[-1]),
        "above": (trained.floors[8], trained.floors[4]),
        "no knee": (trained.floors[4] - trained.floors[-1], trained.floors[4] - trained.floors[5]),
    }[kind]
    assert all(loss_text(number) in said for number in numbers), said


def test_divergence_overrules_the_rank_and_names_its_update() -> None:
    trained = run(CORNERS["diverged"])
    assert f"diverged at update {trained.lora.diverged_at}" in verdict(trained).sentence
    assert "full fine-tuning did not" in verdict(trained).sentence


def test_a_growing_run_only_says_how_far_it_is() -> None:
    first = next(iter(train(Experiment())))
    assert verdict(first).kind == "training"
    assert f"{first.updates} of 200" in verdict(first).sentence


def test_on_digits_the_accuracy_before_and_after_is_told() -> None:
    said = verdict(run(Experiment(task="digits", true_rank=1, rank=1))).sentence
    assert "79.0 % before, 94.2 % after" in said


@pytest.mark.parametrize("kind", CORNERS)
def test_every_corner_has_a_next_step_that_leads_elsewhere(kind: str) -> None:
    steps = next_steps(run(CORNERS[kind]), kind)
    assert steps
    assert all(step.experiment != CORNERS[kind] for step in steps)


@pytest.mark.parametrize(
    ("task", "met"),
    [
        ("low-rank", {"at", "above", "below", "break-even"}),
        ("power-law", {"no knee"}),
        ("noise", {"nothing"}),
    ],
)
def test_no_next_step_is_offered_twice(task: str, met: set[str]) -> None:
    kinds = set()
    for in_features, out_features, rank, true_rank in product((2, 3, 8), (2, 3, 8), (1, 2, 8), (1, 2)):
        sizes = {"in_features": in_features, "out_features": out_features, "samples": 64}
        trained = run(Experiment(task=task, rank=rank, true_rank=true_rank, learning_rate=0.05, **sizes))
        kind = verdict(trained).kind
        labels = [step.label for step in next_steps(trained, kind)]
        assert len(set(labels)) == len(labels), trained.experiment
        kinds.add(kind)
    assert kinds >= met


def test_a_next_step_stays_within_the_limits() -> None:
    slow = replace(CORNERS["too few"], epochs=2000, learning_rate=1e-5)
    (step,) = next_steps(run(replace(slow, epochs=5)), "too few")
    assert step.experiment.epochs == 20
    rates = [step.experiment.learning_rate for step in next_steps(run(CORNERS["stuck"]), "stuck")]
    assert rates == [1e-4]  # 1e-6 would be below the least, which is where it is


@pytest.mark.parametrize(("epochs", "words"), [(1, "1 update ends at"), (5, "5 updates end at")])
def test_few_updates_are_too_few_and_one_of_them_ends_where_several_end(epochs: int, words: str) -> None:
    kind, sentence = verdict(run(Experiment(epochs=epochs)))
    assert kind == "too few"
    assert words in sentence


@pytest.mark.parametrize(("epochs", "rate"), [(3, 0.5), (3, 1.0), (10, 1.0)])
def test_updates_that_lead_above_the_base_are_not_too_few(epochs: int, rate: float) -> None:
    trained = run(Experiment(epochs=epochs, learning_rate=rate))
    assert trained.lora.loss[-1] > trained.lora.loss[0]
    assert verdict(trained).kind == "stuck"


def test_below_leads_to_the_true_rank() -> None:
    (step,) = next_steps(run(CORNERS["below"]), "below")
    assert step.experiment == Experiment(rank=4)
