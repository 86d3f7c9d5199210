"""What happens to one input on its way through the layer?

    x (in) -> W0, b -> what the base says (out)
    x (in) -> A -> z (r numbers) -> B, times s -> what the adapter adds (out)        y = base + added

All that the adapter can say about x goes through the r numbers of z (Hu et al. 2021, figure 1).
"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import torch

from lora_core.data import Problem
from lora_core.figures.inside.canvas import GAP, FlowCanvas
from lora_core.figures.inside.drawing import largest, signed_text
from lora_core.figures.inside.matrices import factors, scaling_text
from lora_core.training.history import Snapshot

MOST_WRITTEN = 8
"""Numbers of z that are written out; more are drawn as cells only."""

_WHOLE, _LEFT, _RIGHT = (0.0, 1.0), (0.0, 0.46), (0.54, 1.0)


@dataclass(frozen=True, eq=False)
class FlowInfo:
    """One input traced: ``x`` (in), ``z`` = x A (r), ``base`` = x W0 + b (out), ``added`` = s z B and, where
    it is trained, the bias's change (out), ``y`` = base + added, ``target`` (out).

    ``followed`` is the output that the adapter moves most, from 0.
    """

    x: np.ndarray
    z: np.ndarray
    base: np.ndarray
    added: np.ndarray
    target: np.ndarray
    scaling: float
    train_bias: bool

    @property
    def y(self) -> np.ndarray:
        return self.base + self.added

    @property
    def followed(self) -> int:
        return int(np.argmax(np.abs(self.added)))


@torch.no_grad()
def flow_info(problem: Problem, snapshot: Snapshot, scaling: float, index: int) -> FlowInfo:
    """Held-out input ``index`` through the base and the adapter of a snapshot.

    :raises ValueError: an index outside the held-out sample, or a snapshot of full fine-tuning.
    """
    if not 0 <= index < len(problem.X_test):
        raise ValueError(f"index is {index}: it must be from 0 to {len(problem.X_test) - 1}.")
    A, B = factors(snapshot)
    x = problem.X_test[index]
    z = x @ A
    added = scaling * (z @ B)
    if snapshot.bias is not None:
        added = added + snapshot.bias
    base, target = problem.base(x), problem.Y_test[index]
    return FlowInfo(
        x=x.numpy(),
        z=z.numpy(),
        base=base.numpy(),
        added=added.numpy(),
        target=target.numpy(),
        scaling=scaling,
        train_bias=snapshot.bias is not None,
    )


def follow(info: FlowInfo, name: str) -> str:
    """The way of one number in words; ``name`` is what the followed output is called."""
    numbers = ", ".join(signed_text(value) for value in info.z[:MOST_WRITTEN])
    rest = ", …" if len(info.z) > MOST_WRITTEN else ""
    j = info.followed
    known = f"All that the adapter knows of this input is z = ({numbers}{rest})."
    if not info.added.any():
        return f"{known} It adds nothing yet: what comes out is what the base says."
    return (
        f"{known} It moves {name} most: the base "
        f"says {signed_text(info.base[j])}, the adapter adds {signed_text(info.added[j])}, out comes "
        f"{signed_text(info.y[j])}, and the target is {signed_text(info.target[j])}."
    )


def alt_text(info: FlowInfo) -> str:
    """The drawing in words."""
    return (
        f"The flow of one input: {len(info.x)} numbers go through the frozen weights to {len(info.base)} "
        f"outputs, and through A to {len(info.z)}, through B to {len(info.added)} again; both are added."
    )


def draw_flow(info: FlowInfo, classes: bool = False) -> go.Figure:
    """From above: x, the frozen path at the left, the adapter's with its waist at the right, their sum.

    ``classes``: the outputs are digits, and are counted from 0.
    """
    limit = largest(info.x, info.z, info.base, info.added, info.y, info.target)
    canvas = FlowCanvas(limit, ("digit", 0) if classes else ("output", 1))
    inputs, ranks, outputs = len(info.x), len(info.z), len(info.base)
    written, waist = ranks <= MOST_WRITTEN, _waist(info)
    canvas.strip(info.x, _WHOLE, f"<b>x</b>, {inputs:,} numbers", is_input=True)
    canvas.at += GAP
    top = canvas.at
    canvas.trapezoid(_RIGHT, 1.0, waist, f"<b>A</b> {inputs} × {ranks}")
    canvas.waist(info.z, _RIGHT, waist, written)
    canvas.trapezoid(_RIGHT, waist, 1.0, f"<b>B</b> {ranks} × {outputs}, × {scaling_text(info.scaling)}")
    canvas.block(_LEFT, top, f"<b>W₀</b>, b frozen<br>{inputs} × {outputs}")
    canvas.at += GAP
    row = canvas.at
    canvas.strip(info.base, _LEFT, "<b>base</b>", follow=info.followed)
    canvas.at = row
    name = "<b>adapter</b> and bias add" if info.train_bias else "<b>adapter</b> adds"
    canvas.strip(info.added, _RIGHT, name, follow=info.followed)
    canvas.plus((_LEFT, _RIGHT))
    canvas.strip(info.y, _WHOLE, f"<b>y</b> = base + adapter, {outputs:,} numbers", follow=info.followed)
    canvas.at += GAP
    canvas.strip(info.target, _WHOLE, "<b>target</b>", follow=info.followed)
    return canvas.finished()


def _waist(info: FlowInfo) -> float:
    """Width of z as a share of its path: wide enough for its numbers to be written, else in proportion."""
    if len(info.z) <= MOST_WRITTEN:
        return 0.3
    return min(1.0, max(0.1, len(info.z) / max(len(info.x), len(info.base))))
