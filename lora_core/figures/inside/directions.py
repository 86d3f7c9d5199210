"""Do two adapters look in the same directions, and in those that the task asks for?

    phi(i, j) = ||V1_i^T V2_j||_F^2 / min(i, j)      (Hu et al. 2021, section 7.2, equation 4)

compares the first i directions of one adapter with the first j of another: 1 where one holds the other, 0
where they are orthogonal, and max(i, j) / in for directions drawn at random. Directions read are those of A
(in, r), directions written those of B^T (out, r). Principal angles (Bjorck and Golub 1973) hold the adapter
against the change that made the targets.
"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch import Tensor

from lora_core.data import SWAPPED_PAIRS
from lora_core.experiment import Shift, Task
from lora_core.figures import palette
from lora_core.figures.inside.drawing import whole_ticks
from lora_core.figures.inside.matrices import factors, thinned
from lora_core.geometry import principal_angles, singular_directions, subspace_similarity
from lora_core.training.history import Snapshot
from lora_core.training.run import Run

MOST_DIRECTIONS = 64
"""Directions of an adapter compared, the strongest ones."""
_WORK = 4e8
"""Multiply-adds for all angles of a run, roughly: more kept adapters are thinned out."""


@dataclass(frozen=True, eq=False)
class PhiInfo:
    """phi of the directions read, ``reads`` (k, m), and of those written, ``writes`` (k', m'); empty where an
    adapter has none. ``chance`` is what phi(1, 1) is for random directions, 1/in and 1/out."""

    reads: np.ndarray
    writes: np.ndarray
    chance: tuple[float, float]


def phi_info(one: Snapshot, other: Snapshot) -> PhiInfo:
    """Compare the adapters of two snapshots of layers of one shape."""
    return PhiInfo(
        _phi(one.A, other.A),
        _phi(factors(one)[1].T, factors(other)[1].T),
        (1 / len(one.A), 1 / factors(one)[1].shape[1]),
    )


def _phi(one: Tensor, other: Tensor) -> np.ndarray:
    left, right = (singular_directions(each)[:, :MOST_DIRECTIONS] for each in (one, other))
    return subspace_similarity(left, right).numpy()


def draw_phi(info: PhiInfo, names: tuple[str, str]) -> go.Figure:
    """Both maps side by side, the first adapter downwards, the other to the right, counted from 1."""
    figure = make_subplots(
        rows=1,
        cols=2,
        subplot_titles=["Read, A", "Written, B"],
        horizontal_spacing=0.12,
    )
    for column, phi in enumerate((info.reads, info.writes), 1):
        if phi.size:
            few = max(phi.shape) <= 5
            figure.add_trace(
                go.Heatmap(
                    z=phi, x=np.arange(1, phi.shape[1] + 1), y=np.arange(1, phi.shape[0] + 1),
                    coloraxis="coloraxis", texttemplate="%{z:.2f}" if few else None,
                    hovertemplate="φ(%{y}, %{x}) = %{z:.3g}<extra></extra>",
                ),
                row=1, col=column,
            )  # fmt: skip
        else:
            # Plotly draws no axes without a trace, and would put the words elsewhere.
            figure.add_trace(go.Scatter(x=[0.5], y=[0.5], opacity=0, showlegend=False), row=1, col=column)
            figure.add_annotation(
                text=f"{'AB'[column - 1]} is zero:<br>no directions", showarrow=False, x=0.5, y=0.5,
                row=1, col=column,
            )  # fmt: skip
            figure.update_xaxes(showticklabels=False, row=1, col=column)
            figure.update_yaxes(showticklabels=False, row=1, col=column)
        step = whole_ticks(max(phi.shape))
        figure.update_xaxes(
            title=f"j, {names[1]}", showgrid=False, zeroline=False, dtick=step, row=1, col=column
        )
        figure.update_yaxes(
            title=f"i, {names[0]}" if column == 1 else "",
            autorange="reversed",
            showgrid=False,
            zeroline=False,
            dtick=step,
            row=1,
            col=column,
        )
    figure.update_annotations(font_size=13)
    figure.update_layout(
        height=320, margin={"l": 48, "r": 8, "t": 28, "b": 44},
        coloraxis={
            "colorscale": [(0, palette.FAINT), (1, palette.LORA)],
            "cmin": 0, "cmax": 1,
            "colorbar": {"title": {"text": "φ(i, j)", "side": "right"}, "thickness": 10, "outlinewidth": 0},
        },
    )  # fmt: skip
    return figure


@dataclass(frozen=True, eq=False)
class AnglesInfo:
    """Principal angles in degrees after each of k kept ``updates``, smallest first: of the directions read,
    ``reads`` (k, m), and written, ``writes`` (k, m), to the ``count`` strongest of the true change's. NaN
    where the change is zero or has fewer directions; ``reads`` is (k, 0) where only what is to be written is
    known, as of swapped labels."""

    updates: tuple[int, ...]
    reads: np.ndarray
    writes: np.ndarray
    count: int

    @property
    def known(self) -> bool:
        """Whether there was ever a change to compare."""
        return bool(np.isfinite(self.writes).any())


def angles_info(run: Run) -> AnglesInfo | None:
    """How the change turns towards the true one; None where the task has none to compare with."""
    truth = true_directions(run)
    if truth is None:
        return None
    count = truth[1].shape[1]
    m = min(run.course.highest_rank, count)
    kept = run.lora.snapshots
    size = 4 * run.course.highest_rank**2 * (run.experiment.in_features + run.experiment.out_features)
    updates = thinned(sorted(kept), max(2, int(_WORK // size)))
    reads, writes = (np.full((len(updates), m if each is not None else 0), np.nan) for each in truth)
    for row, update in enumerate(updates):
        for angles, own, true in zip((reads, writes), change_directions(kept[update]), truth, strict=True):
            if true is not None:
                found = torch.rad2deg(principal_angles(own, true))[:m]
                angles[row, : len(found)] = found.numpy()
    return AnglesInfo(tuple(updates), reads, writes, count)


def true_directions(run: Run) -> tuple[Tensor | None, Tensor] | None:
    """The directions that the true change reads (in, k) and writes (out, k), orthonormal.

    k is its rank, on a task without one (a power law) the adapter's. Of swapped labels it is known what has
    to be written, for each pair one output less the other, and not what has to be read: pixels go together,
    so that many weights read the same. None without a true change.
    """
    delta, e = run.problem.true_delta, run.experiment
    if e.task is Task.DIGITS and e.shift is Shift.SWAP:
        eye = torch.eye(e.out_features, dtype=torch.float64)
        pairs = SWAPPED_PAIRS[: e.true_rank]
        return None, torch.stack([eye[one] - eye[other] for one, other in pairs], dim=1) / 2**0.5
    if delta is None:
        return None
    if e.shift_rank is None:
        U, _, Vh = torch.linalg.svd(delta, full_matrices=False)
        count = min(run.course.highest_rank, e.full_rank)
        return U[:, :count], Vh[:count].T
    # Its rank is known, so that a few random combinations of its columns, and of its rows, span the same.
    probes = torch.randn(max(delta.shape), e.shift_rank, generator=torch.Generator().manual_seed(0)).to(delta)
    reads, writes = (torch.linalg.qr(each @ probes[: each.shape[1]]).Q for each in (delta, delta.T))
    return reads, writes


def change_directions(snapshot: Snapshot) -> tuple[Tensor, Tensor]:
    """Directions that A B reads (in, k) and writes (out, k), strongest first; without forming it."""
    A, B = factors(snapshot)
    Q_in, core_in = torch.linalg.qr(A)
    Q_out, core_out = torch.linalg.qr(B.T)
    core = core_in @ core_out.T
    return Q_in @ singular_directions(core), Q_out @ singular_directions(core.T)


def draw_angles(info: AnglesInfo, at: int) -> go.Figure:
    """A line for each angle over the updates, directions read at the left, written at the right."""
    panels = [(name, each) for name, each in (("Read", info.reads), ("Written", info.writes)) if each.size]
    figure = make_subplots(
        rows=1, cols=len(panels), subplot_titles=[name for name, _ in panels], shared_yaxes=True,
        horizontal_spacing=0.06,
    )  # fmt: skip
    for column, (_, angles) in enumerate(panels, 1):
        for index in range(angles.shape[1]):
            figure.add_trace(
                go.Scatter(
                    x=info.updates, y=angles[:, index], mode="lines", showlegend=False,
                    line={"color": palette.LORA, "width": 2},
                    opacity=1 - 0.6 * index / angles.shape[1],
                    hovertemplate=f"angle {index + 1} after %{{x}} updates: %{{y:.3g}}°<extra></extra>",
                ),
                row=1, col=column,
            )  # fmt: skip
        figure.add_vline(at, line={"color": palette.BASE, "width": 1, "dash": "dot"}, row=1, col=column)
        figure.update_xaxes(title="Updates", row=1, col=column)
    figure.update_yaxes(range=[0, 92], dtick=15, row=1)
    figure.update_yaxes(title="Angle to the truth (degrees)", row=1, col=1)
    figure.update_annotations(font_size=13)
    figure.update_layout(height=280, margin={"l": 56, "r": 8, "t": 28, "b": 44})
    return figure
