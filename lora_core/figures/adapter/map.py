"""Where in the model does an adapter use its rank? Layers by modules, coloured by a number of each module."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from lora_core.adapters.grid import Grid
from lora_core.adapters.spectra import Spectrum
from lora_core.figures import palette
from lora_core.figures.axes import MARGIN, SCALE, literal
from lora_core.formatting import loss_text, percent_text

MEASURES: dict[str, tuple[Callable[[Spectrum], float], Callable[[float], str]]] = {
    "effective rank, σ²": (lambda spectrum: spectrum.effective_energy, lambda value: f"{value:.3g}"),
    "effective rank, σ": (lambda spectrum: spectrum.effective, lambda value: f"{value:.3g}"),
    "energy in the first direction": (lambda spectrum: spectrum.kept(1) * spectrum.moved, percent_text),
    "norm of the change": (lambda spectrum: spectrum.norm, loss_text),
    "rank for 90 %": (
        lambda spectrum: spectrum.rank_for(0.90) * spectrum.moved,
        lambda value: f"{value:.0f}",
    ),
    "rank for 95 %": (
        lambda spectrum: spectrum.rank_for(0.95) * spectrum.moved,
        lambda value: f"{value:.0f}",
    ),
    "rank for 99 %": (
        lambda spectrum: spectrum.rank_for(0.99) * spectrum.moved,
        lambda value: f"{value:.0f}",
    ),
}
"""What a cell can be coloured by: its name on the page, the number of a spectrum, its text."""

_LOGARITHMIC = "norm of the change"
_ROW, _AROUND, _LEAST, _MOST = 17, 84, 150, 560


@dataclass(frozen=True, eq=False)
class MapInfo:
    """`values` (layers, modules), float64, with nan for no module, no number yet and one that is not finite.

    `texts` are the same in words; `chosen` is the (row, column) of the module in focus.
    """

    measure: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray
    texts: tuple[tuple[str, ...], ...]
    chosen: tuple[int, int] | None

    @property
    def height(self) -> int:
        """Pixels in which the rows can be told apart, up to a screen of them."""
        return min(_MOST, max(_LEAST, _ROW * len(self.rows) + _AROUND))


def map_info(grid: Grid, spectra: Mapping[int, Spectrum], measure: str, chosen: int | None = None) -> MapInfo:
    """The numbers of a map; `spectra` are those known so far, by the index of their module.

    :raises KeyError: an unknown measure.
    """
    number, text = MEASURES[measure]
    values = np.full((len(grid.rows), len(grid.columns)), np.nan)
    texts = [["no module here"] * len(grid.columns) for _ in grid.rows]
    for index, (row, column) in enumerate(grid.cells):
        spectrum = spectra.get(index)
        if spectrum is None:
            texts[row][column] = "not read yet"
        elif not spectrum.finite:
            texts[row][column] = "not finite"
        else:
            values[row, column] = number(spectrum)
            texts[row][column] = text(values[row, column]) if spectrum.moved else "never moved"
    cell = None if chosen is None else grid.cells[chosen]
    return MapInfo(measure, grid.rows, grid.columns, values, tuple(map(tuple, texts)), cell)


def map_alt(info: MapInfo) -> str:
    """The map in words."""
    known = info.values[np.isfinite(info.values)]
    _, text = MEASURES[info.measure]
    words = f"Map of {len(info.rows)} layers by {len(info.columns)} modules, coloured by {info.measure}"
    return (
        f"{words}: {text(known.min())} to {text(known.max())}."
        if known.size
        else f"{words}: nothing read yet."
    )


def draw_map(info: MapInfo) -> go.Figure:
    """Draw the first layer at the top, the chosen module framed."""
    shown, bar = info.values, {"thickness": 12, "title": {"text": ""}}
    if info.measure == _LOGARITHMIC:
        shown = np.log10(np.where(info.values > 0, info.values, np.nan))
        bar |= _powers(shown)
    z = [[None if np.isnan(value) else float(value) for value in row] for row in shown]
    figure = go.Figure(layout={"template": {}})
    figure.add_heatmap(
        z=z, text=info.texts, customdata=[[literal(row)] * len(info.columns) for row in info.rows],
        colorscale=SCALE, colorbar=bar, xgap=1, ygap=1, hoverongaps=True,
        hovertemplate=f"%{{customdata}} %{{x}}<br>{info.measure}: %{{text}}<extra></extra>",
        x=list(range(len(info.columns))), y=list(range(len(info.rows))),
    )  # fmt: skip
    if info.chosen is not None:
        row, column = info.chosen
        edge = {"color": palette.FULL, "width": 3}
        figure.add_shape(type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5, line=edge)
    every = -(-len(info.rows) * _ROW // (_MOST - _AROUND))
    ticks = list(range(0, len(info.rows), every))
    numbered = all(row.isdecimal() for row in info.rows)
    yaxis = {
        "autorange": "reversed", "tickvals": ticks, "ticktext": [_short(info.rows[i]) for i in ticks],
        "title": {"text": "Layer" if numbered else ""},
    }  # fmt: skip
    xaxis = {
        "tickvals": list(range(len(info.columns))),
        "ticktext": [_short(name) for name in _apart(info.columns)],
    }
    margin = {**MARGIN, "l": 90 if any(len(row) > 3 for row in info.rows) else 52, "b": 48}
    return figure.update_layout(margin=margin, xaxis=xaxis, yaxis=yaxis)


def _powers(logs: np.ndarray) -> dict[str, object]:
    known = logs[np.isfinite(logs)]
    ticks = np.unique(np.linspace(known.min(), known.max(), 4)) if known.size else np.zeros(1)
    return {"tickvals": ticks.tolist(), "ticktext": [loss_text(float(10**tick), 2) for tick in ticks]}


def _apart(names: tuple[str, ...]) -> list[str]:
    """The last parts of names, if they are enough to tell them apart."""
    last = [name.rpartition(".")[2] for name in names]
    return last if len(set(last)) == len(names) else list(names)


def _short(name: str) -> str:
    return literal(name if len(name) <= 14 else f"…{name[-13:]}")
