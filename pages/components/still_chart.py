"""Still charts that are redrawn in place, by plotly.js in the browser."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Any

from streamlit.components.v1 import declare_component

from lora_core.figures import palette
from pages.components.message import Figure, pack
from pages.components.serving import component

_DRAW = "(component, chart) => component.data && chart.default(component, window.Plotly)"
_DRAW_WHOLE = "(component, chart) => component.data && chart.default(component, () => load('%s'))"


def steady_chart(figure: Figure, *, key: str, alt: str, height: int = 420, whole: bool = False) -> None:
    """Show a still figure that is redrawn in place when it changes, without the blank frame of a new element.

    ``alt`` is the chart in words and ``height`` its height in CSS pixels. ``whole`` draws it with all of
    plotly.js, from the Plotly package, for what the bundle of plane charts lacks: a treemap.
    """
    header: dict[str, Any] = {"height": height, "alt": alt, "dark": palette.DARK}
    header["run"] = hashlib.sha256(pack(figure, header)).hexdigest()[:16]
    (_whole_chart() if whole else _component())(key=key, data=pack(figure, header))


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("steady_chart", ["still_chart/steady_chart.js"], _DRAW, plotly=True)


@lru_cache(maxsize=1)
def _whole_chart() -> Any:
    """The steady chart with all of plotly.js, registered once a process and inside its first script run."""
    plotly = declare_component("plotly_whole", path=str(files("plotly") / "package_data")).name
    return component("whole_chart", ["still_chart/whole_chart.js"], _DRAW_WHOLE % f"{plotly}/plotly.min.js")
