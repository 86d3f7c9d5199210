"""The tasks: what moves the data and what does not, their spectra and floors, and the digits' real copy."""

import dataclasses
import math
import threading
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from torch import Tensor, nn

from lora_core import theory
from lora_core.data import HELD_OUT, SWAPPED_PAIRS, Problem, make_problem, read_digits
from lora_core.experiment import DATA_FIELDS, LIMITS, Experiment
from lora_core.geometry import numerical_rank
from lora_core.theory import ideal_delta, knee

SMALL: dict[str, Any] = {"in_features": 12, "out_features": 9, "samples": 40, "true_rank": 3}
TASKS = ["low-rank", "power-law", "noise", "digits"]
OTHERS: dict[str, list[Any]] = {
    "rank": [1, 1024],
    "alpha": [0.5],
    "scaling_rule": ["rslora", "constant"],
    "init": ["gaussian", "original", "zero"],
    "train_bias": [True],
    "optimizer": ["sgd"],
    "learning_rate": [1.0],
    "lr_ratio": [16.0],
    "epochs": [1],
}


def tensors(problem: Problem) -> dict[str, Tensor]:
    found = {name: getattr(problem, name) for name in ("X", "Y", "X_test", "Y_test")}
    return found | {"weight": problem.base.weight, "bias": problem.base.bias}


def same(one: Problem, other: Problem) -> set[str]:
    """Names of the tensors that are equal to the bit."""
    mine, theirs = tensors(one), tensors(other)
    return {name for name in mine if torch.equal(mine[name], theirs[name])}


EVERYTHING = {"X", "Y", "X_test", "Y_test", "weight", "bias"}


def problem(**fields: Any) -> Problem:
    return make_problem(Experiment(**(SMALL | fields)))


def digits(**fields: Any) -> Problem:
    return make_problem(Experiment(**({"task": "digits"} | fields)))


def accuracy(inputs: Tensor, labels: Tensor | None, base: nn.Linear, delta: Tensor | None = None) -> float:
    outputs = base(inputs) if delta is None else base(inputs) + inputs @ delta
    return float((outputs.argmax(1) == labels).double().mean())


# --- what moves the data


@pytest.mark.parametrize("task", TASKS)
def test_the_same_experiment_gives_the_same_numbers_to_the_bit(task: str) -> None:
    one, other = problem(task=task), problem(task=task)
    assert same(one, other) == EVERYTHING
    assert one.floors().tobytes() == other.floors().tobytes()


@pytest.mark.parametrize("task", TASKS)
def test_no_field_of_the_adapter_or_its_training_moves_data_or_base(task: str) -> None:
    assert set(OTHERS) == set(LIMITS) - set(DATA_FIELDS)
    reference = problem(task=task)
    for name, values in OTHERS.items():
        for value in values:
            assert same(reference, problem(task=task, **{name: value})) == EVERYTHING, name


@pytest.mark.parametrize("task", TASKS)
def test_another_seed_is_another_draw(task: str) -> None:
    for seed in (41, 43, 0, 2**31 - 1):
        changed = EVERYTHING - same(problem(task=task), problem(task=task, seed=seed))
        assert changed == EVERYTHING


@pytest.mark.parametrize("field", ["true_rank", "noise", "decay"])
def test_what_is_asked_of_the_layer_moves_neither_inputs_nor_base(field: str) -> None:
    task = "power-law" if field == "decay" else "low-rank"
    assert same(problem(task=task), problem(task=task, **{field: 2})) == EVERYTHING - {"Y", "Y_test"}


@pytest.mark.parametrize("shift", ["swap", "turn", "invert"])
def test_the_shift_of_the_digits_leaves_the_base_alone(shift: str) -> None:
    kept = same(problem(task="digits", true_rank=2), problem(task="digits", true_rank=1, shift=shift))
    assert kept == ({"X", "X_test", "weight", "bias"} if shift == "swap" else {"weight", "bias"})


