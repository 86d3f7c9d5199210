"""Stacks of adapters: bounded by memory, padded with zeros, with autograd's gradients."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from lora_core.data import make_problem
from lora_core.experiment import Experiment, Optimizer
from lora_core.training import batched
from lora_core.training.batched import BatchedAdapters, BatchedFull
from lora_core.training.engine import AdapterStart, reduce_sample
from lora_core.training.start import start_of
from lora_core.training.sweep import sweep
from tests.kit.tensors import normal

SMALL: dict[str, Any] = {"in_features": 12, "out_features": 9, "samples": 40, "true_rank": 3, "epochs": 60}


def experiment_with(**fields: Any) -> Experiment:
    return Experiment(**fields)


@pytest.mark.parametrize("memory", [1, 20_000, 10**9])
def test_blocks_are_bounded_by_memory_and_change_nothing(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = experiment_with(**SMALL)
    expected = sweep(experiment, learning_rates=[0.01, 0.02])
    sizes: list[int] = []
    build = BatchedAdapters.__init__

    def recording(self: BatchedAdapters, sample: Any, starts: Any, *rest: Any) -> None:
        sizes.append(len(starts))
        build(self, sample, starts, *rest)

    monkeypatch.setattr(BatchedAdapters, "__init__", recording)
    monkeypatch.setattr(batched, "BLOCK_BYTES", memory)
    found = sweep(experiment, learning_rates=[0.01, 0.02])
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-4)
    np.testing.assert_allclose(found.full_losses, expected.full_losses, rtol=1e-4)
    assert sum(sizes) == 18
    assert max(sizes) == {1: 1, 20_000: 10, 10**9: 8}.get(memory) or memory == 20_000


def test_the_blocks_hold_every_pair_once_and_like_ranks_together() -> None:
    experiment = experiment_with(in_features=1024, out_features=1024)
    ranks, rates = [1, 1024, 2, 3, 64, 65, 7, 512], [0.1, 0.01, 0.001]
    found = list(batched.blocks(experiment, ranks, rates))
    pairs = [pair for block in found for pair in block]
    assert sorted(pairs) == [(i, j) for i in range(len(ranks)) for j in range(len(rates))]
    for block in found:
        here = [ranks[i] for i, _ in block]
        assert max(here) <= max(2, 2 * min(here))
        numbers = len(block) * (1024 * 1024 + 8 * max(here) * 2048)
        assert len(block) == 1 or 4 * numbers <= batched.BLOCK_BYTES


def test_full_fine_tuning_at_many_rates_is_bounded_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    build = BatchedFull.__init__

    def recording(self: BatchedFull, sample: Any, rates: Any, *rest: Any) -> None:
        counts.append(len(rates))
        build(self, sample, rates, *rest)

    monkeypatch.setattr(BatchedFull, "__init__", recording)
    rates = [0.01 * i for i in range(1, 8)]
    experiment = experiment_with(**SMALL)
    whole = sweep(experiment, ranks=[1], learning_rates=rates)
    assert counts == [7]
    monkeypatch.setattr(batched, "BLOCK_BYTES", 3 * 40 * 12 * 9)
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
        AdapterStart(normal(6, r, seed=2), normal(r, 4, seed=3), 0.7, 0.05, train_bias=train_bias)
        for r in (1, 5, 3)
    ]
    trained = BatchedAdapters(reduce_sample(X, R, train_bias), starts, optimizer, torch.float32)
    first = trained.gradients()
    for _ in range(100):
        trained.optimizer.step()
        last = trained.gradients()
    assert (last < first).all()
    for i, rank in enumerate((1, 5, 3)):
        padding = slice(rank, 5)
        assert not trained.down[i, padding].any()
        assert not trained.up[i, padding].any()
        assert trained.down[i, :rank, :6].any(dim=1).all()
        if train_bias:
            # The bias's row: a constant 1 on the constant input, and up's last row the change of the bias.
            assert torch.equal(trained.down[i, 5], torch.tensor([0.0] * 6 + [1.0]))
            assert not trained.down[i, :5, 6].any()
            assert trained.up[i, 5].any()


@pytest.mark.parametrize("train_bias", [False, True])
def test_a_stacks_losses_and_gradients_are_autograds(train_bias: bool) -> None:
    experiment = experiment_with(**SMALL, train_bias=train_bias, task="noise", init="original", alpha=1.5)
    problem = make_problem(experiment)
    sample = reduce_sample(problem.X, problem.residual(), train_bias)
    starts = [start_of(dataclasses.replace(experiment, rank=rank), problem) for rank in (2, 30, 5)]
    together = BatchedAdapters(sample, starts, Optimizer.SGD, torch.float64)
    losses = together.gradients()
    for i, start in enumerate(starts):
        down, up = start.A.T.clone().requires_grad_(), (start.scaling * start.B).requires_grad_()
        loss = (problem.X @ down.T @ up - problem.residual()).square().mean()
        down_gradient, up_gradient = torch.autograd.grad(loss, [down, up])
        rank, rows = start.rank, together.down.shape[1]
        gradients = together.tall[3].view(3, rows, -1)
        torch.testing.assert_close(losses[i], loss.detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(gradients[i, :rank, :12], down_gradient, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(together.up_gradient[i, :rank], up_gradient, rtol=1e-9, atol=1e-11)
