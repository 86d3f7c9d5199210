"""Still charts that are redrawn in place, by plotly.js in the browser."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

from lora_core.figures import palette
from pages.components.message import Figure, pack
from pages.components.serving import component


def steady_chart(figure: Figure, *, key: str, alt: str, height: int | None = None) -> None:
    """Show a still figure that is redrawn in place when it changes, without the blank frame of a new element.

    ``st.plotly_chart`` builds a new element at every change (streamlit PR 16052, open at 1.67.0).
    ``alt`` is the chart in words and ``height`` its height in CSS pixels, by default the figure's own.
    """
    height = height or figure["layout"]["height"]
    header: dict[str, Any] = {"height": height, "alt": alt, "dark": palette.DARK}
    header["run"] = hashlib.sha256(pack(figure, header)).hexdigest()[:16]
    _component()(key=key, data=pack(figure, header))


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("steady_chart", "still_chart/steady_chart.js", plotly=True)
