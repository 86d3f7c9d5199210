"""Floors and ideal changes against closed forms, known problems and torch's own optimizers."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from torch import Tensor, nn

from lora_core.geometry import numerical_rank, truncate
from lora_core.theory import (
    best_bias_shift,
    floor_at,
    floors,
    ideal_delta,
    knee,
    target_spectrum,
    whitened_spectrum,
)
from tests.kit.tensors import mixed_inputs, normal


def deficient_inputs(n: int, in_features: int) -> Tensor:
    """Inputs with a constant, a zero and a repeated column."""
    X = mixed_inputs(n, in_features)
    X[:, 0], X[:, 1], X[:, 2] = 1.0, 0.0, 2 * X[:, 3]
    return X


def error(X: Tensor, R: Tensor, delta: Tensor, bias_shift: Tensor | float = 0.0) -> float:
    return float(nn.functional.mse_loss(X @ delta + bias_shift, R))


def low_rank_problem(rank: int, seed: int, noise: float = 0.1, n: int = 256) -> tuple[Tensor, Tensor, Tensor]:
    """X (n, 64), R (n, 64) and the teacher: equal singular values, squared norm 64."""
    X = normal(n, 64, seed=seed)
    U = torch.linalg.qr(normal(64, rank, seed=seed + 1)).Q
    V = torch.linalg.qr(normal(64, rank, seed=seed + 2)).Q
    teacher = U @ V.T * math.sqrt(64 / rank)
    return X, X @ teacher + noise * normal(n, 64, seed=seed + 3), teacher


PROBLEMS = {
    "tall": (mixed_inputs(60, 7), normal(60, 5, seed=9)),
    "wide layer": (mixed_inputs(60, 4), normal(60, 9, seed=9)),
    "2x2": (mixed_inputs(20, 2), normal(20, 2, seed=9)),
    "rank deficient": (deficient_inputs(40, 6), normal(40, 5, seed=9)),
    "fewer samples than inputs": (mixed_inputs(5, 8), normal(5, 6, seed=9)),
    "one sample": (mixed_inputs(1, 3), normal(1, 2, seed=9)),
    "as many samples as inputs": (mixed_inputs(8, 8), normal(8, 4, seed=9)),
    "nothing goes in": (torch.zeros(10, 3, dtype=torch.float64), normal(10, 2, seed=9)),
    "nothing to learn": (mixed_inputs(10, 3), torch.zeros(10, 2, dtype=torch.float64)),
}
every_problem = pytest.mark.parametrize(("X", "R"), PROBLEMS.values(), ids=PROBLEMS.keys())
both_biases = pytest.mark.parametrize("train_bias", [False, True])


@both_biases
@every_problem
def test_floors_are_the_formula_and_never_rise(X: Tensor, R: Tensor, train_bias: bool) -> None:
    """floor(r) = (||R - P||^2 + sum_{i>r} sigma_i(P)^2) / (n out), with torch's pseudoinverse."""
    values = floors(X, R, train_bias)
    assert values.shape == (min(X.shape[1], R.shape[1]) + 1,)
    assert values.dtype == np.float64
    assert (values >= 0).all()
    assert (np.diff(values) <= 0).all()
    X, R = (X - X.mean(0), R - R.mean(0)) if train_bias else (X, R)
    P = X @ torch.linalg.pinv(X, rtol=1e-12) @ R
    for rank, value in enumerate(values):
        missed = (R - P).square().sum() + torch.linalg.svdvals(P)[rank:].square().sum()
        assert value == pytest.approx(float(missed) / R.numel(), rel=1e-11, abs=1e-14)


