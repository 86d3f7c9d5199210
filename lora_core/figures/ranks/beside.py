"""The charts beside that of all ranks, drawn from their numbers: maps, the spectrum, cut adapters, seeds."""

import numpy as np
import plotly.graph_objects as go

from lora_core.figures import palette
from lora_core.figures.axes import MARGIN, SCALE, legend, over_rank, rank_axis, rank_edges
from lora_core.figures.ranks.beyond import MapInfo, SeedsInfo, SpectrumInfo
from lora_core.figures.ranks.numbers import Floats, RanksInfo, axis_range
from lora_core.formatting import loss_text


def draw_heat(info: RanksInfo, columns: int = 100) -> go.Figure:
    """Loss by epoch and rank: row i is ``info.ranks[i]``, on the rank axis of the other charts."""
    kept = np.unique(np.linspace(0, info.experiment.epochs, columns).round().astype(int))
    axis = {**rank_axis(info.ranks), "range": None}
    edges = rank_edges(info.ranks)
    figure = go.Figure(layout={"template": {}})
    figure.add_heatmap(
        x=kept.tolist(), y=edges, z=_logs(info.losses[:, kept]),
        text=[[f"rank {rank}"] * len(kept) for rank in info.ranks],
        colorscale=SCALE, colorbar=_bar(info.losses), hoverongaps=False,
        hovertemplate="%{text}, %{x} updates<extra></extra>",
    )  # fmt: skip
    return figure.update_layout(margin=MARGIN, xaxis={"title": {"text": "Updates"}}, yaxis=axis)


def draw_spectrum(info: SpectrumInfo) -> go.Figure:
    """Singular values learnt beside those of the ideal change; what the rank cannot keep is grey."""
    shown = min(len(info.ideal), max(2 * info.rank, 16))
    x = np.arange(1, shown + 1, dtype=np.int32)
    figure = go.Figure(layout={"template": {}})
    inside = x <= info.rank
    for name, keep, color in (
        ("ideal, within the rank", inside, palette.FULL),
        ("ideal, beyond it", ~inside, palette.BASE),
    ):
        if not keep.any():
            continue
        figure.add_scatter(
            x=x[keep], y=info.ideal[:shown][keep], name=name, mode="markers",
            marker={"color": color, "size": 10, "symbol": "line-ew-open", "line": {"width": 2}},
        )  # fmt: skip
    figure.add_bar(x=x, y=info.learnt[:shown], name="learnt", marker={"color": palette.LORA}, opacity=0.85)
    return figure.update_layout(
        margin=MARGIN, showlegend=True, legend=legend(), bargap=0.25,
        xaxis={"title": {"text": "Direction, strongest first"}},
        yaxis={"title": {"text": "Singular value in outputs"}, "rangemode": "tozero"},
    )  # fmt: skip


def draw_truncation(info: RanksInfo, truncated: Floats) -> go.Figure:
    """The largest adapter cut to each rank, the adapter trained at it, and the floor."""
    low, high = axis_range(info)
    floors = np.array([max(info.floor(i), low) for i in range(len(info.ranks))])
    figure = go.Figure(layout={"template": {}})
    for name, y, color, dash in (
        ("floor", floors, palette.LORA, palette.FLOOR_DASH),
        (f"rank {info.ranks[-1]}, cut", truncated, palette.PINS[1], "solid"),
        ("trained at the rank", info.final, palette.LORA, "solid"),
    ):
        x = np.array(info.ranks, dtype=np.int32)
        mode = "lines" if dash != "solid" else "lines+markers"
        style = {"color": color, "dash": dash, "width": 2}
        symbol = "circle" if color == palette.LORA else "x"
        marker = {"color": color, "size": 6, "symbol": symbol}
        figure.add_scatter(x=x, y=y, name=name, mode=mode, line=style, marker=marker)
    return over_rank(figure, info.ranks, low, max(high, float(np.nanmax(truncated, initial=high))))


