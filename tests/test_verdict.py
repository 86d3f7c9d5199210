"""Each corner of the verdict, from a run that is in it, with the numbers of that run in its sentence."""

import re
from dataclasses import replace
from itertools import product

import pytest

from lora_core import Experiment, make_problem, run, sweep, train
from lora_core.findings.next_steps import next_steps
from lora_core.findings.outcome import outcomes_of_sweep
from lora_core.findings.verdict import verdict, verdict_on
from lora_core.formatting import loss_text
from tests.kit.runs import CORNERS, trained


@pytest.mark.parametrize("kind", CORNERS)
def test_a_run_in_a_corner_is_told_so(kind: str) -> None:
    assert verdict(trained(CORNERS[kind])).kind == kind


@pytest.mark.parametrize("kind", ["too few", "below", "at", "above", "no knee"])
def test_the_sentence_carries_the_numbers_of_the_run(kind: str) -> None:
    found = trained(CORNERS[kind])
    said = verdict(found).sentence
    numbers = {
        "too few": (found.lora.loss[-1], found.floors[3]),
        "below": (found.floors[3], found.floors[4]),
        "at": (found.lora.loss[-1], found.full.loss[-1]),
        "above": (found.floors[8], found.floors[4]),
        "no knee": (found.floors[4] - found.floors[-1], found.floors[4] - found.floors[5]),
    }[kind]
    assert all(loss_text(number) in said for number in numbers), said


LINES = 95, 150
"""Characters of the two lines on a wide screen."""


@pytest.mark.parametrize("kind", CORNERS)
def test_a_sweep_says_of_every_rank_what_its_run_says(kind: str) -> None:
    ranks = (1, 3, 4, 8, 16, 48)
    found = sweep(replace(CORNERS[kind], rank=1), ranks=ranks)
    for rank, outcome in zip(ranks, outcomes_of_sweep(found, make_problem(found.experiment)), strict=True):
        exact, swept = verdict(run(replace(CORNERS[kind], rank=rank))), verdict_on(outcome)
        assert (swept.kind, swept.title) == (exact.kind, exact.title)
        assert words_of(swept.detail) == words_of(exact.detail)
        for one, other in zip(numbers_of(swept.detail), numbers_of(exact.detail), strict=True):
            assert one == pytest.approx(other, rel=6e-3)  # trained in 32-bit numbers, shown with three digits


def words_of(text: str) -> str:
    return re.sub(r"[0-9][0-9.,e-]*", "#", text)


def numbers_of(text: str) -> list[float]:
    return [float(each.replace(",", "").rstrip(".")) for each in re.findall(r"[0-9][0-9.,e-]*", text)]


@pytest.mark.parametrize("kind", CORNERS)
def test_the_message_is_one_short_line_and_its_numbers_another(kind: str) -> None:
    said = verdict(run(CORNERS[kind]))
    assert len(said.title) <= LINES[0]
    assert len(said.detail) <= LINES[1]
    assert said.title.endswith(".")
    assert said.detail.endswith(".")


def test_divergence_overrules_the_rank_and_names_its_update() -> None:
    found = trained(CORNERS["diverged"])
    assert f"diverged at update {found.lora.diverged_at}" in verdict(found).sentence
    assert "full fine-tuning did not" in verdict(found).sentence


def test_a_growing_run_only_says_how_far_it_is() -> None:
    first = next(iter(train(Experiment())))
    assert verdict(first).kind == "training"
    assert f"{first.updates} of 200" in verdict(first).sentence


def test_on_digits_the_accuracy_before_and_after_is_told() -> None:
    said = verdict(run(Experiment(task="digits", true_rank=1, rank=1))).sentence
    assert "79.0 % before, 94.2 % after" in said


@pytest.mark.parametrize("kind", CORNERS)
def test_every_corner_has_a_next_step_that_leads_elsewhere(kind: str) -> None:
    steps = next_steps(trained(CORNERS[kind]), kind)
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
        found = run(Experiment(task=task, rank=rank, true_rank=true_rank, learning_rate=0.05, **sizes))
        kind = verdict(found).kind
        labels = [step.label for step in next_steps(found, kind)]
        assert len(set(labels)) == len(labels), found.experiment
        kinds.add(kind)
    assert kinds >= met


def test_a_next_step_stays_within_the_limits() -> None:
    slow = replace(CORNERS["too few"], epochs=2000, learning_rate=1e-5)
    (step,) = next_steps(run(replace(slow, epochs=5)), "too few")
    assert step.experiment.epochs == 20
    rates = [step.experiment.learning_rate for step in next_steps(trained(CORNERS["stuck"]), "stuck")]
    assert rates == [1e-4]  # 1e-6 would be below the least, which is where it is


@pytest.mark.parametrize(("epochs", "words"), [(1, "1 update ends at"), (5, "5 updates end at")])
def test_few_updates_are_too_few_and_one_of_them_ends_where_several_end(epochs: int, words: str) -> None:
    said = verdict(run(Experiment(epochs=epochs)))
    assert said.kind == "too few"
    assert words in said.detail


@pytest.mark.parametrize(("epochs", "rate"), [(3, 0.5), (3, 1.0), (10, 1.0)])
def test_updates_that_lead_above_the_base_are_not_too_few(epochs: int, rate: float) -> None:
    found = run(Experiment(epochs=epochs, learning_rate=rate))
    assert found.lora.loss[-1] > found.lora.loss[0]
    assert verdict(found).kind == "stuck"


def test_below_leads_to_the_true_rank() -> None:
    (step,) = next_steps(trained(CORNERS["below"]), "below")
    assert step.experiment == Experiment(rank=4)
