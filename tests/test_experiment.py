"""Limits, reading and writing of an experiment: each field at both ends and just outside, and odd values."""

import dataclasses
import json
import math
import pickle
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_core.experiment import (
    DIGITS_PAIRS,
    DIGITS_SHAPE,
    DIGITS_TRAINING,
    LIMITS,
    Experiment,
    ScalingRule,
    Shift,
    Task,
    scaling,
)
from lora_core.fields import Choice, Flag, FloatRange, IntRange

WHOLE = {name: limit for name, limit in LIMITS.items() if isinstance(limit, IntRange)}
REAL = {name: limit for name, limit in LIMITS.items() if isinstance(limit, FloatRange)}
CHOICES = {name: limit for name, limit in LIMITS.items() if isinstance(limit, Choice)}

RANGES: dict[str, tuple[float, float]] = {
    "in_features": (2, 1024),
    "out_features": (2, 1024),
    "samples": (16, 4096),
    "true_rank": (1, 1024),
    "decay": (0.0, 4.0),
    "noise": (0.0, 10.0),
    "seed": (0, 2**31 - 1),
    "rank": (1, 1024),
    "alpha": (1e-3, 4096.0),
    "learning_rate": (1e-5, 1.0),
    "lr_ratio": (0.01, 100.0),
    "epochs": (1, 2000),
}
NAMES = {
    "task": ["low-rank", "power-law", "noise", "digits"],
    "shift": ["swap", "turn", "invert"],
    "scaling_rule": ["standard", "rslora", "constant"],
    "init": ["kaiming", "gaussian", "original", "zero"],
    "optimizer": ["adam", "sgd"],
}


def experiment_with(**fields: Any) -> Experiment:
    return Experiment(**fields)


def values_of(limit: IntRange | FloatRange | Choice | Flag) -> st.SearchStrategy[Any]:
    if isinstance(limit, IntRange):
        return st.integers(limit.least, limit.greatest)
    if isinstance(limit, FloatRange):
        return st.floats(limit.least, limit.greatest)
    return st.sampled_from(list(limit.kind)) if isinstance(limit, Choice) else st.booleans()


experiments = st.builds(Experiment, **{name: values_of(limit) for name, limit in LIMITS.items()})


def test_every_field_has_its_documented_limit() -> None:
    assert [field.name for field in dataclasses.fields(Experiment)] == list(LIMITS)
    assert {name: (limit.least, limit.greatest) for name, limit in (WHOLE | REAL).items()} == RANGES
    assert {name: list(limit.kind) for name, limit in CHOICES.items()} == NAMES
    assert set(LIMITS) == {*RANGES, *NAMES, "train_bias"}


def test_the_default() -> None:
    default = Experiment()
    assert default.to_dict() == {
        "task": "low-rank", "in_features": 64, "out_features": 64, "samples": 256, "true_rank": 4,
        "decay": 1.0, "shift": "swap", "noise": 0.1, "seed": 42, "rank": 3, "alpha": 8.0,
        "scaling_rule": "standard", "init": "kaiming", "train_bias": False, "optimizer": "adam",
        "learning_rate": 0.01, "lr_ratio": 1.0, "epochs": 200,
    }  # fmt: skip
    assert Experiment.from_dict({}) == default


@pytest.mark.parametrize("name", RANGES)
def test_both_ends_are_inside(name: str) -> None:
    for end in RANGES[name]:
        assert getattr(experiment_with(**{name: end}), name) == end


@pytest.mark.parametrize("name", RANGES)
def test_just_outside_is_refused(name: str) -> None:
    least, greatest = RANGES[name]
    outside: tuple[float, float] = (
        (least - 1, greatest + 1)
        if name in WHOLE
        else (math.nextafter(least, -math.inf), math.nextafter(greatest, math.inf))
    )
    for value in outside:
        with pytest.raises(ValueError, match=name):
            experiment_with(**{name: value})


