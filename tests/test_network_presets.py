"""Are the sentences of the small network right? Those of the presets, and each corner of the finding."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from lora_core.findings.network import finding
from lora_core.network.data import letter_tables, task_of
from lora_core.network.experiment import NetworkExperiment
from lora_core.network.presets import NETWORK_PRESETS, usual
from lora_core.network.run import NetworkRun, base_of, batch_order, run_lane, scores
from lora_core.network.stack import Stack

SEEDS = range(1, 9)
QUICK = (1, 2)
"""Seeds that every test run trains; ``python -m tests.network`` trains all of ``SEEDS``."""


@lru_cache
def ends(experiment: NetworkExperiment, full: bool = False) -> tuple[float, float]:
    """Held-out loss and share of right signs after the last update."""
    base = base_of(experiment.network)
    stack, order = Stack(base, [experiment], full), batch_order(experiment)
    task = task_of(experiment.network, experiment.task)
    for _ in range(experiment.updates):
        stack.step(task.batch(experiment.batch, order))
    new, _ = scores(base, stack.weights(), experiment.network, experiment.task)
    return float(new.loss), float(new.accuracy)


def holds(name: str, seed: int) -> bool:
    """Whether what a preset says is so at this seed."""

    def of(name: str, full: bool = False) -> NetworkExperiment:
        other = replace(NETWORK_PRESETS[name].experiment, seed=seed)
        return other.full_only() if full else other

    e = of(name)
    loss, right = ends(e)
    pairs = letter_tables(e.language).pairs
    if name in ("italian", "finnish"):
        eighth = 8 * e.trainable() == e.trainable_full()
        return eighth and loss < pairs and abs(loss - ends(of(name, full=True), True)[0]) < 0.05
    if name == "one":
        return len(e.module_ranks()) == 12 and loss < pairs
    if name == "attention":
        return e.trainable() == of("italian").trainable() and loss > ends(of("italian"))[0] + 0.03
    if name == "mlp":
        return e.trainable() < of("attention").trainable() / 3 and loss < ends(of("attention"))[0] - 0.03
    if name == "backwards":
        return len(e.module_ranks()) == 4 and right > 0.95
    if name == "backwards-mlp":
        return e.trainable() > 2 * of("backwards").trainable() and right < 0.2
    if name == "next":
        return set(e.module_ranks().values()) == {1} and right > 0.99
    return e.trainable() > 6 * of("next").trainable() and right < 0.35


@pytest.mark.parametrize("name", NETWORK_PRESETS)
def test_a_preset_says_what_is_so(name: str) -> None:
    # The copier's runs are short enough for a second seed.
    seeds = QUICK if NETWORK_PRESETS[name].experiment.network == "copier" else QUICK[:1]
    assert all(holds(name, seed) for seed in seeds)


def test_what_a_network_opens_on_is_its_preset() -> None:
    assert NETWORK_PRESETS["italian"].experiment == NetworkExperiment() == usual("words")
    for preset in NETWORK_PRESETS.values():
        opened = usual(preset.experiment.network)
        assert preset.experiment.updates == opened.updates
        assert preset.sentence[0].isupper()
        assert preset.sentence.endswith(".")


def run(experiment: NetworkExperiment, updates: int = 5, **changes: object) -> NetworkRun:
    short = replace(experiment, updates=updates, batch=4, **changes)
    return NetworkRun(short, run_lane(short), run_lane(short, full=True))


def told(
    found: NetworkRun, test_loss: list[float] | None = None, right: float | None = None
) -> tuple[str, str]:
    """Kind and headline of a run whose numbers are put in their place."""
    lane = found.lora
    if test_loss is not None:
        lane = replace(lane, test_loss=np.array(test_loss))
    if right is not None:
        lane = replace(lane, accuracy=np.array([0.1, right]))
    said = finding(replace(found, lora=lane))
    return said.kind, said.headline


def test_each_corner_of_the_words() -> None:
    found = run(NetworkExperiment())
    assert told(found, [2.97, 2.02]) == (
        "learnt", "Italian it is: 2.97 → 2.02 nats a letter on new names; a table of letter pairs has 2.22.",
    )  # fmt: skip
    assert told(found, [2.97, 2.5]) == (
        "short", "Not yet Italian: 2.50 nats a letter on new names, and a table of letter pairs has 2.22.",
    )  # fmt: skip
    assert told(found, [2.0, 2.1])[1] == (
        "Trained too long: 2.00 nats a letter on new names after 0 updates, 2.10 in the end."
    )
    said = finding(found)
    assert said.beside.startswith(
        "LoRA trains 6,912 numbers, 12.5 % of full fine-tuning's 55,296, which end at "
    )
    assert "English goes from 1.97 to" in said.beside
    ended = replace(found, lora=replace(found.lora, test_loss=np.array([2.97, 2.02])))
    assert finding(ended).beside.endswith(
        " At 2.02 a letter is as hard to guess as one of 7.5 alike, at 2.97 as one of 19."
    )


def test_each_corner_of_the_copier() -> None:
    found = run(usual("copier"))
    assert (
        told(found, right=0.984)[1]
        == "It writes backwards: 98.4 % of the letters are right on new questions."
    )
    assert (
        told(found, right=0.62)[1]
        == "It half writes backwards: 62.0 % of the letters are right on new questions."
    )
    assert told(found, right=0.12)[1] == (
        "It does not write backwards: 12.0 % of the letters are right, and guessing has 10 %."
    )
    assert "Asked to repeat" in finding(found).beside


def test_corners_without_a_score() -> None:
    assert told(run(NetworkExperiment(targets="own"))) == (
        "nothing",
        "No module is trained: give one a rank.",
    )
    kind, headline = told(run(NetworkExperiment(), 40, learning_rate=1.0, alpha=4096.0))
    assert kind == "diverged"
    assert headline.startswith("Learning rate 1 is too high here: LoRA diverged at update ")
    growing = run(NetworkExperiment())
    growing = replace(growing, lora=replace(growing.lora, complete=False))
    assert finding(growing).headline == "Training: 5 of 5 updates done."


@pytest.mark.parametrize("slogan", ["forgets less", "faster", "knee", "floor", "intruder", "10 times"])
def test_no_sentence_claims_what_was_not_seen(slogan: str) -> None:
    said = [preset.title + preset.sentence for preset in NETWORK_PRESETS.values()]
    assert not [sentence for sentence in said if slogan in sentence]
