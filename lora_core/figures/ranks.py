"""The charts of all ranks, drawn from their numbers.

The first two panels share one loss axis: last losses over rank, and every rank's curve over the updates,
coloured in the order of the ranks. What moves with a rank under the finger (its curve, its floor, the handle)
is drawn by the view, not here. A zero lies at the foot of a log axis.
"""

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from lora_core.figures import palette
from lora_core.figures.ranks_beyond import MapInfo, SeedsInfo, SpectrumInfo
from lora_core.figures.ranks_numbers import Floats, RanksInfo, axis_range, knee_words
from lora_core.numbers import loss_text
from lora_core.theory import knee

SCALE = "Cividis"
"""The order of the ranks, and losses on maps: it rises in lightness for every eye."""
GAP = "rgba(0, 114, 178, 0.18)"
"""Between what was trained and the floor: LoRA's hue, thin enough for either theme."""
LOG_RANKS = 12
"""From this many ranks on, the rank axis is logarithmic, so that small ranks keep their room."""
MARGIN = {"l": 62, "r": 14, "t": 10, "b": 44}


def rank_axis(ranks: tuple[int, ...]) -> dict[str, object]:
    """Plotly's axis over these ranks."""
    last = max(ranks)
    if last < LOG_RANKS:
        return {"title": {"text": "Rank"}, "type": "linear", "range": [0.5, last + 0.5], "dtick": 1}
    ticks = [2**i for i in range(last.bit_length())]
    ends = [float(np.log10(0.85)), float(np.log10(last * 1.15))]
    title = {"text": "Rank (log scale)"}
    return {"title": title, "type": "log", "range": ends, "tickvals": ticks, "ticktext": [*map(str, ticks)]}


def loss_axis(low: float, high: float, title: str = "Mean squared error (log scale)") -> dict[str, object]:
    """Plotly's log axis from ``low`` to ``high``."""
    ends = [float(np.log10(low)), float(np.log10(high))]
    decades = ends[1] - ends[0]
    ticks: dict[str, object] = {"dtick": "D2"} if decades <= 1.2 else {"dtick": 1} if decades < 8 else {}
    return {"title": {"text": title}, "type": "log", "range": ends, "tickformat": "~g", **ticks}


def draw_ranks(info: RanksInfo, tolerance: float) -> go.Figure:
    """Last losses over rank (x, y) and every learning curve (x2, y2). ``meta`` of a trace is its part."""
    low, high = axis_range(info)
    figure = go.Figure(layout={"template": {}})
    _add_last_losses(figure, info, low)
    _add_curves(figure, info)
    axis = loss_axis(low, high)
    figure.update_layout(
        showlegend=False, hovermode=False, margin=MARGIN,
        xaxis={**rank_axis(info.ranks), "domain": [0, 0.47]},
        xaxis2={"title": {"text": "Updates done (epochs)"}, "domain": [0.53, 1], "anchor": "y2",
                "range": [0, info.experiment.epochs]},
        yaxis=axis, yaxis2={**axis, "title": {"text": ""}, "anchor": "x2"},
    )  # fmt: skip
    if info.truth is not None:
        _mark(figure, info, info.truth, f"true rank {info.truth}", palette.BASE, 0.93)
    found = knee(info.floors, tolerance)
    if found:
        _mark(figure, info, found, f"enough: {found}", palette.LORA, 0.86)
    return figure


def _add_last_losses(figure: go.Figure, info: RanksInfo, low: float) -> None:
    def line(name: str, y: Floats, color: str, **style: object) -> None:
        figure.add_scatter(
            x=np.array(info.ranks, dtype=np.int32), y=y, name=name, mode="lines", meta={"part": "last"},
            line={"color": color, "width": 2, **style},
        )  # fmt: skip

    count = len(info.ranks)
    floors = np.array([max(info.floor(i), low) for i in range(count)])
    line("base", np.full(count, info.base), palette.BASE)
    line("full fine-tuning", np.full(count, info.full_final), palette.FULL)
    line("full, held-out", np.full(count, info.full_test), palette.FULL, dash=palette.HELD_OUT_DASH)
    line("floor", floors, palette.LORA, dash=palette.FLOOR_DASH)
    line("trained", info.final, palette.LORA, width=2.5)
    figure.data[-1].update(mode="lines+markers", marker={"color": palette.LORA, "size": 5})
    figure.data[-1].update(fill="tonexty", fillcolor=GAP)
    line("held-out", info.test, palette.LORA, dash=palette.HELD_OUT_DASH)
    zeros = [i for i in range(count) if info.floor(i) < low]
    if zeros:
        exact = "0" if info.floor(zeros[0]) <= 1e-12 * info.base else loss_text(info.floor(zeros[0]))
        figure.add_annotation(
            text=f"floor {exact}, below the axis", x=info.ranks[zeros[0]] if max(info.ranks) < LOG_RANKS
            else float(np.log10(info.ranks[zeros[0]])), y=float(np.log10(low)),
            showarrow=False, yanchor="bottom", xanchor="left", font={"color": palette.LORA},
        )  # fmt: skip


def _add_curves(figure: go.Figure, info: RanksInfo) -> None:
    for color, losses, rank in zip(rank_colors(info.ranks), info.losses, info.ranks, strict=True):
        figure.add_scatter(
            y=losses.astype(np.float32), name=f"rank {rank}", mode="lines", xaxis="x2", yaxis="y2",
            line={"color": color, "width": 1}, opacity=0.75, meta={"part": "curve"},
        )  # fmt: skip
    figure.add_scatter(
        y=info.full_curve.astype(np.float32), name="full fine-tuning", mode="lines", xaxis="x2", yaxis="y2",
        line={"color": palette.FULL, "width": 2}, meta={"part": "full"},
    )  # fmt: skip


