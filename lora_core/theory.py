"""What is the best a rank can do, in closed form?

One linear layer under mean-squared error is reduced-rank regression: with R = Y - X W0^T - b0 (what the base
still gets wrong) and P = X X^+ R (what a linear map can repair of it),

    floor(r) = ( ||R - P||_F^2 + sum_{i>r} sigma_i(P)^2 ) / (n * out),   reached by   delta = X^+ [P]_r

with [P]_r the singular value decomposition cut after r terms. A trained bias is worth centring X and R first.
Eckart and Young 1936; Izenman 1975 (reduced-rank regression). All of it in float64. `ideal_delta` and
`best_bias_shift` are for scripts and tests: a change that attains a floor proves it.
"""

import numpy as np
import torch
from torch import Tensor

from lora_core.fields import quoted
from lora_core.geometry import checked_matrix, checked_rank, numerical_rank, truncate

# Inputs conditioned better than this go through QR, the rest through an SVD with a rank tolerance.
_WELL_CONDITIONED = 1e8

TOLERANCE = 0.01
"""A rank is enough where its floor is at most this share of the base loss above full fine-tuning's."""


def floors(X: Tensor, R: Tensor, train_bias: bool = False) -> np.ndarray:
    """The least mean-squared error that each rank can reach: float64, index = rank 0..min(in, out).

    Args:
        X: inputs (n, in).
        R: residual of the base layer (n, out), targets minus the base's outputs.
        train_bias: whether the bias is trained too; then floor 0 is the loss after the best bias alone.

    Never negative and never rising. Exactly 0 where only rounding is left (fewer samples than inputs, or a
    teacher of that rank without noise). Ranks above min(in, out) reach no further: read them with `floor_at`.
    Raises ValueError if X and R are not finite matrices of one length.
    """
    X, R = _checked_problem(X, R, train_bias)
    inside, outside, _ = _decomposed(X, R)
    squares = np.zeros(min(X.shape[1], R.shape[1]))
    singular_values = torch.linalg.svdvals(inside).numpy()
    squares[: len(singular_values)] = singular_values**2
    # Summed from the smallest up: small floors keep their digits, and no rounding can make a floor rise.
    missed = outside + np.append(np.cumsum(squares[::-1])[::-1], 0.0)
    rounding = max(*X.shape, R.shape[1]) * np.finfo(np.float64).eps
    missed[missed <= rounding**2 * missed[0]] = 0.0
    return missed / R.numel()


def floor_at(floors: np.ndarray, rank: int) -> float:
    """The floor of any rank: above min(in, out), the last of `floors`, it is that of full fine-tuning."""
    return float(floors[min(checked_rank(rank), len(floors) - 1)])


def knee(floors: np.ndarray, tolerance: float = TOLERANCE) -> int:
    """The smallest rank whose floor is at most `tolerance` * floors[0] above that of full fine-tuning.

    Finds the rank of a low-rank teacher with equal singular values; where `floors` fall evenly it is merely a
    large rank. 0 when there is nothing to learn within the tolerance. ValueError if `tolerance` is not
    between 0 and 1.
    """
    if not 0.0 <= tolerance <= 1.0:
        raise ValueError(f"tolerance must be between 0 and 1, got {quoted(tolerance)}")
    return int(np.argmax(floors <= floors[-1] + tolerance * floors[0]))


def ideal_delta(X: Tensor, R: Tensor, rank: int, train_bias: bool = False) -> Tensor:
    """The change of weights that reaches `floors(X, R, train_bias)[rank]`: X^+ [P]_rank, shape (in, out).

    X (n, in), R (n, out). Of all such changes the smallest one when X is rank deficient. With `train_bias` it
    is the partner of `best_bias_shift`. ValueError as `floors`, and for a negative rank.
    """
    X, R = _checked_problem(X, R, train_bias)
    inside, _, inverse = _decomposed(X, R)
    return inverse @ truncate(inside, rank)


