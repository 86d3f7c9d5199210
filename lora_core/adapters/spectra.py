"""How much of its rank does each module use? Singular values of s B A, without ever forming it.

QR of both factors, then the SVD of the small r x r product, all in float64: exact to 1e-15 of the largest
singular value, where a Gram matrix would lose half of the digits. The factors are divided by their largest
entry first, so that a change of any scale has the same relative spectrum.

Two effective ranks are in use and differ by up to a factor of two: exp of the entropy of sigma_i / sum sigma
(Roy and Vetterli, 2007) and of sigma_i^2 / sum sigma^2, the share of energy (lora-inspector).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lora_core.adapters.file import FLOATS, Module
from lora_core.adapters.header import Entry
from lora_core.adapters.source import Source
from lora_core.adapters.words import named
from lora_core.geometry import effective_rank
from lora_core.reproducible import one_thread

NOTHING = 1e-7
"""Singular values below this share of the largest count as rounding where the rank used is counted: factors
are stored in 32 bits at most."""


class Directions(NamedTuple):
    """The SVD of s B A: `U` (out, k), `values` (k,) from the largest, `Vh` (k, in), float64."""

    U: Tensor
    values: Tensor
    Vh: Tensor


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The singular values of one module's change, float64, largest first, min(r, in, out) of them.

    `finite` is False where a factor holds nan or infinity: then there are no values.
    """

    path: str
    values: np.ndarray
    finite: bool = True

    @cached_property
    def norm(self) -> float:
        """The Frobenius norm of the change."""
        return self.error(0)

    @property
    def moved(self) -> bool:
        """Whether there is a change at all."""
        return len(self.values) > 0 and bool(self.values[0] > 0)

    def kept(self, rank: int) -> float:
        """The share of the energy, sum of squares, that the first `rank` directions hold; 1 of nothing."""
        squares = self._shares()
        return 1.0 if not self.moved else float(squares[:rank].sum() / squares.sum())

    def error(self, rank: int) -> float:
        """The Frobenius norm of what is lost, the root of the tail's squares (Eckart and Young, 1936)."""
        if not self.moved:
            return 0.0
        return float(self.values[0] * np.sqrt(np.square(self._relative()[rank:]).sum()))

    def lost(self, rank: int) -> float:
        """The same as a share of the norm."""
        return self.error(rank) / self.norm if self.moved else 0.0

    def rank_for(self, share: float) -> int:
        """The smallest rank that keeps this share of the energy, at least 1."""
        if not self.moved:
            return 1
        cumulated = self._shares().cumsum()
        # Held against the last partial sum: a share of 1 must be reached, whatever was rounded.
        reached = cumulated >= share * cumulated[-1] * (1 - 1e-12)
        return int(reached.argmax()) + 1

    @property
    def used(self) -> int:
        """The number of directions that are more than rounding."""
        return int((self.values > NOTHING * self.values[0]).sum()) if self.moved else 0

    @property
    def effective(self) -> float:
        """exp of the entropy of sigma / sum sigma (Roy and Vetterli, 2007)."""
        return effective_rank(torch.from_numpy(self._relative())) if self.moved else 0.0

    @property
    def effective_energy(self) -> float:
        """exp of the entropy of sigma^2 / sum sigma^2."""
        return effective_rank(torch.from_numpy(self._shares())) if self.moved else 0.0

    def _relative(self) -> np.ndarray:
        return self.values / self.values[0]

    def _shares(self) -> np.ndarray:
        """Squares, relative to the largest, so that none of them is lost below the smallest float."""
        return np.square(self._relative()) if self.moved else np.square(self.values)


def measure(source: Source, modules: Iterable[Module]) -> Iterator[Spectrum]:
    """The spectrum of each module; the factors of one are in memory at a time."""
    for module in modules:
        yield spectrum_of(source, module)


@one_thread()
def spectrum_of(source: Source, module: Module) -> Spectrum:
    """The singular values of one module's change."""
    return spectrum_of_factors(module.path, *read_factors(source, module), module.scaling)


def spectrum_of_factors(path: str, A: Tensor, B: Tensor, scaling: float = 1.0) -> Spectrum:
    """The singular values of scaling * B A, from A (r, in) and B (out, r), float64."""
    cores = _cores(A, B)
    if cores is not None:
        (_, R_in), (_, R_out), scale = cores
        values = torch.linalg.svdvals(R_out @ R_in.T) * (scale * abs(scaling))
        # Room for a norm, which is larger than the largest of them.
        if torch.isfinite(values).all() and values.max() < np.finfo(float).max / len(values):
            return Spectrum(path, values.numpy())
    return Spectrum(path, np.zeros(0), finite=False)


@one_thread()
def directions_of(source: Source, module: Module) -> Directions:
    """The SVD of one module's change, its sign in U.

    :raises ValueError: factors that hold nan or infinity.
    """
    A, B = read_factors(source, module)
    cores = _cores(A, B)
    if cores is None:
        raise ValueError(f"{named(module.path)} holds numbers that are not finite: it cannot be cut.")
    (Q_in, R_in), (Q_out, R_out), scale = cores
    U, values, Vh = torch.linalg.svd(R_out @ R_in.T, full_matrices=False)
    sign = -1.0 if module.scaling < 0 else 1.0
    return Directions(Q_out @ U * sign, values * (scale * abs(module.scaling)), Vh @ Q_in.T)


def read_factors(source: Source, module: Module) -> tuple[Tensor, Tensor]:
    """A (r, in) and B (out, r) of a module, float64, kernels flattened into `in`."""
    A = read_tensor(source, module.down).to(torch.float64).reshape(module.rank, module.in_features)
    B = read_tensor(source, module.up).to(torch.float64).reshape(module.out_features, module.rank)
    return A, B


def read_tensor(source: Source, entry: Entry) -> Tensor:
    """A tensor of one of the dtypes that factors may have, as it is stored."""
    raw = bytearray(source.read(entry.start, entry.stop))
    if len(raw) != entry.bytes:
        raise ValueError(f"{named(source.name)} became shorter while it was read.")
    if not raw:
        return torch.empty(entry.shape, dtype=getattr(torch, FLOATS[entry.dtype]))
    return torch.frombuffer(raw, dtype=getattr(torch, FLOATS[entry.dtype])).reshape(entry.shape)


_QR = tuple[Tensor, Tensor]


def _cores(A: Tensor, B: Tensor) -> tuple[_QR, _QR, float] | None:
    """QR of A^T and of B, each divided by its largest entry, and those two's product; None if not finite."""
    largest = A.abs().max().item(), B.abs().max().item()
    if not all(np.isfinite(each) for each in largest):
        return None
    A, B = (X / (size or 1.0) for X, size in zip((A, B), largest, strict=True))
    return tuple(torch.linalg.qr(A.T)), tuple(torch.linalg.qr(B)), largest[0] * largest[1]
