"""What do A, B, their product and the weight look like after any number of updates?

The numbers of the time machine: W0, A, B, delta = s A B and W0 + delta, all (in, out) or a factor of it, for
every adapter that a run kept. Too large a matrix is drawn by the means of its blocks. The mean of a block of
A B is the product of the means of A's rows and B's columns, so blocks are averaged before anything is
multiplied. Norms are Frobenius norms of the whole matrices, ranks count singular values above 1e-12 of the
largest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lora_core.formatting import loss_text
from lora_core.geometry import numerical_rank
from lora_core.training.history import Snapshot
from lora_core.training.run import Run

MOST_CELLS = 128
"""Cells along one side of a map."""
MOST_BYTES = 4_000_000
"""Of all the adapters that travel to the browser; where more were kept, fewer are shown, evenly spread."""

NAMES = ("W0", "A", "B", "delta", "W")
"""The five maps: the frozen base, the two factors, s A B, and the base with the change."""

_DIRECT = 1e9


@dataclass(frozen=True, eq=False)
class MatricesInfo:
    """The five matrices after each of k kept numbers of updates.

    ``updates`` (k,); ``W0`` (rows, columns), ``A`` (k, rows, ranks), ``B`` (k, ranks, columns) and ``delta``
    (k, rows, columns), float32, are means of blocks of ``block`` = (inputs, outputs, ranks) entries.
    ``norms`` and ``ranks`` (k,) by name are those of the whole matrices, of ``shapes``; ``scalings`` (k,)
    are s, ``loss`` (k,) the training loss and ``scale`` the largest absolute value on any map. Where a course
    changes the rank, the maps of A and B are as wide as the highest, zero beyond the ``stored`` (k,) ranks.
    """

    updates: tuple[int, ...]
    W0: np.ndarray
    A: np.ndarray
    B: np.ndarray
    delta: np.ndarray
    block: tuple[int, int, int]
    norms: dict[str, np.ndarray]
    ranks: dict[str, np.ndarray]
    shapes: dict[str, tuple[int, int]]
    scalings: tuple[float, ...]
    stored: tuple[int, ...]
    loss: np.ndarray
    scale: float

    @property
    def factors_suffice(self) -> bool:
        """Whether the maps of A and B hold all that delta's map is made of, in no more numbers than it."""
        rows, columns = self.W0.shape
        return self.block[2] == 1 and self.A.shape[2] * (rows + columns) <= rows * columns


