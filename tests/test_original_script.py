"""The original script: its printed losses to the digit, its four differences, and what fixes each."""

import re
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lora_core import make_problem, run
from lora_core.findings.original_script import ORIGINAL, OTHER_RANK, Fix, fixes, printed_losses, script_facts
from tests.printed import LINES, PRINTED, lines_of, on_any_processor


@pytest.fixture(scope="module")
def found() -> dict[str, Fix]:
    return fixes()


def test_the_script_prints_its_ten_losses_to_the_digit() -> None:
    assert on_any_processor(lines_of(printed_losses())) == LINES


def test_the_facts_are_those_measured_on_the_script_itself() -> None:
    known = script_facts()
    assert (known.trainable, known.trainable_frozen, known.total) == (306, 296, 946)
    assert known.start == pytest.approx(PRINTED[0], abs=1e-4)
    assert known.end == pytest.approx(166.8913, abs=1e-3)
    assert known.base == pytest.approx(1.367, abs=5e-4)
    assert known.start / known.base == pytest.approx(180, rel=0.02)
    assert known.expected_extra == 256
    assert known.zero == pytest.approx(1.022, abs=5e-4)
    assert known.floor == pytest.approx(1.1356, abs=5e-5)
    assert known.full_floor == pytest.approx(0.9582, abs=5e-5)


def test_each_fix_adds_one_line(found: dict[str, Fix]) -> None:
    for fix in found.values():
        assert [line[0] for line in fix.line.splitlines()].count("+") == 1
        assert [line[0] for line in fix.line.splitlines()].count("-") <= 1


SCRIPT = """
torch.manual_seed(42)
X = torch.randn(1000, 64)
y = torch.randn(1000, 10)

class LoRALayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.linear.weight.requires_grad = False
        self.lora_A = nn.Parameter(torch.randn(64, 4))
        self.lora_B = nn.Parameter(torch.randn(4, 10))
        self.scaling = 1.0

    def forward(self, x):
        return self.linear(x) + self.scaling * (x @ self.lora_A @ self.lora_B)

model = LoRALayer().to(dtype)
optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=0.01)
losses = []
for epoch in range(epochs):
    loss = nn.functional.mse_loss(model(X.to(dtype)), y.to(dtype))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
"""


def fixed(script: str, line: str) -> str:
    """A script with a fix's diff applied: each of its old lines is there exactly once."""
    for old in (each for each in line.splitlines() if each[0] != "+"):
        new = next(each for each in line.splitlines() if each[0] == "+")
        (indent,) = re.findall(rf"^( *){re.escape(old[1:])}$", script, re.MULTILINE)
        kept = f"{indent}{old[1:]}\n" if old[0] == " " else ""
        script = script.replace(f"{indent}{old[1:]}\n", f"{kept}{indent}{new[1:]}\n")
    return script


def losses_of(script: str, epochs: int, dtype: torch.dtype = torch.float64, **names: Any) -> list[float]:
    scope = {"torch": torch, "nn": nn, "epochs": epochs, "dtype": dtype, **names}
    exec(script, scope)
    return scope["losses"]


def test_the_script_as_written_here_prints_its_losses_too() -> None:
    losses = losses_of(SCRIPT, 10, torch.float32)
    assert on_any_processor(lines_of(losses)) == LINES
    assert printed_losses() == pytest.approx(losses, rel=1e-6)


def test_each_line_put_into_the_script_gives_the_curve_that_is_shown(found: dict[str, Fix]) -> None:
    """The line for the targets names the base layer and a change of rank 4, which the task has."""
    problem = make_problem(replace(found["targets"].experiment, noise=0.0))
    names = {"linear": deepcopy(problem.base).float(), "alpha": 4, "rank": OTHER_RANK}
    names["delta"] = torch.linalg.lstsq(problem.X, problem.residual()).solution.float()
    assert torch.linalg.matrix_rank(names["delta"], rtol=1e-4) == ORIGINAL.rank
    wide = SCRIPT.replace("randn(64, 4)", f"randn(64, {OTHER_RANK})").replace(
        "randn(4, 10)", f"randn({OTHER_RANK}, 10)"
    )
    for name, fix in found.items():
        script, many = (wide if name == "scaling" else SCRIPT), min(len(fix.before), 201)
        for curve, text in ((fix.before, script), (fix.after, fixed(script, fix.line))):
            np.testing.assert_allclose(losses_of(text, many, **names), curve[:many], rtol=1e-5, err_msg=name)


def test_a_frozen_bias_starts_the_same_and_hardly_ends_apart(found: dict[str, Fix]) -> None:
    fix = found["bias"]
    assert fix.before[0] == pytest.approx(fix.after[0], rel=1e-12)
    assert 0 < fix.after[-1] - fix.before[-1] < 0.001 * fix.before[-1]
    assert fix.experiment == replace(ORIGINAL, train_bias=False)


def test_with_b_at_zero_the_script_starts_at_its_base(found: dict[str, Fix]) -> None:
    fix = found["start"]
    assert fix.after[0] == pytest.approx(fix.base, rel=1e-12)
    assert fix.after[-1] < fix.after[0]
    assert len(fix.after) == len(fix.before) == ORIGINAL.epochs + 1


def test_noise_stays_above_its_floor_and_a_task_goes_below(found: dict[str, Fix]) -> None:
    fix = found["targets"]
    noise, taught = fix.floors
    assert noise == pytest.approx(1.1356, abs=5e-5)
    assert noise < fix.before[-1] == pytest.approx(1.267, abs=5e-4)
    assert taught < fix.after[-1] < noise


def test_alpha_over_r_is_the_scripts_scaling_at_its_rank_alone(found: dict[str, Fix]) -> None:
    fix = found["scaling"]
    at_the_scripts_rank = replace(fix.experiment, rank=ORIGINAL.rank)
    assert run(at_the_scripts_rank).fingerprint == run(ORIGINAL).fingerprint
    assert fix.experiment.rank == OTHER_RANK
    # Random factors add scaling^2 * in * r: the same draw under both scalings.
    for curve, scaling in ((fix.before, 1.0), (fix.after, fix.experiment.scaling)):
        assert curve[0] == pytest.approx(scaling**2 * 64 * OTHER_RANK, rel=0.2)
