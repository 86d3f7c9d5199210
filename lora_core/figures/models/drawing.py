"""What a rank costs on a real model, drawn from its numbers: where the share goes, over ranks, in memory.

What an adapter trains is LoRA's blue, what is trained in full vermillion, what is frozen grey; every bar and
line carries its name and bars of memory are hatched, so that colour never speaks alone. GB are 1e9 bytes.
"""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from lora_core.figures import palette
from lora_core.figures.axes import add_level
from lora_core.figures.models.numbers import SEGMENTS, RankInfo, ShareInfo
from lora_core.formatting import bytes_text
from lora_core.models import Memory


def draw_share(info: ShareInfo) -> go.Figure:
    """Draw one bar for each module, largest on top, its share of what is trained at its end."""
    shares = [100 * bar.trained / info.trained for bar in info.bars]
    figure = go.Figure(layout={"template": {}})
    figure.add_bar(
        y=[bar.label for bar in info.bars],
        x=shares,
        orientation="h",
        text=[f"{share:.3g} %" for share in shares],
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
    figure.update_yaxes(
        type="log", title="Trainable, % of full fine-tuning", hoverformat=".3g", tickformat="~g", dtick=1
    )
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    return figure.update_layout(
        hovermode="x unified", legend=legend, margin={"l": 64, "r": 24, "t": 8, "b": 52}
    )


def _add_line(figure: go.Figure, value: float, text: str, dash: str) -> None:
    line = {"color": palette.FULL, "dash": dash, "width": 1.5}
    side = "bottom" if value >= 100 else "top"
    add_level(figure, value, text, line, log=True, x=0, xanchor="left", yanchor=side)


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
        figure.add_annotation(y=memory.name, text=bytes_text(memory.total), showarrow=False, **end)
    widest = max((memory.total for memory in memories), default=1) / 1e9
    figure.update_xaxes(title="GB, without activations", range=[0, 1.3 * widest])
    figure.update_yaxes(autorange="reversed")
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    return figure.update_layout(barmode="stack", legend=legend, margin={"l": 110, "r": 8, "t": 8, "b": 52})


def _hue(memory: Memory) -> str:
    """Full fine-tuning freezes nothing."""
    return palette.LORA if memory.frozen else palette.FULL
