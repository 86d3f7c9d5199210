"""The numbers of the loss chart and the words for them.

How far has each curve come, and how far could it come? A curve's index is the number of updates done, 0
being the loss before the first. A floor is the least loss a rank can reach (reduced-rank regression:
Izenman, 1975). Everything the chart shows is in a `LossInfo`; nothing here draws.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lora_core.course import Course
from lora_core.experiment import Experiment, Shift, Task
from lora_core.formatting import loss_text, plural
from lora_core.theory import floor_at
from lora_core.training.course import Cut

Series = NDArray[np.float64]
Role = Literal["lora", "full", "ghost", "pin"]

ZERO = 1e-12
"""A floor below this share of the first loss is rounding error, and named 0."""


OUT_OF_SIGHT = 10
"""A curve may rise to this many times the greatest first loss; beyond, it leaves the chart."""


class Trained(Protocol):
    """One trained model: losses indexed by updates done."""

    @property
    def loss(self) -> Series: ...
    @property
    def test_loss(self) -> Series | None: ...
    @property
    def diverged_at(self) -> int | None: ...


class TrainedPair(Protocol):
    """A run: LoRA and full fine-tuning on the same data."""

    @property
    def experiment(self) -> Experiment: ...
    @property
    def lora(self) -> Trained: ...
    @property
    def full(self) -> Trained: ...
    @property
    def known_floors(self) -> Series | None: ...
    @property
    def course(self) -> Course: ...
    @property
    def cuts(self) -> Sequence[Cut]: ...


class Jump(NamedTuple):
    """A cut of the rank after `update` updates: the loss just before it; the curve has that just after."""

    update: int
    before: float


@dataclass(frozen=True, eq=False)
class LossCurve:
    """A training curve, `loss (updates + 1,)`, and its held-out twin of the same length."""

    role: Role
    label: str
    loss: Series
    test_loss: Series | None = None
    diverged_at: int | None = None
    jumps: tuple[Jump, ...] = ()


@dataclass(frozen=True)
class Floor:
    """The least training loss that LoRA at its rank, or full fine-tuning, can reach.

    It is in force from the update `since` on; `steps` are those before it: (since, value), earliest first.
    """

    role: Literal["lora", "full"]
    label: str
    value: float
    since: int = 0
    steps: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, eq=False)
class LossInfo:
    """Everything the loss chart shows; `epochs` is the number of updates of the complete run."""

    curves: tuple[LossCurve, ...]
    floors: tuple[Floor, ...]
    epochs: int

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {self.epochs}")
        for curve in self.curves:
            loss, test = np.asarray(curve.loss), curve.test_loss
            if loss.ndim != 1 or not loss.size:
                raise ValueError(f"loss of '{curve.label}' must be (updates + 1,), got {loss.shape}")
            if test is not None and np.shape(test) != loss.shape:
                raise ValueError(
                    f"test_loss of '{curve.label}' must be {loss.shape} as its loss, got {np.shape(test)}"
                )


def loss_info(
    run: TrainedPair,
    ghost: tuple[str, TrainedPair] | None = None,
    pins: Sequence[tuple[str, TrainedPair]] = (),
) -> LossInfo:
    """Gather the numbers of one run, the run before it and the pinned ones; no floors while none are known.

    Of the ghost and the pins only LoRA's training curve is taken: they are there to compare with, and every
    line more makes that harder.
    """
    epochs = run.experiment.epochs

    def present(role: Role, label: str, trained: Trained) -> LossCurve:
        return LossCurve(role, label, trained.loss, trained.test_loss, trained.diverged_at)

    def past(role: Role, label: str, run: TrainedPair) -> LossCurve:
        return LossCurve(role, label, run.lora.loss, None, run.lora.diverged_at)

    lora = present("lora", f"LoRA, rank {_ranks(run.course)}", run.lora)
    if run.cuts:
        lora = replace(lora, jumps=tuple(Jump(cut.update, cut.before) for cut in run.cuts))
    curves = [lora, present("full", "Full fine-tuning", run.full)]
    if ghost is not None:
        curves.append(past("ghost", *ghost))
    curves += [past("pin", label, pinned) for label, pinned in pins]
    return LossInfo(tuple(curves), _floors(run.known_floors, run.course), epochs)


def _ranks(course: Course) -> str:
    """The ranks of a course, one after the other: 3 → 4."""
    ranks = [segment.experiment.rank for segment in course.segments()]
    return " → ".join(str(rank) for rank, _ in groupby(ranks))


def _floors(floors: Series | None, course: Course) -> tuple[Floor, ...]:
    """The floors to show; a rank above the last reaches what the last does."""
    if floors is None:
        return ()
    steps: list[tuple[int, int]] = []
    for update, each in course.segments():
        if not steps or steps[-1][1] != each.rank:
            steps.append((update, each.rank))
    *before, (since, rank, value) = [(update, rank, floor_at(floors, rank)) for update, rank in steps]
    own = Floor("lora", f"floor, rank {rank}", value, since, tuple((u, f) for u, _, f in before))
    return own, Floor("full", "floor, full", float(floors[-1]))


def format_loss(value: float, digits: int = 4) -> str:
    """A loss as the chart writes it, to four significant digits; the live chart writes it alike."""
    return loss_text(value, digits)


def table(info: LossInfo) -> dict[str, Series]:
    """The chart as columns for a data frame: updates done, then each curve; NaN where a curve has ended."""
    rows = max([info.epochs + 1, *(len(curve.loss) for curve in info.curves)])
    twin: dict[str, Series] = {"updates": np.arange(rows, dtype=np.float64)}
    for label, values in columns(info):
        ended = np.full(rows - len(values), np.nan)
        twin[label] = np.concatenate([np.asarray(values, dtype=np.float64), ended])
    for floor in info.floors:
        twin[floor.label] = np.full(rows, shown(info, floor))
        for since, value in reversed(floor.steps):
            twin[floor.label][: _next(floor, since)] = shown(info, replace(floor, value=value))
    return twin


def _next(floor: Floor, since: int) -> int:
    """The update at which the step of a floor that begins at `since` ends."""
    return min(each for each in (*(step for step, _ in floor.steps), floor.since) if each > since)


def alt_text(info: LossInfo) -> str:
    """The chart in words, for those who cannot see it: where each curve starts and ends, and its floors."""
    parts = [f"Live loss chart: mean squared error over {info.epochs} updates."]
    for curve in info.curves:
        finite = curve.loss[np.isfinite(curve.loss)]
        if not finite.size:
            parts.append(f"{curve.label} has no finite loss.")
            continue
        words = f"{curve.label} goes from {format_loss(finite[0])} to {format_loss(finite[-1])}"
        if curve.test_loss is not None and np.isfinite(curve.test_loss[-1]):
            words += f", on new data {format_loss(float(curve.test_loss[-1]))}"
        if curve.diverged_at is not None:
            words += f", and diverged at update {curve.diverged_at}"
        parts.append(words + ".")
    for floor in info.floors:
        parts.append(f"{floor.label[0].upper()}{floor.label[1:]}: {format_loss(shown(info, floor))}.")
    return " ".join(parts)


def setting_text(course: Course) -> str:
    """The experiment in words, as the title of a picture that leaves the page."""
    e = course.experiment
    taught = {
        Task.LOW_RANK: f", true rank {e.true_rank}", Task.POWER_LAW: f", decay {e.decay:g}",
        Task.DIGITS: f", {plural(e.true_rank, 'pair')} swapped" if e.shift is Shift.SWAP else f", {e.shift}",
    }.get(e.task, "")  # fmt: skip
    return (
        f"Rank {e.rank} on {e.in_features} × {e.out_features}, task {e.task}{taught}, alpha {e.alpha:g} "
        f"({e.scaling_rule}), {e.optimizer} at {e.learning_rate:g}, seed {e.seed}"
        + (f", {plural(len(course.changes), 'change')} on the way" if course.changes else "")
    )


def axis_range(info: LossInfo, log: bool) -> tuple[float, float]:
    """Least and greatest loss in sight, for a log axis or a linear one.

    The top follows the curves up to `OUT_OF_SIGHT` times the greatest first loss, so that a run which
    explodes leaves the chart and does not flatten the others. A linear axis stands on 0. A log axis goes down
    to the least curve, and to a floor unless that lies more than a factor of 100 below every curve: there the
    room is worth more.
    """
    values = [np.asarray(column)[np.isfinite(column)] for _, column in columns(info)]
    floors = [value for floor in info.floors for value in (floor.value, *(step for _, step in floor.steps))]
    highest = max([float(column.max()) for column in values if column.size] or floors or [1.0])
    top = max([min(highest, OUT_OF_SIGHT * first_loss(info)), *floors])
    if not log:
        return 0.0, 1.05 * top if top > 0 else 1.0
    lows = [float(column[column > 0].min()) for column in values if np.any(column > 0)]
    least = max(min(lows, default=top), ZERO * top)
    low = min([least, *(floor for floor in floors if floor >= least / 100)])
    if low <= 0:
        return 0.1, 1.0
    margin = (max(top, low) / low) ** 0.05 * 1.05
    return low / margin, max(top, low) * margin


def columns(info: LossInfo) -> Iterator[tuple[str, Series]]:
    """(label, losses) of every curve, each followed by its held-out twin; a label met again is numbered."""
    met: dict[str, int] = {}
    for curve in info.curves:
        met[curve.label] = met.get(curve.label, 0) + 1
        label = curve.label if met[curve.label] == 1 else f"{curve.label} ({met[curve.label]})"
        yield label, curve.loss
        if curve.test_loss is not None:
            yield f"{label}, new data", curve.test_loss


def first_loss(info: LossInfo) -> float:
    """The greatest loss any curve starts from: the measure of what is large or small here."""
    return max((float(curve.loss[0]) for curve in info.curves if np.isfinite(curve.loss[0])), default=0.0)


def shown(info: LossInfo, floor: Floor) -> float:
    """The floor's value, or 0 where it is only rounding error."""
    return floor.value if floor.value > ZERO * first_loss(info) else 0.0
