"""Runs against the plain autograd loop in float64, against their floors, and against themselves."""

import dataclasses
import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lora_core.data import Problem, make_problem
from lora_core.experiment import Experiment
from lora_core.theory import floor_at
from lora_core.training import run as run_module
from lora_core.training.history import DIVERGED
from lora_core.training.loop import create_toy_dataset, train_model
from lora_core.training.run import History, Run, run, snapshot_updates, train
from lora_core.training.start import lora_layer, start_of
from tests.printed import PRINTED

OPTIMIZERS, INITS = ["adam", "sgd"], ["kaiming", "gaussian", "original", "zero"]
RULES, BIASES = ["standard", "rslora", "constant"], [False, True]

LAYERS: list[dict[str, Any]] = [
    {"in_features": 9, "out_features": 5, "samples": 40, "rank": 2},
    {"in_features": 5, "out_features": 9, "samples": 40, "rank": 3},
    {"in_features": 24, "out_features": 7, "samples": 16, "rank": 4},  # fewer samples than inputs
    {"in_features": 6, "out_features": 4, "samples": 30, "rank": 11},  # more than min(in, out)
]


def experiment_with(**fields: Any) -> Experiment:
    return Experiment(**fields)


def uneven(experiment: Experiment) -> Problem:
    """The experiment's problem with inputs far from white: correlated, unequal in size and off centre."""
    given = make_problem(experiment)
    size = experiment.in_features
    mixture = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mixture = mixture / math.sqrt(size) * torch.logspace(0, -1, size).double()
    return dataclasses.replace(given, X=given.X @ mixture + 0.2, X_test=given.X_test @ mixture + 0.2)


def autograd_lora(experiment: Experiment, problem: Problem) -> tuple[np.ndarray, Any]:
    """Losses 0..epochs of the plain loop in float64, and the layer it has trained."""
    layer = lora_layer(experiment, problem, torch.float64)
    return autograd(experiment, problem, layer), layer


def autograd_full(experiment: Experiment, problem: Problem) -> tuple[np.ndarray, nn.Linear]:
    linear = nn.Linear(experiment.in_features, experiment.out_features, dtype=torch.float64)
    linear.load_state_dict(problem.base.state_dict())
    linear.bias.requires_grad_(experiment.train_bias)
    return autograd(experiment, problem, linear), linear


def autograd(experiment: Experiment, problem: Problem, model: nn.Module) -> np.ndarray:
    losses = train_model(
        model,
        problem.X,
        problem.Y,
        experiment.epochs,
        experiment.learning_rate,
        optimizer=experiment.optimizer,
        lr_ratio=experiment.lr_ratio,
        verbose=False,
    )
    with torch.no_grad():
        return np.array([*losses, nn.functional.mse_loss(model(problem.X), problem.Y).item()])


def check_equal_to_autograd(
    experiment: Experiment, problem: Problem, full: tuple[np.ndarray, nn.Linear] | None = None
) -> Run:
    """Adapter and full, each step within 1e-9 of the first loss, and every trained number at the end."""
    found = run(experiment, problem)
    losses, layer = autograd_lora(experiment, problem)
    full_losses, linear = autograd_full(experiment, problem) if full is None else full
    assert found.lora.loss.shape == found.full.loss.shape == (experiment.epochs + 1,)
    assert np.abs(found.lora.loss - losses).max() <= 1e-9 * losses[0]
    assert np.abs(found.full.loss - full_losses).max() <= 1e-9 * full_losses[0]

    last, last_full = found.lora.snapshots[experiment.epochs], found.full.snapshots[experiment.epochs]
    assert last.B is not None
    moved = linear.weight.detach() - problem.base.weight
    pairs = [(last.A, layer.lora_A.detach()), (last.B, layer.lora_B.detach()), (last_full.A, moved.T)]
    if experiment.train_bias:
        assert last.bias is not None
        assert last_full.bias is not None
        pairs.append((last.bias, layer.linear.bias.detach() - problem.base.bias))
        pairs.append((last_full.bias, linear.bias.detach() - problem.base.bias))
    else:
        assert last.bias is None
        assert last_full.bias is None
    assert last_full.B is None
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    return found


