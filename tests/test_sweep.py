"""Sweeps against the runs of the same rank, rate and seed; padding, blocks, divergence."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lora_core.data import make_problem
from lora_core.experiment import Experiment
from lora_core.theory import floor_at
from lora_core.training import sweep as sweep_module
from lora_core.training.batched import BLOCK_BYTES
from lora_core.training.history import DIVERGED
from lora_core.training.run import run
from lora_core.training.sweep import Sweep, sweep, train_sweep

LARGE = """
import resource, time, torch
from lora_core.training import sweep
from lora_core.data import make_problem
from lora_core.experiment import Experiment
from tests.kit.tensors import normal

torch.set_num_threads(1)
def memory():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

experiment = Experiment(in_features=1024, out_features=1024, epochs=8)
problem = make_problem(experiment)
problem.floors()
sweep.make_problem = lambda _: problem
before, seconds, taken, last = memory(), [], [], time.thread_time()
for found in sweep.train_sweep(experiment, [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128]):
    seconds.append(time.thread_time() - last)
    taken.append(memory() - before)
    last = time.thread_time()
print(len(seconds), max(seconds), max(taken), found.complete)
"""
"""A sweep of the largest layer, looked at: how often, the most CPU time between two looks, its memory."""

SMALL: dict[str, Any] = {"in_features": 12, "out_features": 9, "samples": 40, "true_rank": 3, "epochs": 60}


def experiment_with(**fields: Any) -> Experiment:
    return Experiment(**fields)


def check_equal_to_runs(found: Sweep, ranks: list[int], tolerance: float = 1e-3) -> None:
    """Each update within ``tolerance``, relative, of the float64 run of that rank, rate and seed."""
    for s, seed in enumerate(found.seeds):
        for j, rate in enumerate(found.learning_rates):
            one = dataclasses.replace(found.experiment, seed=seed, learning_rate=rate)
            for rank in ranks:
                i = found.ranks.index(rank)
                single = run(dataclasses.replace(one, rank=rank))
                np.testing.assert_allclose(found.losses[s, i, j], single.lora.loss, rtol=tolerance)
                assert found.test_losses[s, i, j] == pytest.approx(single.lora.test_loss[-1], rel=tolerance)
            np.testing.assert_allclose(found.full_losses[s, j], single.full.loss, rtol=tolerance)
            assert found.full_test_losses[s, j] == pytest.approx(single.full.test_loss[-1], rel=tolerance)
            assert np.array_equal(found.floors[s], single.floors)


# --- a sweep is its runs


@pytest.mark.parametrize("train_bias", [False, True])
@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 0.01), ("sgd", 0.1)])
def test_a_sweep_is_the_runs_of_its_ranks(optimizer: str, rate: float, train_bias: bool) -> None:
    experiment = experiment_with(optimizer=optimizer, learning_rate=rate, train_bias=train_bias)
    found = sweep(experiment)
    assert found.ranks == tuple(range(1, 65))
    assert found.loss.shape == (64, 1, 201)
    check_equal_to_runs(found, [1, 2, 3, 4, 5, 8, 13, 32, 64])


@pytest.mark.parametrize("train_bias", [False, True])
@pytest.mark.parametrize("shift", ["swap", "turn"])
def test_a_sweep_of_the_digits_is_its_runs(shift: str, train_bias: bool) -> None:
    """Adam's small spikes at convergence amplify rounding: here 5e-3."""
    found = sweep(experiment_with(task="digits", shift=shift, train_bias=train_bias))
    assert found.ranks == tuple(range(1, 11))
    check_equal_to_runs(found, [1, 4, 10], tolerance=5e-3)


@pytest.mark.parametrize(
    "fields",
    [
        {"in_features": 9, "out_features": 12},
        {"in_features": 50, "samples": 20},
        {"init": "gaussian", "lr_ratio": 4.0, "alpha": 1.0},
        {"init": "original", "alpha": 0.5, "scaling_rule": "constant"},
        {"task": "power-law", "scaling_rule": "rslora", "train_bias": True},
        {"task": "noise", "train_bias": True, "lr_ratio": 0.2},
    ],
)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_sweep_over_ranks_rates_and_seeds_is_its_runs(optimizer: str, fields: dict[str, Any]) -> None:
    experiment = experiment_with(**(SMALL | {"optimizer": optimizer} | fields))
    found = sweep(experiment, ranks=[30, 1, 3, 2], learning_rates=[0.003, 0.01], seeds=[5, 42])
    assert found.losses.shape == (2, 4, 2, 61)
    check_equal_to_runs(found, [30, 1, 3, 2])


