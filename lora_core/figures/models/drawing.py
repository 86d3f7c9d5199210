"""What a rank costs on a real model, drawn from its numbers: where the share goes, over ranks, in memory.

What an adapter trains is LoRA's blue, what is trained in full vermillion, what is frozen grey; every bar and
line carries its name and bars of memory are hatched, so that colour never speaks alone. GB are 1e9 bytes.
"""

import math
from typing import Any

import plotly.graph_objects as go

from lora_core.figures import palette
from lora_core.figures.axes import add_level
from lora_core.figures.models.numbers import (
    SEGMENTS,
    LengthInfo,
    MemoryBar,
    MemoryInfo,
    RankInfo,
    ShareInfo,
)
from lora_core.formatting import bytes_text, percent_text
from lora_core.models.peak import MARGIN, RESERVE

HEADROOM = 3.0
"""The chart over ranks shows at least so many times full fine-tuning."""


def draw_share(info: ShareInfo) -> go.Figure:
    """Draw one bar for each module, largest on top, its share of what is trained at its end."""
    shares = [100 * bar.trained / info.trained for bar in info.bars]
    figure = go.Figure(layout={"template": {}})
    figure.add_bar(
        y=[bar.label for bar in info.bars],
        x=shares,
        orientation="h",
        text=[percent_text(share / 100) for share in shares],
        textposition="outside",
        cliponaxis=False,
        customdata=[f"{bar.trained:,} numbers<br>{bar.note}" for bar in info.bars],
        marker={"color": [palette.FULL if bar.full else palette.LORA for bar in info.bars]},
        hovertemplate="%{y}: %{text}<br>%{customdata}<extra></extra>",
    )
    # Room for some bars, so that a single one does not fill the chart.
    slots = max(4, len(info.bars))
    figure.update_xaxes(title="Share of what is trained, %", range=[0, 1.2 * max(shares, default=100)])
    figure.update_yaxes(type="category", range=[slots - 0.5, -0.5], automargin=True, showgrid=False)
    title = {"text": info.title, "x": 0, "xref": "container", "y": 1, "yanchor": "top", "font": {"size": 15}}
    title["pad"] = {"l": 8, "t": 6}
    return figure.update_layout(title=title, margin={"l": 8, "r": 16, "t": 36, "b": 48})


def draw_ranks(info: RankInfo) -> go.Figure:
    """Draw the share over ranks, both axes logarithmic, with the rank of the moment marked."""
    figure = go.Figure(layout={"template": {}})
    dashes = ("dot", "dash", "dashdot", "longdash")
    for place, curve in enumerate(sorted(info.curves, key=lambda curve: curve.current)):
        line = {"color": palette.BASE, "width": 1.5, "dash": dashes[place % len(dashes)]}
        if curve.current:
            line = {"color": palette.LORA, "width": 3}
        figure.add_scatter(x=info.ranks, y=curve.share, name=curve.label, mode="lines", line=line)
    marker = {"color": palette.LORA, "size": 12, "symbol": "diamond"}
    figure.add_scatter(x=[info.rank], y=[info.share], name=f"rank {info.rank}", mode="markers", marker=marker)
    _add_line(figure, 100, "full fine-tuning", "solid")
    text = f"these matrices in full: rank {info.break_even:,.0f}"
    _add_line(figure, info.ceiling, text, palette.FLOOR_DASH)
    ends = [math.log10(info.ranks[0]) - 0.04, math.log10(max(info.ranks[-1], info.rank)) + 0.04]
    figure.update_xaxes(type="log", title="Rank", tickvals=info.ranks, range=ends)
    shares = [share for curve in info.curves for share in curve.share if share > 0] or [info.share]
    most = max(HEADROOM * 100, 1.3 * max(shares))  # the name of the line at 100 % stays below the legend
    figure.update_yaxes(
        type="log", title="Trainable, % of full fine-tuning", hoverformat=".3g", tickformat="~g", dtick=1,
        range=[math.log10(min(shares) / 1.3), math.log10(most)],
    )  # fmt: skip
    legend = {"orientation": "h", "y": 1, "yref": "container", "yanchor": "top"}
    return figure.update_layout(
        hovermode="x unified", legend=legend, margin={"l": 64, "r": 24, "t": 8, "b": 52}
    )


def _add_line(figure: go.Figure, value: float, text: str, dash: str) -> None:
    line = {"color": palette.FULL, "dash": dash, "width": 1.5}
    side = "bottom" if value >= 100 else "top"
    add_level(figure, value, text, line, log=True, x=0, xanchor="left", yanchor=side)