# --- the engine takes the steps of the plain loop


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: "{in_features}-{out_features}".format(**layer))
@pytest.mark.parametrize("train_bias", BIASES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_step_is_autograds(optimizer: str, train_bias: bool, layer: dict[str, Any]) -> None:
    """Each start under each scaling rule; full fine-tuning sees neither, so autograd trains it once."""
    full = None
    for init, rule in product(INITS, RULES):
        experiment = experiment_with(
            **layer, optimizer=optimizer, init=init, scaling_rule=rule, train_bias=train_bias,
            alpha=1.5, learning_rate=0.01, true_rank=2,
        )  # fmt: skip
        problem = uneven(experiment)
        full = autograd_full(experiment, problem) if full is None else full
        found = check_equal_to_autograd(experiment, problem, full)
        assert found.full.loss[-1] < 0.99 * found.full.loss[0]
        check_not_below_the_floor(found)


@pytest.mark.parametrize("train_bias", BIASES)
@pytest.mark.parametrize("lr_ratio", [0.1, 16.0])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_step_is_autograds_at_two_rates(optimizer: str, lr_ratio: float, train_bias: bool) -> None:
    experiment = experiment_with(
        **LAYERS[0], optimizer=optimizer, lr_ratio=lr_ratio, train_bias=train_bias, true_rank=2
    )
    check_equal_to_autograd(experiment, uneven(experiment))


@pytest.mark.parametrize("task", ["low-rank", "power-law", "noise", "digits"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_step_is_autograds_on_the_tasks_themselves(optimizer: str, task: str) -> None:
    experiment = experiment_with(task=task, optimizer=optimizer, out_features=10, train_bias=True, alpha=2.0)
    found = check_equal_to_autograd(experiment, make_problem(experiment))
    check_not_below_the_floor(found)


@pytest.mark.parametrize("shift", ["swap", "turn", "invert"])
def test_dark_corners_of_the_digits_stay_put(shift: str) -> None:
    """Pixels that are always 0 have no gradient: full fine-tuning leaves their weights as they are."""
    experiment = experiment_with(task="digits", shift=shift, epochs=50)
    problem = make_problem(experiment)
    check_equal_to_autograd(experiment, problem)
    dark = ~problem.X.any(0)
    change = run(experiment, problem).full.snapshots[50].A
    assert not change[dark].any()
    assert bool(dark.any()) == (shift != "invert")


def test_the_original_script_in_float64() -> None:
    experiment = experiment_with(
        task="noise", out_features=10, samples=1000, rank=4, alpha=1.0, scaling_rule="constant",
        init="original", train_bias=True, epochs=10,
    )  # fmt: skip
    found = check_equal_to_autograd(experiment, make_problem(experiment))
    np.testing.assert_allclose(found.lora.loss, [*PRINTED, 166.8913], atol=1.1e-4)
    assert f"{found.lora.loss[2]:.4f}" == "225.9159"  # exact arithmetic, so on any processor


def test_the_original_script_is_far_from_its_floor_after_2000_epochs() -> None:
    experiment = experiment_with(
        task="noise", out_features=10, samples=1000, rank=4, alpha=1.0, scaling_rule="constant",
        init="original", train_bias=True, epochs=2000,
    )  # fmt: skip
    found = run(experiment)
    assert found.lora.loss[-1] == pytest.approx(1.267, abs=0.01)
    assert found.floors[4] == pytest.approx(1.1356, abs=1e-4)
    assert found.full.loss[-1] == pytest.approx(0.9582, abs=1e-4)


# --- floors


def check_not_below_the_floor(found: Run) -> None:
    for history, rank in ((found.lora, found.experiment.rank), (found.full, len(found.floors) - 1)):
        assert (history.loss >= floor_at(found.floors, rank) - 1e-9 * history.loss[0]).all()


@pytest.mark.parametrize("train_bias", BIASES)
@pytest.mark.parametrize(
    ("optimizer", "rank"),
    [("adam", 1), ("adam", 3), ("adam", 4), ("adam", 64), ("adam", 80), ("sgd", 1), ("sgd", 3), ("sgd", 4)],
)
def test_a_converged_run_comes_down_to_its_floor(optimizer: str, rank: int, train_bias: bool) -> None:
    rate = 0.01 if optimizer == "adam" else 0.3
    experiment = experiment_with(
        rank=rank, optimizer=optimizer, train_bias=train_bias, epochs=2000, learning_rate=rate,
        scaling_rule="rslora", alpha=4.0,
    )  # fmt: skip
    found = run(experiment)
    check_not_below_the_floor(found)
    assert found.lora.loss[-1] <= 1.005 * floor_at(found.floors, rank)
    if optimizer == "adam":
        assert found.full.loss[-1] <= 1.005 * floor_at(found.floors, 64)


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5, 8])
def test_the_default_experiment_is_within_5_percent_of_its_floor_in_time(rank: int) -> None:
    found = run(Experiment(rank=rank))
    reached = int(np.argmax(found.lora.loss <= 1.05 * found.floors[rank]))
    assert 10 <= reached <= 130
    assert found.lora.loss[200] < 1.04 * found.floors[rank]


@pytest.mark.parametrize("train_bias", BIASES)
def test_fewer_samples_than_inputs_can_be_fitted_exactly(train_bias: bool) -> None:
    experiment = experiment_with(
        in_features=32, out_features=8, samples=16, epochs=2000, train_bias=train_bias
    )
    found = run(experiment)
    assert found.floors[-1] == 0.0
    assert (found.full.loss >= 0).all()
    assert found.full.loss[-1] < 1e-9 * found.full.loss[0]
    check_not_below_the_floor(found)


# --- a run is a pure function of its experiment


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"task": "digits", "train_bias": True},
        {"optimizer": "sgd", "samples": 1000},
        {"rank": 80, "epochs": 70},
        {"in_features": 200, "out_features": 100, "epochs": 30},
    ],
)
def test_the_same_experiment_gives_the_same_run_to_the_bit(fields: dict[str, Any]) -> None:
    one, other = run(experiment_with(**fields)), run(experiment_with(**fields))
    assert one.fingerprint == other.fingerprint
    for mine, theirs in ((one.lora, other.lora), (one.full, other.full)):
        assert mine.loss.tobytes() == theirs.loss.tobytes()
        assert mine.test_loss.tobytes() == theirs.test_loss.tobytes()
        assert mine.snapshots
        assert list(mine.snapshots) == list(theirs.snapshots)
        assert all(torch.equal(mine.snapshots[t].A, theirs.snapshots[t].A) for t in mine.snapshots)
    given = run(experiment_with(**fields), make_problem(experiment_with(**fields)))
    assert given.fingerprint == one.fingerprint


