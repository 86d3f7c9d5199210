"""Which rank is needed? The numbers of every rank of one experiment, and the words for them.

A sweep gives each rank's curve; its floor is floor(r) (reduced-rank regression, Izenman 1975). The knee is
the smallest rank whose floor is at most a tolerance times the base loss above full fine-tuning's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lora_core.accounting import full_cost, lora_cost
from lora_core.data import Problem
from lora_core.experiment import Experiment
from lora_core.findings.verdict import LEFT
from lora_core.formatting import loss_text, percent_text, times_text
from lora_core.theory import floor_at, knee
from lora_core.training.sweep import Sweep

Floats = NDArray[np.float64]

CARRIED = 0.5
"""Share of the error removed in training that is removed on new data too: with less, most is lost."""
BETTER = 0.95
"""A rank does better on new data where it leaves at most this share of the error."""


@dataclass(frozen=True, eq=False)
class RanksInfo:
    """Every rank of one experiment, in rising order; NaN where a run diverged.

    ``losses`` (rank, update) and ``final``, ``test``, ``trainable`` (rank,); ``floors`` (0..min(in, out));
    ``full_curve`` (update,), ``full_test``: full fine-tuning. ``base`` is the loss before any training of
    the layer's weights, with the bias as it is, and ``base_test`` that on new data; ``truth`` is the rank of
    the change to be learnt, if it has one.
    """

    experiment: Experiment
    ranks: tuple[int, ...]
    losses: Floats
    final: Floats
    test: Floats
    floors: Floats
    base: float
    base_test: float
    full_curve: Floats
    full_test: float
    trainable: tuple[int, ...]
    full_trainable: int
    truth: int | None

    @property
    def full_final(self) -> float:
        return float(self.full_curve[-1])

    def place(self, rank: int) -> int:
        """The place in ``ranks`` of the trained rank nearest to ``rank``, by ratio."""
        return int(np.argmin(np.abs(np.log(np.array(self.ranks) / rank))))

    def floor(self, place: int) -> float:
        return floor_at(self.floors, self.ranks[place])

    def share(self, place: int) -> float:
        """Numbers trained over full fine-tuning's."""
        return self.trainable[place] / self.full_trainable


def ranks_info(sweep: Sweep, problem: Problem) -> RanksInfo:
    """Gather the trained ranks of a sweep, complete or growing: its first seed and learning rate."""
    e = sweep.experiment
    trained = [i for i, rank in enumerate(sweep.ranks) if rank in sweep.adapters]
    trained.sort(key=lambda i: sweep.ranks[i])
    ranks = tuple(sweep.ranks[i] for i in trained)
    losses = sweep.loss[trained, 0].copy()
    sizes, bias = (e.in_features, e.out_features), e.train_bias
    return RanksInfo(
        e, ranks, losses, losses[:, -1], sweep.test_loss[trained, 0].copy(), sweep.floors[0],
        float(problem.residual().double().square().mean()),
        float(problem.residual_test().double().square().mean()),
        sweep.full_loss[0], float(sweep.full_test_losses[0, 0]),
        tuple(lora_cost(*sizes, rank, bias).trainable for rank in ranks),
        full_cost(*sizes, bias).trainable, e.shift_rank,
    )  # fmt: skip


def knee_words(info: RanksInfo, tolerance: float) -> str:
    """The smallest rank within the tolerance, in words, with what it trains."""
    found, base, full = knee(info.floors, tolerance), loss_text(info.floors[0]), loss_text(info.floors[-1])
    within = (
        f"at most {100 * tolerance:g} % of the base's error above the {full} in reach of full fine-tuning"
    )
    if found == 0:
        return f"No rank is needed: the base is at {base}, {within}."
    sizes, bias = (info.experiment.in_features, info.experiment.out_features), info.experiment.train_bias
    part = lora_cost(*sizes, found, bias).trainable / info.full_trainable
    more = ", more than full fine-tuning" if part > 1 else ""
    return (
        f"You need rank {found}: its floor {loss_text(floor_at(info.floors, found))} is {within}. "
        f"It trains {percent_text(part)} of the numbers{more}."
    )


