"""What do the weights look like where the inputs are pictures, and which digits did the adapter fix or break?

On digits an input is a picture of 8 x 8 pixels, so a column of W0 or of delta = s A B, (64, 10), is one too:
what the layer looks for when it says that digit. A column of A, (64, r), is what one rank looks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch import Tensor

from lora_core.data import SWAPPED_PAIRS, Problem
from lora_core.figures import palette
from lora_core.figures.inside.drawing import PICTURE, largest, signed_axis, signed_text, tiles
from lora_core.figures.inside.matrices import factors
from lora_core.figures.inside.parts import is_right
from lora_core.training.history import Snapshot

MOST_RANKS = 10
"""Columns of A drawn, the strongest ones."""
_RANKS = "A, ranks"
INKED = 0.01
"""A pixel inked in fewer than this share of the digits hardly moves anything."""
MOST_SHOWN = 10
"""Digits in each row of the gallery."""


@dataclass(frozen=True, eq=False)
class PicturesInfo:
    """Columns as pictures, (64, k) each: of ``W0``, of ``delta``, of W0 + delta, and of A, strongest first.

    ``ranks`` (k,) are the places in A, from 0, of the columns drawn, ``readers`` (k, 10) how strongly each is
    written into each digit's output: s times the rows of B. ``inked`` (64,) marks the pixels that count.
    """

    W0: np.ndarray
    delta: np.ndarray
    A: np.ndarray
    ranks: tuple[int, ...]
    readers: np.ndarray
    inked: np.ndarray


def pictures_info(problem: Problem, snapshot: Snapshot, scaling: float) -> PicturesInfo:
    """The pictures of a digits' layer with the adapter of a snapshot."""
    A, B = factors(snapshot)
    strength = A.norm(dim=0) * B.norm(dim=1)
    order = torch.argsort(strength, descending=True, stable=True)[:MOST_RANKS]
    return PicturesInfo(
        W0=problem.base.weight.detach().T.numpy(),
        delta=(scaling * (A @ B)).numpy(),
        A=A[:, order].numpy(),
        ranks=tuple(order.tolist()),
        readers=(scaling * B[order]).numpy(),
        inked=(problem.X > 0).double().mean(0).numpy() >= INKED,
    )


@dataclass(frozen=True, eq=False)
class TwinInfo:
    """What the adapter looks for, beside what the base already knows.

    Where ``picture`` (64,) is seen, the adapter speaks for the digit ``pro`` and against ``con``. Of one pair
    swapped it is the strongest rank's column of A. Several ``pairs`` share the ranks, so it is there the
    change's columns subtracted, ``pro`` minus ``con``, of the pair that these tell apart most. ``base`` (64,)
    is the base's picture of "``con`` minus ``pro``", the columns of W0 subtracted. ``agreement`` is the
    correlation of what both answer over the held-out digits. NaN in a picture: a pixel inked in fewer than
    1 % of the digits, where hardly anything moves A from its random start.
    """

    picture: np.ndarray
    base: np.ndarray
    pro: int
    con: int
    agreement: float
    pairs: int

    @property
    def name(self) -> str:
        return "A, strongest rank" if self.pairs == 1 else f"s·A·B: {self.pro} minus {self.con}"


def twin_info(problem: Problem, info: PicturesInfo, pairs: int) -> TwinInfo:
    """Hold the adapter of so many swapped pairs against the difference of two digits in the base."""
    X = problem.X_test.numpy()
    if pairs == 1:
        row, column = info.readers[0], info.A[:, 0]
        pro, con = int(np.argmax(row)), int(np.argmin(row))
    else:
        differences = [info.delta[:, one] - info.delta[:, other] for one, other in SWAPPED_PAIRS[:pairs]]
        strongest = int(np.argmax([np.linalg.norm(X @ each) for each in differences]))
        (pro, con), column = SWAPPED_PAIRS[strongest], differences[strongest]
    base = info.W0[:, con] - info.W0[:, pro]
    answers = X @ np.stack([column, base], axis=1)
    answers = answers - answers.mean(0)
    length = float(np.linalg.norm(answers[:, 0]) * np.linalg.norm(answers[:, 1]))
    agreement = float(answers[:, 0] @ answers[:, 1]) / length if length > 0 else 0.0
    picture, base = (np.where(info.inked, each, np.nan) for each in (column, base))
    return TwinInfo(picture, base, pro, con, agreement, pairs)