@pytest.fixture
def threads() -> Iterator[None]:
    """The number of threads of torch, put back afterwards."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"task": "digits", "train_bias": True},
        {"rank": 80, "samples": 4096, "epochs": 70},
        {"in_features": 256, "out_features": 256, "samples": 1000, "epochs": 20},
        {"in_features": 1024, "out_features": 1024, "samples": 1100, "epochs": 2},
    ],
)
def test_the_number_of_threads_changes_no_bit(fields: dict[str, Any]) -> None:
    """Split between threads, sums are added in another order: see ``lora_core.reproducible``."""
    runs = []
    for count in (1, 2):
        torch.set_num_threads(count)
        stages = train(experiment_with(**fields))
        first = next(stages)
        assert torch.get_num_threads() == count
        *_, last = first, *stages
        assert torch.get_num_threads() == count
        runs.append((last.fingerprint, last.floors.tobytes(), last.problem.Y.numpy().tobytes()))
    assert runs[0] == runs[1]


def test_the_fingerprint_tells_runs_apart() -> None:
    runs = [
        run(experiment_with(epochs=20, **fields)) for fields in ({}, {"rank": 4}, {"seed": 1}, {"alpha": 8.1})
    ]
    assert len({each.fingerprint for each in runs}) == 4
    assert all(len(each.fingerprint) == 16 for each in runs)
    nudged = runs[0].full.loss.copy()
    nudged[7] = np.nextafter(nudged[7], 2.0)
    changed = dataclasses.replace(runs[0], full=dataclasses.replace(runs[0].full, loss=nudged))
    assert changed.fingerprint != runs[0].fingerprint


def test_the_global_random_stream_neither_matters_nor_moves() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        before = torch.get_rng_state()
        one = run(experiment_with(epochs=5))
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(2)
        assert run(experiment_with(epochs=5)).fingerprint == one.fingerprint


@pytest.mark.parametrize("epochs", [1, 63, 64, 65, 200])
def test_a_run_as_it_grows_ends_as_the_run(epochs: int) -> None:
    experiment = experiment_with(task="digits", epochs=epochs)
    stages = list(train(experiment))
    whole = run(experiment)
    assert stages[-1].fingerprint == whole.fingerprint
    assert [stage.complete for stage in stages] == [False] * (len(stages) - 1) + [True]
    assert stages[-1].updates == epochs
    for stage in stages:
        k = stage.updates + 1
        for mine, theirs in ((stage.lora, whole.lora), (stage.full, whole.full)):
            assert mine.updates == k - 1
            for name in ("loss", "test_loss", "accuracy", "test_accuracy"):
                assert np.array_equal(getattr(mine, name), getattr(theirs, name)[:k])
        assert set(stage.lora.snapshots) == {t for t in whole.lora.snapshots if t < k}
    sizes = [stage.updates for stage in stages]
    assert sizes == sorted(set(sizes))


def test_a_stage_does_not_change_under_the_hand_that_holds_it() -> None:
    stages = train(experiment_with(epochs=130))
    first = next(stages)
    before, kept = first.lora.loss.copy(), len(first.lora.snapshots)
    list(stages)
    assert np.array_equal(first.lora.loss, before)
    assert len(first.lora.snapshots) == kept


@pytest.mark.parametrize("stretch", [1, 7])
@pytest.mark.parametrize("task", ["low-rank", "digits"])
def test_the_length_of_a_stretch_changes_nothing_but_rounding(
    stretch: int, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = experiment_with(task=task, epochs=30)
    whole = run(experiment)
    monkeypatch.setattr(run_module, "_CHUNK_UPDATES", stretch)
    parts = run(experiment)
    for mine, theirs in ((whole.lora, parts.lora), (whole.full, parts.full)):
        assert np.array_equal(mine.loss, theirs.loss)
        np.testing.assert_allclose(mine.test_loss, theirs.test_loss, rtol=1e-12)
        assert (mine.accuracy is None) == (task != "digits")
        if mine.accuracy is not None:
            assert theirs.accuracy is not None
            assert np.array_equal(mine.accuracy, theirs.accuracy)


def test_neither_the_rank_nor_the_adapter_moves_full_fine_tuning() -> None:
    reference = run(experiment_with(epochs=80)).full
    for fields in ({"rank": 1}, {"alpha": 0.5}, {"init": "original"}, {"lr_ratio": 4.0}, {"rank": 5}):
        other = run(experiment_with(epochs=80, **fields)).full
        assert np.array_equal(other.loss, reference.loss)
        np.testing.assert_allclose(other.test_loss, reference.test_loss, rtol=1e-12)


# --- held out, accuracy, snapshots


def total_change(history: History, update: int, scaling: float) -> tuple[Tensor, Tensor | float]:
    kept = history.snapshots[update]
    change = kept.A if kept.B is None else scaling * kept.A @ kept.B
    return change, 0.0 if kept.bias is None else kept.bias


@pytest.mark.parametrize("train_bias", BIASES)
@pytest.mark.parametrize(
    "fields",
    [{"task": "digits"}, {"task": "digits", "rank": 30}, {"in_features": 20, "rank": 5}, {"rank": 70}],
)
def test_losses_and_accuracies_are_those_of_the_kept_adapters(
    fields: dict[str, Any], train_bias: bool
) -> None:
    experiment = experiment_with(epochs=70, train_bias=train_bias, **fields)
    found = run(experiment, snapshots=range(71))
    problem = found.problem
    for history, updates in ((found.lora, [0, 1, 2, 30, 63, 64, 70]), (found.full, [70])):
        for update in updates:
            change, bias = total_change(history, update, experiment.scaling)
            for X, Y, labels, loss, accuracy in (
                (problem.X, problem.Y, problem.labels, history.loss, history.accuracy),
                (
                    problem.X_test,
                    problem.Y_test,
                    problem.labels_test,
                    history.test_loss,
                    history.test_accuracy,
                ),
            ):
                outputs = problem.base(X) + X @ change + bias
                assert loss[update] == pytest.approx(nn.functional.mse_loss(outputs, Y).item(), rel=1e-11)
                if labels is None:
                    assert accuracy is None
                else:
                    assert accuracy is not None
                    right = (outputs.argmax(1) == labels).double().mean().item()
                    assert accuracy[update] == pytest.approx(right, abs=1e-12)


def test_curves_are_float64_and_one_longer_than_the_epochs() -> None:
    found = run(experiment_with(task="digits", epochs=9))
    for history in (found.lora, found.full):
        for curve in (history.loss, history.test_loss, history.accuracy, history.test_accuracy):
            assert curve is not None
            assert curve.dtype == np.float64
            assert curve.shape == (10,)
        assert history.updates == 9
        assert history.diverged_at is None
    assert found.complete
    assert found.updates == 9


@pytest.mark.parametrize("epochs", [1, 2, 49, 50, 51, 200, 2000])
@pytest.mark.parametrize("size", [2, 64, 1024])
def test_snapshots_are_spread_from_the_first_to_the_last(size: int, epochs: int) -> None:
    for rank in (1, 3, 1024):
        experiment = experiment_with(in_features=size, out_features=size, rank=rank, epochs=epochs)
        updates = snapshot_updates(experiment)
        assert updates[0] == 0
        assert updates[-1] == epochs
        assert len(updates) <= 51
        gaps = np.diff(updates)
        assert (gaps > 0).all()
        assert gaps.max() - gaps.min() <= 1
        assert len(updates) * 8 * rank * 2 * size <= 50_000_000
        if rank <= 3:
            assert len(updates) == min(51, epochs + 1)


def test_default_snapshots_of_a_run() -> None:
    found = run(experiment_with(rank=2, epochs=100))
    assert list(found.lora.snapshots) == list(range(0, 101, 2))
    start = start_of(found.experiment, found.problem)
    kept = found.lora.snapshots[0]
    assert torch.equal(kept.A, start.A)
    assert kept.A.shape == (64, 2)
    assert kept.B is not None
    assert kept.B.shape == (2, 64)
    assert not kept.B.any()
    assert list(found.full.snapshots) == [100]
    assert found.full.snapshots[100].A.shape == (64, 64)


def test_chosen_snapshots_of_a_run() -> None:
    found = run(experiment_with(epochs=100), snapshots=[0, 7, 64, 7])
    assert list(found.lora.snapshots) == [0, 7, 64]
    assert not run(experiment_with(epochs=5), snapshots=[]).lora.snapshots
    losses, layer = autograd_lora(experiment_with(epochs=7), make_problem(Experiment()))
    torch.testing.assert_close(found.lora.snapshots[7].A, layer.lora_A.detach(), rtol=1e-9, atol=1e-10)
    assert losses[7] == pytest.approx(found.lora.loss[7], rel=1e-12)


@pytest.mark.parametrize("update", [-1, 101, 2.5, True, math.nan])
def test_a_snapshot_that_never_comes_is_refused(update: Any) -> None:
    with pytest.raises(ValueError, match=r"snapshots is .*: it must be a whole number from 0 to 100"):
        run(experiment_with(epochs=100), snapshots=[update])


# --- the first steps


@pytest.mark.parametrize("init", ["kaiming", "gaussian"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_first_step_leaves_a_to_the_bit(optimizer: str, init: str) -> None:
    found = run(experiment_with(epochs=2, optimizer=optimizer, init=init, train_bias=True)).lora
    A = [found.snapshots[t].A for t in range(3)]
    assert torch.equal(A[0], A[1])
    assert not torch.equal(A[1], A[2])
    assert found.snapshots[1].B is not None
    assert found.snapshots[1].B.any()


@pytest.mark.parametrize("init", ["kaiming", "gaussian", "zero"])
def test_a_zero_b_starts_at_the_base(init: str) -> None:
    found = run(experiment_with(epochs=1, init=init))
    assert found.lora.loss[0] == found.full.loss[0] == pytest.approx(found.floors[0], rel=1e-12)


@pytest.mark.parametrize("train_bias", BIASES)
def test_a_dead_start_is_marked_and_never_moves(train_bias: bool) -> None:
    found = run(experiment_with(init="zero", train_bias=train_bias))
    assert found.dead
    assert found.lora.diverged_at is None
    last = found.lora.snapshots[200]
    assert last.B is not None
    assert not last.A.any()
    assert not last.B.any()
    assert (len(set(found.lora.loss)) == 1) is not train_bias
    assert found.full.loss[-1] < 0.1 * found.full.loss[0]
    assert not run(experiment_with(epochs=1)).dead


@pytest.mark.parametrize("lr_ratio", [0.1, 16.0])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_first_change_scales_by_the_ratio_of_the_rates(optimizer: str, lr_ratio: float) -> None:
    firsts = []
    for ratio in (1.0, lr_ratio):
        experiment = experiment_with(epochs=1, optimizer=optimizer, lr_ratio=ratio)
        firsts.append(total_change(run(experiment).lora, 1, experiment.scaling)[0])
    expected = lr_ratio * firsts[0]
    torch.testing.assert_close(firsts[1], expected, rtol=1e-12, atol=1e-16 * float(expected.abs().max()))


# --- rates that diverge


TOO_FAST: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 1.0, "alpha": 64.0}


@pytest.mark.parametrize("task", ["low-rank", "digits"])
def test_a_rate_that_diverges_is_marked_and_its_finite_part_kept(task: str) -> None:
    experiment = experiment_with(task=task, **(TOO_FAST | ({"alpha": 2000.0} if task == "digits" else {})))
    found = run(experiment)
    at = found.lora.diverged_at
    assert at is not None
    assert 0 < at < 20
    for curve in (found.lora.loss, found.lora.test_loss, found.lora.accuracy, found.lora.test_accuracy):
        if curve is not None:
            assert curve.shape == (at,)
            assert np.isfinite(curve).all()
    assert (found.lora.loss <= DIVERGED * found.lora.loss[0]).all()
    assert max(found.lora.snapshots) < at
    losses, _ = autograd_lora(dataclasses.replace(experiment, epochs=at), found.problem)
    assert not losses[at] <= DIVERGED * losses[0]
    assert found.complete


def test_the_lane_that_does_not_diverge_is_not_disturbed() -> None:
    fast = run(experiment_with(**TOO_FAST))
    slow = run(experiment_with(**(TOO_FAST | {"alpha": 1.0})))
    assert fast.full.diverged_at is None
    assert fast.updates == 200
    assert np.array_equal(fast.full.loss, slow.full.loss)
    assert slow.lora.diverged_at is None


def stretched(experiment: Experiment) -> Problem:
    """Inputs so large that full fine-tuning diverges at any rate worth the name."""
    given = make_problem(experiment)
    return dataclasses.replace(given, X=10 * given.X, X_test=10 * given.X_test)


def test_full_fine_tuning_may_diverge_alone() -> None:
    experiment = experiment_with(optimizer="sgd", learning_rate=1.0, alpha=1e-3, init="kaiming", epochs=60)
    found = run(experiment, stretched(experiment))
    assert found.full.diverged_at is not None
    assert found.lora.diverged_at is None
    assert len(found.lora.loss) == 61
    assert found.full.snapshots == {}
    assert len(found.full.loss) == found.full.diverged_at


def test_a_run_ends_where_both_have_diverged() -> None:
    experiment = experiment_with(**TOO_FAST)
    problem = stretched(experiment)
    stages = list(train(experiment, problem))
    assert len(stages) == 1
    found = stages[0]
    assert found.complete
    assert found.lora.diverged_at is not None
    assert found.full.diverged_at is not None
    assert found.updates == max(found.lora.diverged_at, found.full.diverged_at) - 1


@pytest.mark.parametrize("task", ["low-rank", "digits"])
def test_it_may_diverge_anywhere_in_a_stretch(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also at its very first update, where nothing of the stretch is left to keep."""
    experiment = experiment_with(task=task, optimizer="sgd", learning_rate=1.0, alpha=2000.0, epochs=20)
    whole = run(experiment)
    for stretch in range(1, 10):
        monkeypatch.setattr(run_module, "_CHUNK_UPDATES", stretch)
        found = run(experiment)
        assert found.lora.diverged_at == whole.lora.diverged_at
        assert np.array_equal(found.lora.loss, whole.lora.loss)
        np.testing.assert_allclose(found.lora.test_loss, whole.lora.test_loss, rtol=1e-9)
        assert found.full.loss.shape == whole.full.loss.shape


