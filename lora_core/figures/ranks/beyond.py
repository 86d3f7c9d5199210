"""What lies behind a rank: its spectrum, what cutting a larger adapter costs, luck, and the learning rate.

Learnt and ideal are compared in outputs, as singular values of X delta beside those of the target P = X X^+ R
(reduced-rank regression, Izenman 1975): the singular values of delta itself are not what a rank should keep
unless X is white. Cutting an adapter is Eckart and Young's truncation of A B; what it costs depends on X.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lora_core.data import Problem
from lora_core.figures.ranks.numbers import Floats
from lora_core.geometry import effective_rank, truncate_factors
from lora_core.theory import knee, target_spectrum, whitened_spectrum
from lora_core.training.sweep import Sweep

NEAR = 0.05
"""A learning rate that ends at most this share above the best of its rank is as good in practice."""


@dataclass(frozen=True, eq=False)
class SpectrumInfo:
    """Singular values of X delta, ``learnt`` and ``ideal`` (min(in, out),), at ``rank`` paid for.

    ``used`` is the effective rank of what was learnt; ``energy`` the share of the target's squared singular
    values that the best change of this rank keeps.
    """

    rank: int
    learnt: Floats
    ideal: Floats
    used: float
    energy: float


def spectrum_info(sweep: Sweep, problem: Problem, rank: int) -> SpectrumInfo:
    """The spectrum of the adapter of a trained rank beside the ideal one's."""
    bias = sweep.experiment.train_bias
    A, B, scaling = sweep.adapters[rank]
    delta = scaling * A.double() @ B.double()
    learnt = whitened_spectrum(problem.X, delta, bias)
    ideal = target_spectrum(problem.X, problem.residual(), bias)
    total = float(ideal.square().sum()) or 1.0
    kept = min(rank, len(ideal))
    return SpectrumInfo(
        rank, learnt.numpy(), ideal.numpy(), effective_rank(learnt),
        float(ideal[:kept].square().sum()) / total,
    )  # fmt: skip


@torch.no_grad()
def effective_ranks(sweep: Sweep, problem: Problem, ranks: tuple[int, ...]) -> Floats:
    """The effective rank (rank,) of what each rank has learnt, in outputs; NaN where it diverged.

    Singular values of (X A) B without forming the product: those of the small product of the two QR factors.
    """
    X = problem.X.double()
    root = torch.linalg.qr(X - X.mean(0) if sweep.experiment.train_bias else X, mode="r").R
    found = []
    for rank in ranks:
        A, B, scaling = sweep.adapters[rank]
        if np.isnan(sweep.loss[sweep.ranks.index(rank), 0, -1]):
            found.append(np.nan)
            continue
        left, right = (torch.linalg.qr(each, mode="r").R for each in (root @ A.double(), B.double().T))
        found.append(effective_rank(torch.linalg.svdvals(scaling * left @ right.T)))
    return np.array(found)


@torch.no_grad()
def truncation(sweep: Sweep, problem: Problem, ranks: tuple[int, ...]) -> Floats:
    """The training loss (rank,) of the adapter of the largest rank, cut to each of ``ranks`` by SVD.

    With a trained bias each cut has the bias that suits it best. NaN where that adapter diverged.
    """
    A, B, scaling = sweep.adapters[max(sweep.adapters)]
    if not (torch.isfinite(A).all() and torch.isfinite(B).all()):
        return np.full(len(ranks), np.nan)
    A, B = truncate_factors(A, B, A.shape[1])
    X, R = problem.X.double(), problem.residual().double()
    if sweep.experiment.train_bias:
        X, R = X - X.mean(0), R - R.mean(0)
    rest, Z, losses, before = R.clone(), scaling * (X @ A), [], 0
    for rank in sorted(ranks):
        rest.addmm_(Z[:, before:rank], B[before:rank], alpha=-1)
        before = rank
        losses.append(float(rest.square().mean()))
    return np.array(losses)


