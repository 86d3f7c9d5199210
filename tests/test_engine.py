"""The engine's pieces: samples reduced, optimizers against torch's own, gradients against autograd's."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lora_core.experiment import Optimizer
from lora_core.training import engine
from lora_core.training.engine import (
    AdapterStart,
    FlatParameters,
    PairedStepper,
    ReducedSample,
    held_out_losses,
    held_out_losses_full,
    optimizer_of,
    reduce_sample,
)
from tests.kit.tensors import mixed_inputs, normal


def error(X: Tensor, R: Tensor, delta: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    return (X @ delta + bias - R).square().mean()


# --- the sample, reduced


@pytest.mark.parametrize("train_bias", [False, True])
@pytest.mark.parametrize("n", [1, 5, 6, 7, 50])
def test_a_reduced_sample_has_every_loss_of_the_whole(n: int, train_bias: bool) -> None:
    X, R = mixed_inputs(n, 6), normal(n, 4, seed=2) + 1.0
    sample = reduce_sample(X, R, train_bias)
    inputs = 6 + train_bias
    assert sample.root.shape == (min(n, inputs), inputs)
    assert sample.target.shape == (min(n, inputs), 4)
    assert sample.size == n * 4
    for seed in range(3):
        delta, bias = normal(6, 4, seed=10 + seed), normal(4, seed=20 + seed)
        change = torch.cat([delta, bias[None]]) if train_bias else delta
        whole = error(X, R, delta, bias if train_bias else 0.0)
        reduced = ((sample.root @ change - sample.target).square().sum() + sample.rest) / sample.size
        torch.testing.assert_close(reduced, whole, rtol=1e-13, atol=0)


def test_a_reduced_sample_does_not_grow_with_the_samples() -> None:
    few, many = (reduce_sample(mixed_inputs(n, 6), normal(n, 4, seed=2)) for n in (60, 600))
    assert few.root.shape == many.root.shape == (6, 6)
    assert few.rest > 0


def test_a_reduced_sample_lies_in_rows() -> None:
    """Column by column, as LAPACK leaves it, each of a sweep's steps would copy it across the grain."""
    sample = reduce_sample(mixed_inputs(50, 6), normal(50, 4))
    assert sample.root.is_contiguous()
    assert sample.target.is_contiguous()


def test_inputs_that_are_always_zero_stay_exactly_zero() -> None:
    """Else Adam, which does not see how small a gradient is, would walk away along them (digits' corners)."""
    X = mixed_inputs(50, 6)
    X[:, [0, 3]] = 0.0
    sample = reduce_sample(X, normal(50, 4), train_bias=True)
    assert not (sample.root.T @ sample.root)[[0, 3]].any()
    assert not (sample.root.T @ sample.target)[[0, 3]].any()


@pytest.mark.parametrize(
    ("X", "R", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(5, 2), r"X is \(4, 3\) and R is \(5, 2\)"),
        (torch.zeros(4), torch.zeros(4, 2), r"X is \(4,\) and R is \(4, 2\)"),
        (torch.zeros(4, 3), torch.zeros(4), r"X is \(4, 3\) and R is \(4,\)"),
    ],
)
def test_samples_that_do_not_fit_are_named(X: Tensor, R: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message + r": they must be \(n, in\) and \(n, out\)"):
        reduce_sample(X, R)


# --- the optimizers


