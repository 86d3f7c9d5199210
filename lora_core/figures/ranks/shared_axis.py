"""What does a rank buy, and what does it cost? Two panels over one axis of ranks, and all that a rank moves.

Above: the error at the end of every rank, its floor (reduced-rank regression, Izenman 1975), and full
fine-tuning. Below: numbers trained over full fine-tuning's, which are equal at r* = in * out / (in + out).
Floors and shares are known without any sweep; what was trained comes with it, with the words for every rank,
so that a view in the browser only picks. The view draws: see ``pages/components/web/rank_axis``.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lora_core.accounting import break_even_storage, full_cost, lora_cost
from lora_core.choices import rank_choices
from lora_core.data import Problem
from lora_core.experiment import Experiment
from lora_core.figures.ranks.digits import DigitsInfo, digits_info
from lora_core.findings.five_numbers import five_numbers, share_words
from lora_core.findings.outcome import Ending, Outcome, outcomes_of_sweep
from lora_core.findings.verdict import verdict_on
from lora_core.formatting import loss_text, percent_text
from lora_core.theory import floor_at
from lora_core.training.sweep import Sweep

Floats = NDArray[np.float64]
FOOT = 30
"""A floor this many times below all that was trained lies at the foot of the axis: the room is worth more."""


@dataclass(frozen=True, eq=False)
class SharedAxisInfo:
    """Both panels; arrays are indexed as ``ranks``, NaN where a rank diverged.

    ``floors`` (rank,) and ``floor_full`` are None while they are unknown; ``base`` is the error before any
    training. ``losses`` (rank, update), ``final`` and ``test`` (rank,) are None until every rank is trained;
    ``titles``, ``details``, ``numbers`` (rank, 5 of value and note) are the words that belong to them.
    """

    experiment: Experiment
    ranks: tuple[int, ...]
    shares: Floats
    counts: tuple[str, ...]
    share_words: tuple[str, ...]
    break_even: float
    base: float
    full_final: float
    floors: Floats | None
    full_floor: float | None
    losses: Floats | None = None
    final: Floats | None = None
    test: Floats | None = None
    titles: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    numbers: tuple[tuple[tuple[str, str], ...], ...] = ()
    digits: DigitsInfo | None = field(default=None)

    @property
    def trained(self) -> bool:
        """Whether every rank is trained."""
        return self.losses is not None


def shared_axis_info(
    experiment: Experiment, base: float, full_final: float, floors: Floats | None
) -> SharedAxisInfo:
    """What is known of every rank without training it.

    ``floors`` (0..min(in, out)) or None, ``base`` and ``full_final``: the first and last error of full
    fine-tuning.
    """
    sizes, bias = (experiment.in_features, experiment.out_features), experiment.train_bias
    ranks = rank_choices(experiment.full_rank)
    full = full_cost(*sizes, bias).trainable
    trained = [lora_cost(*sizes, rank, bias).trainable for rank in ranks]
    nothing = Ending(np.array([np.nan]), np.nan, np.nan, None, None)
    bare = (Outcome(replace(experiment, rank=rank), nothing, nothing, None) for rank in ranks)
    return SharedAxisInfo(
        experiment=replace(experiment, rank=1),
        ranks=ranks,
        shares=np.array(trained) / full,
        counts=tuple(f"{count:,} of {full:,}" for count in trained),
        share_words=tuple(share_words(each) for each in bare),
        break_even=break_even_storage(*sizes),
        base=base,
        full_final=full_final,
        floors=None if floors is None else np.array([floor_at(floors, rank) for rank in ranks]),
        full_floor=None if floors is None else float(floors[-1]),
    )


def trained_axis_info(sweep: Sweep, problem: Problem) -> SharedAxisInfo:
    """All of it, from a complete sweep over the ranks that a slider offers.

    :raises ValueError: the sweep is not complete, or has other ranks.
    """
    e = sweep.experiment
    if not sweep.complete or sweep.ranks != rank_choices(e.full_rank):
        raise ValueError(
            f"ranks are {sweep.ranks}: they must be all of {rank_choices(e.full_rank)}, trained."
        )
    full = sweep.full_loss[0]
    finite = full[np.isfinite(full)]
    bare = shared_axis_info(e, float(finite[0]), float(full[-1]), sweep.floors[0])
    outcomes = outcomes_of_sweep(sweep, problem)
    verdicts = [verdict_on(each) for each in outcomes]
    losses = sweep.loss[:, 0].copy()
    return replace(
        bare,
        losses=losses,
        final=losses[:, -1],
        test=sweep.test_loss[:, 0].copy(),
        titles=tuple(each.title for each in verdicts),
        details=tuple(each.detail for each in verdicts),
        numbers=tuple(tuple((n.value, n.note) for n in five_numbers(each)) for each in outcomes),
        digits=digits_info(sweep, problem),
    )


def axis_alt(info: SharedAxisInfo) -> str:
    """The upper panel in words."""
    words = f"Error at the end of training, by rank. Full fine-tuning ends at {loss_text(info.full_final)}."
    if info.floors is not None:
        words += f" The floor is {loss_text(info.floors[0])} at rank {info.ranks[0]} and "
        words += f"{loss_text(info.floors[-1])} at rank {info.ranks[-1]}."
    if info.final is not None:
        words += f" Rank {info.ranks[0]} ends at {loss_text(info.final[0])}, rank {info.ranks[-1]} at "
        words += f"{loss_text(info.final[-1])}."
    return words


def loss_span(info: SharedAxisInfo) -> tuple[float, float]:
    """Least and greatest error of the upper panel's log axis; what lies lower is drawn at its foot."""
    ends = [info.base, info.full_final, *([] if info.final is None else info.final)]
    seen = np.array([value for value in ends if np.isfinite(value) and value > 0] or [1.0])
    high = max(float(seen.max()), info.base)
    low = max(float(seen.min()), 1e-9 * high)
    if info.floors is not None:
        near = info.floors[info.floors > low / FOOT]
        low = min(low, float(near.min())) if near.size else low
    ratio = max(high / low, 1.5)
    return low / ratio**0.08, low * ratio**1.06