WRONG_NUMBERS = [
    True,
    np.True_,
    math.nan,
    math.inf,
    -math.inf,
    "8",
    "",
    b"8",
    bytearray(b"8"),
    None,
    [8],
    (8,),
    {8},
    8j,
    np.array([8.0, 8.0]),
    np.array([8]),
    object(),
    10**30,
    -(10**30),
    10**5000,
    -(10**5000),
]


@pytest.mark.parametrize("value", WRONG_NUMBERS, ids=lambda value: str(type(value).__name__))
@pytest.mark.parametrize("name", RANGES)
def test_what_is_no_number_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name} is .*: it must be a (whole )?number from "):
        experiment_with(**{name: value})


@pytest.mark.parametrize("name", WHOLE)
def test_fractional_and_float_sizes_are_refused(name: str) -> None:
    for value in (16.0, 16.5, np.float64(16.0), Fraction(33, 2)):
        with pytest.raises(ValueError, match=rf"^{name} is .*whole number"):
            experiment_with(**{name: value})


@pytest.mark.parametrize("name", NAMES)
def test_names_are_read_exactly(name: str) -> None:
    for text in NAMES[name]:
        value = getattr(experiment_with(**{name: text}), name)
        assert value == text
        assert type(value) is CHOICES[name].kind
    for wrong in (
        "",
        "nonsense",
        NAMES[name][0].upper(),
        f" {NAMES[name][0]}",
        0,
        None,
        True,
        [NAMES[name][0]],
    ):
        with pytest.raises(ValueError, match=rf"^{name} is .*one of {', '.join(NAMES[name])}"):
            experiment_with(**{name: wrong})


@pytest.mark.parametrize("value", [0, 1, "true", None, np.True_, 1.0])
def test_a_flag_is_a_bool(value: object) -> None:
    with pytest.raises(ValueError, match=r"^train_bias is .*: it must be true or false\.$"):
        experiment_with(train_bias=value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rank": 0}, "rank is 0: it must be a whole number from 1 to 1,024."),
        ({"in_features": -3}, "in_features is -3: it must be a whole number from 2 to 1,024."),
        ({"samples": 16.5}, "samples is 16.5: it must be a whole number from 16 to 4,096."),
        ({"learning_rate": math.nan}, "learning_rate is nan: it must be a number from 1e-05 to 1."),
        ({"task": "mnist"}, "task is 'mnist': it must be one of low-rank, power-law, noise, digits."),
    ],
)
def test_messages_name_field_value_and_range(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011, the whole message is compared below
        experiment_with(**fields)
    assert str(caught.value) == message


def test_a_long_wrong_value_does_not_flood_the_message() -> None:
    for name, value in (
        ("rank", "9" * 5000),
        ("rank", 10**5000),
        ("alpha", [1.0] * 5000),
        ("task", "x" * 5000),
    ):
        with pytest.raises(ValueError, match=f"^{name} is ") as caught:
            experiment_with(**{name: value})
        assert len(str(caught.value)) < 200


def test_numbers_of_numpy_become_plain_ones() -> None:
    experiment = experiment_with(rank=np.int64(5), alpha=np.float32(2.0), noise=1)
    assert (type(experiment.rank), type(experiment.alpha), type(experiment.noise)) == (int, float, float)
    assert experiment == Experiment(rank=5, alpha=2.0, noise=1.0)


@pytest.mark.parametrize("wrong", ["ranks", "Rank", "", "scaling", 3, None])
def test_an_unknown_field_is_named(wrong: object) -> None:
    with pytest.raises(ValueError, match="is no field of an experiment: the fields are task, in_features"):
        Experiment.from_dict({wrong: 3})  # type: ignore[dict-item]


@pytest.mark.parametrize("wrong", [None, 3, "rank=3", [("rank", 3)]])
def test_what_is_no_mapping_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="it must be a set of named fields"):
        Experiment.from_dict(wrong)


@given(experiments)
def test_round_trip_through_json(experiment: Experiment) -> None:
    plain = json.loads(json.dumps(experiment.to_dict(), allow_nan=False))
    again = Experiment.from_dict(plain)
    assert again == experiment
    assert hash(again) == hash(experiment)
    assert again.to_dict() == plain
    assert all(type(value) in (int, float, str, bool) for value in experiment.to_dict().values())


