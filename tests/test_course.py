"""A course against the plain loop that changes on the way, against its floors, and as a value and a text."""

import dataclasses
import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lora_core import Course, Experiment, LoRALayer, make_problem, run
from lora_core.course import CHANGEABLE, LIMITS, MOST_CHANGES, parse_changes
from lora_core.data import Problem
from lora_core.experiment import Optimizer, scaling
from lora_core.theory import floor_at
from lora_core.training.course import growth_generator
from lora_core.training.run import Run, snapshot_updates, train
from lora_core.training.start import lora_layer

SMALL: dict[str, Any] = {"in_features": 9, "out_features": 5, "samples": 40, "rank": 3, "alpha": 2.0}


# --- the oracle: torch's own optimizers on LoRALayer, and the rule of THEORY 7 on their state


class Loop:
    """The plain loop in float64: a layer of LoRA and a linear layer, each with an optimizer of torch."""

    def __init__(self, experiment: Experiment, problem: Problem) -> None:
        self.e, self.problem = experiment, problem
        self.layer = lora_layer(experiment, problem, torch.float64)
        self.full = nn.Linear(experiment.in_features, experiment.out_features, dtype=torch.float64)
        self.full.load_state_dict(problem.base.state_dict())
        self.full.bias.requires_grad_(experiment.train_bias)
        self.start({})

    def start(self, states: dict[nn.Parameter, dict[str, Any]]) -> None:
        """New optimizers at the rates in force, with these states."""
        e, kind = self.e, torch.optim.Adam if self.e.optimizer is Optimizer.ADAM else torch.optim.SGD
        groups = [
            {"params": [each], "lr": e.learning_rate * (e.lr_ratio if each is self.layer.lora_B else 1.0)}
            for each in (*self.layer.trainable_parameters(), *self.full.parameters())
            if each.requires_grad
        ]
        self.optimizer = kind(groups)
        for parameter, state in states.items():
            self.optimizer.state[parameter] = state

    def losses(self) -> list[Tensor]:
        return [nn.functional.mse_loss(each(self.problem.X), self.problem.Y) for each in self.models]

    @property
    def models(self) -> tuple[nn.Module, nn.Module]:
        return self.layer, self.full

    def step(self) -> None:
        self.optimizer.zero_grad()
        sum(self.losses()).backward()  # type: ignore[union-attr]
        self.optimizer.step()

    @torch.no_grad()
    def change(self, field: str, value: Any, update: int) -> None:
        old, self.e = self.e, dataclasses.replace(self.e, **{field: value})
        layer, state = self.layer, self.optimizer.state
        A, B, s = layer.lora_A, layer.lora_B, layer.scaling
        if field == "rank":
            layer.change_rank(value, growth_generator(old, update))
        elif field in ("alpha", "scaling_rule"):
            layer.scaling_rule, layer.alpha = self.e.scaling_rule, self.e.alpha
            layer.scaling = scaling(self.e.alpha, layer.rank, self.e.scaling_rule)
            layer.lora_B *= s / layer.scaling
        states = {each: kept for each, kept in state.items() if each is not A and each is not B}
        if self.e.optimizer is not old.optimizer:
            states = {}
        elif self.e.rank >= old.rank and A in state and "exp_avg" in state[A]:
            ratio = layer.scaling / s
            states[layer.lora_A] = grown(state[A], layer.lora_A, 1.0)
            states[layer.lora_B] = grown(state[B], layer.lora_B, ratio)
        self.start(states)


def grown(state: dict[str, Any], parameter: nn.Parameter, ratio: float) -> dict[str, Any]:
    """Adam's state with zeros for new entries, scaled as the gradients of ``parameter`` are."""
    found = {"step": state["step"].clone()}
    for name, factor in (("exp_avg", ratio), ("exp_avg_sq", ratio**2)):
        found[name] = torch.zeros_like(parameter)
        rows, columns = state[name].shape
        found[name][:rows, :columns] = state[name] * factor
    return found