def matrices_info(run: Run) -> MatricesInfo:
    """The numbers of the time machine, for a run with at least one kept adapter."""
    e, weight = run.experiment, run.problem.base.weight.detach().T
    sizes = (e.in_features, e.out_features, run.course.highest_rank)
    inputs, outputs, ranks_in_one = block = tuple(block_size(size) for size in sizes)
    rows, columns, strips = (-(-size // each) for size, each in zip(sizes, block, strict=True))
    size = 4 * (rows * columns + (rows + columns) * strips)
    updates = thinned(sorted(run.lora.snapshots), max(2, MOST_BYTES // size))
    pairs = [factors(run.lora.snapshots[update]) for update in updates]
    scalings = tuple(run.course.in_force(update).scaling for update in updates)
    norms, ranks = _measured(weight, pairs, scalings)
    W0 = block_mean(weight.numpy(), inputs, outputs).astype(np.float32)
    in_A = [_widened(block_mean(A.numpy(), inputs, ranks_in_one), strips, 1) for A, _ in pairs]
    in_B = [_widened(block_mean(B.numpy(), ranks_in_one, outputs), strips, 0) for _, B in pairs]
    A, B = np.stack(in_A).astype(np.float32), np.stack(in_B).astype(np.float32)
    products = [block_mean(A.numpy(), inputs, 1) @ block_mean(B.numpy(), 1, outputs) for A, B in pairs]
    delta = (np.stack(products) * np.array(scalings)[:, None, None]).astype(np.float32)
    return MatricesInfo(
        updates=tuple(updates),
        W0=W0,
        A=A,
        B=B,
        delta=delta,
        block=(inputs, outputs, ranks_in_one),
        norms=norms,
        ranks=ranks,
        shapes=dict.fromkeys(NAMES, sizes[:2]) | {"A": sizes[::2], "B": sizes[2:0:-1]},
        scalings=scalings,
        stored=tuple(A.shape[1] for A, _ in pairs),
        loss=run.lora.loss[updates],
        scale=max(float(np.abs(each).max()) for each in (W0, A, B, delta, W0 + delta)),
    )


def label(info: MatricesInfo, name: str, index: int) -> list[str]:
    """What is written on a map after ``updates[index]``: shape, norm, rank."""
    rows, columns = info.shapes[name]
    rows = info.stored[index] if name == "B" else rows
    columns = info.stored[index] if name == "A" else columns
    return [
        f"{rows} × {columns}",
        f"norm {loss_text(float(info.norms[name][index]))}",
        f"rank {info.ranks[name][index]}",
    ]


def averaged(info: MatricesInfo) -> str:
    """How the maps were reduced, in words; nothing where every entry has a cell of its own."""
    inputs, outputs, ranks = info.block
    kinds = (("W₀", inputs, outputs), ("A", inputs, ranks), ("B", ranks, outputs))
    parts = [f"{rows} × {columns} of {name}" for name, rows, columns in kinds if max(rows, columns) > 1]
    if not parts:
        return ""
    return f"Too large for a cell each: one shows the mean of {', '.join(parts)}. Norms and ranks are exact."


def scaling_text(scaling: float) -> str:
    """The factor s as a person writes it: 8, 2.67, 0.00781, 1,365."""
    return f"{scaling:,.0f}" if scaling >= 1000 else f"{scaling:.3g}"


def table(info: MatricesInfo) -> dict[str, list[float]]:
    """Norms and ranks as columns, a row for each kept number of updates."""
    symbols = dict(zip(NAMES, ("W0", "A", "B", "s A B", "W0 + s A B"), strict=True))
    columns: dict[str, list[float]] = {"updates": list(info.updates), "loss": info.loss.tolist()}
    columns |= {f"norm of {symbols[name]}": info.norms[name].tolist() for name in NAMES}
    return columns | {f"rank of {symbols[name]}": info.ranks[name].tolist() for name in NAMES}


def nearest(updates: Sequence[int], wanted: int | None) -> int:
    """The kept number of updates nearest to the one wanted, the last where none is wanted."""
    return updates[-1] if wanted is None else min(updates, key=lambda update: abs(update - wanted))


def block_size(size: int) -> int:
    """Entries in a row that share a cell, so that at most ``MOST_CELLS`` cells are drawn."""
    return -(-size // MOST_CELLS)


def _widened(cells: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Cells with zeros after them along an axis, up to a size."""
    missing = [(0, size - cells.shape[axis] if each == axis else 0) for each in (0, 1)]
    return np.pad(cells, missing)


def block_mean(matrix: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The means of blocks of rows x columns entries; the last ones may hold fewer."""
    for axis, size in enumerate((rows, columns)):
        if size > 1:
            starts = np.arange(0, matrix.shape[axis], size)
            counts = np.diff(np.append(starts, matrix.shape[axis]))
            sums = np.add.reduceat(matrix, starts, axis=axis)
            matrix = sums / (counts[:, None] if axis == 0 else counts)
    return matrix


def factors(snapshot: Snapshot) -> tuple[Tensor, Tensor]:
    """A (in, r) and B (r, out) of an adapter's snapshot; ValueError for one of full fine-tuning."""
    if snapshot.B is None:
        raise ValueError("the snapshot has no B: it must be one of an adapter, not of full fine-tuning.")
    return snapshot.A, snapshot.B


def thinned(updates: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the updates, evenly spread, the first and the last among them."""
    count = min(len(updates), count)
    return [updates[round(i * (len(updates) - 1) / max(1, count - 1))] for i in range(count)]


def _measured(
    W0: Tensor, pairs: list[tuple[Tensor, Tensor]], scalings: Sequence[float]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Norms and ranks of the five matrices after each kept number of updates, by name."""
    scaled = [(s * A, B) for (A, B), s in zip(pairs, scalings, strict=True)]
    spectra = [
        (torch.linalg.svdvals(A), torch.linalg.svdvals(B), scaling * product_spectrum(A, B))
        for (A, B), scaling in zip(pairs, scalings, strict=True)
    ]
    own = torch.linalg.svdvals(W0)
    base = float(own.norm())
    norms: dict[str, list[float]] = {name: [] for name in NAMES}
    ranks: dict[str, list[int]] = {name: [] for name in NAMES}
    tuned_ranks = _tuned_ranks(W0, own, scaled)
    for (A, B), scaling, found, tuned_rank in zip(pairs, scalings, spectra, tuned_ranks, strict=True):
        change = float(found[2].norm())
        overlap = scaling * float(((A.T @ W0) * B).sum())
        tuned = max(0.0, base**2 + 2 * overlap + change**2) ** 0.5
        sizes = (base, float(A.norm()), float(B.norm()), change, tuned)
        counts = (numerical_rank(own), *(numerical_rank(each) for each in found), tuned_rank)
        for name, size, count in zip(NAMES, sizes, counts, strict=True):
            norms[name].append(size)
            ranks[name].append(count)
    return (
        {name: np.array(values) for name, values in norms.items()},
        {name: np.array(values) for name, values in ranks.items()},
    )


def product_spectrum(A: Tensor, B: Tensor) -> Tensor:
    """Singular values of A (in, r) @ B (r, out), at most min(in, r, out) of them, without forming it."""
    core_in, core_out = torch.linalg.qr(A, mode="r").R, torch.linalg.qr(B.T, mode="r").R
    return torch.linalg.svdvals(core_in @ core_out.T)


def _tuned_ranks(W0: Tensor, own: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> list[int]:
    """Rank of W0 + A B for each pair, A scaled, from its singular values where these are quickly found."""
    if len(pairs) * W0.numel() * min(W0.shape) <= _DIRECT or numerical_rank(own) < min(W0.shape):
        return [numerical_rank(torch.linalg.svdvals(W0 + A @ B)) for A, B in pairs]
    if W0.shape[0] < W0.shape[1]:
        W0, pairs = W0.T, [(B.T, A.T) for A, B in pairs]
    Q, R = torch.linalg.qr(W0)
    return [_rank_of_sum(Q, R, A, B) for A, B in pairs]


def _rank_of_sum(Q: Tensor, R: Tensor, U: Tensor, V: Tensor) -> int:
    """Rank of Q R + U V, where Q (m, n) has orthonormal columns and R (n, n) is invertible.

    A vector z with (Q R + U V) z = 0 is fixed by y = V z: the part of U y outside Q's columns must vanish,
    and y + V R^-1 Q^T U y too. So z's are as many as y's, and those are found among r numbers, not n.
    """
    inside = Q.T @ U
    outside = torch.linalg.qr(U - Q @ inside, mode="r").R
    small = V @ torch.linalg.solve_triangular(R, inside, upper=True)
    small.diagonal().add_(1.0)
    return len(R) - (U.shape[1] - numerical_rank(torch.linalg.svdvals(torch.cat([small, outside]))))
