"""Views beside the live chart of a network that follow its scrub bar and the rank: words, modules, the plane.

And the control of the rank under the chart, which they follow while it is held once every rank is trained.
"""

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lora_core.figures import palette
from lora_core.figures.network import parts
from lora_core.figures.network.every_rank import EveryRankInfo, every_rank_drawing
from lora_core.network.experiment import RANKS
from pages.components.message import encode
from pages.components.rank_axis import rank_callbacks
from pages.components.serving import component
from pages.runtime.callbacks import run_to_completion
from pages.runtime.from_browser import sent_text


def network_words(info: parts.WordsInfo, rank: int, *, key: str, height: int) -> None:
    """Show the written answers, a column for each model."""
    _show("words", key, height, rank, parts.words_alt(info), parts.words_drawing(info))


def network_plane(info: parts.PlaneInfo, rank: int, *, key: str, height: int) -> None:
    """Show both paths through the plane of learnt and forgotten."""
    _show("plane", key, height, rank, parts.plane_alt(info), parts.plane_drawing(info))


def network_modules(
    info: parts.ModulesInfo, rank: int, chosen: str | None, *, key: str, height: int,
    on_pick: Callable[[str], None],
) -> None:  # fmt: skip
    """Show the modules at their places in the network; ``on_pick`` gets the short name of the one chosen."""

    @run_to_completion
    def picked() -> None:
        module = sent_text(key, "module")
        if module is not None:
            on_pick(module)

    drawing = {**parts.modules_drawing(info), "chosen": chosen}
    _show("modules", key, height, rank, parts.modules_alt(info), drawing, on_module_change=picked)


def every_rank_message(info: EveryRankInfo, *, state: str, note: str) -> bytes:
    """Encode all that follows the rank; independent of the current rank, so it can be cached.

    ``state`` is ``trained``, ``training``, ``untrained`` (training may be requested) or ``large`` (it may
    not); ``note`` is the sentence about it.
    """
    return encode({**every_rank_drawing(info), "state": state, "note": note})


def network_ranks(
    message: bytes, *, key: str, on_rank: Callable[[int], None], on_near: Callable[[], None]
) -> None:
    """Show the control of the rank, a message of `every_rank_message`; drawn after what follows it.

    ``on_rank`` gets the rank at which the control was released; ``on_near`` is called when the pointer or the
    focus reaches it, or the sidebar's, and the message's state is ``untrained``.
    """
    _ranks()(key=key, data=message, **rank_callbacks(key, RANKS, on_rank, on_near))


def _show(
    kind: str, key: str, height: int, rank: int, alt: str, drawing: dict[str, Any], **callbacks: Callable
) -> None:
    payload = {
        "kind": kind, "height": height, "rank": rank, "alt": alt,
        "colors": palette.ROLES, "dark": palette.DARK, **drawing,
    }  # fmt: skip
    payload["run"] = hashlib.sha256(json.dumps(payload).encode()).hexdigest()[:16]
    _component()(key=key, data=payload, **callbacks)


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("network_view", "network/view.js")


@lru_cache(maxsize=1)
def _ranks() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("network_ranks", "network/ranks.js")