def test_every_draw_is_independent() -> None:
    """Inputs, noise, held-out and base share no stream, nor do neighbouring seeds and tasks."""
    wide = problem(task="noise", in_features=32, out_features=32, samples=HELD_OUT)
    next_one = problem(task="noise", in_features=32, out_features=32, samples=HELD_OUT, seed=43)
    draws = [wide.X, wide.Y, wide.X_test, wide.Y_test, next_one.X, next_one.Y, next_one.X_test]
    for i, one in enumerate(draws):
        for other in draws[:i]:
            assert abs(float((one * other).mean())) < 5 / math.sqrt(one.numel())


def test_the_adapter_is_drawn_last_from_the_same_stream_at_each_call() -> None:
    given = problem()
    draws = [torch.randn(20, generator=given.adapter_generator()) for _ in range(2)]
    assert torch.equal(draws[0], draws[1])
    other = torch.randn(20, generator=problem(seed=43).adapter_generator())
    assert not torch.equal(draws[0], other)


@pytest.mark.parametrize("train_bias", [False, True])
def test_the_original_scripts_tensors(train_bias: bool) -> None:
    """torch.manual_seed(42), then X, y, nn.Linear, A and B, as the script draws them."""
    given = problem(
        task="noise", in_features=64, out_features=10, samples=1000, seed=42, train_bias=train_bias
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(42)
        X, y, linear = torch.randn(1000, 64), torch.randn(1000, 10), nn.Linear(64, 10)
        A = torch.randn(64, 4)
    assert torch.equal(given.X.float(), X)
    assert torch.equal(given.Y.float(), y)
    assert torch.equal(given.base.weight.float(), linear.weight)
    assert torch.equal(given.base.bias.float(), linear.bias)
    assert torch.equal(torch.randn(64, 4, generator=given.adapter_generator()), A)


# --- sizes and types


@pytest.mark.parametrize("task", TASKS)
def test_shapes_and_types(task: str) -> None:
    given = problem(task=task)
    n, in_features, out_features, held_out = (
        (1297, 64, 10, 500) if task == "digits" else (40, 12, 9, HELD_OUT)
    )
    assert given.X.shape == (n, in_features)
    assert given.Y.shape == (n, out_features)
    assert given.X_test.shape == (held_out, in_features)
    assert given.Y_test.shape == (held_out, out_features)
    assert (given.base.in_features, given.base.out_features) == (in_features, out_features)
    assert all(tensor.dtype == torch.float64 for tensor in tensors(given).values())
    assert not any(parameter.requires_grad for parameter in given.base.parameters())
    assert (given.labels is None) == (given.labels_test is None) == (task != "digits")
    torch.testing.assert_close(given.residual(), given.Y - given.X @ given.base.weight.T - given.base.bias)
    torch.testing.assert_close(given.residual_test(), given.Y_test - given.base(given.X_test))
    assert given.floors().shape == (min(in_features, out_features) + 1,)
    assert given.floors()[0] == pytest.approx(float(given.residual().square().mean()), rel=1e-12)


@pytest.mark.parametrize(("in_features", "out_features"), [(2, 2), (2, 1024), (1024, 2), (30, 5)])
@pytest.mark.parametrize("task", ["low-rank", "power-law", "noise"])
def test_the_extremes_of_the_sizes(in_features: int, out_features: int, task: str) -> None:
    given = problem(task=task, in_features=in_features, out_features=out_features, samples=16, true_rank=1024)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors(given).values())
    floors = given.floors()
    assert floors.shape == (min(in_features, out_features) + 1,)
    if in_features > 16:
        assert floors[-1] == 0.0  # fewer samples than inputs: everything can be fitted


# --- low-rank and power-law


@pytest.mark.parametrize("true_rank", [1, 3, 9, 500])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_change_to_learn_has_the_true_rank_and_equal_singular_values(true_rank: int, seed: int) -> None:
    delta = problem(true_rank=true_rank, seed=seed).true_delta
    assert delta is not None
    rank = min(true_rank, 9)
    values = torch.linalg.svdvals(delta)
    assert numerical_rank(values) == rank
    torch.testing.assert_close(values[:rank], torch.full((rank,), math.sqrt(9 / rank)).double())
    assert float(delta.square().sum()) == pytest.approx(9, rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0, 4.0])