def best_bias_shift(X: Tensor, R: Tensor, delta: Tensor) -> Tensor:
    """The change of bias (out,) that suits `delta` (in, out) best: the mean of R - X @ delta."""
    X, R = _checked_problem(X, R, train_bias=False)
    delta = _checked_delta(X, delta)
    if delta.shape[1] != R.shape[1]:
        raise ValueError(f"delta {tuple(delta.shape)} and R {tuple(R.shape)} must have the same outputs")
    return R.mean(0) - X.mean(0) @ delta


def target_spectrum(X: Tensor, R: Tensor, train_bias: bool = False) -> Tensor:
    """Singular values of P, what there is to learn in outputs: float64, length min(in, out), largest first.

    X (n, in), R (n, out), both centred first if `train_bias`. Each floor is the last one plus the squares of
    those beyond its rank, over n * out. ValueError as `floors`.
    """
    X, R = _checked_problem(X, R, train_bias)
    inside, _, _ = _decomposed(X, R)
    return _padded(torch.linalg.svdvals(inside), min(X.shape[1], R.shape[1]))


def whitened_spectrum(X: Tensor, delta: Tensor, train_bias: bool = False) -> Tensor:
    """Singular values of X @ delta, what is learnt in outputs: float64, length min(in, out), largest first.

    X (n, in), centred first if `train_bias`; delta (in, out). Unlike the singular values of delta itself
    these can be set beside `target_spectrum`: the ideal delta of rank r has the first r of them and zeros.
    ValueError on wrong shapes.
    """
    X = checked_matrix("X", X)
    delta = _checked_delta(X, delta)
    if train_bias:
        X = X - X.mean(0)
    size = min(delta.shape)
    return _padded(torch.linalg.svdvals(X @ delta)[:size], size)


def _decomposed(X: Tensor, R: Tensor) -> tuple[Tensor, float, Tensor]:
    """Q^T R (k, out), ||R - P||_F^2 and Z (in, k): Q an orthonormal basis of X's columns, X^+ = Z Q^T.

    By QR where that is safe: far faster, and Q is never formed. Constant columns (the dark corners of the
    digits) and fewer samples than inputs ask for the SVD.
    """
    n, in_features = X.shape
    if n >= in_features:
        packed, reflections = torch.geqrf(X)
        T = packed[:in_features].triu()
        inverse = torch.linalg.solve_triangular(T, torch.eye(in_features, dtype=T.dtype), upper=True)
        # These norms bound the condition number from above; a zero on the diagonal makes it nan or infinite.
        if T.norm() * inverse.norm() < _WELL_CONDITIONED:
            rotated = torch.ormqr(packed, reflections, R, left=True, transpose=True)
            return rotated[:in_features], float(rotated[in_features:].norm()) ** 2, inverse
    U, singular_values, Vh = torch.linalg.svd(X, full_matrices=False)
    k = numerical_rank(singular_values, max(n, in_features) * torch.finfo(torch.float64).eps)
    inside = U[:, :k].T @ R
    outside = torch.addmm(R, U[:, :k], inside, alpha=-1)
    return inside, float(outside.norm()) ** 2, Vh[:k].T / singular_values[:k]


def _checked_problem(X: Tensor, R: Tensor, train_bias: bool) -> tuple[Tensor, Tensor]:
    """X (n, in) and R (n, out) in float64, centred if the bias is trained; ValueError naming both shapes."""
    X, R = checked_matrix("X", X), checked_matrix("R", R)
    if len(X) != len(R):
        raise ValueError(f"X {tuple(X.shape)} and R {tuple(R.shape)} must have the same number of samples")
    if X.numel() == 0 or R.numel() == 0:
        raise ValueError(f"X {tuple(X.shape)} and R {tuple(R.shape)} must not be empty")
    return (X - X.mean(0), R - R.mean(0)) if train_bias else (X, R)


def _checked_delta(X: Tensor, delta: Tensor) -> Tensor:
    delta = checked_matrix("delta", delta)
    if X.shape[1] != delta.shape[0]:
        raise ValueError(f"X {tuple(X.shape)} and delta {tuple(delta.shape)} must have the same inputs")
    return delta


def _padded(singular_values: Tensor, size: int) -> Tensor:
    return torch.nn.functional.pad(singular_values, (0, size - len(singular_values)))
