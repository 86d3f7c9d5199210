"""What does the original script print, where does it differ from what one expects, and what would fix it?

Four things are not as expected of LoRA (Hu et al., 2021, section 4.1): the bias is trained too, B starts
random instead of zero, the targets are noise, and the scaling is 1 instead of alpha / r. Each is computed
here as the script has it and with one line of it changed. Random factors start an expected
scaling^2 * in * r above the base, 256 for the script; see ``lora_core.theory`` for the floors.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from lora_core.accounting import lora_cost
from lora_core.course import Course
from lora_core.data import Problem, make_problem
from lora_core.experiment import Experiment, Init, ScalingRule, Task
from lora_core.layer import count_parameters
from lora_core.presets import PRESETS
from lora_core.theory import floor_at
from lora_core.training.loop import train_model
from lora_core.training.run import run
from lora_core.training.start import lora_layer

ORIGINAL = PRESETS["original"].experiment

LONG = 2000
"""Epochs after which a random start is at its floor, or near it."""

OTHER_RANK = 16
"""A rank at which scaling 1 and alpha / r differ; alpha is chosen so that they agree at the script's rank."""


@dataclass(frozen=True, eq=False)
class Fix:
    """One line of the script changed.

    ``line`` is the change as a diff, ``experiment`` what the playground's controls take for it. ``before``
    and ``after`` are losses, float64, index = updates done; ``floors`` of the two, where they matter, and
    ``base`` the loss of the base alone, where that does.
    """

    line: str
    experiment: Experiment
    before: np.ndarray
    after: np.ndarray
    floors: tuple[float, ...] = ()
    base: float | None = None


@dataclass(frozen=True)
class ScriptFacts:
    """Numbers about the script, each computed; losses are mean squared errors on its own draw."""

    trainable: int
    trainable_frozen: int
    """With the bias frozen, as the script's text says."""
    total: int
    start: float
    end: float
    """After the last step, which the script does not print."""
    base: float
    expected_extra: float
    """What random factors are expected to add to the base loss at the start."""
    zero: float
    """The loss of answering 0 whatever the input."""
    floor: float
    """The best that the script's rank can do, with its trained bias."""
    full_floor: float
    """The best that any linear map with a bias can do."""


def print_losses(given: Experiment | Course) -> None:
    """Train with the plain loop and print what the original script prints.

    The lines of a course are those of its float64 run, since the plain loop knows no changes.
    """
    if isinstance(given, Course):
        print_course(given)
        return
    experiment = given
    problem = make_problem(experiment)
    model = lora_layer(experiment, problem)
    trainable, total = count_parameters(model)
    print(f"Trainable parameters: {trainable}")
    print(f"Total parameters: {total}")
    train_model(
        model,
        problem.X.float(),
        problem.Y.float(),
        experiment.epochs,
        experiment.learning_rate,
        optimizer=experiment.optimizer,
        lr_ratio=experiment.lr_ratio,
    )


def print_course(course: Course) -> None:
    """Print a course as the script would: counts at its start, losses before each step, and its changes."""
    e, found = course.experiment, run(course)
    cost = lora_cost(e.in_features, e.out_features, e.rank, e.train_bias)
    print(f"Trainable parameters: {cost.trainable}\nTotal parameters: {cost.total}")
    for epoch, loss in enumerate(found.lora.loss[:-1]):
        for change in course.changes:
            if change.update == epoch:
                print(f"After {epoch} updates: {change.field} {_plain(change.value)}")
        print(f"Epoch {epoch + 1}/{e.epochs}, Loss: {loss:.4f}")


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def printed_losses() -> list[float]:
    """The losses that the script prints, one an epoch, before its step: the plain float32 loop's."""
    problem = make_problem(ORIGINAL)
    model = lora_layer(ORIGINAL, problem)
    return train_model(
        model, problem.X.float(), problem.Y.float(), ORIGINAL.epochs, ORIGINAL.learning_rate, verbose=False
    )


def script_facts() -> ScriptFacts:
    """Count and measure the script."""
    e = ORIGINAL
    problem, found = make_problem(e), run(e)
    return ScriptFacts(
        trainable=lora_cost(e.in_features, e.out_features, e.rank, e.train_bias).trainable,
        trainable_frozen=lora_cost(e.in_features, e.out_features, e.rank).trainable,
        total=lora_cost(e.in_features, e.out_features, e.rank).total,
        start=float(found.lora.loss[0]),
        end=float(found.lora.loss[-1]),
        base=base_loss(problem),
        expected_extra=e.scaling**2 * e.in_features * e.rank,
        zero=float(problem.Y.square().mean()),
        floor=floor_at(found.floors, e.rank),
        full_floor=float(found.floors[-1]),
    )


@torch.no_grad()
def base_loss(problem: Problem) -> float:
    """The loss of the base layer as it is, without an adapter."""
    return float(nn.functional.mse_loss(problem.base(problem.X), problem.Y))


def fixes() -> dict[str, Fix]:
    """The four, by name: ``bias``, ``start``, ``targets``, ``scaling``."""
    return {"bias": _bias(), "start": _start(), "targets": _targets(), "scaling": _scaling()}


def _bias() -> Fix:
    frozen = replace(ORIGINAL, train_bias=False)
    line = (
        " self.linear.weight.requires_grad = False\n"
        "+self.linear.bias.requires_grad = False\n"
    )  # fmt: skip
    return Fix(line, frozen, run(ORIGINAL).lora.loss, run(frozen).lora.loss)


def _start() -> Fix:
    e, problem = ORIGINAL, make_problem(ORIGINAL)
    model = lora_layer(e, problem, torch.float64)
    with torch.no_grad():
        model.lora_B.zero_()
    # One epoch more than the script: the loss after its last step.
    after = train_model(model, problem.X, problem.Y, e.epochs + 1, e.learning_rate, verbose=False)
    size = f"{e.rank}, {e.out_features}"
    line = (
        f"-self.lora_B = nn.Parameter(torch.randn({size}))\n"
        f"+self.lora_B = nn.Parameter(torch.zeros({size}))\n"
    )  # fmt: skip
    fixed = replace(e, init=Init.KAIMING)
    return Fix(line, fixed, run(e).lora.loss, np.array(after), base=base_loss(problem))


def _targets() -> Fix:
    noise, taught = (replace(ORIGINAL, epochs=LONG, task=task) for task in (Task.NOISE, Task.LOW_RANK))
    line = (
        f" y = torch.randn({noise.samples}, {noise.out_features})\n"
        f"+y = linear(X) + X @ delta + {taught.noise:g} * y  # delta: rank {taught.true_rank}\n"
    )
    runs = run(noise), run(taught)
    before, after = ((each.lora.loss, floor_at(each.floors, ORIGINAL.rank)) for each in runs)
    return Fix(line, taught, before[0], after[0], (before[1], after[1]))


def _scaling() -> Fix:
    alpha = ORIGINAL.scaling * ORIGINAL.rank
    before = replace(ORIGINAL, rank=OTHER_RANK)
    after = replace(before, alpha=alpha, scaling_rule=ScalingRule.STANDARD)
    line = (
        f"-self.scaling = {ORIGINAL.scaling}\n"
        f"+self.scaling = alpha / rank  # alpha = {alpha:g}\n"
    )  # fmt: skip
    return Fix(line, after, run(before).lora.loss, run(after).lora.loss)