@pytest.mark.parametrize("train_bias", [False, True])
@pytest.mark.parametrize("task", ["low-rank", "power-law", "noise", "digits"])
def test_no_curve_passes_below_its_floor(task: str, train_bias: bool) -> None:
    """Last losses to 1e-9 of the first, evaluated in float64; the others to what float32 can see."""
    experiment = experiment_with(
        task=task, in_features=16, out_features=10, samples=60, train_bias=train_bias
    )
    found = sweep(experiment, learning_rates=[0.003, 0.03], seeds=[1, 2])
    for s, i in np.ndindex(len(found.seeds), len(found.ranks)):
        curves, floor = found.losses[s, i], floor_at(found.floors[s], found.ranks[i])
        assert (curves[:, -1] >= floor - 1e-9 * curves[:, 0]).all()
        assert (curves >= floor - 2e-7 * curves[:, :1]).all()
    for curves, floors in zip(found.full_losses, found.floors, strict=True):
        assert (curves[:, -1] >= floors[-1] - 1e-9 * curves[:, 0]).all()


def test_losses_stay_positive_without_noise() -> None:
    """In float32 the expanded loss goes negative near convergence; the norm of a residual does not."""
    found = sweep(experiment_with(noise=0.0, epochs=600), ranks=[4, 5, 6])
    assert (found.loss > 0).all()
    assert found.loss.min() < 1e-6


# --- shapes, defaults, order


def test_shapes_and_defaults() -> None:
    experiment = experiment_with(**SMALL)
    found = sweep(experiment)
    assert found.experiment == experiment
    assert found.ranks == tuple(range(1, 10))
    assert found.learning_rates == (0.01,)
    assert found.seeds == (42,)
    assert found.losses.shape == (1, 9, 1, 61)
    assert found.test_losses.shape == (1, 9, 1)
    assert found.full_losses.shape == (1, 1, 61)
    assert found.full_test_losses.shape == (1, 1)
    assert found.floors.shape == (1, 10)
    assert np.array_equal(found.loss, found.losses[0])
    assert np.array_equal(found.test_loss, found.test_losses[0])
    assert np.array_equal(found.full_loss, found.full_losses[0])
    assert found.losses.dtype == found.test_losses.dtype == found.full_losses.dtype == np.float64
    assert not any(np.isnan(each).any() for each in (found.losses, found.test_losses, found.full_losses))
    assert (found.done, found.total, found.complete) == (9, 9, True)


def test_ranks_come_in_the_order_they_are_asked_for() -> None:
    experiment = experiment_with(**SMALL)
    ordered, odd = sweep(experiment), sweep(experiment, ranks=[7, 2, 9, 2, 1])
    assert odd.ranks == (7, 2, 9, 1)
    for i, rank in enumerate(odd.ranks):
        np.testing.assert_allclose(odd.loss[i], ordered.loss[rank - 1], rtol=1e-4)


def test_rates_and_seeds_come_in_the_order_they_are_asked_for() -> None:
    experiment = experiment_with(**SMALL)
    found = sweep(experiment, ranks=[2], learning_rates=[0.1, 0.001], seeds=[9, 3])
    assert found.learning_rates == (0.1, 0.001)
    assert found.seeds == (9, 3)
    for s, seed in enumerate(found.seeds):
        for j, rate in enumerate(found.learning_rates):
            alone = sweep(experiment, ranks=[2], learning_rates=[rate], seeds=[seed])
            np.testing.assert_allclose(found.losses[s, 0, j], alone.loss[0, 0], rtol=1e-4)
            np.testing.assert_allclose(found.full_losses[s, j], alone.full_loss[0], rtol=1e-4)
    assert not np.allclose(found.losses[0], found.losses[1], rtol=1e-2)


