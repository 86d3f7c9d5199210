"""Every preset's sentence held against the run it speaks of."""

from functools import cache

import numpy as np
import pytest

from lora_core.accounting import break_even_storage, full_cost, lora_cost
from lora_core.experiment import Experiment
from lora_core.presets import PRESETS, Preset
from lora_core.theory import floor_at, knee
from lora_core.training.run import Run, run, train

every_preset = pytest.mark.parametrize("name", PRESETS)


@cache
def trained(name: str) -> Run:
    return run(PRESETS[name].course)


def said(name: str, words: str) -> Run:
    """The trained run of a preset whose sentence has these words."""
    assert words in PRESETS[name].sentence
    return trained(name)


def floor(found: Run) -> float:
    return floor_at(found.floors, found.experiment.rank)


def trainable(experiment: Experiment) -> int:
    sizes = (experiment.in_features, experiment.out_features)
    return lora_cost(*sizes, experiment.rank, experiment.train_bias).trainable


def trainable_in_full(experiment: Experiment) -> int:
    return full_cost(experiment.in_features, experiment.out_features, experiment.train_bias).trainable


def test_one_of_them_is_the_default() -> None:
    assert Experiment() in [preset.experiment for preset in PRESETS.values()]


@every_preset
def test_every_field_round_trips(name: str) -> None:
    experiment, _ = PRESETS[name]
    assert Experiment.from_dict(experiment.to_dict()) == experiment


def test_no_two_are_the_same() -> None:
    assert len({preset.experiment for preset in PRESETS.values()}) == len(PRESETS)
    assert len({preset.title for preset in PRESETS.values()}) == len(PRESETS)


@every_preset
def test_a_story_is_a_title_and_one_sentence(name: str) -> None:
    preset: Preset = PRESETS[name]
    assert preset.story == f"{preset.title}: {preset.sentence}"
    assert preset.title
    assert len(preset.title) <= 24
    assert preset.sentence.endswith(".")
    assert ". " not in preset.sentence
    assert "  " not in preset.story
    assert len(preset.story) < 180


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "large"])
def test_every_run_is_complete_and_only_what_is_said_to_goes_wrong(name: str) -> None:
    found = trained(name)
    assert found.complete
    assert found.dead == (name == "dead")
    assert (found.lora.diverged_at is not None) == (name == "too-fast")
    assert found.full.diverged_at is None


def test_original() -> None:
    found = said(
        "original",
        "both factors start random, about 180 times above their own base, and the targets are noise",
    )
    base = found.full.loss[0]
    assert base == pytest.approx(1.367, abs=5e-4)
    assert found.lora.loss[0] / base == pytest.approx(180, rel=0.02)
    assert f"{found.lora.loss[0]:.4f}" == "243.7067"
    assert f"{found.lora.loss[9]:.4f}" == "173.2909"
    assert trainable(found.experiment) == 306
    assert found.lora.snapshots[0].B is not None
    assert found.lora.snapshots[0].A.std().item() == pytest.approx(1.0, abs=0.1)
    # Nothing to learn: what full fine-tuning fits no held-out sample confirms, predicting 0 does better.
    assert found.full.test_loss.min() > float(found.problem.Y_test.square().mean())


def test_one_short() -> None:
    found = said(
        "one-short",
        "the change has rank 4 and the adapter 3, and the last step of the slider divides the floor by about "
        "twenty",
    )
    assert (found.experiment.shift_rank, found.experiment.rank) == (4, 3)
    assert found.floors[3] / found.floors[4] == pytest.approx(20, abs=2)
    assert found.lora.loss[-1] == pytest.approx(found.floors[3], rel=0.01)


def test_knee() -> None:
    found = said(
        "knee",
        "the adapter has the rank of the change, and any more rank buys almost nothing",
    )
    assert found.experiment.rank == found.experiment.shift_rank == knee(found.floors) == 4
    assert found.floors[4] - found.floors[-1] < 0.003 * found.floors[0]
    assert found.floors[3] - found.floors[4] > 0.15 * found.floors[0]


def test_too_much() -> None:
    found = said(
        "too-much",
        "past the break-even rank the adapter trains more numbers than full fine-tuning and its floor is no "
        "lower",
    )
    experiment = found.experiment
    assert experiment.rank > break_even_storage(experiment.in_features, experiment.out_features)
    assert trainable(experiment) > trainable_in_full(experiment)
    assert floor(found) >= found.floors[-1]