@given(experiments)
def test_copies_are_equal(experiment: Experiment) -> None:
    assert dataclasses.replace(experiment) == experiment
    assert pickle.loads(pickle.dumps(experiment)) == experiment


@given(experiments, experiments)
def test_equal_means_equal_in_every_field(one: Experiment, other: Experiment) -> None:
    assert (one == other) == (one.to_dict() == other.to_dict())


@given(experiments, st.sampled_from(list(LIMITS)), st.data())
def test_text_is_read_as_the_value_it_names(experiment: Experiment, name: str, data: st.DataObject) -> None:
    value = data.draw(values_of(LIMITS[name]))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    assert LIMITS[name].read(name, LIMITS[name].parse(text)) == value


@pytest.mark.parametrize("text", ["", "four", "4.5", "1e3", "--", "nan", "inf", "0x10", "9" * 5000])
def test_text_that_names_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^rank is .*: it must be a whole number from 1 to 1,024\.$"):
        LIMITS["rank"].read("rank", LIMITS["rank"].parse(text))


def test_frozen_and_hashable() -> None:
    experiment = Experiment()
    with pytest.raises(dataclasses.FrozenInstanceError):
        experiment.rank = 4  # type: ignore[misc]
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        experiment.ranks = 4  # type: ignore[attr-defined]
    assert len({Experiment(), Experiment(rank=3), Experiment(rank=4)}) == 2


@pytest.mark.parametrize("shift", Shift)
def test_digits_fix_their_sizes(shift: Shift) -> None:
    digits = Experiment(
        task=Task.DIGITS, in_features=2, out_features=1024, samples=16, true_rank=9, shift=shift
    )
    assert (digits.in_features, digits.out_features) == DIGITS_SHAPE == (64, 10)
    assert digits.samples == DIGITS_TRAINING == 1297
    assert digits.true_rank == DIGITS_PAIRS == 5
    assert digits == Experiment(task=Task.DIGITS, true_rank=5, shift=shift)
    assert Experiment(task=Task.DIGITS, true_rank=2).true_rank == 2


def test_digits_still_refuse_a_size_outside_its_limit() -> None:
    with pytest.raises(ValueError, match="in_features is 0"):
        Experiment(task=Task.DIGITS, in_features=0)


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 16, 1024])
def test_scaling_rules(rank: int) -> None:
    for rule, expected in (
        (ScalingRule.STANDARD, 8 / rank),
        (ScalingRule.RSLORA, 8 / math.sqrt(rank)),
        (ScalingRule.CONSTANT, 8.0),
    ):
        assert Experiment(alpha=8.0, rank=rank, scaling_rule=rule).scaling == expected
        assert scaling(8.0, rank, rule) == expected
        assert scaling(None, rank, rule) == 1.0


def test_a_rank_above_the_full_one_is_kept() -> None:
    experiment = Experiment(in_features=64, out_features=10, rank=1024)
    assert experiment.rank == 1024
    assert experiment.full_rank == 10


def test_the_rank_that_the_task_asks_for() -> None:
    assert Experiment(true_rank=4).shift_rank == 4
    assert Experiment(true_rank=400, out_features=10).shift_rank == 10
    assert Experiment(task=Task.DIGITS, true_rank=2).shift_rank == 2
    assert Experiment(task=Task.DIGITS, shift=Shift.TURN).shift_rank is None
    assert Experiment(task=Task.NOISE).shift_rank is None
    assert Experiment(task=Task.POWER_LAW).shift_rank is None


def test_an_experiment_is_at_hand_without_torch() -> None:
    """A page draws its controls before torch, which takes more than a second to import, is there."""
    code = (
        "import sys; from lora_core import Experiment; Experiment(rank=4).to_dict(); "
        "assert not {'torch', 'numpy', 'streamlit', 'plotly'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import lora_core

    with pytest.raises(AttributeError, match="'lora_core' has no attribute 'nonsense'"):
        _ = lora_core.nonsense
    assert all(hasattr(lora_core, name) for name in lora_core.__all__)
