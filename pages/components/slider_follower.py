"""What follows a slider while it is dragged, before the server knows of it.

Streamlit's sliders tell the server only of their release. A component that takes no room gets what each place
of the slider comes to, ready made, and writes it over what the server has drawn for the place chosen last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pages.components.message import encode
from pages.components.serving import component


@dataclass(frozen=True)
class Follower:
    """All that follows the slider inside ``slider``, a selector; selectors are CSS.

    ``name`` changes with the slider's options, ``at`` is the place chosen. ``texts`` are, by selector, the
    text at each place; ``bars`` how many bars of a chart are kept at each; ``points`` where the only point of
    a chart's last trace stands at each, None for nowhere new. Both name their chart by a selector.
    ``waiting`` is what cannot follow, and is pale until the server has drawn it.
    """

    name: str
    slider: str
    at: int
    texts: Mapping[str, Sequence[str]]
    bars: tuple[str, Sequence[int]]
    points: tuple[str, Sequence[tuple[float, float] | None]]
    waiting: str


def slider_follower(follower: Follower, *, key: str) -> None:
    """Let the page follow a slider; drawn after all that follows."""
    _component()(key=key, data=follower_message(follower))


def follower_message(follower: Follower) -> bytes:
    """All that follows, packed."""
    return encode(vars(follower) | {"texts": dict(follower.texts)})


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("slider_follower", "slider_follower/slider_follower.js")
