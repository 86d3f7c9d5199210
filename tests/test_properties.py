"""Laws that hold for any experiment: reading and writing, engine against autograd, floors, counts.

The examples are drawn by hypothesis, the same ones on every machine.
"""

import math
from typing import Any

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from lora_core.accounting import break_even_storage, full_cost, lora_cost
from lora_core.data import make_problem
from lora_core.experiment import LIMITS, Experiment
from lora_core.fields import Choice, Flag, FloatRange, IntRange, Limit
from lora_core.layer import LoRALayer, count_parameters
from lora_core.theory import best_bias_shift, floor_at, floors, ideal_delta
from lora_core.training.loop import train_model
from lora_core.training.run import run
from lora_core.training.start import lora_layer
from pages.ui.controls import value_text
from pages.ui.link import differences


def values(limit: Limit) -> st.SearchStrategy[Any]:
    """Any value within a limit."""
    if isinstance(limit, IntRange):
        return st.integers(limit.least, limit.greatest)
    if isinstance(limit, FloatRange):
        return st.floats(limit.least, limit.greatest)
    return st.booleans() if isinstance(limit, Flag) else st.sampled_from(list(limit.kind))


experiments = st.builds(Experiment, **{name: values(limit) for name, limit in LIMITS.items()})

# Layers that train in a few milliseconds, at rates where a run is not chaotic.
small = st.builds(
    Experiment,
    task=st.sampled_from(["low-rank", "power-law", "noise"]),
    in_features=st.integers(2, 12),
    out_features=st.integers(2, 12),
    samples=st.integers(16, 40),
    true_rank=st.integers(1, 12),
    decay=st.floats(0, 4),
    noise=st.floats(0, 2),
    seed=st.integers(0, 2**31 - 1),
    rank=st.integers(1, 14),
    alpha=st.floats(0.5, 8),
    scaling_rule=values(LIMITS["scaling_rule"]),
    init=values(LIMITS["init"]),
    train_bias=st.booleans(),
    optimizer=values(LIMITS["optimizer"]),
    learning_rate=st.floats(1e-4, 0.02),
    lr_ratio=st.floats(0.25, 4),
    epochs=st.integers(1, 40),
)

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=2),
)


@settings(max_examples=150)
@given(experiments)
def test_what_a_link_writes_is_read_back(experiment: Experiment) -> None:
    written = differences(experiment)
    read = {name: LIMITS[name].read(name, LIMITS[name].parse(text)) for name, text in written.items()}
    # On digits the data fix the sizes, whatever stands in the fields.
    assert Experiment(**read) == experiment
    assert all(value_text(read[name]) == text for name, text in written.items())
    assert Experiment.from_dict(experiment.to_dict()) == experiment


@settings(max_examples=300)
@given(st.sampled_from(list(LIMITS)), anything)
def test_a_value_is_taken_as_it_is_or_refused_by_name(name: str, value: object) -> None:
    limit, found, said = LIMITS[name], None, ""
    try:
        found = getattr(Experiment(**{name: value}), name)  # type: ignore[arg-type]
    except ValueError as error:
        said = str(error)
    if said:
        assert said.startswith(f"{name} is ")
        assert said.endswith(f"it must be {limit}.")
        return
    assert found == value
    if isinstance(limit, IntRange | FloatRange):
        assert limit.least <= found <= limit.greatest  # type: ignore[operator]
    elif isinstance(limit, Choice):
        assert found in list(limit.kind)


@settings(max_examples=60)
@given(small)
def test_the_engine_takes_the_steps_of_autograd(experiment: Experiment) -> None:
    problem = make_problem(experiment)
    found = run(experiment, problem)
    assume(
        found.lora.loss.max() <= 2 * found.lora.loss[0] and found.full.loss.max() <= 2 * found.full.loss[0]
    )
    linear = nn.Linear(experiment.in_features, experiment.out_features, dtype=torch.float64)
    linear.load_state_dict(problem.base.state_dict())
    linear.bias.requires_grad_(experiment.train_bias)
    models: list[tuple[nn.Module, np.ndarray]] = [
        (lora_layer(experiment, problem, torch.float64), found.lora.loss),
        (linear, found.full.loss),
    ]
    for model, losses in models:
        expected = train_model(
            model, problem.X, problem.Y, experiment.epochs, experiment.learning_rate,
            optimizer=experiment.optimizer, lr_ratio=experiment.lr_ratio, verbose=False,
        )  # fmt: skip
        assert np.abs(losses[:-1] - expected).max() <= 1e-9 * expected[0]


@settings(max_examples=60)
@given(small)
def test_no_run_ends_below_its_floor_and_the_ideal_change_is_on_it(experiment: Experiment) -> None:
    problem = make_problem(experiment)
    X, R, bias = problem.X, problem.residual(), experiment.train_bias
    found = floors(X, R, bias)
    assert len(found) == experiment.full_rank + 1
    assert (np.diff(found) <= 0).all()
    assert found[-1] >= 0
    centred = (X - X.mean(0), R - R.mean(0)) if bias else (X, R)
    fitted = centred[0] @ torch.linalg.lstsq(centred[0], centred[1], driver="gelsd").solution
    assert math.isclose(found[-1], (centred[1] - fitted).square().mean().item(), rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(found[0], centred[1].square().mean().item(), rel_tol=1e-9)

    trained = run(experiment, problem)
    floor = floor_at(found, experiment.rank)
    assert np.nanmin(trained.lora.loss) >= floor - 1e-9 * trained.lora.loss[0]
    assert np.nanmin(trained.full.loss) >= found[-1] - 1e-9 * trained.full.loss[0]

    rank = min(experiment.rank, experiment.full_rank)
    delta = ideal_delta(X, R, rank, bias)
    shift = (
        best_bias_shift(X, R, delta) if bias else torch.zeros(experiment.out_features, dtype=torch.float64)
    )
    assert torch.linalg.matrix_rank(delta) <= rank
    reached = (R - X @ delta - shift).square().mean().item()
    assert math.isclose(reached, found[rank], rel_tol=1e-8, abs_tol=1e-12)


@settings(max_examples=80)
@given(st.integers(2, 64), st.integers(2, 64), st.integers(1, 96), st.booleans())
def test_counts_are_those_of_the_layer(inputs: int, outputs: int, rank: int, bias: bool) -> None:
    layer, cost = LoRALayer(inputs, outputs, rank, train_bias=bias), lora_cost(inputs, outputs, rank, bias)
    assert (cost.trainable, cost.total) == count_parameters(layer)
    assert cost.trainable == sum(each.numel() for each in layer.parameters() if each.requires_grad)
    full = full_cost(inputs, outputs, bias)
    assert full.trainable == inputs * outputs + bias * outputs
    assert (cost.trainable > full.trainable) == (rank > break_even_storage(inputs, outputs))
    one_more = lora_cost(inputs, outputs, rank + 1, bias)
    assert one_more.trainable - cost.trainable == inputs + outputs
    assert cost.inference_merged == inputs * outputs == full.inference_merged
    assert cost.inference_unmerged == inputs * outputs + rank * (inputs + outputs)