def twin_words(info: TwinInfo) -> str:
    """What the two pictures show, in words."""
    minus = f"{info.con} minus {info.pro}"
    left = (
        f"Where its strongest rank sees this picture, the adapter takes from {info.con} and gives to "
        f"{info.pro}."
        if info.pairs == 1
        else f"What the change adds to {info.pro}, less what it adds to {info.con}: with {info.pairs} pairs "
        "swapped, a column of A may serve several of them."
    )
    sign = "−" if info.agreement < 0 else ""
    return (
        f"{left} Beside it, what tells the two apart in the base: **{minus}**. Over the new digits the two "
        f" answer with a correlation of **{sign}{abs(info.agreement):.3f}**."
    )


def draw_twin(info: TwinInfo) -> go.Figure:
    """Both pictures side by side, each in units of its own largest weight."""
    pair = np.stack([each / (largest(each) or 1.0) for each in (info.picture, info.base)], axis=1)
    figure = go.Figure(
        go.Heatmap(
            z=tiles(pair), coloraxis="coloraxis", hoverongaps=False,
            hovertemplate="%{z:.3g} of the largest<extra></extra>",
        )
    )  # fmt: skip
    centres = [(PICTURE + 1) * i + (PICTURE - 1) / 2 for i in range(2)]
    names = [info.name, f"W₀: {info.con} minus {info.pro}"]
    figure.update_xaxes(tickvals=centres, ticktext=names, showgrid=False, zeroline=False)
    figure.update_yaxes(**_square("x"))
    figure.update_layout(
        height=200, margin={"l": 0, "r": 0, "t": 4, "b": 28},
        coloraxis=signed_axis(1.0, "Share of its largest", tickvals=[-1, 0, 1]),
    )  # fmt: skip
    return figure


def draw_pictures(info: PicturesInfo) -> go.Figure:
    """Rows of pictures: W0, delta and their sum with a picture for each digit, A with one for each rank."""
    W0, delta, A = (np.where(info.inked[:, None], each, np.nan) for each in (info.W0, info.delta, info.A))
    digits = [str(digit) for digit in range(10)]
    rows = [
        ("W₀", tiles(W0), digits),
        ("s·A·B", tiles(delta), digits),
        ("Sum", tiles(W0 + delta), digits),
        (_RANKS, _padded(tiles(A)), [str(rank + 1) for rank in info.ranks]),
    ]
    figure = make_subplots(rows=len(rows), cols=1, vertical_spacing=0.09)
    for number, (name, picture, labels) in enumerate(rows, 1):
        kind = "rank" if name == _RANKS else "digit"
        words = [[_pixel(x, y, labels, kind) for x in range(picture.shape[1])] for y in range(PICTURE)]
        axis = "coloraxis2" if name == _RANKS else "coloraxis"
        figure.add_trace(
            go.Heatmap(
                z=picture, coloraxis=axis, text=words, name=name, hoverongaps=False,
                hovertemplate="%{text}: %{z:.3g}<extra>%{fullData.name}</extra>",
            ),
            row=number, col=1,
        )  # fmt: skip
        ticks = [(PICTURE + 1) * i + (PICTURE - 1) / 2 for i in range(len(labels))]
        named = [f"{kind} {labels[0]}", *labels[1:]]
        figure.update_xaxes(
            tickvals=ticks, ticktext=named, showgrid=False, zeroline=False, row=number, col=1
        )  # fmt: skip
        figure.update_yaxes(title=name, **_square(f"x{number if number > 1 else ''}"), row=number, col=1)
    bar = {"orientation": "h", "len": 0.46, "y": -0.12, "yanchor": "top", "nticks": 5}
    figure.update_layout(
        height=490, margin={"l": 44, "r": 8, "t": 8, "b": 100},
        coloraxis=signed_axis(largest(W0, delta, W0 + delta), "W₀, s·A·B, sum", x=0.24, **bar),
        coloraxis2=signed_axis(largest(A), "A", x=0.76, **bar),
    )  # fmt: skip
    for axis in (figure.layout.coloraxis, figure.layout.coloraxis2):
        axis.colorbar.title.side = "bottom"
    return figure