# --- large ranks and large layers


def test_a_rank_far_above_the_layers_needs_neither_time_nor_memory_for_its_square() -> None:
    found = run(experiment_with(in_features=8, out_features=4, rank=1024, epochs=70))
    assert found.lora.snapshots[70].A.shape == (8, 1024)
    check_not_below_the_floor(found)


@pytest.mark.parametrize(
    ("sizes", "longest"),
    [((64, 64, 3), 64), ((1024, 1024, 4), 1), ((2, 2, 1024), 64), ((1024, 2, 1024), 1), ((2, 1024, 1024), 1)],
)
def test_a_stretch_is_short_where_its_parameters_are_many(sizes: tuple[int, int, int], longest: int) -> None:
    in_features, out_features, rank = sizes
    experiment = experiment_with(in_features=in_features, out_features=out_features, rank=rank)
    assert run_module._stretch(experiment) == longest


def test_a_large_layer_grows_by_single_updates() -> None:
    experiment = experiment_with(in_features=1024, out_features=1024, samples=64, epochs=2, rank=2)
    stages = list(train(experiment))
    assert [stage.updates for stage in stages] == [0, 1, 2]
    assert stages[-1].lora.loss[2] < stages[-1].lora.loss[1]


# --- a problem that is not the experiment's


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"in_features": 32}, "in_features is 64 in the problem: it must be 32, the experiment's"),
        ({"out_features": 32}, "out_features is 64 in the problem: it must be 32"),
        ({"train_bias": True}, "train_bias is False in the problem: it must be True"),
    ],
)
def test_a_problem_that_does_not_fit_is_refused(fields: dict[str, Any], message: str) -> None:
    problem = make_problem(Experiment())
    with pytest.raises(ValueError, match=message):
        run(experiment_with(**fields), problem)
    with pytest.raises(ValueError, match=message):
        lora_layer(experiment_with(**fields), problem)