def rank_colors(ranks: tuple[int, ...]) -> list[str]:
    """A colour a rank, in order, spread by ratio; the ends of the scale, too dark or too pale, left out."""
    logs = np.log(np.array(ranks, dtype=float))
    spread = 0.35 + 0.5 * logs / max(float(logs.max()), 1e-9)
    return sample_colorscale(SCALE, [float(each) for each in spread])


def _mark(figure: go.Figure, info: RanksInfo, rank: int, text: str, color: str, height: float) -> None:
    log = max(info.ranks) >= LOG_RANKS
    figure.add_shape(
        type="line", xref="x", x0=rank, x1=rank, yref="y domain", y0=0, y1=1, layer="below",
        line={"color": color, "width": 1.5, "dash": "dot"},
    )  # fmt: skip
    figure.add_annotation(
        text=text, xref="x", x=float(np.log10(rank)) if log else rank, yref="y domain", y=height,
        showarrow=False, xanchor="left", yanchor="top", xshift=4, font={"color": color},
    )  # fmt: skip


def ranks_alt(info: RanksInfo, tolerance: float) -> str:
    """The two panels in words."""
    first, last = info.ranks[0], info.ranks[-1]
    return (
        f"Every rank: last loss over rank, and all learning curves. Rank {first} ends at "
        f"{loss_text(info.final[0])}, rank {last} at {loss_text(info.final[-1])}, full fine-tuning at "
        f"{loss_text(info.full_final)}; the base is at {loss_text(info.base)}. {knee_words(info, tolerance)}"
    )


def draw_heat(info: RanksInfo, columns: int = 100) -> go.Figure:
    """Loss by epoch and rank; ``customdata`` holds the ranks, whose rows are of one height."""
    kept = np.unique(np.linspace(0, info.experiment.epochs, columns).round().astype(int))
    powers = [str(rank) for rank in info.ranks if rank & (rank - 1) == 0]
    figure = go.Figure(layout={"template": {}})
    figure.add_heatmap(
        x=kept.tolist(), y=[str(rank) for rank in info.ranks], z=_logs(info.losses[:, kept]),
        colorscale=SCALE, colorbar=_bar(info.losses), hoverongaps=False,
        hovertemplate="rank %{y}, %{x} updates<extra></extra>",
    )  # fmt: skip
    return figure.update_layout(
        margin=MARGIN, xaxis={"title": {"text": "Updates done (epochs)"}},
        yaxis={"title": {"text": "Rank"}, "type": "category", "tickvals": powers},
    )  # fmt: skip


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
        margin=MARGIN, showlegend=True, legend=_legend(), bargap=0.25,
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
    return _over_rank(figure, info.ranks, low, max(high, float(np.nanmax(truncated, initial=high))))


def draw_seeds(info: SeedsInfo) -> go.Figure:
    """The band of the last losses over the seeds, its median, and each seed's own line."""
    x = np.array(info.ranks, dtype=np.int32)
    lowest, middle, highest = (np.nanquantile(info.final, q, axis=0) for q in (0, 0.5, 1))
    figure = go.Figure(layout={"template": {}})
    thin = {"color": palette.LORA, "width": 0.5}
    figure.add_scatter(x=x, y=lowest, mode="lines", line=thin, name="least", showlegend=False)
    figure.add_scatter(
        x=x, y=highest, mode="lines", line=thin, fill="tonexty", fillcolor=GAP, name="least to greatest"
    )
    figure.add_scatter(x=x, y=middle, mode="lines", line={"color": palette.LORA, "width": 2.5}, name="median")
    return _over_rank(figure, info.ranks, float(np.nanmin(lowest)) / 1.2, float(np.nanmax(highest)) * 1.2)


def draw_map(info: MapInfo) -> go.Figure:
    """Last loss by rank (rows; the top one full fine-tuning) and learning rate; the best of a row marked."""
    rows, rates = [*map(str, info.ranks), "full"], [f"{rate:g}" for rate in info.rates]
    figure = go.Figure(layout={"template": {}})
    figure.add_heatmap(
        x=rates, y=rows, z=_logs(info.final), colorscale=SCALE, colorbar=_bar(info.final), hoverongaps=False,
        text=[[loss_text(value) for value in row] for row in info.final], xgap=1, ygap=1,
        hovertemplate="rank %{y}, learning rate %{x}: %{text}<extra></extra>",
    )  # fmt: skip
    best = [(rates[at], row) for at, row in zip(info.best, rows, strict=True) if at >= 0]
    figure.add_scatter(
        x=[x for x, _ in best],
        y=[y for _, y in best],
        mode="markers",
        hoverinfo="skip",
        marker={"color": "#FFFFFF", "size": 9, "symbol": "star", "line": {"color": "#000000", "width": 1}},
    )
    return figure.update_layout(
        margin=MARGIN, showlegend=False, xaxis={"title": {"text": "Learning rate"}, "type": "category"},
        yaxis={"title": {"text": "Rank"}, "type": "category"},
    )  # fmt: skip


def _over_rank(figure: go.Figure, ranks: tuple[int, ...], low: float, high: float) -> go.Figure:
    return figure.update_layout(
        margin=MARGIN, showlegend=True, legend=_legend(), xaxis=rank_axis(ranks), yaxis=loss_axis(low, high)
    )


def _legend() -> dict[str, object]:
    return {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}


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
        "title": {"text": "Loss"},
    }