def loss_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within the span; within less than a decade 1, 2 and 5 times these."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    tens = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(tens) >= 2:
        return tens[:: max(1, round(len(tens) / 4))]
    fine = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [value for value in fine if low <= value <= high]


def shared_axis_message(info: SharedAxisInfo) -> dict[str, Any]:
    """All that the view needs, in plain numbers, words and arrays."""
    low, high = loss_span(info)
    message: dict[str, Any] = {
        "sizes": [info.experiment.in_features, info.experiment.out_features],
        "ranks": info.ranks,
        "shares": info.shares.tolist(),
        "percents": [percent_text(share) for share in info.shares],
        "counts": info.counts,
        "shareWords": info.share_words,
        "breakEven": info.break_even,
        "base": _plain(info.base),
        "full": _plain(info.full_final),
        "fullText": loss_text(info.full_final),
        "fullFloor": _plain(info.full_floor),
        "floors": None if info.floors is None else [_plain(each) for each in info.floors],
        "span": [low, high],
        "ticks": loss_ticks(low, high),
        "trained": None,
    }
    if info.losses is not None and info.final is not None and info.test is not None:
        message["trained"] = {
            "curves": [each.astype(np.float32) for each in info.losses],
            "finals": [_plain(each) for each in info.final],
            "tests": [_plain(each) for each in info.test],
            "titles": info.titles,
            "details": info.details,
            "numbers": info.numbers,
        }
        if info.digits is not None:
            message["trained"]["digits"] = {
                "guesses": info.digits.guesses.astype(np.int8).ravel(),
                "right": info.digits.right.astype(np.int8).ravel(),
            }
    return message


def _plain(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