@dataclass(frozen=True, eq=False)
class SeedsInfo:
    """Final losses (seed, rank) of the same sweep with other data and other starts; ``knees`` (seed,)."""

    ranks: tuple[int, ...]
    seeds: tuple[int, ...]
    final: Floats
    knees: tuple[int, ...]

    def band(self) -> tuple[Floats, Floats, Floats]:
        """Least, median and greatest final loss (rank,) over the seeds that did not diverge; else NaN."""
        columns = [column[np.isfinite(column)] for column in self.final.T]
        middle = np.array([np.median(column) if column.size else np.nan for column in columns])
        return np.fmin.reduce(self.final, axis=0), middle, np.fmax.reduce(self.final, axis=0)

    def words(self) -> str:
        """How far luck moves the losses, and whether it moves the knee."""
        low, high = min(self.knees), max(self.knees)
        where = f"at rank {low} in each" if low == high else f"between rank {low} and {high}"
        knees = f"{len(self.seeds)} seeds: the knee is {where}."
        least, _, greatest = self.band()
        lucky = np.flatnonzero(least > 0)
        if not lucky.size:
            return f"{knees} No rank has an error to compare: every run diverged, or ended at 0."
        spread = greatest[lucky] / least[lucky]
        widest = int(np.argmax(spread))
        return (
            f"{knees} Luck alone moves a final error by at most {float(spread[widest]):.2f} times, "
            f"at rank {self.ranks[lucky[widest]]}."
        )


def seeds_info(sweep: Sweep, tolerance: float) -> SeedsInfo:
    """The final losses of a sweep over several seeds, its first learning rate."""
    knees = tuple(knee(floors, tolerance) for floors in sweep.floors)
    return SeedsInfo(sweep.ranks, sweep.seeds, sweep.losses[:, :, 0, -1], knees)


@dataclass(frozen=True, eq=False)
class MapInfo:
    """Final losses (row, rate): one row a rank, the last full fine-tuning. ``best`` (row,) is the place of
    the best rate, -1 where every run diverged."""

    ranks: tuple[int, ...]
    rates: tuple[float, ...]
    final: Floats
    best: tuple[int, ...]

    def near(self) -> NDArray[np.bool_]:
        """Which cells (row, rate) come within ``NEAR`` of the best of their row."""
        with np.errstate(invalid="ignore"):
            least = np.fmin.reduce(self.final, axis=1, keepdims=True)
            return np.asarray(self.final <= (1 + NEAR) * least)

    def nearest(self, rank: int, rate: float) -> tuple[int, int]:
        """Row and column of the cell nearest to a rank and a rate, by ratio."""
        row, column = (
            int(np.argmin(np.abs(np.log(np.array(values) / value))))
            for values, value in ((self.ranks, rank), (self.rates, rate))
        )
        return row, column

    def words(self) -> str:
        """Where the ridge lies at the two ends of the ranks and for full fine-tuning, and how broad it is."""
        rows = ((0, f"rank {self.ranks[0]}"), (-2, f"rank {self.ranks[-1]}"), (-1, "full fine-tuning"))
        return f"Best learning rate: {', '.join(f'{self._best(row)} for {name}' for row, name in rows)}."

    def _best(self, row: int) -> str:
        near = [rate for rate, good in zip(self.rates, self.near()[row], strict=True) if good]
        if self.best[row] < 0:
            return "none"
        best = f"{self.rates[self.best[row]]:g}"
        return best if len(near) == 1 else f"{best} ({near[0]:g} to {near[-1]:g} end near it)"


def map_info(sweep: Sweep) -> MapInfo:
    """The final losses of a sweep over ranks and learning rates, its first seed."""
    final = np.vstack([sweep.loss[:, :, -1], sweep.full_loss[None, :, -1]])
    best = tuple(-1 if np.isnan(row).all() else int(np.nanargmin(row)) for row in final)
    return MapInfo(sweep.ranks, sweep.learning_rates, final, best)