def test_a_power_law_spectrum(decay: float) -> None:
    delta = problem(task="power-law", decay=decay).true_delta
    assert delta is not None
    values = torch.linalg.svdvals(delta)
    torch.testing.assert_close(
        values / values[0], torch.arange(1, 10).double() ** -decay, rtol=1e-9, atol=1e-12
    )
    assert float(delta.square().sum()) == pytest.approx(9, rel=1e-12)


@pytest.mark.parametrize("task", ["low-rank", "power-law"])
def test_targets_are_the_base_plus_the_change_plus_noise(task: str) -> None:
    loud, quiet = problem(task=task, noise=0.5, samples=400), problem(task=task, noise=0.0, samples=400)
    assert quiet.true_delta is not None
    torch.testing.assert_close(quiet.residual(), quiet.X @ quiet.true_delta, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(quiet.residual_test(), quiet.X_test @ quiet.true_delta)
    for noise in (loud.Y - quiet.Y, loud.Y_test - quiet.Y_test):
        assert noise.std().item() == pytest.approx(0.5, rel=0.05)
        assert noise.mean().item() == pytest.approx(0.0, abs=0.05)
    assert abs(float(((loud.Y - quiet.Y).T @ loud.X / 400).abs().max())) < 0.15


def test_without_noise_the_floor_is_zero_from_the_true_rank_on() -> None:
    floors = problem(noise=0.0).floors()
    assert (floors[3:] == 0.0).all()
    assert (floors[:3] > 0.05).all()


@pytest.mark.parametrize("seed", range(8))
def test_the_default_experiment_one_rank_short_of_its_knee(seed: int) -> None:
    floors = make_problem(Experiment(seed=seed)).floors()
    assert 0.9 < floors[0] < 1.1
    assert 0.18 < floors[3] < 0.26
    assert 0.0093 < floors[4] < 0.0100
    assert 0.0071 < floors[64] < 0.0078
    assert floors[3] > 17 * floors[4]
    assert knee(floors) == 4


@pytest.mark.parametrize("true_rank", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_the_knee_is_the_true_rank(true_rank: int, seed: int) -> None:
    assert knee(make_problem(Experiment(true_rank=true_rank, seed=seed)).floors()) == true_rank


def test_the_adapter_of_the_true_rank_generalises_better_than_full_fine_tuning() -> None:
    given = make_problem(Experiment())
    held_out = [
        float(
            (given.residual_test() - given.X_test @ ideal_delta(given.X, given.residual(), r)).square().mean()
        )
        for r in (4, 64)
    ]
    assert held_out[0] == pytest.approx(0.0103, rel=0.04)
    assert held_out[1] == pytest.approx(0.0132, rel=0.04)


# --- noise


def test_floors_of_the_original_script_fall_evenly_without_a_knee() -> None:
    fields: dict[str, Any] = {"task": "noise", "in_features": 64, "out_features": 10, "samples": 1000}
    frozen, trained = problem(**fields).floors(), problem(**fields, train_bias=True).floors()
    expected = [1.367, 1.293, 1.237, 1.187, 1.139, 1.098, 1.062, 1.032, 1.004, 0.980, 0.962]
    np.testing.assert_allclose(frozen, expected, atol=6e-4)
    assert f"{trained[4]:.4f}" == "1.1356"
    assert f"{trained[10]:.4f}" == "0.9582"
    gains = -np.diff(frozen)
    assert (gains[1:] > 0.6 * gains[:-1]).all()
    assert knee(frozen) == 10


def test_nothing_can_be_learnt_from_noise() -> None:
    given = problem(task="noise", in_features=64, out_features=10, samples=1000)
    full = ideal_delta(given.X, given.residual(), 10)
    predicting_nothing = float(given.Y_test.square().mean())
    assert float((given.residual_test() - given.X_test @ full).square().mean()) > predicting_nothing
    assert given.true_delta is None


# --- digits


def test_the_shipped_digits_are_scikit_learns_to_the_integer() -> None:
    pictures, labels = load_digits(return_X_y=True)
    pixels, ours = read_digits()
    assert pixels.dtype == ours.dtype == np.uint8
    assert np.array_equal(pixels, pictures)
    assert np.array_equal(ours, labels)


@pytest.mark.parametrize("seed", [42, 0, 1, 2])
def test_digits_are_split_into_training_and_held_out_without_loss(seed: int) -> None:
    given = digits(seed=seed)
    pixels, _ = read_digits()
    rows = torch.cat([given.X, given.X_test]) * 16
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, pixels.astype(float).tolist()))
    assert given.labels is not None
    assert given.labels_test is not None
    assert torch.equal(given.Y.argmax(1), given.labels)
    assert torch.equal(given.Y_test.argmax(1), given.labels_test)
    assert torch.equal(given.Y.sum(1), torch.ones(1297).double())
    assert (given.Y.max(1).values == 1.0).all()


