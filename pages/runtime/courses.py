"""Every rank from one update of a run on: runs that share all before it, trained together for all sessions.

The live control of the rank shows them while it is dragged: the rest of the curve follows the hand.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lora_core.choices import rank_choices
from lora_core.course import MOST_CHANGES, Course
from lora_core.training.batched import Adapter
from lora_core.training.run import Run, run
from lora_core.training.sweep import Sweep
from pages.runtime.result_cache import ResultCache
from pages.runtime.runs import is_quick as is_quick_run
from pages.runtime.runs import slow_start, work

AT_ONCE = 3e10
"""Multiply-adds of the longest quick set of runs: somewhat more than a second on one core."""


class RankPlan(NamedTuple):
    """Key of the runs of every rank that the slider offers: in force from ``update`` on, None from the start.

    ``course`` has no change of the rank at that update.
    """

    course: Course
    update: int | None

    @property
    def ranks(self) -> tuple[int, ...]:
        return rank_choices(self.course.experiment.full_rank)

    def variant(self, rank: int) -> Course:
        """The course with this rank."""
        e = self.course.experiment
        if self.update is None:
            fields = e.to_dict() | {"rank": rank}
            return Course(type(e).from_dict(fields), self.course.changes)
        return self.course.with_change(self.update, "rank", rank)


def rank_plan(course: Course, update: int | None) -> RankPlan:
    """The plan of a course, with the rank that the plan varies normalised out."""
    if update is None:
        fields = course.experiment.to_dict() | {"rank": 1}
        return RankPlan(Course(type(course.experiment).from_dict(fields), course.changes), None)
    kept = tuple(each for each in course.changes if (each.update, each.field) != (update, "rank"))
    return RankPlan(Course(course.experiment, kept), update)


def is_quick(plan: RankPlan) -> bool:
    """Whether all runs fit into one slot, the rank at the end is the one that is varied, and a change more is
    allowed."""
    later = any(each.field == "rank" and each.update > (plan.update or -1) for each in plan.course.changes)
    full = plan.update is not None and len(plan.course.changes) >= MOST_CHANGES
    if later or full:
        return False
    total = sum(work(plan.variant(rank)) for rank in plan.ranks)
    return total <= AT_ONCE and is_quick_run(plan.course)


def train_plan(plan: RankPlan) -> Iterator[Sweep]:
    """The runs as a sweep over the ranks, in float64, NaN where not trained yet; the last one is complete."""
    e, ranks = plan.course.last, plan.ranks
    losses = np.full((1, len(ranks), 1, e.epochs + 1), np.nan)
    tests = np.full((1, len(ranks), 1), np.nan)
    adapters: dict[int, Adapter] = {}
    problem = None
    for place, rank in enumerate(ranks):
        course = plan.variant(rank)
        found = run(course, problem, snapshots=[e.epochs])
        problem = found.problem
        _record(found, losses[0, place, 0])
        if found.lora.diverged_at is None:
            tests[0, place, 0] = found.lora.test_loss[-1]
        last = found.lora.snapshots.get(e.epochs)
        zeros = (problem.X.new_zeros(e.in_features, rank), problem.X.new_zeros(rank, e.out_features))
        A, B = zeros if last is None or last.B is None else (last.A, last.B)
        adapters[rank] = A, B, course.last.scaling
        full, full_test = np.full((1, 1, e.epochs + 1), np.nan), np.array([[found.full.test_loss[-1]]])
        _record(found, full[0, 0], of_full=True)
        yield Sweep(
            e, ranks, (e.learning_rate,), (e.seed,), losses.copy(), tests.copy(), full, full_test,
            problem.floors()[None], dict(adapters), place + 1, len(ranks), (place + 1) / len(ranks),
        )  # fmt: skip


def _record(found: Run, curve: np.ndarray, of_full: bool = False) -> None:
    history = found.full if of_full else found.lora
    curve[: len(history.loss)] = history.loss


RANK_COURSES: ResultCache[RankPlan, Sweep] = ResultCache(
    train_plan, is_quick=is_quick, slow_start=lambda plan: slow_start(plan.course), gives_way=True
)