def test_power_law() -> None:
    found = said(
        "power-law",
        "each rank buys a little less than the one before, and none is the right one",
    )
    gains = -np.diff(found.floors)
    assert (np.diff(gains) < 0).all()
    assert (gains[1:] > 0.2 * gains[:-1])[:50].all()
    assert found.experiment.shift_rank is None


def test_swapped_digits() -> None:
    found = said(
        "swapped-digits",
        "real digits whose 3 and 8 trade names, a change of rank 1, so one rank brings the accuracy back",
    )
    accuracy = found.lora.test_accuracy
    assert accuracy is not None
    assert found.experiment.rank == found.experiment.shift_rank == knee(found.floors) == 1
    assert accuracy[0] == pytest.approx(0.79, abs=0.01)
    assert accuracy[-1] == pytest.approx(0.94, abs=0.01)


def test_four_swaps() -> None:
    found = said(
        "four-swaps",
        "eight of ten labels are wrong, and four ranks put them right",
    )
    accuracy = found.lora.test_accuracy
    assert accuracy is not None
    assert found.experiment.true_rank * 2 == 8
    assert accuracy[0] == pytest.approx(0.2, abs=0.03)
    assert accuracy[-1] == pytest.approx(0.94, abs=0.01)
    assert found.experiment.rank == knee(found.floors) == 4


def test_turned_digits() -> None:
    found = said(
        "turned-digits",
        "turned by 90 degrees they need many ranks, and rank 5 already trains more than half the numbers of "
        "full fine-tuning",
    )
    assert found.experiment.rank == 5
    assert knee(found.floors) >= 8
    assert floor(found) > 1.4 * found.floors[-1]
    assert 0.5 < trainable(found.experiment) / trainable_in_full(found.experiment) < 0.6


def test_few_samples() -> None:
    found = said(
        "few-samples",
        "full fine-tuning fits the noise and fails on new data; the adapter cannot, and does better",
    )
    noise = found.experiment.noise**2
    assert found.full.loss[-1] < 0.25 * noise  # below the noise: fitted
    assert found.full.test_loss[-1] > 0.85 * found.full.test_loss[0]
    assert found.lora.loss[-1] > 0.85 * noise
    assert found.lora.test_loss[-1] < 0.35 * found.full.test_loss[-1]


def test_dead() -> None:
    found = said(
        "dead",
        "with both factors zero no gradient ever moves either of them",
    )
    assert len(set(found.lora.loss)) == 1
    last = found.lora.snapshots[found.experiment.epochs]
    assert last.B is not None
    assert not last.A.any()
    assert not last.B.any()


def test_too_fast() -> None:
    found = said(
        "too-fast",
        "at this scaling plain gradient descent blows up, while full fine-tuning at the same rate does not",
    )
    assert found.lora.diverged_at is not None
    assert found.lora.loss[-1] > 100 * found.lora.loss[0]
    assert found.full.loss[-1] < 0.01 * found.full.loss[0]


def test_one_more() -> None:
    found = said(
        "one-more",
        "stuck on the floor of rank 3 the adapter is given a fourth rank at update 100, and the curve falls "
        "through its floor",
    )
    loss, floors = found.lora.loss, found.floors
    assert (found.experiment.rank, found.last.rank) == (3, 4)
    assert loss[90:100] == pytest.approx(np.full(10, floors[3]), rel=0.005)  # stuck
    assert loss[100] == pytest.approx(loss[99], rel=1e-3)
    assert loss[130] < floors[3] / 4
    assert loss[-1] == pytest.approx(floors[4], rel=0.001)


def test_cut_down() -> None:
    found = said(
        "cut-down",
        "trained at rank 16 and cut to 4 at update 150, the adapter loses on its training sample, regains a "
        "little, and does better on new data",
    )
    (cut,) = found.cuts
    uncut = run(found.experiment)
    assert (cut.rank_before, cut.rank, cut.update) == (16, 4, 150)
    assert cut.cost > 0.1 * cut.before
    assert cut.before < found.lora.loss[-1] < cut.after
    assert found.lora.test_loss[150] < found.lora.test_loss[149]
    assert found.lora.test_loss[-1] < 0.9 * uncut.lora.test_loss[-1]


def test_large() -> None:
    experiment, story = PRESETS["large"]
    assert "full fine-tuning trains a million numbers, so the curve is drawn as it grows" in story
    assert trainable_in_full(experiment) == 1024 * 1024
    stages = train(experiment)
    assert [next(stages).updates for _ in range(3)] == [0, 1, 2]