# --- the plain loop


def test_the_plain_loop_prints_the_loss_before_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = create_toy_dataset(20, 4, 3, torch.Generator().manual_seed(0))
    linear = nn.Linear(4, 3)
    first = nn.functional.mse_loss(linear(X), y).item()
    losses = train_model(linear, X, y, epochs=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"Epoch {i}/3, Loss: {loss:.4f}" for i, loss in enumerate(losses, start=1)]
    assert losses[0] == first
    assert losses[2] < losses[0]
    train_model(linear, X, y, epochs=3, verbose=False)
    assert capsys.readouterr().out == ""


def test_the_toy_data() -> None:
    X, y = create_toy_dataset(500, 20, 5, torch.Generator().manual_seed(0))
    assert X.shape == (500, 20)
    assert y.shape == (500, 5)
    assert X.dtype == y.dtype == torch.float32
    assert X.std().item() == pytest.approx(1.0, abs=0.03)
    assert abs((X.T @ y / 500).max().item()) < 0.2


def test_the_ratio_of_the_rates_reaches_an_adapter_inside_a_network() -> None:
    X, y = create_toy_dataset(30, 9, 5, torch.Generator().manual_seed(0))
    experiment = experiment_with(**LAYERS[0], true_rank=2)
    problem = make_problem(experiment)
    alone, inside = (lora_layer(experiment, problem) for _ in range(2))
    ours = train_model(alone, X, y, 5, lr_ratio=8.0, verbose=False)
    assert train_model(nn.Sequential(inside), X, y, 5, lr_ratio=8.0, verbose=False) == ours
    plain = lora_layer(experiment, problem)
    assert train_model(plain, X, y, 5, verbose=False) != ours


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"y": torch.zeros(19, 3)}, r"X is \(20, 4\) and y is \(19, 3\): they must have the same length"),
        ({"X": torch.full((20, 4), math.nan)}, "X holds numbers that are not finite"),
        ({"y": torch.full((20, 3), math.inf)}, "y holds numbers that are not finite"),
        ({"epochs": 0}, "epochs is 0: it must be a whole number from 1 to 2,000"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"lr": math.nan}, "learning_rate is nan: it must be a number from 1e-05 to 1"),
        ({"lr": -0.1}, "learning_rate is -0.1"),
        ({"optimizer": "lion"}, "optimizer is 'lion': it must be one of adam, sgd"),
        ({"lr_ratio": 0.0}, "lr_ratio is 0.0: it must be a number from 0.01 to 100"),
        ({"lr_ratio": math.nan}, "lr_ratio is nan"),
    ],
)
def test_wrong_arguments_of_the_plain_loop_are_named(options: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"X": torch.zeros(20, 4), "y": torch.zeros(20, 3), "verbose": False} | options
    with pytest.raises(ValueError, match=message):
        train_model(nn.Linear(4, 3), **arguments)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((15, 4, 4), "samples is 15"), ((20, 1, 4), "in_features is 1"), ((20, 4, 4.0), "out_features is 4.0")],
)
def test_wrong_sizes_of_the_toy_data_are_named(sizes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_toy_dataset(*sizes)