def looped(course: Course, problem: Problem) -> tuple[np.ndarray, np.ndarray, LoRALayer]:
    """Losses of adapter and full fine-tuning after 0... updates, and the layer at the end."""
    loop, losses = Loop(course.experiment, problem), []
    for update in range(course.experiment.epochs + 1):
        if update:
            loop.step()
        for at, field, value in course.changes:
            if at == update:
                loop.change(field, value, update)
        losses.append([float(each.detach()) for each in loop.losses()])
    lora, full = np.array(losses).T
    return lora, full, loop.layer


def check(course: Course) -> Run:
    """Both curves within 1e-9 of the first loss at every update, and the adapter at the end alike."""
    problem = make_problem(course.experiment)
    found = run(course, problem)
    lora, full, layer = looped(course, problem)
    assert np.abs(found.lora.loss - lora).max() <= 1e-9 * lora[0]
    assert np.abs(found.full.loss - full).max() <= 1e-9 * full[0]
    last = found.lora.snapshots[course.experiment.epochs]
    assert last.B is not None
    assert last.A.shape == layer.lora_A.shape
    delta = course.last.scaling * last.A @ last.B
    torch.testing.assert_close(delta, layer.delta().detach(), rtol=1e-6, atol=1e-7)
    check_floors(found)
    return found


def floor_after(found: Run, update: int) -> float:
    """The floor in force after so many updates: that of the rank in force."""
    return floor_at(found.floors, found.course.in_force(update).rank)


def check_floors(found: Run) -> None:
    """No loss is below the floor of the rank in force."""
    least = np.array([floor_after(found, update) for update in range(found.lora.updates + 1)])
    assert (found.lora.loss >= least - 1e-9 * found.lora.loss[0]).all()


ONE = [
    ("rank", 5), ("rank", 12), ("rank", 1), ("alpha", 9.0), ("scaling_rule", "rslora"),
    ("scaling_rule", "constant"), ("optimizer", "other"), ("learning_rate", 0.002), ("lr_ratio", 4.0),
]  # fmt: skip


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(("field", "value"), ONE)
def test_every_kind_of_change_is_autograds(field: str, value: Any, optimizer: str) -> None:
    """At the start, in the middle and at the last update, with the bias trained or not."""
    other = {"adam": "sgd", "sgd": "adam"}[optimizer]
    experiment = Experiment(**SMALL, optimizer=optimizer, train_bias=field != "alpha")
    for update in (0, 70, 200):
        check(Course(experiment, ((update, field, other if value == "other" else value),)))


SEVERAL: tuple[tuple[int, str, Any], ...] = (
    (0, "rank", 4), (40, "rank", 11), (40, "alpha", 5.0), (80, "learning_rate", 0.004), (90, "rank", 2),
    (130, "rank", 6), (150, "scaling_rule", "rslora"), (200, "rank", 3),
)  # fmt: skip


@pytest.mark.parametrize("train_bias", [False, True])
@pytest.mark.parametrize("task", ["low-rank", "power-law", "noise", "digits"])
def test_several_changes_in_a_row_are_autograds(task: str, train_bias: bool) -> None:
    """Growth beyond min(in, out), cuts and growth after a cut, on every task."""
    check(Course(Experiment(**SMALL, task=task, train_bias=train_bias), SEVERAL))


@pytest.mark.parametrize("init", ["kaiming", "gaussian", "original", "zero"])
def test_new_columns_are_drawn_as_the_init_draws_them(init: str) -> None:
    changes = ((30, "rank", 6), (60, "optimizer", "sgd"), (90, "optimizer", "adam"), (120, "rank", 2))
    check(Course(Experiment(**SMALL, init=init, lr_ratio=2.0), changes))


# --- what a change does to the loss


@pytest.mark.parametrize("change", [("rank", 5), ("rank", 200), ("alpha", 64.0), ("scaling_rule", "rslora")])
def test_the_loss_does_not_jump_unless_the_rank_is_cut(change: tuple[str, Any]) -> None:
    plain, changed = run(Experiment()), run(Course(Experiment(), ((60, *change),)))
    assert (changed.lora.loss[:60] == plain.lora.loss[:60]).all()  # to the bit: the past has not moved
    assert abs(changed.lora.loss[60] - plain.lora.loss[60]) <= 1e-12 * plain.lora.loss[0]
    assert abs(changed.lora.loss[61] - plain.lora.loss[61]) > 1e-6
    assert changed.cuts == ()