def new_data_words(info: RanksInfo, tolerance: float) -> str:
    """What the rank that is needed comes to on new data, and whether a smaller or larger one does better."""
    if not np.isfinite(info.test).any():
        return ""
    best, base = int(np.nanargmin(info.test)), loss_text(info.base_test)
    place = info.place(max(1, knee(info.floors, tolerance)))
    at, least = float(info.test[place]), float(info.test[best])
    if not np.isfinite(at):
        return f"That rank diverged. On new data the best, {info.ranks[best]}, has {loss_text(least)}."
    words = f"On new data rank {info.ranks[place]} ends at {loss_text(at)}, and the base is at {base}"
    learnt, carried = 1 - float(info.final[place]) / info.base, 1 - at / info.base_test
    if carried <= 0:
        words += ": what it learns is of no use there"
    elif carried < CARRIED * learnt:
        words += ": most of what it learns does not carry over"
    better = f" Rank {info.ranks[best]} does best there, {loss_text(least)}." if least < BETTER * at else ""
    return f"{words}.{better}"


def rank_words(info: RanksInfo, place: int, tolerance: float) -> str:
    """One sentence about one rank: what it reached, and what is in its way."""
    rank, final, floor = info.ranks[place], float(info.final[place]), info.floor(place)
    enough, share = max(1, knee(info.floors, tolerance)), info.share(place)
    at, least = loss_text(final), loss_text(floor)
    if not np.isfinite(final):
        return f"Rank {rank} diverged: the learning rate is too high for it."
    if final - floor > LEFT * max(info.losses[place, 0] - floor, 0.0):
        where = f"Rank {rank} ends at {at} and could reach {least}"
        return f"{where}: the optimizer is in the way, not the rank."
    if rank < enough:
        where = f"Rank {rank} is too small: it ends at {at}, nothing gets it below {least}"
        return f"{where}. One rank more buys {loss_text(floor - floor_at(info.floors, rank + 1))}."
    if share > 1:
        times = times_text(share)
        return f"Rank {rank} ends at {at} and trains {times} the numbers of full fine-tuning."
    if rank == enough:
        full = loss_text(info.full_final)
        return f"Rank {rank} is enough: {at}, where full fine-tuning has {full}."
    already = loss_text(floor_at(info.floors, enough))
    return f"Rank {rank} is more than needed: it ends at {at}, and rank {enough} can already reach {already}."


def table(
    info: RanksInfo, truncated: Floats | None = None, used: Floats | None = None
) -> dict[str, Floats | tuple[int, ...]]:
    """Everything as columns, one row a rank.

    ``truncated`` (rank,) as ``truncation`` gives it and ``used`` (rank,) as ``effective_ranks``.
    ``energy_kept`` is the share of what there is to learn that the best change of the rank keeps, which its
    floor tells: (floor(0) - floor(r)) / (floor(0) - the last floor).
    """
    floors = np.array([info.floor(i) for i in range(len(info.ranks))])
    to_learn = float(info.floors[0] - info.floors[-1]) or 1.0
    columns: dict[str, Floats | tuple[int, ...]] = {
        "rank": info.ranks,
        "trained_loss": info.final,
        "floor": floors,
        "held_out_loss": info.test,
        "full_loss": np.full(len(floors), info.full_final),
        "full_held_out_loss": np.full(len(floors), info.full_test),
        "base_loss": np.full(len(floors), info.base),
        "numbers_trained": info.trainable,
        "share_of_full": np.array(info.trainable) / info.full_trainable,
        "energy_kept": (info.floors[0] - floors) / to_learn,
    }
    more = {"cut_from_largest": truncated, "rank_used": used}
    return columns | {name: column for name, column in more.items() if column is not None}


def axis_range(info: RanksInfo) -> tuple[float, float]:
    """Least and greatest loss of a log axis that shows every rank; far lower floors lie at its foot."""
    ends = [*info.final, *info.test, info.full_final, info.full_test]
    seen = np.array([value for value in ends if np.isfinite(value) and value > 0] or [1.0])
    low = max(float(seen.min()), 1e-12 * max(info.base, 1e-300))
    floors = info.floors[(info.floors > low / 30)]
    low = min(low, float(floors.min())) if floors.size else low
    starts = info.losses[:, 0]
    starts = starts[np.isfinite(starts)]
    high = max(float(starts.max()) if starts.size else 0.0, info.base, low * 1.5)
    return low / (high / low) ** 0.05, high * (high / low) ** 0.04