@pytest.mark.parametrize("kind", [Optimizer.ADAM, Optimizer.SGD])
def test_the_optimizers_are_torchs(kind: Optimizer) -> None:
    """The same random gradients, tiny and huge, at two rates, for 300 steps; a rate of 0 holds."""
    flat = FlatParameters([(3, 4), (5,), (2, 2)], torch.float64)
    for value, seed in zip(flat.values, range(3), strict=True):
        value.copy_(normal(*value.shape, seed=seed))
    flat.rates[0].fill_(0.02)
    flat.rates[1].fill_(0.3)
    ours = optimizer_of(kind, flat)
    theirs = [value.clone().requires_grad_() for value in flat.values]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(theirs, (0.02, 0.3), strict=False)]
    stepper = torch.optim.Adam(groups) if kind is Optimizer.ADAM else torch.optim.SGD(groups)
    held = flat.values[2].clone()
    for step in range(300):
        for i, (gradient, parameter) in enumerate(zip(flat.gradients, theirs, strict=True)):
            gradient.copy_(normal(*gradient.shape, seed=1000 + 3 * step + i) * 10.0 ** (step % 13 - 9))
            parameter.grad = gradient.clone()
        ours.step()
        stepper.step()
    for value, parameter in zip(flat.values[:2], theirs, strict=False):
        torch.testing.assert_close(value, parameter.detach(), rtol=1e-12, atol=1e-12)
    assert torch.equal(flat.values[2], held)


def test_a_gradient_of_zero_moves_nothing() -> None:
    for kind in Optimizer:
        flat = FlatParameters([(3,)], torch.float64)
        flat.rate.fill_(0.5)
        flat.value.fill_(1.0)
        optimizer = optimizer_of(kind, flat)
        optimizer.step()
        assert torch.equal(flat.value, torch.ones(3).double())


# --- one adapter and full fine-tuning


SHAPES = [(6, 4), (4, 6), (2, 2), (9, 3)]
RANKS = [1, 2, 3, 20]


def start_at(in_features: int, out_features: int, rank: int, **options: Any) -> AdapterStart:
    A, B = normal(in_features, rank, seed=5), normal(rank, out_features, seed=6)
    return AdapterStart(A, B, **{"scaling": 0.7, "rate": 0.01, **options})