def test_a_cut_costs_what_the_discarded_part_is_worth() -> None:
    course = Course(Experiment(rank=8), ((100, "rank", 3),))
    found = run(course, snapshots=[100])
    uncut = run(course.experiment, snapshots=[100])
    (cut,) = found.cuts
    X, R, s = found.problem.X, found.problem.residual(), course.experiment.scaling
    kept = uncut.lora.snapshots[100]
    assert kept.B is not None
    delta = s * kept.A @ kept.B

    def loss(change: Tensor) -> float:
        return float((X @ change - R).square().mean())

    U, values, Vh = torch.linalg.svd(delta)
    assert cut.before == pytest.approx(uncut.lora.loss[100], rel=1e-12)
    assert cut.after == pytest.approx(loss(U[:, :3] * values[:3] @ Vh[:3]), rel=1e-10)
    assert found.lora.loss[100] == pytest.approx(cut.after, rel=1e-12)
    seen, sizes, directions = torch.linalg.svd(X @ delta, full_matrices=False)
    nearest = float((seen[:, :3] * sizes[:3] @ directions[:3] - R).square().mean())
    assert cut.nearest == pytest.approx(nearest, rel=1e-10)
    assert cut.floor == found.floors[3]
    assert cut.least == cut.floor - cut.before > 0
    assert cut.cost > cut.nearest - cut.before > cut.least
    assert (cut.rank_before, cut.rank, cut.update) == (8, 3, 100)


def test_more_rank_takes_the_curve_through_its_floor() -> None:
    found = run(Course(Experiment(), ((100, "rank", 4),)))
    assert found.lora.loss[:101].min() >= found.floors[3]
    assert found.lora.loss[-1] < found.floors[3] / 10
    assert [floor_after(found, update) for update in (99, 100)] == [found.floors[3], found.floors[4]]
    check_floors(found)


def test_full_fine_tuning_follows_what_concerns_it() -> None:
    plain = run(Experiment()).full.loss
    for field, value in (("rank", 9), ("alpha", 1.0), ("scaling_rule", "constant"), ("lr_ratio", 3.0)):
        assert (run(Course(Experiment(), ((60, field, value),))).full.loss == plain).all()
    for field, value in (("learning_rate", 0.001), ("optimizer", "sgd")):
        moved = run(Course(Experiment(), ((60, field, value),))).full.loss
        assert (moved[:61] == plain[:61]).all()
        assert abs(moved[61:] - plain[61:]).min() > 1e-9


# --- the same to the bit


def test_a_course_without_changes_is_the_experiment() -> None:
    for experiment in (Experiment(), Experiment(task="digits", train_bias=True, epochs=70)):
        nothing = Course(experiment, ((20, "rank", experiment.rank), (30, "optimizer", experiment.optimizer)))
        for course in (Course(experiment), nothing):
            one, other = run(course), run(experiment)
            assert one.lora.loss.tolist() == other.lora.loss.tolist()
            assert one.full.loss.tolist() == other.full.loss.tolist()
        assert run(Course(experiment)).fingerprint == run(experiment).fingerprint


def test_a_course_runs_again_to_the_bit_and_grows_to_the_same_run() -> None:
    course = Course(Experiment(), ((60, "rank", 5), (61, "rank", 2), (62, "rank", 70)))
    assert run(course).fingerprint == run(course).fingerprint
    stages = list(train(course))
    assert [stage.complete for stage in stages] == [False] * (len(stages) - 1) + [True]
    assert stages[-1].fingerprint == run(course).fingerprint
    for one, other in pairwise(stages):
        assert (other.lora.loss[: len(one.lora.loss)] == one.lora.loss).all()
        assert other.updates > one.updates


def test_snapshots_have_the_rank_in_force() -> None:
    course = Course(Experiment(epochs=90), ((33, "rank", 5), (71, "rank", 2)))
    found = run(course)
    assert set(snapshot_updates(course)) == set(found.lora.snapshots) >= {0, 33, 71, 90}
    for update, snapshot in found.lora.snapshots.items():
        assert snapshot.A.shape[1] == course.in_force(update).rank


