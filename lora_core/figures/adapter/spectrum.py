"""What does one module's change consist of? Its singular values, and the energy that the first ones hold."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from lora_core.adapters.spectra import Spectrum
from lora_core.figures import palette
from lora_core.figures.axes import MARGIN, legend
from lora_core.formatting import percent_text, plural

MOST_BARS = 256


@dataclass(frozen=True, eq=False)
class SpectrumInfo:
    """`values` (k,) of a module, largest first, and `energy` (k,), what the first i + 1 hold, float64.

    `paid` is the rank of the file, `kept` the rank after the cut in view.
    """

    path: str
    values: np.ndarray
    energy: np.ndarray
    paid: int
    kept: int
    effective: float
    effective_energy: float


def spectrum_info(spectrum: Spectrum, paid: int, kept: int) -> SpectrumInfo:
    """The numbers of one module's chart; `kept` of its directions stay after the cut."""
    energy = np.array([spectrum.kept(rank) for rank in range(1, len(spectrum.values) + 1)])
    return SpectrumInfo(
        spectrum.path, spectrum.values, energy, paid, kept, spectrum.effective, spectrum.effective_energy
    )


def spectrum_words(info: SpectrumInfo) -> str:
    """Rank paid against rank used, with both effective ranks by name."""
    if not info.values.any():
        return f"{info.path}: B is zero, so the module never moved."
    first = f"first {plural(info.kept, 'direction')} hold" if info.kept > 1 else "first direction holds"
    return (
        f"Rank paid {info.paid}. Effective rank {info.effective_energy:.3g} by energy (exp of the entropy of "
        f"σ²/Σσ²), {info.effective:.3g} by size (of σ/Σσ, Roy and Vetterli). The {first} "
        f"{percent_text(float(info.energy[info.kept - 1]))} of the energy."
    )


def draw_spectrum(info: SpectrumInfo) -> go.Figure:
    """Draw kept directions in LoRA's colour and dropped ones in grey; a line for the energy so far.

    Each direction has a bar of both kinds, one of them unseen, so that another cut only changes opacities.
    """
    count = min(len(info.values), MOST_BARS)
    x = np.arange(1, count + 1, dtype=np.int32)
    figure = go.Figure(layout={"template": {}})
    for name, inside, color, pattern in (
        ("kept", x <= info.kept, palette.LORA, ""),
        ("cut away", x > info.kept, palette.BASE, "/"),
    ):
        figure.add_bar(
            x=x, y=info.values[:count], name=name,
            marker={"color": color, "opacity": inside.astype(np.int8),
                    "pattern": {"shape": pattern, "solidity": 0.3}},
            hovertemplate="direction %{x}: σ = %{y:.3g}<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=100 * info.energy[:count], name="energy so far", yaxis="y2", mode="lines+markers",
        line={"color": palette.FULL, "width": 2, "shape": "hv"}, marker={"color": palette.FULL, "size": 5},
        hovertemplate="first %{x}: %{y:.3g} %<extra></extra>",
    )  # fmt: skip
    xaxis: dict[str, object] = {"title": {"text": "Direction, strongest first"}, "range": [0.4, count + 0.6]}
    xaxis |= {"dtick": 1} if count <= 16 else {}
    return figure.update_layout(
        margin={**MARGIN, "r": 48}, showlegend=True, legend=legend(), xaxis=xaxis,
        barmode="overlay", bargap=0.25,
        yaxis={"title": {"text": "Singular value σ"}, "rangemode": "tozero"},
        yaxis2={"overlaying": "y", "side": "right", "range": [0, 104], "title": {"text": "Energy, %"},
                "tickvals": [0, 25, 50, 75, 100], "ticktext": ["0", "25", "50", "75", "100"],
                "showgrid": False},
    )  # fmt: skip