def test_the_same_sweep_twice_is_the_same_to_the_bit() -> None:
    one, other = sweep(Experiment()), sweep(Experiment())
    assert one.losses.tobytes() == other.losses.tobytes()
    assert one.full_losses.tobytes() == other.full_losses.tobytes()


def test_the_rank_of_the_experiment_itself_does_not_matter() -> None:
    one, other = (sweep(experiment_with(**SMALL, rank=rank)) for rank in (1, 500))
    assert one.losses.tobytes() == other.losses.tobytes()


@pytest.mark.parametrize("train_bias", [False, True])
def test_the_adapters_have_the_losses_of_their_curves(train_bias: bool) -> None:
    experiment = experiment_with(**SMALL, train_bias=train_bias, task="noise")
    found = sweep(experiment, ranks=[3, 11, 1], learning_rates=[0.02, 0.01], seeds=[7, 42])
    assert set(found.adapters) == {1, 3, 11}
    problem = make_problem(dataclasses.replace(experiment, seed=7))
    for i, rank in enumerate(found.ranks):
        A, B, scaling = found.adapters[rank]
        assert A.shape == (12, rank)
        assert B.shape == (rank, 9)
        assert scaling == 8.0 / rank
        left = problem.residual() - problem.X @ (scaling * A.double() @ B.double())
        left = left - left.mean(0) if train_bias else left
        # With a trained bias the adapter alone, under the best bias, is at most as far as its curve.
        loss = float(left.square().mean())
        assert loss <= found.losses[0, i, 0, -1] * (1 + 1e-4)
        assert loss >= 0.9 * found.losses[0, i, 0, -1]
        if not train_bias:
            assert loss == pytest.approx(found.losses[0, i, 0, -1], rel=1e-4)


# --- divergence


def test_a_curve_that_diverges_is_not_a_number_from_there_on() -> None:
    experiment = experiment_with(optimizer="sgd", alpha=8.0)
    found = sweep(experiment, ranks=[1, 2, 5], learning_rates=[0.05, 1.0])
    for i, rank in enumerate(found.ranks):
        single = run(dataclasses.replace(experiment, rank=rank, learning_rate=1.0))
        at = single.lora.diverged_at
        finite = np.isfinite(found.loss[i, 1])
        assert np.isfinite(found.loss[i, 0]).all()
        assert np.isfinite(found.test_loss[i, 0])
        if at is None:
            assert finite.all()
        else:
            assert finite[:at].all()
            assert not finite[at:].any()
            assert math.isnan(found.test_loss[i, 1])
            np.testing.assert_allclose(found.loss[i, 1, : at - 1], single.lora.loss[: at - 1], rtol=1e-2)
            assert np.nanmax(found.loss[i, 1]) <= DIVERGED * found.loss[i, 1, 0]
    assert np.isnan(found.loss[0, 1, -1])
    assert np.isfinite(found.full_loss).all()


def test_a_neighbour_that_diverges_does_not_disturb() -> None:
    experiment = experiment_with(**SMALL, optimizer="sgd")
    found = sweep(experiment, ranks=[2, 3], learning_rates=[0.02, 1.0])
    alone = sweep(experiment, ranks=[2, 3], learning_rates=[0.02])
    np.testing.assert_allclose(found.loss[:, 0], alone.loss[:, 0], rtol=1e-4)


def test_full_fine_tuning_that_diverges_is_marked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def stretched(experiment: Experiment) -> Any:
        given = make_problem(experiment)
        return dataclasses.replace(given, X=10 * given.X, X_test=10 * given.X_test)

    monkeypatch.setattr(sweep_module, "make_problem", stretched)
    found = sweep(experiment_with(**SMALL, optimizer="sgd"), ranks=[2], learning_rates=[1.0, 0.001])
    assert np.isnan(found.full_loss[0, -1])
    assert math.isnan(found.full_test_losses[0, 0])
    assert np.isfinite(found.full_loss[0, :2]).all()
    assert np.isfinite(found.full_loss[1]).all()


def test_a_dead_start_stays_where_it_is() -> None:
    found = sweep(experiment_with(**SMALL, init="zero"))
    assert (found.loss[:, :, :-1] == found.loss[:, :, :1]).all()
    np.testing.assert_allclose(found.loss[:, :, -1], found.floors[0, 0], rtol=1e-12)
    assert found.full_loss[0, -1] < found.full_loss[0, 0]