def autograd_gradients(X: Tensor, R: Tensor, start: AdapterStart) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Loss and its gradients with respect to A^T, s B and the change of the bias, by autograd."""
    down, up = start.A.T.clone().requires_grad_(), (start.scaling * start.B).requires_grad_()
    bias = torch.zeros(R.shape[1], dtype=torch.float64, requires_grad=True)
    loss = error(X, R, down.T @ up, bias)
    down_gradient, up_gradient, gb = torch.autograd.grad(loss, [down, up, bias])
    return loss.detach(), down_gradient, up_gradient, gb


@pytest.mark.parametrize("train_bias", [False, True])
@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize(("in_features", "out_features"), SHAPES)
@pytest.mark.parametrize("n", [3, 40])
def test_gradients_and_loss_are_autograds(
    n: int, in_features: int, out_features: int, rank: int, train_bias: bool
) -> None:
    """By the factors or by the change itself, whichever is the shorter way at this rank."""
    X, R = mixed_inputs(n, in_features), normal(n, out_features, seed=2) + 0.5
    start = start_at(in_features, out_features, rank, train_bias=train_bias)
    stepper = PairedStepper(reduce_sample(X, R, train_bias), start, Optimizer.SGD)
    stepper.change.copy_(normal(*stepper.change.shape, seed=7))
    terms = torch.stack(stepper.gradients())[None]
    loss, down_gradient, up_gradient, gb = autograd_gradients(X, R, start)
    close: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-12}
    torch.testing.assert_close(stepper.down_gradient[:rank, :in_features], down_gradient, **close)
    torch.testing.assert_close(stepper.up_gradient[:rank], up_gradient, **close)
    if train_bias:
        torch.testing.assert_close(stepper.up_gradient[-1], gb, **close)
    change = stepper.change.clone().requires_grad_()
    full = error(X, R, change[:in_features], change[in_features] if train_bias else 0.0)
    (change_gradient,) = torch.autograd.grad(full, change)
    torch.testing.assert_close(stepper.change_gradient, change_gradient, **close)
    losses = stepper.losses(terms)
    torch.testing.assert_close(losses[0][0], loss, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(losses[1][0], full.detach(), rtol=1e-12, atol=1e-13)


def test_both_ways_to_a_gradient_are_taken() -> None:
    sample = reduce_sample(mixed_inputs(40, 9), normal(40, 9))
    assert PairedStepper(sample, start_at(9, 9, 1), Optimizer.ADAM).few_rows
    assert not PairedStepper(sample, start_at(9, 9, 20), Optimizer.ADAM).few_rows


def test_a_start_is_read_back_as_it_was_placed() -> None:
    for train_bias in (False, True):
        start = start_at(6, 4, 3, train_bias=train_bias)
        stepper = PairedStepper(
            reduce_sample(mixed_inputs(40, 6), normal(40, 4), train_bias), start, Optimizer.ADAM
        )
        A, B, bias = start.read(stepper.down, stepper.up)
        assert torch.equal(A, start.A)
        torch.testing.assert_close(B, start.B, rtol=1e-15, atol=0)
        assert (bias is None) is not train_bias
        assert bias is None or not bias.any()
        assert not stepper.change.any()


@pytest.mark.parametrize("rank", [2, 20])
@pytest.mark.parametrize("kind", list(Optimizer))
def test_a_zero_b_leaves_a_to_the_bit_in_the_first_step(kind: Optimizer, rank: int) -> None:
    A = normal(6, rank, seed=5)
    start = AdapterStart(A, torch.zeros(rank, 4).double(), 0.7, 0.1)
    stepper = PairedStepper(reduce_sample(mixed_inputs(40, 6), normal(40, 4)), start, kind)
    stepper.gradients()
    assert not stepper.down_gradient.any()
    stepper.optimizer.step()
    assert torch.equal(stepper.down, A.T)
    assert stepper.up.any()


@pytest.mark.parametrize("rank", [2, 20])
@pytest.mark.parametrize("kind", list(Optimizer))
def test_both_zero_stay_zero(kind: Optimizer, rank: int) -> None:
    start = AdapterStart(torch.zeros(6, rank).double(), torch.zeros(rank, 4).double(), 0.7, 0.1)
    stepper = PairedStepper(reduce_sample(mixed_inputs(40, 6), normal(40, 4)), start, kind)
    for _ in range(5):
        stepper.gradients()
        stepper.optimizer.step()
    assert not stepper.down.any()
    assert not stepper.up.any()
    assert stepper.change.any()


# --- THEORY: alpha, the scale of the start and the rates trade exactly


@pytest.fixture
def no_eps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam's eps as good as gone: it is the one thing of it that sees the size of a gradient."""
    monkeypatch.setattr(engine, "EPS", 1e-30)


def path(start: AdapterStart, kind: Optimizer, updates: int = 60) -> tuple[Tensor, Tensor]:
    """delta after every update, and the losses."""
    stepper = PairedStepper(reduce_sample(mixed_inputs(40, 6), normal(40, 4, seed=2)), start, kind)
    terms, deltas = [], []
    for _ in range(updates):
        terms.append(torch.stack(stepper.gradients()))
        deltas.append(stepper.down.T @ stepper.up)
        stepper.optimizer.step()
    return torch.stack(deltas), stepper.losses(torch.stack(terms))[0]


@pytest.mark.usefixtures("no_eps")
@pytest.mark.parametrize(("p", "q"), [(2.0, 0.25), (3.7, 1.9), (0.1, 5.0), (1.0, 8.0)])
@pytest.mark.parametrize("kind", list(Optimizer))
def test_alpha_start_and_rates_trade_exactly(kind: Optimizer, p: float, q: float) -> None:
    """alpha / (p q), p A0, q B0 and SGD's rates times p^2 and q^2, Adam's times p and q: the same path."""
    start = start_at(6, 4, 3, scaling=0.7, rate=0.01, lr_ratio=1.5)
    power = 2 if kind is Optimizer.SGD else 1
    traded = AdapterStart(
        p * start.A, q * start.B, start.scaling / (p * q), 0.01 * p**power, 1.5 * (q / p) ** power
    )
    (delta, loss), (delta_traded, loss_traded) = path(start, kind), path(traded, kind)
    assert float((delta[-1] - delta[0]).norm()) > 0.1
    torch.testing.assert_close(delta_traded, delta, rtol=0, atol=2e-13 * float(delta.abs().max()))
    torch.testing.assert_close(loss_traded, loss, rtol=0, atol=2e-13 * float(loss[0]))