def draw_memory(info: MemoryInfo) -> go.Figure:
    """Draw one bar for each way of training, its parts stacked, the sum at its end; cards are lines."""
    figure = go.Figure(layout={"template": {}})
    for field, (words, hatching) in SEGMENTS.items():
        sizes = [getattr(bar, field) / 1e9 for bar in info.bars]
        if not any(sizes):
            continue
        figure.add_bar(
            y=[bar.name for bar in info.bars],
            x=sizes,
            name=words,
            orientation="h",
            marker={
                "color": [palette.BASE if field == "frozen" else _hue(bar) for bar in info.bars],
                "pattern": {
                    "shape": hatching,
                    "fillmode": "overlay",
                    "fgcolor": palette.WHITE,
                    "solidity": 0.2,
                },
            },
            hovertemplate="%{y}, " + words + ": %{x:.3g} GB<extra></extra>",
        )
    look = {"showarrow": False, "bgcolor": palette.PAGE}  # over the lines of the cards
    ends = [
        {"x": bar.total / 1e9, "xanchor": "left", "xshift": 6, "y": bar.name, "text": bytes_text(bar.total)}
        | look
        for bar in info.bars
    ]
    widest = max((bar.total for bar in info.bars), default=1) / 1e9
    title = "GB at the peak" if info.predicted else "GB, without activations"
    figure.update_xaxes(title=title, range=[0, 1.3 * widest])
    figure.update_yaxes(autorange="reversed")
    if info.predicted:
        lines, names = _cards(info, 1.3 * widest)
        figure.update_layout(
            shapes=lines, annotations=ends + names
        )  # one by one, plotly checks all anew each time
        _add_margin(figure, info, 1.3 * widest)
    else:
        figure.update_layout(annotations=ends)
    legend = {"orientation": "h", "y": 1.18, "yanchor": "bottom", "traceorder": "normal"}
    return figure.update_layout(barmode="stack", legend=legend, margin={"l": 110, "r": 8, "t": 8, "b": 52})


def _cards(info: MemoryInfo, widest: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A line for each card in sight, and the names of those that have room for one."""
    lines, names = [], []
    labelled = [info.card]  # labels keep a seventh of the axis between them, on a phone too
    for card in info.cards:
        if card > widest:
            continue
        chosen = card == info.card
        line = {"color": palette.INK if chosen else palette.BASE, "width": 2 if chosen else 1, "dash": "dot"}
        ends = {"x0": card, "x1": card, "y0": 0, "y1": 1, "yref": "paper"}
        lines.append({"type": "line", **ends, "line": line, "layer": "below"})
        if chosen or all(abs(card - other) > widest / 7 for other in labelled):
            labelled.append(card)
            top = {"x": card, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False}
            names.append({**top, "text": f"{card} GB" if chosen else f"{card}"})
    return lines, names


def _add_margin(figure: go.Figure, info: MemoryInfo, widest: float) -> None:
    """Below the card that is asked about, the margin in which a run is tight."""
    high = info.card - RESERVE / 1e9
    low = high / MARGIN
    if low < widest:
        figure.add_scatter(
            x=[low, high, high, low], y=[0, 0, 1, 1], yaxis="y2", fill="toself", mode="lines",
            line={"width": 0}, fillcolor=palette.CLEAR,
            fillpattern={"shape": "/", "fgcolor": palette.INK, "size": 6, "solidity": 0.15},
            name="tight", hoverinfo="skip",
        )  # fmt: skip
        figure.update_layout(
            yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
        )


def _hue(bar: MemoryBar) -> str:
    """Full fine-tuning freezes nothing."""
    return palette.LORA if bar.frozen else palette.FULL


def draw_lengths(info: LengthInfo) -> go.Figure:
    """Draw the longest sequence over ranks, both axes logarithmic: nearly level lines, far apart."""
    figure = go.Figure(layout={"template": {}})
    for place, (name, tokens) in enumerate(info.lines):
        line = {"color": palette.LORA if place == 0 else palette.BASE, "width": 3 if place == 0 else 1.5}
        line["dash"] = ("solid", "dash", "dot", "dashdot")[place % 4]
        shown = [length or None for length in tokens]
        figure.add_scatter(x=info.ranks, y=shown, name=name, mode="lines+markers", line=line)
    figure.update_xaxes(type="log", title="Rank", tickvals=info.ranks)
    figure.update_yaxes(
        type="log", title=f"Longest sequence on {info.card} GB, tokens", hoverformat=",d", dtick=1
    )
    legend = {"orientation": "h", "y": 1, "yref": "container", "yanchor": "top"}
    return figure.update_layout(
        hovermode="x unified", legend=legend, margin={"l": 64, "r": 24, "t": 8, "b": 52}
    )