# --- growing, blocks, padding


def test_a_sweep_as_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "PARTIAL_EVERY", math.inf)
    experiment = experiment_with(**SMALL)
    stages = list(train_sweep(experiment, learning_rates=[0.01, 0.02], seeds=[1, 2]))
    assert [stage.complete for stage in stages] == [False] * (len(stages) - 1) + [True]
    check_stages(stages, sweep(experiment, learning_rates=[0.01, 0.02], seeds=[1, 2]))
    assert np.isnan(stages[0].full_losses[1]).all()
    assert np.isfinite(stages[0].full_losses[0]).all()
    assert len(stages[0].adapters) < 9 == len(stages[-1].adapters)


def check_stages(stages: list[Sweep], whole: Sweep) -> None:
    """Each stage is the whole sweep where it is trained and NaN elsewhere, and none goes back."""
    for name in ("losses", "test_losses", "full_losses", "full_test_losses", "floors"):
        assert getattr(stages[-1], name).tobytes() == getattr(whole, name).tobytes()
    for rank, (A, B, scaling) in whole.adapters.items():
        other = stages[-1].adapters[rank]
        assert torch.equal(A, other[0])
        assert torch.equal(B, other[1])
        assert scaling == other[2]
    for stage in stages:
        trained = np.isfinite(stage.losses[..., 0])
        assert trained.sum() == stage.done
        assert stage.total == whole.total
        for name in ("losses", "test_losses"):
            now, then = getattr(stage, name), getattr(whole, name)
            assert np.array_equal(now[trained], then[trained], equal_nan=True)
            assert np.isnan(now[~trained]).all()
    assert all(np.diff([stage.progress for stage in stages]) >= 0)
    assert all(np.diff([stage.done for stage in stages]) >= 0)
    assert stages[-1].progress == 1


@pytest.mark.parametrize("train_bias", [False, True])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_looking_at_a_sweep_after_every_update_changes_no_bit(
    optimizer: str, train_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = experiment_with(**SMALL, optimizer=optimizer, train_bias=train_bias)
    values: dict[str, Any] = {"ranks": [1, 4, 9], "learning_rates": [0.01, 0.3], "seeds": [1, 2]}
    monkeypatch.setattr(sweep_module, "PARTIAL_EVERY", math.inf)
    whole = sweep(experiment, **values)
    monkeypatch.setattr(sweep_module, "PARTIAL_EVERY", 0.0)
    stages = list(train_sweep(experiment, **values))
    # A seed: two looks at its data; full fine-tuning and three stacks, of ranks 1, 4 and 9, at 0..60 updates;
    # and one at the end of each stack.
    assert len(stages) == 2 * (2 + 4 * 61 + 3)
    assert stages[0].done == stages[0].progress == 0
    check_stages(stages, whole)
    steps = np.diff([stage.progress for stage in stages])
    assert 0 < steps.max() < 0.05


def test_the_largest_layer_shows_how_far_it_is_and_keeps_within_its_memory() -> None:
    command = [sys.executable, "-c", LARGE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    looks, wait, memory, complete = done.stdout.split()
    print(f"\n1,024 x 1,024: {looks} looks, longest wait {float(wait):.2f} s, {int(memory) / 1e6:.0f} MB")
    assert complete == "True"
    assert int(looks) > 11  # more than one a stack
    assert float(wait) <= 0.5
    assert int(memory) <= 1.5 * BLOCK_BYTES


# --- wrong input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranks": []}, "rank is an empty list: a sweep needs at least one value"),
        ({"ranks": [1, 0]}, "rank is 0: it must be a whole number from 1 to 1,024"),
        ({"ranks": [2.5]}, "rank is 2.5"),
        ({"learning_rates": []}, "learning_rate is an empty list"),
        ({"learning_rates": [0.1, math.nan]}, "learning_rate is nan: it must be a number from 1e-05 to 1"),
        ({"seeds": []}, "seed is an empty list"),
        ({"seeds": [-1]}, "seed is -1: it must be a whole number from 0"),
    ],
)
def test_wrong_values_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sweep(experiment_with(**SMALL), **options)
