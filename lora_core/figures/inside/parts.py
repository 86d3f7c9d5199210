"""What is each rank worth? A change as a sum of rank-one parts that can be switched off one by one.

    delta = sum_i (column i of A) s (row i of B) = sum_i sigma_i u_i v_i^T

The first sum is how the adapter stores it; its parts overlap, so that their strengths do not add up. The
second is the singular value decomposition: its parts are orthogonal, their squares do, and no other k parts
come nearer to delta than its first k (Eckart and Young 1936).
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch import Tensor

from lora_core.data import Problem
from lora_core.figures import palette
from lora_core.figures.axes import legend
from lora_core.figures.inside.drawing import largest, matrix_map, signed_axis, whole_ticks
from lora_core.figures.inside.matrices import product_spectrum
from lora_core.geometry import truncate_factors

MOST_PARTS = 12
"""Parts with a switch of their own; those beyond share one."""
MOST_OUTPUTS = 16
"""Outputs drawn of an input: those that the change moves most."""
_SLOTS = 5
_MARGIN = {"l": 50, "r": 8, "t": 8, "b": 44}


@dataclass(frozen=True, eq=False)
class Parts:
    """Rank-one parts, strongest first: part i is ``left[:, i]`` (in) times ``right[i]`` (out).

    ``strength`` (k,) are their Frobenius norms, ``place`` (k,) where each stands in A and B, from 0.
    """

    left: Tensor
    right: Tensor
    strength: np.ndarray
    place: tuple[int, ...]

    @property
    def switches(self) -> int:
        """Switches: one a part, or the last for all that are left."""
        return min(len(self.place), MOST_PARTS)

    def behind(self, switch: int) -> list[int]:
        """The parts that a switch stands for."""
        last = switch == self.switches - 1
        return list(range(switch, len(self.place) if last else switch + 1))

    def norm(self, switch: int) -> float:
        """The Frobenius norm of what a switch stands for."""
        behind = self.behind(switch)
        return float(self.strength[behind[0]] if len(behind) == 1 else self.kept([switch]).norm())

    def factors(self, on: Collection[int]) -> tuple[Tensor, Tensor]:
        """The parts behind these switches, (in, k) and (k, out)."""
        indices = [part for switch in sorted(on) for part in self.behind(switch)]
        return self.left[:, indices], self.right[indices]

    def kept(self, on: Collection[int]) -> Tensor:
        """Their sum, (in, out)."""
        left, right = self.factors(on)
        return left @ right


def raw_parts(A: Tensor, B: Tensor, scaling: float) -> Parts:
    """Column i of A (in, r) times row i of B (r, out), r parts."""
    strength = scaling * A.norm(dim=0) * B.norm(dim=1)
    order = torch.argsort(strength, descending=True, stable=True)
    return Parts(scaling * A[:, order], B[order], strength[order].numpy(), tuple(order.tolist()))


def svd_parts(A: Tensor, B: Tensor, scaling: float) -> Parts:
    """The singular value decomposition of scaling A B, min(in, out, r) parts."""
    count = min(len(A), *B.shape)
    left, right = truncate_factors(A, B, count)
    strength = scaling * left.square().sum(0)  # balanced factors: the squared norms are the singular values
    return Parts(scaling * left, right, strength.numpy(), tuple(range(count)))


@dataclass(frozen=True, eq=False)
class Effect:
    """What a change of weights does: losses, held-out accuracy (digits, else None), its norm, and ``moved``,
    the root mean square of how far it moves an output, over the training sample."""

    loss: float
    test_loss: float
    test_accuracy: float | None
    norm: float
    moved: float


@dataclass(frozen=True, eq=False)
class Answers:
    """What the base leaves undone on a sample, found once for many changes: inputs ``X`` (n, in), residual
    ``R`` (n, out), outputs of the base (n, out), ``labels`` (n,) of digits or None."""

    X: Tensor
    R: Tensor
    base: Tensor
    labels: Tensor | None

    def losses(self, left: Tensor, right: Tensor, bias: Tensor | None) -> tuple[float, float | None, float]:
        """Loss, accuracy and root mean square move of the change ``left @ right``, (in, k) and (k, out)."""
        moved = (self.X @ left) @ right
        change = moved if bias is None else moved + bias
        accuracy = None if self.labels is None else float(is_right(self.base + change, self.labels).mean())
        return float((self.R - change).square().mean()), accuracy, float(moved.square().mean().sqrt())


@torch.no_grad()
def answers(problem: Problem) -> tuple[Answers, Answers]:
    """Of the training and of the held-out sample."""
    R, R_test = problem.residual(), problem.residual_test()
    return (
        Answers(problem.X, R, problem.Y - R, problem.labels),
        Answers(problem.X_test, R_test, problem.Y_test - R_test, problem.labels_test),
    )


def effect(
    samples: tuple[Answers, Answers], parts: Parts, on: Collection[int], bias: Tensor | None
) -> Effect:
    """The base with the parts behind these switches, and ``bias`` (out) added to its own."""
    left, right = parts.factors(on)
    loss, _, moved = samples[0].losses(left, right, bias)
    test_loss, test_accuracy, _ = samples[1].losses(left, right, bias)
    norm = float(product_spectrum(left, right).norm()) if left.shape[1] else 0.0
    return Effect(loss, test_loss, test_accuracy, norm, moved)


def is_right(outputs: Tensor, labels: Tensor) -> Tensor:
    """1.0 where the label has the largest output (n, out), else 0.0; ties count as right, as in a run."""
    own = outputs.gather(1, labels[:, None]).squeeze(1)
    return (own >= outputs.amax(1)).double()


@dataclass(frozen=True, eq=False)
class OutputsInfo:
    """Some outputs of one input, by ``place`` from 0: of the base, with the change, and the target."""

    place: np.ndarray
    base: np.ndarray
    tuned: np.ndarray
    target: np.ndarray
    total: int


@torch.no_grad()
def outputs_info(
    problem: Problem, index: int, change: Tensor, kept: Tensor, bias: Tensor | None
) -> OutputsInfo:
    """Outputs of held-out input ``index`` with the ``kept`` part of a ``change`` (in, out)."""
    x, target = problem.X_test[index], problem.Y_test[index]
    base, moved = problem.base(x), x @ change
    tuned = base + x @ kept + (0 if bias is None else bias)
    place = torch.sort(torch.argsort(moved.abs(), descending=True, stable=True)[:MOST_OUTPUTS]).values
    chosen = [each[place].numpy() for each in (base, tuned, target)]
    return OutputsInfo(place.numpy(), chosen[0], chosen[1], chosen[2], len(base))


def draw_parts(parts: Parts, on: Collection[int], limit: float, *, classes: bool = False) -> go.Figure:
    """Strengths of the parts and the map of those switched on.

    ``limit`` is the value of the strongest colour, ``classes`` says that the outputs are digits, 0 to 9.
    """
    figure = make_subplots(rows=1, cols=2, column_widths=[0.36, 0.64], horizontal_spacing=0.2)
    _add_strengths(figure, parts, on)
    figure.add_trace(matrix_map(parts.kept(on).numpy(), classes), row=1, col=2)
    down, right = (whole_ticks(size) for size in (len(parts.left), parts.right.shape[1]))
    figure.update_xaxes(title="Digit" if classes else "Output", dtick=right, showgrid=False, row=1, col=2)
    figure.update_yaxes(title="Input", autorange="reversed", dtick=down, showgrid=False, row=1, col=2)
    return figure.update_layout(height=330, margin=_MARGIN, coloraxis=signed_axis(limit))


def _add_strengths(figure: go.Figure, parts: Parts, on: Collection[int]) -> None:
    """Bars, hollow where the part is switched off."""
    switches = range(parts.switches)
    figure.add_trace(
        go.Bar(
            y=[switch_name(parts, i) for i in switches], x=[parts.norm(i) for i in switches],
            orientation="h", showlegend=False,
            marker={
                "color": [palette.LORA if i in on else palette.CLEAR for i in switches],
                "line": {"color": palette.LORA, "width": 1},
            },
            hovertemplate="part %{y}: %{x:.3g}<extra></extra>",
        ),
        row=1, col=1,
    )  # fmt: skip
    figure.update_xaxes(title="Strength", rangemode="tozero", nticks=4, row=1, col=1)
    # Room for some parts, so that the bar of a single one does not fill it.
    slots = max(_SLOTS, parts.switches)
    figure.update_yaxes(title="Part", range=[slots - 0.5, -0.5], type="category", row=1, col=1)


def draw_outputs(info: OutputsInfo, *, classes: bool = False) -> go.Figure:
    """Outputs as bars: the base grey, with the parts blue, and a line where the target lies."""
    names = [str(place if classes else place + 1) for place in info.place]
    curves = (("Base", info.base, palette.BASE), ("With these parts", info.tuned, palette.LORA))
    hover = "%{x}: %{y:.3g}<extra>%{fullData.name}</extra>"
    figure = go.Figure()
    for name, values, color in curves:
        figure.add_bar(x=names, y=values, name=name, marker_color=color, hovertemplate=hover)
    marker = {"symbol": "line-ew-open", "size": 16, "color": palette.INK, "line": {"width": 2.5}}
    figure.add_scatter(
        x=names, y=info.target, name="Target", mode="markers", marker=marker, hovertemplate=hover
    )
    figure.update_xaxes(title="Digit" if classes else "Output", type="category")
    figure.update_yaxes(title="Value")
    return figure.update_layout(
        height=330, margin={**_MARGIN, "t": 34}, barmode="group", legend=legend(), showlegend=True
    )


def switch_name(parts: Parts, switch: int) -> str:
    """The number on a switch: 1, 2, ..., or 12–64 for all that are left."""
    behind = parts.behind(switch)
    return f"{behind[0] + 1}" if len(behind) == 1 else f"{behind[0] + 1}–{behind[-1] + 1}"


def map_limit(parts: Parts) -> float:
    """The largest absolute value on the map of the whole change."""
    return largest(np.asarray(matrix_map(parts.kept(range(parts.switches)).numpy()).z))
