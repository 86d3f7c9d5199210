"""What shape has a change of weights? Spectra, directions, angles, truncation.

A LoRA adapter changes a layer by delta = s * A @ B, (in, out), of rank at most r. Everything here looks at
such a matrix through its singular values and vectors, delta = sum_i sigma_i u_i v_i^T, in float64.

Hu et al. 2021 (LoRA, arXiv 2106.09685), section 7; Bjorck and Golub 1973 (angles between subspaces);
Roy and Vetterli 2007 (effective rank).
"""

import torch
from torch import Tensor

from lora_core.fields import quoted


def checked_matrix(name: str, value: Tensor) -> Tensor:
    """`value` as a detached float64 matrix; ValueError naming `name` unless two-dimensional and finite."""
    if value.ndim != 2:
        raise ValueError(f"{name} must be a matrix with two dimensions, got shape {tuple(value.shape)}")
    value = value.detach().to(torch.float64)
    if not torch.isfinite(value).all():
        raise ValueError(f"{name}, shape {tuple(value.shape)}, must be finite, but it holds nan or infinity")
    return value


def checked_rank(rank: int) -> int:
    """`rank` itself; ValueError unless it is a whole number of at least 0."""
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 0:
        raise ValueError(f"rank must be a whole number of at least 0, got {quoted(rank)}")
    return rank


def effective_rank(singular_values: Tensor) -> float:
    """How many directions a spectrum spreads over: exp of the entropy of p_i = sigma_i / sum(sigma).

    Between 1 (one direction) and the length (all equal); 0.0 for a spectrum of zeros, which has no direction
    at all. Roy and Vetterli 2007.
    """
    singular_values = _checked_spectrum(singular_values)
    total = singular_values.sum()
    if total == 0:
        return 0.0
    return float(torch.special.entr(singular_values / total).sum().exp())


def numerical_rank(singular_values: Tensor, tolerance: float = 1e-12) -> int:
    """Number of singular values above `tolerance` times the largest; 0 for a spectrum of zeros."""
    singular_values = _checked_spectrum(singular_values)
    if singular_values.numel() == 0:
        return 0
    # Not >=, or a spectrum of zeros would have full rank.
    return int((singular_values > tolerance * singular_values.max()).sum())


def singular_directions(matrix: Tensor) -> Tensor:
    """Left singular vectors of `matrix` (d, k): orthonormal columns (d, rank), strongest first.

    Directions whose singular value is only rounding are left out, so a zero matrix gives shape (d, 0). For A
    (in, r) these are the directions of the input that the adapter listens to, for B.T (out, r) those of the
    output it writes.
    """
    matrix = checked_matrix("matrix", matrix)
    U, singular_values, _ = torch.linalg.svd(matrix, full_matrices=False)
    rounding = max(matrix.shape) * torch.finfo(torch.float64).eps
    return U[:, : numerical_rank(singular_values, rounding)]


def principal_angles(U: Tensor, V: Tensor) -> Tensor:
    """Angles between the column spaces of `U` (d, k) and `V` (d, m): radians in [0, pi/2], smallest first.

    Length is the smaller of the two ranks, so empty when one of them is a zero matrix. The cosine is blind
    below 1e-8 radians, so small angles are read from the sine (Bjorck and Golub 1973). ValueError if the
    heights differ.
    """
    _check_same_height(U, V, "U", "V")
    left, right = singular_directions(U), singular_directions(V)
    if left.shape[1] < right.shape[1]:
        left, right = right, left
    cross = left.T @ right
    cosines = torch.linalg.svdvals(cross).clamp(max=1.0)
    sines = torch.linalg.svdvals(right - left @ cross).flip(0).clamp(max=1.0)
    return torch.where(cosines.square() > 0.5, sines.arcsin(), cosines.arccos())


