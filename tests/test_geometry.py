"""Spectra, directions, angles and truncation against closed forms, scipy and Eckart-Young."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy.linalg import subspace_angles  # type: ignore[import-untyped]
from torch import Tensor

from lora_core.geometry import (
    effective_rank,
    numerical_rank,
    principal_angles,
    singular_directions,
    subspace_similarity,
    truncate,
    truncate_factors,
)
from tests.kit.tensors import normal


def orthonormal(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(rows, columns, seed=seed)).Q


def test_a_delta_of_rank_r_ends_there() -> None:
    """sigma_{r+1}(s A B) <= 1e-12 sigma_1."""
    values = torch.linalg.svdvals(0.5 * normal(20, 3) @ normal(3, 12, seed=1))
    assert values[3] <= 1e-12 * values[0] < values[2]
    assert numerical_rank(values) == 3


def test_effective_rank_of_known_spectra() -> None:
    assert effective_rank(torch.tensor([3.0, 0.0, 0.0])) == pytest.approx(1.0)
    assert effective_rank(torch.full((7,), 0.2)) == pytest.approx(7.0)
    # Shares 1/2, 1/4, 1/4 have an entropy of 3/2 bits.
    assert effective_rank(torch.tensor([2.0, 1.0, 1.0])) == pytest.approx(2**1.5)
    assert effective_rank(torch.zeros(4)) == 0.0


def test_numerical_rank_of_zeros_is_0() -> None:
    assert numerical_rank(torch.zeros(4)) == 0
    assert numerical_rank(torch.zeros(0)) == 0
    assert numerical_rank(torch.tensor([1.0, 1e-3, 1e-7]), tolerance=1e-5) == 2


def test_singular_directions_span_the_columns_and_come_strongest_first() -> None:
    basis = orthonormal(10, 2)
    directions = singular_directions(torch.stack([basis[:, 1], 3 * basis[:, 0], basis[:, 1]], dim=1))
    assert directions.shape == (10, 2)
    torch.testing.assert_close((directions.T @ basis).abs(), torch.eye(2, dtype=torch.float64))
    assert singular_directions(torch.zeros(5, 2)).shape == (5, 0)


@pytest.mark.parametrize(("k", "m"), [(2, 2), (1, 4), (5, 3), (6, 6)])
def test_principal_angles_are_those_of_scipy(k: int, m: int) -> None:
    U, V = normal(8, k), normal(8, m, seed=1)
    # scipy lists them largest first.
    expected = torch.from_numpy(subspace_angles(U.numpy(), V.numpy())[::-1].copy())
    torch.testing.assert_close(principal_angles(U, V), expected, atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-5, 0.3, math.pi / 4, 1.2, math.pi / 2])
def test_principal_angle_between_two_planes_that_share_a_line(angle: float) -> None:
    U = torch.eye(4, dtype=torch.float64)[:, :2]
    V = torch.zeros(4, 2, dtype=torch.float64)
    V[0, 0] = 1.0
    V[1, 1], V[2, 1] = math.cos(angle), math.sin(angle)
    # Neither the length of the columns nor their mixture matters.
    mixed = V @ torch.tensor([[2.0, 1.0], [-1.0, 3.0]], dtype=torch.float64)
    assert principal_angles(U, mixed).tolist() == pytest.approx([0.0, angle], abs=1e-14)


def test_nothing_has_no_angle() -> None:
    assert principal_angles(torch.zeros(5, 2), normal(5, 3)).shape == (0,)


def test_similarity_of_an_adapter_with_itself() -> None:
    """phi(A, A, i, j) = 1, for the first i directions hold the first j or the other way round."""
    V = singular_directions(normal(30, 6))
    torch.testing.assert_close(subspace_similarity(V, V), torch.ones(6, 6, dtype=torch.float64))


def test_similarity_is_the_formula_of_the_paper() -> None:
    V1, V2 = orthonormal(12, 3), orthonormal(12, 5, seed=1)
    phi = subspace_similarity(V1, V2)
    assert phi.shape == (3, 5)
    for i, j in [(1, 1), (3, 1), (2, 4), (3, 5)]:
        shared = torch.linalg.matrix_norm(V1[:, :i].T @ V2[:, :j]) ** 2
        assert float(phi[i - 1, j - 1]) == pytest.approx(float(shared) / min(i, j))
    torch.testing.assert_close(subspace_similarity(V2, V1), phi.T)


def test_similarity_of_independent_adapters_is_max_over_inputs() -> None:
    """E phi(i, j) = max(i, j) / in for independent Gaussian A (in, r)."""
    draws = [
        subspace_similarity(
            singular_directions(normal(16, 4, seed=2 * seed)),
            singular_directions(normal(16, 6, seed=2 * seed + 1)),
        )
        for seed in range(400)
    ]
    index = torch.arange(1, 7, dtype=torch.float64)
    expected = torch.maximum(index[:4, None], index[None, :]) / 16
    torch.testing.assert_close(torch.stack(draws).mean(0), expected, atol=0.015, rtol=0.0)


@pytest.mark.parametrize("rank", [0, 1, 3, 5, 9])
def test_truncation_moves_by_exactly_the_discarded_singular_values(rank: int) -> None:
    delta = normal(9, 5)
    truncated = truncate(delta, rank)
    assert numerical_rank(torch.linalg.svdvals(truncated), 1e-13) == min(rank, 5)
    moved = torch.linalg.matrix_norm(delta - truncated)
    torch.testing.assert_close(moved, torch.linalg.svdvals(delta)[rank:].norm(), atol=1e-14, rtol=1e-12)


@pytest.mark.parametrize("shape", [(9, 4, 7), (3, 6, 8), (8, 6, 3), (2, 2, 2), (2, 5, 2)])
def test_truncated_factors_make_the_truncated_product(shape: tuple[int, int, int]) -> None:
    in_features, old_rank, out_features = shape
    A, B = normal(in_features, old_rank), normal(old_rank, out_features, seed=1)
    for rank in range(old_rank + 1):
        new_A, new_B = truncate_factors(A, B, rank)
        assert new_A.shape == (in_features, rank)
        assert new_B.shape == (rank, out_features)
        torch.testing.assert_close(new_A @ new_B, truncate(A @ B, rank), atol=1e-12, rtol=1e-12)
        values = torch.zeros(rank, dtype=torch.float64)
        values[: min(rank, in_features, out_features)] = torch.linalg.svdvals(A @ B)[:rank]
        torch.testing.assert_close(new_A.T @ new_A, torch.diag(values), atol=1e-12, rtol=1e-12)
        torch.testing.assert_close(new_B @ new_B.T, torch.diag(values), atol=1e-12, rtol=1e-12)


def test_factors_are_checked() -> None:
    with pytest.raises(ValueError, match=r"A \(9, 4\) and B \(5, 7\)"):
        truncate_factors(normal(9, 4), normal(5, 7), 2)
    with pytest.raises(ValueError, match=r"rank must be between 0 and 4, .* got 5"):
        truncate_factors(normal(9, 4), normal(4, 7), 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: truncate(torch.zeros(3), 1),
            r"delta must be a matrix .* got shape \(3,\)",
        ),
        (lambda: truncate(torch.full((2, 2), math.nan), 1), r"delta, shape \(2, 2\), must be finite"),
        (lambda: truncate(torch.zeros(2, 2), -1), "rank must be a whole number of at least 0, got -1"),
        (lambda: truncate(torch.zeros(2, 2), True), "rank must be a whole number of at least 0, got True"),
        (lambda: effective_rank(torch.zeros(2, 2)), r"singular_values must be a vector, got shape \(2, 2\)"),
        (lambda: effective_rank(torch.tensor([-1.0])), "singular_values must be finite and not negative"),
        (lambda: principal_angles(torch.zeros(3, 1), torch.zeros(4, 1)), r"U \(3, 1\) and V \(4, 1\)"),
        (lambda: subspace_similarity(torch.eye(3), torch.eye(4)), r"V1 \(3, 3\) and V2 \(4, 4\)"),
        (lambda: subspace_similarity(torch.eye(3), 2 * torch.eye(3)), r"V2 \(3, 3\) must have orthonormal"),
    ],
)
def test_wrong_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_float32_parameters_are_read_in_float64_without_a_graph() -> None:
    delta = torch.nn.Parameter(normal(6, 4).float())
    truncated = truncate(delta, 2)
    assert truncated.dtype == torch.float64
    assert not truncated.requires_grad