def test_an_adapter_that_diverged_does_not_stop_its_course() -> None:
    wild = Experiment(optimizer="sgd", learning_rate=1.0, alpha=64.0)
    found = run(Course(wild, ((150, "rank", 2), (160, "alpha", 1.0))))
    assert found.lora.diverged_at == run(wild).lora.diverged_at
    assert found.complete
    assert found.full.loss.tolist() == run(wild).full.loss.tolist()
    assert found.cuts == ()


# --- as a value


def test_changes_are_put_in_order_and_hash_alike() -> None:
    one = Course(Experiment(), ((60, "learning_rate", 0.003), (60, "rank", 4), (7, "alpha", 1)))
    other = Course(Experiment(), ((7, "alpha", 1.0), (60, "rank", 4), (60, "learning_rate", 0.003)))
    assert one == other
    assert hash(one) == hash(other)
    assert one.text() == "7:alpha=1~60:rank=4~60:learning_rate=0.003"
    assert [segment.first for segment in one.segments()] == [0, 7, 60]
    assert one.in_force(6) == Experiment()
    assert one.last == Experiment(alpha=1.0, rank=4, learning_rate=0.003)
    assert one.with_change(60, "rank", 9).in_force(60).rank == 9
    assert len(one.with_change(61, "rank", 9).changes) == 4


def _values(field: str) -> st.SearchStrategy[Any]:
    limit: Any = LIMITS[field]
    if hasattr(limit, "kind"):
        return st.sampled_from(list(limit.kind))
    numbers = st.integers if field == "rank" else st.floats
    return numbers(limit.least, limit.greatest)


_CHANGES = st.sampled_from(CHANGEABLE).flatmap(
    lambda field: st.tuples(st.integers(0, 200), st.just(field), _values(field))
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(_CHANGES, max_size=MOST_CHANGES, unique_by=lambda change: change[:2]))
def test_a_course_survives_link_and_json(changes: list[tuple[int, str, Any]]) -> None:
    course = Course(Experiment(rank=5), tuple(changes))
    assert parse_changes(course.text()) == course.changes
    assert Course.from_dict(json.loads(json.dumps(course.to_dict()))) == course


NONSENSE = [
    ("60", "course holds '60': each change must read update:field=value, as in 60:rank=4."),
    ("60:rank", "course holds '60:rank': each change must read update:field=value, as in 60:rank=4."),
    ("60:rank=4~", "course holds '': each change must read update:field=value, as in 60:rank=4."),
    ("60:rank=0", "rank is 0: it must be a whole number from 1 to 1,024."),
    ("60:rank=nan", "rank is 'nan': it must be a whole number from 1 to 1,024."),
    ("-1:rank=4", "the update of the change of rank is '-1': it must be a whole number from 0 to 2,000."),
    ("60:learning_rate=inf", "learning_rate is inf: it must be a number from 1e-05 to 1."),
    ("60:optimizer=lion", "optimizer is 'lion': it must be one of adam, sgd."),
    ("60:seed=1", "'seed' cannot change in the middle of a run: it must be one of " + ", ".join(CHANGEABLE)),
    ("6:rank=4~6:rank=5", "rank changes twice at update 6: it must change once an update."),
    ("~".join(f"{i}:rank=4" for i in range(9)), "changes has 9 of them: a course may have up to 8."),
]


@pytest.mark.parametrize(("text", "sentence"), NONSENSE)
def test_nonsense_in_a_link_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^.") as error:
        parse_changes(text)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("changes", [None, 3, "60", [1], [[1, 2]], [[1, 2, 3]], [[0.5, "rank", 3]], {"a": 1}])
def test_nonsense_in_json_is_one_sentence(changes: Any) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+: it must be [^\n]+\.$"):
        Course.from_dict({"changes": changes})


def test_a_change_beyond_the_epochs_is_refused() -> None:
    sentence = "the update of the change of rank is 201: it must be a whole number from 0 to 200."
    with pytest.raises(ValueError, match=sentence):
        Course(Experiment(), ((201, "rank", 4),))