def subspace_similarity(V1: Tensor, V2: Tensor) -> Tensor:
    """How far two sets of directions share a subspace: phi (k, m), each entry between 0 and 1.

    phi[i-1, j-1] = ||V1_i^T V2_j||_F^2 / min(i, j), where V1_i is the first i columns of `V1` (d, k) and V2_j
    the first j of `V2` (d, m): 0 where the two are orthogonal, 1 where one holds the other. Both must have
    orthonormal columns, strongest first, as `singular_directions` returns them; ValueError otherwise.
    Hu et al. 2021, section 7.2, equation 4.
    """
    _check_same_height(V1, V2, "V1", "V2")
    V1, V2 = _checked_orthonormal("V1", V1), _checked_orthonormal("V2", V2)
    shared = (V1.T @ V2).square().cumsum(0).cumsum(1)
    i = torch.arange(1, V1.shape[1] + 1, dtype=torch.float64)
    j = torch.arange(1, V2.shape[1] + 1, dtype=torch.float64)
    return shared / torch.minimum(i[:, None], j[None, :])


def truncate(delta: Tensor, rank: int) -> Tensor:
    """The nearest matrix of rank at most `rank`, (in, out): [delta]_r, the first r terms of its SVD.

    Nearest in the Frobenius norm, at a distance of exactly sqrt(sum_{i>r} sigma_i^2) (Eckart and Young 1936).
    Nearest weights are not nearest outputs: what the move costs in loss depends on the inputs.
    """
    delta = checked_matrix("delta", delta)
    if checked_rank(rank) >= min(delta.shape):
        return delta.clone()
    U, singular_values, Vh = torch.linalg.svd(delta, full_matrices=False)
    return U[:, :rank] * singular_values[:rank] @ Vh[:rank]


def truncate_factors(A: Tensor, B: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factors A' (in, rank), B' (rank, out) of [A @ B]_rank, from `A` (in, r) and `B` (r, out).

    Works on r x r, never on in x out. The scaling is a common factor and stays with the caller:
    s * A' @ B' = [s * A @ B]_rank. The new factors are balanced, A'^T A' = B' B'^T = diag(sigma). Where
    `rank` exceeds min(in, out) the columns left over are zero in both factors, so they would never train.
    ValueError if the inner sizes differ or `rank` is above r.
    """
    A, B = checked_matrix("A", A), checked_matrix("B", B)
    if A.shape[1] != B.shape[0]:
        raise ValueError(
            f"A {tuple(A.shape)} and B {tuple(B.shape)} must share their rank, (in, r) and (r, out)"
        )
    if checked_rank(rank) > A.shape[1]:
        raise ValueError(f"rank must be between 0 and {A.shape[1]}, the rank of the factors, got {rank}")
    basis_in, core_in = torch.linalg.qr(A)
    basis_out, core_out = torch.linalg.qr(B.T)
    U, singular_values, Vh = torch.linalg.svd(core_in @ core_out.T, full_matrices=False)
    kept = min(rank, len(singular_values))
    root = singular_values[:kept].sqrt()
    new_A, new_B = A.new_zeros(len(A), rank), B.new_zeros(rank, B.shape[1])
    new_A[:, :kept] = basis_in @ U[:, :kept] * root
    new_B[:kept] = root[:, None] * (Vh[:kept] @ basis_out.T)
    return new_A, new_B


def _checked_spectrum(singular_values: Tensor) -> Tensor:
    """`singular_values` as a detached float64 vector; ValueError if not one-dimensional, finite and >= 0."""
    singular_values = singular_values.detach().to(torch.float64)
    if singular_values.ndim != 1:
        raise ValueError(f"singular_values must be a vector, got shape {tuple(singular_values.shape)}")
    if not torch.isfinite(singular_values).all() or (singular_values < 0).any():
        raise ValueError("singular_values must be finite and not negative")
    return singular_values


def _check_same_height(first: Tensor, second: Tensor, first_name: str, second_name: str) -> None:
    if first.ndim == second.ndim == 2 and first.shape[0] != second.shape[0]:
        raise ValueError(
            f"{first_name} {tuple(first.shape)} and {second_name} {tuple(second.shape)} "
            "must have columns of one length, as directions in the same space"
        )


def _checked_orthonormal(name: str, V: Tensor) -> Tensor:
    V = checked_matrix(name, V)
    identity = torch.eye(V.shape[1], dtype=torch.float64)
    # 1e-4 lets singular vectors computed in float32 pass.
    if not torch.allclose(V.T @ V, identity, atol=1e-4, rtol=0.0):
        raise ValueError(
            f"{name} {tuple(V.shape)} must have orthonormal columns, as from singular_directions"
        )
    return V