@both_biases
@every_problem
def test_the_ideal_change_reaches_every_floor(X: Tensor, R: Tensor, train_bias: bool) -> None:
    values = floors(X, R, train_bias)
    for rank in range(len(values) + 2):
        delta = ideal_delta(X, R, rank, train_bias)
        shift = best_bias_shift(X, R, delta) if train_bias else 0.0
        assert delta.shape == (X.shape[1], R.shape[1])
        assert numerical_rank(torch.linalg.svdvals(delta), 1e-11) <= rank
        assert error(X, R, delta, shift) == pytest.approx(floor_at(values, rank), rel=1e-10, abs=1e-14)


@both_biases
def test_no_trained_adapter_passes_below_its_floor_and_a_converged_one_comes_down_to_it(
    train_bias: bool,
) -> None:
    """Alternating least squares in A and B (and the bias), from a random start, until nothing moves."""
    X, R = normal(50, 6) @ normal(6, 6, seed=5), normal(50, 4, seed=9) + 1.0
    B = normal(2, 4, seed=3)
    shift = torch.zeros(4, dtype=torch.float64)
    for _ in range(400):
        A = torch.linalg.lstsq(X, (R - shift) @ torch.linalg.pinv(B)).solution
        B = torch.linalg.lstsq(X @ A, R - shift).solution
        shift = (R - X @ A @ B).mean(0) if train_bias else shift
        assert error(X, R, A @ B, shift) >= floors(X, R, train_bias)[2] * (1 - 1e-12)
    assert error(X, R, A @ B, shift) == pytest.approx(floors(X, R, train_bias)[2], rel=1e-6)


def test_truncating_the_best_change_itself_is_worse_unless_inputs_are_white() -> None:
    X = mixed_inputs(60, 7)
    R = X @ normal(7, 5, seed=8) + normal(60, 5, seed=9)
    best = ideal_delta(X, R, 5)
    for rank in range(1, 5):
        assert error(X, R, truncate(best, rank)) > 1.1 * floors(X, R)[rank]
    white = torch.linalg.qr(X).Q
    best = ideal_delta(white, R, 5)
    for rank in range(6):
        assert error(white, R, truncate(best, rank)) == pytest.approx(floors(white, R)[rank], rel=1e-12)


def test_floor_0_is_the_base_and_the_last_is_full_fine_tuning() -> None:
    X, R = mixed_inputs(60, 7), normal(60, 5, seed=9) + 1.0
    assert floors(X, R)[0] == pytest.approx(float(R.square().mean()), rel=1e-13)
    assert floors(X, R)[-1] == pytest.approx(error(X, R, torch.linalg.lstsq(X, R).solution), rel=1e-12)
    with_ones = torch.cat([X, torch.ones(60, 1, dtype=torch.float64)], dim=1)
    best = torch.linalg.lstsq(with_ones, R).solution
    assert floors(X, R, train_bias=True)[0] == pytest.approx(float(R.var(0, correction=0).mean()), rel=1e-13)
    assert floors(X, R, train_bias=True)[-1] == pytest.approx(error(with_ones, R, best), rel=1e-12)


def test_smallest_change_where_inputs_leave_a_choice() -> None:
    X, R = deficient_inputs(40, 6), normal(40, 5, seed=9)
    torch.testing.assert_close(
        ideal_delta(X, R, 5), torch.linalg.pinv(X, rtol=1e-12) @ R, atol=1e-11, rtol=1e-10
    )
    assert ideal_delta(X, R, 5)[1].abs().max() < 1e-12  # the column of zeros needs no weight


@both_biases
def test_full_floor_is_exactly_0_with_fewer_samples_than_inputs(train_bias: bool) -> None:
    values = floors(mixed_inputs(20, 32), normal(20, 24, seed=9), train_bias)
    assert (values[20:] == 0.0).all()
    assert values[18] > 0.0
    # Centring takes one dimension from the samples.
    assert (values[19] == 0.0) == train_bias