@pytest.mark.usefixtures("no_eps")
@pytest.mark.parametrize("kind", list(Optimizer))
def test_one_rate_alone_does_not_stand_in_for_alpha(kind: Optimizer) -> None:
    """With one rate for A and B no other rate gives the path that another alpha does."""
    doubled, _ = path(start_at(6, 4, 3, scaling=1.4, rate=0.01), kind)
    nearest = min(
        float((path(start_at(6, 4, 3, scaling=0.7, rate=0.01 * f), kind)[0][-1] - doubled[-1]).norm())
        for f in torch.logspace(-1, 1, 41).tolist()
    )
    assert nearest > 0.05 * float(doubled[-1].norm())


@pytest.mark.parametrize("ratio", [0.25, 3.0, 16.0])
@pytest.mark.parametrize("kind", list(Optimizer))
def test_the_first_step_scales_by_the_ratio_of_the_rates(kind: Optimizer, ratio: float) -> None:
    """LoRA+ from B = 0: only B moves, and it moves lr_ratio times as far."""
    zero = torch.zeros(3, 4).double()
    A = normal(6, 3, seed=5)
    plain, _ = path(AdapterStart(A, zero, 0.7, 0.01), kind, updates=2)
    plus, _ = path(AdapterStart(A, zero, 0.7, 0.01, ratio), kind, updates=2)
    assert plain[1].any()
    torch.testing.assert_close(plus[1], ratio * plain[1], rtol=1e-13, atol=0)


# --- the held-out sample


@pytest.mark.parametrize(("in_features", "out_features"), SHAPES)
@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("n", [3, 40])
def test_held_out_losses_are_the_direct_ones(n: int, rank: int, in_features: int, out_features: int) -> None:
    X, R = mixed_inputs(n, in_features), normal(n, out_features, seed=2)
    sample = reduce_sample(X, R)
    down, up = normal(5, rank, in_features, seed=8), normal(5, rank, out_features, seed=9)
    changes = down.transpose(1, 2) @ up
    direct = torch.stack([error(X, R, change) for change in changes])
    torch.testing.assert_close(held_out_losses(sample, down, up), direct, rtol=1e-11, atol=1e-12)
    full = held_out_losses_full(sample, changes.transpose(0, 1))
    torch.testing.assert_close(full, direct, rtol=1e-12, atol=1e-13)


def test_a_loss_that_is_only_rounding_is_not_negative() -> None:
    """Targets that the present change meets exactly, at a size where rounding shows."""
    for seed in range(20):
        X, down, up = 1e3 * normal(40, 6, seed=seed), normal(1, 2, 6, seed=8), normal(1, 2, 4, seed=9)
        sample: ReducedSample = reduce_sample(X, X @ down[0].T @ up[0])
        loss = held_out_losses(sample, down, up)
        scale = float((X @ down[0].T @ up[0]).square().mean())
        assert 0.0 <= float(loss) <= 1e-13 * scale
        start = AdapterStart(down[0].T, up[0], 1.0, 0.1)
        stepper = PairedStepper(sample, start, Optimizer.SGD)
        terms = torch.stack(stepper.gradients())[None]
        assert 0.0 <= float(stepper.losses(terms)[0]) <= 1e-13 * scale


def test_no_number_becomes_a_loss_of_zero() -> None:
    stepper = PairedStepper(
        reduce_sample(mixed_inputs(40, 6), normal(40, 4)), start_at(6, 4, 2), Optimizer.SGD
    )
    for wrong in (math.nan, math.inf):
        losses = stepper.losses(torch.full((1, 4), wrong, dtype=torch.float64))
        assert not any(bool(torch.isfinite(loss).any()) for loss in losses)
