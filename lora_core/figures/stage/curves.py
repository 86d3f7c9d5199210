"""What does the stage show? A scene before and after its reveal, on axes that stay the same.

Before the reveal there is the frozen base and the room's guess; after it the curves, their floors, and the
guess still beside them. Colours mean what they mean everywhere; the room's guess is drawn in the ink of the
page, thick and in long dashes: floors have short ones, held-out curves are dotted.
"""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from lora_core.figures import palette
from lora_core.figures.axes import LOG_RANKS, add_level, legend, loss_axis, rank_axis
from lora_core.figures.loss.drawing import draw_loss
from lora_core.figures.loss.numbers import LossInfo
from lora_core.figures.ranks.numbers import RanksInfo, axis_range
from lora_core.formatting import loss_text
from lora_core.theory import knee

GUESS, GUESS_DASH = "Our guess", "20px,8px"
THICKER = 2
"""Lines for the back row, as many times as thick as on the other pages."""


def draw_scene(
    info: LossInfo, base: float, *, revealed: bool, guess: float | None, ends: tuple[float, float] | None
) -> go.Figure:
    """The loss chart of a scene, with the ``meta`` that the live chart reads (see ``draw_loss``).

    ``base`` is the loss of the frozen base. ``guess`` is a loss that the room guessed and ``ends`` the range
    it could guess from; None where it guesses something else.
    """
    figure = draw_loss(info)
    for drawn in (*figure.data, *figure.layout.shapes):
        if drawn.line.width:
            drawn.line.width *= THICKER
    if not revealed:
        figure.data = ()
        figure.layout.shapes, figure.layout.annotations = (), ()
        figure.layout.meta["floors"] = []
    figure.layout.yaxis.nticks = 6  # large words need room
    if ends is not None:
        _widen(figure, *ends)
    _add_level(figure, f"Base: {loss_text(base)}", base, palette.BASE, "solid", 3)
    if guess is not None:
        _add_level(figure, f"{GUESS}: {guess:g}", guess, palette.INK, GUESS_DASH, 4)
    return figure


def scene_alt(alt: str, base: float, *, revealed: bool, guess: float | None) -> str:
    """The chart in words; ``alt`` are the words of its curves."""
    words = alt if revealed else "Loss chart before the reveal: no curve yet."
    words += f" The frozen base is at {loss_text(base)}."
    return words if guess is None else f"{words} The room's guess is {loss_text(guess)}."


def draw_scene_ranks(info: RanksInfo, *, revealed: bool, guess: float | None) -> go.Figure:
    """Losses over every rank: before the reveal only the base, after it what each rank reached and could."""
    low, high = axis_range(info)
    figure = go.Figure(layout={"template": {}})
    x = np.array(info.ranks, dtype=np.int32)

    def line(name: str, y: Any, color: str, **style: object) -> None:
        figure.add_scatter(
            x=x, y=np.asarray(y, dtype=np.float64), name=name, mode="lines",
            line={"color": color, "width": 4, **style}, meta={"part": name},
        )  # fmt: skip

    found = 0
    line("Base", np.full(len(x), info.base), palette.BASE)
    if revealed:
        floors = [max(info.floor(place), low) for place in range(len(x))]
        line("Full fine-tuning", np.full(len(x), info.full_final), palette.FULL)
        line("Floor", floors, palette.LORA, dash=palette.FLOOR_DASH)
        line("LoRA, trained", info.final, palette.LORA)
        figure.data[-1].update(mode="lines+markers", marker={"color": palette.LORA, "size": 9})
        found = knee(info.floors)
        if found:
            style = {"color": palette.LORA, "dash": "solid", "width": 3}
            _add_rank(figure, info, found, f"Enough: {found}", style, 0.98, guess)
    if guess is not None:
        style = {"color": palette.INK, "dash": GUESS_DASH, "width": 4}
        _add_rank(figure, info, guess, f"{GUESS}: {guess:g}", style, 0.82, found or None)
    axis = {"automargin": True}
    return figure.update_layout(
        showlegend=True, hovermode=False, margin={"l": 0, "r": 12, "t": 0, "b": 0},
        legend=legend(),
        xaxis={**rank_axis(info.ranks), **axis},
        yaxis={**loss_axis(low, high, "Error (log scale)"), **axis},
    )  # fmt: skip


def scene_ranks_alt(info: RanksInfo, alt: str, *, revealed: bool, guess: float | None) -> str:
    """The chart of ranks in words; ``alt`` are the words of its lines."""
    hidden = f"Loss over rank before the reveal: only the base, {loss_text(info.base)}."
    words = alt if revealed else hidden
    return words if guess is None else f"{words} The room's guess is rank {guess:g}."


def _widen(figure: go.Figure, least: float, greatest: float) -> None:
    """Let both axes hold what can be guessed too."""
    meta = figure.layout.meta
    low, high = meta["axes"]["log"]["range"]
    low, high = min(low, least / 1.1), max(high, greatest * 1.1)
    meta["axes"]["log"]["range"] = [low, high]
    meta["axes"]["linear"]["range"] = [0, max(meta["axes"]["linear"]["range"][1], high)]
    figure.layout.yaxis.range = [float(np.log10(low)), float(np.log10(high))]


def _add_level(figure: go.Figure, text: str, value: float, color: str, dash: str, width: int) -> None:
    """A line across the chart with its label at the right, in the place and order of a floor."""
    figure.layout.meta["floors"] = [*figure.layout.meta["floors"], value]
    line = {"color": color, "dash": dash, "width": width}
    add_level(figure, value, text, line, log=True, x=1, xanchor="left", xshift=9, yanchor="middle")


def _add_rank(
    figure: go.Figure,
    info: RanksInfo,
    rank: float,
    text: str,
    style: dict[str, Any],
    top: float,
    other: float | None,
) -> None:
    """A line up the chart at a rank, named near its top, on the side away from the line at ``other``."""
    place = float(np.log10(rank)) if max(info.ranks) >= LOG_RANKS else rank
    left = _on_left(rank, other, max(info.ranks))
    figure.add_shape(type="line", xref="x", x0=rank, x1=rank, yref="paper", y0=0, y1=1, line=style)
    figure.add_annotation(
        text=text, xref="x", x=place, yref="paper", y=top, yanchor="top", showarrow=False,
        xanchor="right" if left else "left", xshift=-8 if left else 8, font={"color": style["color"]},
    )  # fmt: skip


def _on_left(rank: float, other: float | None, last: int) -> bool:
    """Whether a name stands left of its line; near the ends of the axis only one side has room."""
    if other is None or other == rank:
        return rank > last**0.6
    return rank > 3 if rank < other else rank > last**0.85
