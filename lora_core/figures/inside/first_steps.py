"""Who moves first, A or B?

    dL/dA = s X^T E B^T * 2 / (n out)      dL/dB = s A^T X^T E * 2 / (n out)      E = X delta + b - R

With B = 0 the gradient of A is exactly zero: the first update moves B and leaves A as it was. With both zero
nothing ever moves; with both random, as in the original script, both move at once (Hu et al. 2021, section
4.1, for why B starts at zero).
"""

from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor

from lora_core.data import Problem
from lora_core.experiment import Experiment, Init
from lora_core.figures import palette
from lora_core.training.batched import BatchedAdapters
from lora_core.training.engine import ReducedSample
from lora_core.training.start import start_of

STEPS = 20
"""Updates looked at."""


@dataclass(frozen=True, eq=False)
class StartInfo:
    """Frobenius norms before each of the first updates, (k,): of both ``gradients``, by "A" and "B", and of
    how far each factor has ``moved`` from its start."""

    gradients: dict[str, np.ndarray]
    moved: dict[str, np.ndarray]


def start_info(experiment: Experiment, problem: Problem) -> StartInfo:
    """The first updates of an experiment, trained again in float64."""
    start = start_of(experiment, problem)
    R = problem.residual()
    stack = BatchedAdapters(
        _unreduced(problem.X, R, experiment.train_bias), [start], experiment.optimizer, torch.float64
    )
    norms: dict[str, list[list[float]]] = {"A": [], "B": []}
    for update in range(min(STEPS, experiment.epochs) + 1):
        if update:
            stack.gradients()
            stack.optimizer.step()
        A, B, bias = start.read(stack.down[0], stack.up[0])
        found = gradients(problem.X, R, A, B, start.scaling, bias)
        norms["A"].append([float(found[0].norm()), float((A - start.A).norm())])
        norms["B"].append([float(found[1].norm()), float((B - start.B).norm())])
    columns = {name: np.array(rows).T for name, rows in norms.items()}
    return StartInfo(
        {name: rows[0] for name, rows in columns.items()}, {name: rows[1] for name, rows in columns.items()}
    )


def _unreduced(X: Tensor, R: Tensor, train_bias: bool) -> ReducedSample:
    """A sample as it is: for a few updates, reducing it first costs more than it saves."""
    if train_bias:
        X = torch.cat([X, X.new_ones(len(X), 1)], dim=1)
    return ReducedSample(X, R, 0.0, R.numel())


def gradients(
    X: Tensor, R: Tensor, A: Tensor, B: Tensor, scaling: float, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Gradients of the mean squared error with respect to A (in, r) and B (r, out).

    X (n, in) and R (n, out) are inputs and the base's residual, ``bias`` (out) a change of the bias.
    """
    seen = X @ A
    error = scaling * (seen @ B) - R
    if bias is not None:
        error += bias
    unit = 2 * scaling / R.numel()
    return unit * (X.T @ (error @ B.T)), unit * (seen.T @ error)


@dataclass(frozen=True)
class Beginning:
    """One way to start: the ``loss``, and the norms of the ``gradients`` of A and B, before any update."""

    init: Init
    loss: float
    gradients: tuple[float, float]

    @property
    def moves(self) -> str:
        """Which factors the first update moves, in words."""
        moving = [name for name, norm in zip(("A", "B"), self.gradients, strict=True) if norm > 0]
        if not moving:
            return "nothing, ever"
        return "both" if len(moving) == 2 else f"{moving[0]} alone"


@torch.no_grad()
def beginnings(experiment: Experiment, problem: Problem) -> list[Beginning]:
    """All ways to start the experiment, each from the same place in the random stream."""
    found, X, R = [], problem.X, problem.residual()
    for init in Init:
        start = start_of(replace(experiment, init=init), problem)
        error = start.scaling * (X @ start.A @ start.B) - R
        A, B = (float(each.norm()) for each in gradients(X, R, start.A, start.B, start.scaling))
        found.append(Beginning(init, float(error.square().mean()), (A, B)))
    return found


def draw_start(info: StartInfo) -> go.Figure:
    """Both gradient norms over the first updates: A full, B dashed."""
    figure = go.Figure()
    for name, dash, symbol in (("A", "solid", "circle"), ("B", "dash", "square")):
        values = info.gradients[name]
        figure.add_trace(
            go.Scatter(
                x=np.arange(len(values)), y=values, name=f"Gradient of {name}", mode="lines+markers",
                line={"color": palette.LORA, "dash": dash, "width": 2},
                marker={"symbol": symbol, "size": 7},
                hovertemplate="after %{x} updates: %{y:.3g}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    figure.update_layout(
        height=280, margin={"l": 56, "r": 8, "t": 8, "b": 44},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    figure.update_xaxes(title="Updates")
    figure.update_yaxes(title="Norm of the gradient", rangemode="tozero")
    return figure
