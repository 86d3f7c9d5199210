"""Sweeps against the runs of the same rank, rate and seed; padding, blocks, divergence."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lora_core import bank
from lora_core.bank import Bank, FullBank, Sweep, sweep, train_sweep
from lora_core.data import make_problem
from lora_core.engine import Start, reduce_sample
from lora_core.experiment import Experiment, Optimizer
from lora_core.lanes import DIVERGED
from lora_core.theory import floor_at
from lora_core.training import run, start_of

SMALL: dict[str, Any] = {"in_features": 12, "out_features": 9, "samples": 40, "true_rank": 3, "epochs": 60}


def experiment_with(**fields: Any) -> Experiment:
    return Experiment(**fields)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


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


def test_no_curve_passes_below_its_floor_by_more_than_float32_can_see() -> None:
    for task in ("low-rank", "power-law", "noise", "digits"):
        found = sweep(experiment_with(task=task, out_features=10))
        for i, rank in enumerate(found.ranks):
            assert (found.loss[i, 0] >= floor_at(found.floors[0], rank) - 1e-6 * found.loss[i, 0, 0]).all()


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

    monkeypatch.setattr(bank, "make_problem", stretched)
    found = sweep(experiment_with(**SMALL, optimizer="sgd"), ranks=[2], learning_rates=[1.0, 0.001])
    assert np.isnan(found.full_loss[0, -1])
    assert math.isnan(found.full_test_losses[0, 0])
    assert np.isfinite(found.full_loss[0, :2]).all()
    assert np.isfinite(found.full_loss[1]).all()


def test_a_dead_start_stays_where_it_is() -> None:
    found = sweep(experiment_with(**SMALL, init="zero"))
    assert (found.loss == found.loss[:, :, :1]).all()
    assert found.full_loss[0, -1] < found.full_loss[0, 0]


# --- growing, blocks, padding


def test_a_sweep_as_it_grows() -> None:
    experiment = experiment_with(**SMALL)
    stages = list(train_sweep(experiment, learning_rates=[0.01, 0.02], seeds=[1, 2]))
    whole = sweep(experiment, learning_rates=[0.01, 0.02], seeds=[1, 2])
    assert [stage.complete for stage in stages] == [False] * (len(stages) - 1) + [True]
    assert stages[-1].losses.tobytes() == whole.losses.tobytes()
    for stage in stages:
        trained = np.isfinite(stage.losses[..., -1])
        assert trained.sum() == np.isfinite(stage.test_losses).sum() == stage.done
        assert stage.total == 36
        assert np.array_equal(stage.losses[trained], whole.losses[trained])
    assert np.isnan(stages[0].full_losses[1]).all()
    assert np.isfinite(stages[0].full_losses[0]).all()
    assert len(stages[0].adapters) < 9 == len(stages[-1].adapters)


@pytest.mark.parametrize("memory", [1, 20_000, 10**9])
def test_blocks_are_bounded_by_memory_and_change_nothing(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = experiment_with(**SMALL)
    expected = sweep(experiment, learning_rates=[0.01, 0.02])
    sizes: list[int] = []
    build = Bank.__init__

    def recording(self: Bank, sample: Any, starts: Any, *rest: Any) -> None:
        sizes.append(len(starts))
        build(self, sample, starts, *rest)

    monkeypatch.setattr(Bank, "__init__", recording)
    monkeypatch.setattr(bank, "BLOCK_BYTES", memory)
    found = sweep(experiment, learning_rates=[0.01, 0.02])
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-4)
    np.testing.assert_allclose(found.full_losses, expected.full_losses, rtol=1e-4)
    assert sum(sizes) == 18
    assert max(sizes) == {1: 1, 20_000: 10, 10**9: 8}.get(memory) or memory == 20_000


def test_the_blocks_hold_every_pair_once_and_like_ranks_together() -> None:
    experiment = experiment_with(in_features=1024, out_features=1024)
    ranks, rates = [1, 1024, 2, 3, 64, 65, 7, 512], [0.1, 0.01, 0.001]
    blocks = list(bank._blocks(experiment, ranks, rates))
    pairs = [pair for block in blocks for pair in block]
    assert sorted(pairs) == [(i, j) for i in range(len(ranks)) for j in range(len(rates))]
    for block in blocks:
        here = [ranks[i] for i, _ in block]
        assert max(here) <= max(2, 2 * min(here))
        numbers = len(block) * (1024 * 1024 + 8 * max(here) * 2048)
        assert len(block) == 1 or 4 * numbers <= bank.BLOCK_BYTES


def test_full_fine_tuning_at_many_rates_is_bounded_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    build = FullBank.__init__

    def recording(self: FullBank, sample: Any, rates: Any, *rest: Any) -> None:
        counts.append(len(rates))
        build(self, sample, rates, *rest)

    monkeypatch.setattr(FullBank, "__init__", recording)
    rates = [0.01 * i for i in range(1, 8)]
    experiment = experiment_with(**SMALL)
    whole = sweep(experiment, ranks=[1], learning_rates=rates)
    assert counts == [7]
    monkeypatch.setattr(bank, "BLOCK_BYTES", 3 * 40 * 12 * 9)
    counts.clear()
    parts = sweep(experiment, ranks=[1], learning_rates=rates)
    assert counts == [3, 3, 1]
    np.testing.assert_allclose(parts.full_losses, whole.full_losses, rtol=1e-4)
    np.testing.assert_allclose(parts.full_test_losses, whole.full_test_losses, rtol=1e-4)


@pytest.mark.parametrize("train_bias", [False, True])
@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_padding_stays_zero(optimizer: Optimizer, train_bias: bool) -> None:
    X, R = normal(40, 6) + 0.3, normal(40, 4, seed=1)
    starts = [
        Start(normal(6, r, seed=2), normal(r, 4, seed=3), 0.7, 0.05, train_bias=train_bias) for r in (1, 5, 3)
    ]
    trained = Bank(reduce_sample(X, R, train_bias), starts, optimizer, torch.float32)
    first = trained.gradients()
    for _ in range(100):
        trained.optimizer.step()
        last = trained.gradients()
    assert (last < first).all()
    for i, rank in enumerate((1, 5, 3)):
        padding = slice(rank, 5)
        assert not trained.W[i, padding].any()
        assert not trained.V[i, padding].any()
        assert trained.W[i, :rank, :6].any(dim=1).all()
        if train_bias:
            # The bias's row: a constant 1 on the constant input, and V's last row the change of the bias.
            assert torch.equal(trained.W[i, 5], torch.tensor([0.0] * 6 + [1.0]))
            assert not trained.W[i, :5, 6].any()
            assert trained.V[i, 5].any()


@pytest.mark.parametrize("train_bias", [False, True])
def test_a_banks_losses_and_gradients_are_autograds(train_bias: bool) -> None:
    experiment = experiment_with(**SMALL, train_bias=train_bias, task="noise", init="original", alpha=1.5)
    problem = make_problem(experiment)
    sample = reduce_sample(problem.X, problem.residual(), train_bias)
    starts = [start_of(dataclasses.replace(experiment, rank=rank), problem) for rank in (2, 30, 5)]
    together = Bank(sample, starts, Optimizer.SGD, torch.float64)
    losses = together.gradients()
    for i, start in enumerate(starts):
        W, V = start.A.T.clone().requires_grad_(), (start.scaling * start.B).requires_grad_()
        loss = (problem.X @ W.T @ V - problem.residual()).square().mean()
        gW, gV = torch.autograd.grad(loss, [W, V])
        rank, rows = start.rank, together.W.shape[1]
        gradients = together.tall[3].view(3, rows, -1)
        torch.testing.assert_close(losses[i], loss.detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(gradients[i, :rank, :12], gW, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(together.gV[i, :rank], gV, rtol=1e-9, atol=1e-11)


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
