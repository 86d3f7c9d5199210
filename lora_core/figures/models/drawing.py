"""What a rank costs on a real model, drawn from its numbers: where the share goes, over ranks, in memory.

What an adapter trains is LoRA's blue, what is trained in full vermillion, what is frozen grey; every tile and
line carries its name and bars are hatched, so that colour never speaks alone. GB are 1e9 bytes.
"""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from lora_core.figures import palette
from lora_core.figures.models.numbers import (
    CHARTED_RANKS,
    SEGMENTS,
    RankCurve,
    RankInfo,
    Tile,
    gigabytes,
    memory_text,
    rank_info,
    rank_text,
    share_text,
    share_tiles,
    short,
    table_rows,
)
from lora_core.models import Memory

__all__ = [
    "CHARTED_RANKS",
    "RankCurve",
    "RankInfo",
    "Tile",
    "draw_memory",
    "draw_ranks",
    "draw_share",
    "gigabytes",
    "memory_text",
    "rank_info",
    "rank_text",
    "share_text",
    "share_tiles",
    "short",
    "table_rows",
]


FRAME = palette.GHOST
"""What holds other tiles; it reads on a white page and on a near-black one, and means nothing by itself."""


def draw_share(tiles: Sequence[Tile]) -> go.Figure:
    """Draw the treemap; the share of each tile in all that is trained stands in it."""
    above = {tile.label: tile.parent for tile in tiles}
    holders = set(above.values())
    figure = go.Figure(layout={"template": {}})
    figure.add_treemap(
        ids=[f"{tile.parent}/{tile.label}" for tile in tiles],
        labels=[tile.label for tile in tiles],
        parents=[f"{above[tile.parent]}/{tile.parent}" if tile.parent else "" for tile in tiles],
        values=[tile.value for tile in tiles],
        customdata=[f"{tile.value:,} numbers<br>{tile.note}" for tile in tiles],
        marker={"colors": [_tile_colour(tile, holders) for tile in tiles], "line": {"width": 2}},
        branchvalues="total",
        texttemplate="%{label}<br>%{percentRoot:.1%}",
        hovertemplate="%{label}<br>%{customdata}<extra></extra>",
        textfont={"color": palette.WHITE, "size": 15},
        pathbar={"visible": False},
    )
    return figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0})


def _tile_colour(tile: Tile, holders: set[str]) -> str:
    if tile.label in holders:
        return FRAME
    return palette.FULL if tile.full else palette.LORA


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
    figure.update_yaxes(
        type="log", title="Trainable, % of full fine-tuning", hoverformat=".3g", tickformat="~g", dtick=1
    )
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    return figure.update_layout(
        hovermode="x unified", legend=legend, margin={"l": 64, "r": 24, "t": 8, "b": 52}
    )


def _add_line(figure: go.Figure, value: float, text: str, dash: str) -> None:
    """A level across the chart; a label on a log axis stands at the logarithm of its value."""
    line = {"color": palette.FULL, "dash": dash, "width": 1.5}
    figure.add_shape(type="line", xref="paper", x0=0, x1=1, y0=value, y1=value, line=line)
    figure.add_annotation(
        text=text,
        xref="paper",
        x=0,
        xanchor="left",
        y=math.log10(value),
        yanchor="bottom" if value >= 100 else "top",
        showarrow=False,
        font={"color": palette.FULL},
    )


def draw_memory(memories: Sequence[Memory]) -> go.Figure:
    """Draw one bar for each way of training, its parts stacked, the sum at its end."""
    figure = go.Figure(layout={"template": {}})
    for field, (words, hatching) in SEGMENTS.items():
        figure.add_bar(
            y=[memory.name for memory in memories],
            x=[getattr(memory, field) / 1e9 for memory in memories],
            name=words,
            orientation="h",
            marker={
                "color": [palette.BASE if field == "frozen" else _hue(memory) for memory in memories],
                "pattern": {
                    "shape": hatching,
                    "fillmode": "overlay",
                    "fgcolor": palette.WHITE,
                    "solidity": 0.2,
                },
            },
            hovertemplate="%{y}, " + words + ": %{x:.3g} GB<extra></extra>",
        )
    for memory in memories:
        end = {"x": memory.total / 1e9, "xanchor": "left", "xshift": 6}
        figure.add_annotation(y=memory.name, text=gigabytes(memory.total), showarrow=False, **end)
    widest = max((memory.total for memory in memories), default=1) / 1e9
    figure.update_xaxes(title="GB, without activations", range=[0, 1.3 * widest])
    figure.update_yaxes(autorange="reversed")
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    return figure.update_layout(barmode="stack", legend=legend, margin={"l": 110, "r": 8, "t": 8, "b": 52})


def _hue(memory: Memory) -> str:
    """Full fine-tuning freezes nothing."""
    return palette.LORA if memory.frozen else palette.FULL