def upright(seed: int = 42) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixels and labels before the shift, training and held out."""
    pixels, labels = read_digits()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    X, y = (torch.from_numpy(pixels).double() / 16)[order], torch.from_numpy(labels).long()[order]
    return X[:1297], y[:1297], X[1297:], y[1297:]


@pytest.mark.parametrize("seed", [42, 0, 1, 2])
def test_the_base_reads_upright_digits(seed: int) -> None:
    _, _, X, y = upright(seed)
    base = digits(seed=seed).base
    assert 0.92 <= accuracy(X, y, base) <= 0.96


def test_the_base_is_the_ridge_regression_of_the_upright_digits() -> None:
    X, y, _, _ = upright()
    base = digits().base
    error = nn.functional.one_hot(y, 10).double() - base(X)
    # Where (1/n) ||Y - X W^T - b||^2 + 1e-3 ||W||^2 is least both gradients are zero.
    torch.testing.assert_close(X.T @ error / 1297, 1e-3 * base.weight.T, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(error.mean(0), torch.zeros(10).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("pairs", [1, 2, 3, 4, 5])
def test_swapped_labels_are_a_change_of_that_rank(pairs: int) -> None:
    given = digits(true_rank=pairs)
    X, y, X_test, y_test = upright()
    assert torch.equal(given.X, X)
    assert torch.equal(given.X_test, X_test)
    rename = dict(SWAPPED_PAIRS[:pairs]) | {b: a for a, b in SWAPPED_PAIRS[:pairs]}
    assert given.labels is not None
    assert given.labels.tolist() == [rename.get(label, label) for label in y.tolist()]
    assert given.labels_test is not None
    assert given.labels_test.tolist() == [rename.get(label, label) for label in y_test.tolist()]
    moved = given.Y - nn.functional.one_hot(y, 10).double()
    assert numerical_rank(torch.linalg.svdvals(moved)) == pairs
    assert knee(given.floors()) == pairs
    assert given.floors()[pairs - 1] > 1.5 * given.floors()[pairs]


def test_the_pairs_to_swap_are_all_ten_labels() -> None:
    assert sorted(label for pair in SWAPPED_PAIRS for label in pair) == list(range(10))


@pytest.mark.parametrize("seed", [42, 0, 1, 2])
def test_one_swapped_pair_is_put_right_by_rank_1(seed: int) -> None:
    given = digits(true_rank=1, seed=seed)
    np.testing.assert_allclose(given.floors()[:2], [0.0536, 0.0309], atol=2.5e-3)
    best = ideal_delta(given.X, given.residual(), 1)
    assert accuracy(given.X_test, given.labels_test, given.base) == pytest.approx(0.787, abs=0.035)
    assert accuracy(given.X_test, given.labels_test, given.base, best) == pytest.approx(0.942, abs=0.02)


def test_four_swapped_pairs_are_put_right_by_rank_4() -> None:
    given = digits(true_rank=4)
    best = ideal_delta(given.X, given.residual(), 4)
    assert accuracy(given.X_test, given.labels_test, given.base) == pytest.approx(0.204, abs=0.035)
    assert accuracy(given.X_test, given.labels_test, given.base, best) == pytest.approx(0.940, abs=0.01)


@pytest.mark.parametrize("seed", [42, 0, 1, 2])
def test_turned_digits_have_no_knee(seed: int) -> None:
    given = digits(shift="turn", seed=seed)
    X, y, _, _ = upright(seed)
    pictures, turned = X[:50].view(-1, 8, 8), given.X[:50].view(-1, 8, 8)
    for row in range(8):  # a turn to the left: the last column becomes the first row
        assert torch.equal(turned[:, row], pictures[:, :, 7 - row])
    assert given.labels is not None
    assert torch.equal(given.labels, y)
    floors = given.floors()
    np.testing.assert_allclose(floors[:7], [0.226, 0.111, 0.083, 0.064, 0.052, 0.045, 0.039], rtol=0.06)
    assert floors[10] == pytest.approx(0.0305, abs=5e-4)
    gains = floors[:-1] / floors[1:]
    assert gains[1:].max() < 1.5
    best = {rank: ideal_delta(given.X, given.residual(), rank) for rank in (4, 5, 8)}
    reached = {
        rank: accuracy(given.X_test, given.labels_test, given.base, delta) for rank, delta in best.items()
    }
    assert accuracy(given.X_test, given.labels_test, given.base) == pytest.approx(0.138, abs=0.06)
    assert reached[4] == pytest.approx(0.79, abs=0.03)
    assert reached[5] == pytest.approx(0.86, abs=0.04)
    assert reached[8] == pytest.approx(0.938, abs=0.02)


def test_inverted_digits() -> None:
    given = digits(shift="invert")
    X, y, _, _ = upright()
    assert torch.equal(given.X, 1 - X)
    assert given.labels is not None
    assert torch.equal(given.labels, y)
    assert accuracy(given.X_test, given.labels_test, given.base) < 0.1


# --- wrong input


def parts(**changes: Any) -> dict[str, Any]:
    return {name: getattr(problem(), name) for name in ("X", "Y", "X_test", "Y_test", "base")} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"Y": torch.zeros(39, 9).double()},
            r"X is \(40, 12\) and Y is \(39, 9\): they must be \(n, 12\) and \(n, 9\) with the same n",
        ),
        ({"X": torch.zeros(40, 11).double()}, r"X is \(40, 11\) and Y is \(40, 9\)"),
        ({"Y": torch.zeros(40).double()}, r"X is \(40, 12\) and Y is \(40,\)"),
        ({"X_test": torch.zeros(3, 12).double()}, r"X_test is \(3, 12\) and Y_test is \(512, 9\)"),
        ({"X": torch.zeros(0, 12).double(), "Y": torch.zeros(0, 9).double()}, r"X is \(0, 12\)"),
        ({"X": torch.full((40, 12), math.nan).double()}, "X holds numbers that are not finite"),
        ({"Y": torch.full((40, 9), math.inf).double()}, "Y holds numbers that are not finite"),
        ({"Y_test": torch.full((512, 9), -math.inf).double()}, "Y_test holds numbers that are not finite"),
        ({"X": torch.zeros(40, 12)}, "X holds torch.float32: it must be torch.float64"),
    ],
)
def test_wrong_data_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Problem(**parts(**changes))


def test_a_problem_of_ones_own() -> None:
    given = Problem(**parts(), train_bias=True)
    assert dataclasses.replace(given).floors()[0] == pytest.approx(
        float(given.residual().var(0, correction=0).mean()), rel=1e-12
    )
    assert isinstance(given.adapter_generator(), torch.Generator)


def test_the_floors_that_all_share_cannot_be_written_to() -> None:
    given = problem()
    assert given.floors() is given.floors()
    with pytest.raises(ValueError, match="read-only"):
        given.floors()[0] = 0.0


def test_floors_wait_for_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    true_floors = theory.floors

    def slow_for_the_large(X: Tensor, *others: Any) -> np.ndarray:
        if X.shape[1] == 32:
            begun.set()
            assert go_on.wait(60)
        return true_floors(X, *others)

    monkeypatch.setattr(theory, "floors", slow_for_the_large)
    large, small = (make_problem(Experiment(in_features=size)) for size in (32, 8))
    waiting = threading.Thread(target=large.floors)
    waiting.start()
    try:
        assert begun.wait(60)
        assert not large.floors_known
        assert len(small.floors()) == 9
        assert small.floors() is small.floors()
    finally:
        go_on.set()
        waiting.join()
    assert large.floors_known