def draw_seeds(info: SeedsInfo) -> go.Figure:
    """The band of the last losses over the seeds, its median, and each seed's own line."""
    x = np.array(info.ranks, dtype=np.int32)
    lowest, middle, highest = info.band()
    figure = go.Figure(layout={"template": {}})
    thin = {"color": palette.LORA, "width": 0.5}
    figure.add_scatter(x=x, y=lowest, mode="lines", line=thin, name="least", showlegend=False)
    figure.add_scatter(
        x=x,
        y=highest,
        mode="lines",
        line=thin,
        fill="tonexty",
        fillcolor=palette.GAP,
        name="least to greatest",
    )
    figure.add_scatter(x=x, y=middle, mode="lines", line={"color": palette.LORA, "width": 2.5}, name="median")
    seen = info.final[info.final > 0]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.1, 1.0)
    return over_rank(figure, info.ranks, max(low, 1e-12 * high) / 1.2, high * 1.2)


def draw_map(info: MapInfo, rank: int, rate: float) -> go.Figure:
    """Last loss by rank (rows; the top one full fine-tuning) and learning rate; in each row a star on
    the best and dots on what comes near it, and a frame round the cell nearest to ``rank`` and ``rate``."""
    rows, rates = [*map(str, info.ranks), "full"], [f"{rate:g}" for rate in info.rates]
    figure = go.Figure(layout={"template": {}})
    figure.add_heatmap(
        x=rates, y=rows, z=_logs(info.final), colorscale=SCALE, colorbar=_bar(info.final), hoverongaps=False,
        text=[[loss_text(value) for value in row] for row in info.final], xgap=1, ygap=1,
        hovertemplate="rank %{y}, learning rate %{x}: %{text}<extra></extra>",
    )  # fmt: skip
    edge = {"color": palette.BLACK, "width": 1}
    near = [(rates[j], rows[i]) for i, j in np.argwhere(info.near()) if j != info.best[i]]
    best = [(rates[at], row) for at, row in zip(info.best, rows, strict=True) if at >= 0]
    for name, cells, symbol, size in (("near", near, "circle", 5), ("best", best, "star", 10)):
        figure.add_scatter(
            x=[x for x, _ in cells], y=[y for _, y in cells], name=name, mode="markers", hoverinfo="skip",
            marker={"color": palette.WHITE, "size": size, "symbol": symbol, "line": edge},
        )  # fmt: skip
    row, column = info.nearest(rank, rate)
    for color, width in ((palette.BLACK, 5), (palette.WHITE, 2)):
        figure.add_shape(
            type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5,
            line={"color": color, "width": width},
        )  # fmt: skip
    return figure.update_layout(
        margin=MARGIN, showlegend=False, xaxis={"title": {"text": "Learning rate"}, "type": "category"},
        yaxis={"title": {"text": "Rank"}, "type": "category"},
    )  # fmt: skip


def _logs(losses: Floats) -> list[list[float | None]]:
    """log10, with gaps where a run diverged; far below the greatest, only rounding is left."""
    top = float(np.nanmax(losses, initial=1e-300))
    logs = np.log10(np.maximum(losses, 1e-12 * top))
    return [[None if np.isnan(value) else round(float(value), 3) for value in row] for row in logs]


def _bar(losses: Floats) -> dict[str, object]:
    """A colour bar that names losses, not their logarithms."""
    seen = losses[np.isfinite(losses) & (losses > 0)]
    top = float(seen.max()) if seen.size else 1.0
    low = max(float(seen.min()), 1e-12 * top) if seen.size else top
    ticks = np.unique(np.linspace(np.log10(low), np.log10(top), 5))
    return {
        "tickvals": ticks.tolist(),
        "ticktext": [loss_text(float(10**tick), 2) for tick in ticks],
        "thickness": 12,
        "title": {"text": "Error"},
    }