@pytest.mark.parametrize("rank", [1, 4, 7])
@pytest.mark.parametrize("inputs", [mixed_inputs, deficient_inputs])
def test_a_teacher_without_noise_has_floors_of_0_from_its_rank_on(
    inputs: Callable[[int, int], Tensor], rank: int
) -> None:
    X = inputs(80, 12)
    values = floors(X, X @ normal(12, rank, seed=5) @ normal(rank, 9, seed=6))
    assert (values[rank:] <= 1e-24 * values[0]).all()
    assert (values[:rank] > 1e-8 * values[0]).all()


def test_nearly_dependent_inputs_keep_what_they_can_still_tell() -> None:
    """A direction 1e-10 as strong as the others is seen (through the SVD); one of 1e-18 is rounding."""
    X = mixed_inputs(30, 3)
    for strength, seen in [(1e-10, True), (1e-18, False)]:
        near = torch.cat([X, X[:, :1] + strength * normal(30, 1, seed=8)], dim=1)
        full = floors(near, normal(30, 4, seed=9))[-1]
        assert (full < 0.999 * floors(X, normal(30, 4, seed=9))[-1]) == seen


def test_the_original_script() -> None:
    """torch.manual_seed(42), then X, y and nn.Linear: its targets are noise, and so are its floors."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(42)
        X, Y = torch.randn(1000, 64), torch.randn(1000, 10)
        R = (Y - nn.Linear(64, 10)(X)).detach()
    frozen, trained = floors(X, R), floors(X, R, train_bias=True)
    assert [f"{value:.3f}" for value in frozen[[0, 1, 2, 4, 10]]] == [
        "1.367",
        "1.293",
        "1.237",
        "1.139",
        "0.962",
    ]
    assert f"{trained[4]:.4f}" == "1.1356"
    assert f"{trained[10]:.4f}" == "0.9582"
    gains = -np.diff(frozen)
    assert (gains[1:] > 0.7 * gains[:-1]).all()  # no knee


@pytest.mark.parametrize("seed", [0, 10, 20, 30, 40])
def test_the_default_experiment(seed: int) -> None:
    """64 -> 64, 256 samples, true rank 4, noise 0.1: the last step to the true rank is by far the largest."""
    X, R, _ = low_rank_problem(4, seed)
    values = floors(X, R)
    assert 0.95 < values[0] < 1.1
    assert 0.19 < values[3] < 0.26
    assert 0.0093 < values[4] < 0.0100
    assert 0.0071 < values[64] < 0.0078
    assert values[3] > 15 * values[4]


def test_the_true_rank_generalises_better_than_full_fine_tuning() -> None:
    X, R, teacher = low_rank_problem(4, seed=0)
    X_test = normal(2000, 64, seed=77)
    R_test = X_test @ teacher + 0.1 * normal(2000, 64, seed=78)
    assert error(X_test, R_test, ideal_delta(X, R, 4)) == pytest.approx(0.0103, rel=0.03)
    assert error(X_test, R_test, ideal_delta(X, R, 64)) == pytest.approx(0.0132, rel=0.03)


@pytest.mark.parametrize("rank", [1, 2, 4, 8, 12, 16])
def test_the_knee_is_the_true_rank(rank: int) -> None:
    X, R, _ = low_rank_problem(rank, seed=3)
    assert knee(floors(X, R)) == rank


def test_a_looser_knee_misses_weak_directions() -> None:
    """Gaussian factors of rank 16 have unequal singular values: the weakest are less than 5 % of the base."""
    X = normal(256, 64)
    teacher = normal(64, 16, seed=1) @ normal(16, 64, seed=2)
    R = X @ (teacher * 8 / teacher.norm()) + 0.1 * normal(256, 64, seed=3)
    assert knee(floors(X, R), tolerance=0.05) < 16
    assert knee(floors(X, R), tolerance=0.0) == 64


def test_the_knee_of_made_up_floors() -> None:
    assert knee(np.array([1.0, 0.5, 0.11, 0.105, 0.1])) == 2
    assert knee(np.array([1.0, 0.5, 0.11, 0.105, 0.1]), tolerance=0.006) == 3
    assert knee(np.array([0.3, 0.3, 0.3])) == 0
    assert knee(np.zeros(3)) == 0


def test_floor_of_any_rank() -> None:
    values = np.array([3.0, 2.0, 1.0])
    assert [floor_at(values, rank) for rank in (0, 1, 2, 3, 1024)] == [3.0, 2.0, 1.0, 1.0, 1.0]


def test_floors_of_real_digits() -> None:
    """Ridge base on the upright digits; then turned by 90 degrees, or 3 and 8 swapped. Some pixels stay 0."""
    pictures, labels = load_digits(return_X_y=True)
    X = torch.from_numpy(pictures / 16)
    Y = torch.eye(10, dtype=torch.float64)[torch.from_numpy(labels)]
    ridge = 1e-3 * len(X) * torch.eye(64, dtype=torch.float64)
    base = torch.linalg.solve(X.T @ X + ridge, X.T @ Y)
    turned = X.reshape(-1, 8, 8).rot90(dims=(1, 2)).reshape(-1, 64)
    expected = [0.226, 0.111, 0.083, 0.064, 0.052, 0.045, 0.039]
    np.testing.assert_allclose(floors(turned, Y - turned @ base)[:7], expected, atol=1.5e-3)
    swapped = Y[:, [0, 1, 2, 8, 4, 5, 6, 7, 3, 9]]
    values = floors(X, swapped - X @ base)
    np.testing.assert_allclose(values[:2], [0.0536, 0.0309], atol=1.5e-3)
    assert knee(values) == 1


@both_biases
@every_problem
def test_target_spectrum_is_the_steps_between_floors(X: Tensor, R: Tensor, train_bias: bool) -> None:
    steps = -np.diff(floors(X, R, train_bias)) * R.numel()
    np.testing.assert_allclose(target_spectrum(X, R, train_bias).square().numpy(), steps, atol=1e-11)


@both_biases
@every_problem
def test_the_ideal_change_has_learnt_the_first_of_the_target(X: Tensor, R: Tensor, train_bias: bool) -> None:
    for rank in (0, 1, 2, 9):
        expected = target_spectrum(X, R, train_bias)
        expected[rank:] = 0.0
        learnt = whitened_spectrum(X, ideal_delta(X, R, rank, train_bias), train_bias)
        torch.testing.assert_close(learnt, expected, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: floors(torch.ones(3, 2), torch.ones(4, 2)), r"X \(3, 2\) and R \(4, 2\) must have the same"),
        (lambda: floors(torch.ones(3), torch.ones(3, 2)), r"X must be a matrix .* got shape \(3,\)"),
        (lambda: ideal_delta(torch.ones(3, 2), torch.ones(3), 1), r"R must be a matrix .* got shape \(3,\)"),
        (
            lambda: floors(torch.full((3, 2), math.nan), torch.ones(3, 2)),
            r"X, shape \(3, 2\), must be finite",
        ),
        (
            lambda: floors(torch.ones(3, 2), torch.full((3, 2), math.inf)),
            r"R, shape \(3, 2\), must be finite",
        ),
        (lambda: floors(torch.ones(0, 2), torch.ones(0, 2)), r"X \(0, 2\) and R \(0, 2\) must not be empty"),
        (lambda: ideal_delta(torch.ones(3, 2), torch.ones(3, 2), -1), "rank must be .* got -1"),
        (lambda: floor_at(np.ones(3), -1), "rank must be .* got -1"),
        (lambda: knee(np.ones(3), tolerance=math.nan), "tolerance must be between 0 and 1, got nan"),
        (lambda: whitened_spectrum(torch.ones(3, 2), torch.ones(3, 2)), r"X \(3, 2\) and delta \(3, 2\)"),
        (
            lambda: best_bias_shift(torch.ones(3, 2), torch.ones(3, 2), torch.ones(2, 5)),
            r"delta \(2, 5\) and R \(3, 2\) must have the same outputs",
        ),
    ],
)
def test_wrong_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