@dataclass(frozen=True, eq=False)
class GalleryInfo:
    """What became of the held-out digits: indices of those that the adapter ``fixed`` and ``broke``.

    ``before`` and ``after`` (n,) are the labels with the largest output of the base and of the adapted layer,
    ``labels`` (n,) the true ones; ``right_before`` and ``right_after`` count the right ones, n in all.
    """

    fixed: np.ndarray
    broke: np.ndarray
    before: np.ndarray
    after: np.ndarray
    labels: np.ndarray
    right_before: int
    right_after: int

    def name(self, index: int) -> str:
        """A digit of the gallery: 17: 3 → 8, its index, what the base said and what the layer says now."""
        return f"{index}: {self.before[index]} → {self.after[index]}"


@torch.no_grad()
def gallery_info(problem: Problem, snapshot: Snapshot, scaling: float) -> GalleryInfo:
    """Every held-out digit, with and without the adapter of a snapshot."""
    labels, X, (A, B) = problem.labels_test, problem.X_test, factors(snapshot)
    if labels is None:
        raise ValueError("the problem has no labels: it must be one of digits.")
    base = problem.base(X)
    tuned = base + scaling * (X @ A @ B) + (0 if snapshot.bias is None else snapshot.bias)
    before, after = is_right(base, labels).numpy() > 0, is_right(tuned, labels).numpy() > 0
    return GalleryInfo(
        np.flatnonzero(~before & after), np.flatnonzero(before & ~after), base.argmax(1).numpy(),
        tuned.argmax(1).numpy(), labels.numpy(), int(before.sum()), int(after.sum()),
    )  # fmt: skip


def draw_gallery(problem: Problem, info: GalleryInfo, indices: Sequence[int]) -> go.Figure:
    """Digits side by side, each with its index and what was said of it before and after."""
    shown = list(indices)[:MOST_SHOWN]
    figure = draw_digits(problem.X_test[shown])
    centres = [(PICTURE + 1) * i + (PICTURE - 1) / 2 for i in range(len(shown))]
    words = [f"{info.before[i]} → {info.after[i]}<br>№ {i}" for i in shown]
    figure.update_xaxes(visible=True, showgrid=False, zeroline=False, tickvals=centres, ticktext=words)
    # As wide as a full row, so that a digit has one size in every gallery.
    figure.update_xaxes(range=[-0.5, (PICTURE + 1) * MOST_SHOWN - 1.5])
    figure.update_layout(height=132, margin={"l": 0, "r": 0, "t": 4, "b": 40})
    return figure


def draw_digits(pictures: Tensor) -> go.Figure:
    """Pictures (k, 64) side by side, ink on paper."""
    figure = go.Figure(
        go.Heatmap(
            z=tiles(pictures.numpy().T), zmin=0, zmax=1, showscale=False, hoverinfo="skip",
            colorscale=[(0, palette.FAINT), (1, palette.INK)],
        )
    )  # fmt: skip
    figure.update_xaxes(visible=False)
    figure.update_yaxes(**_square("x"))
    figure.update_layout(height=150, margin={"l": 0, "r": 0, "t": 0, "b": 0})
    return figure


def said(outputs: np.ndarray) -> str:
    """What a layer says of a digit: the label with the largest output, and that output."""
    label = int(np.argmax(outputs))
    return f"{label} ({signed_text(outputs[label])})"


def _square(axis: str) -> dict[str, Any]:
    """A vertical axis of pictures: pixels as tall as wide, from the top down, standing on what is below."""
    return {
        "scaleanchor": axis, "constrain": "domain", "constraintoward": "bottom", "autorange": "reversed",
        "showticklabels": False, "showgrid": False, "zeroline": False, "ticks": "",
    }  # fmt: skip


def _padded(row: np.ndarray) -> np.ndarray:
    """As wide as the rows of ten, so that all pictures have one size."""
    missing = (PICTURE + 1) * 10 - 1 - row.shape[1]
    return np.pad(row, ((0, 0), (0, missing)), constant_values=np.nan)


def _pixel(x: int, y: int, labels: list[str], kind: str) -> str:
    tile, column = divmod(x, PICTURE + 1)
    if tile >= len(labels) or column == PICTURE:
        return ""
    return f"{kind} {labels[tile]}, row {y + 1}, column {column + 1}"
