"""Views beside the live chart of a network that follow its scrub bar: words, modules, the plane."""

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lora_core.figures import palette
from lora_core.figures.network import parts
from pages.components.serving import component
from pages.runtime.callbacks import run_to_completion
from pages.runtime.from_browser import sent_text

_COLORS = {"lora": palette.LORA, "full": palette.FULL, "base": palette.BASE}


def network_words(info: parts.WordsInfo, *, key: str, height: int) -> None:
    """Show the written answers, a column for each model."""
    columns = [
        {"name": each.name, "color": each.color, "words": each.words, "scored": each.scored}
        for each in info.columns
    ]
    _show("words", key, height, parts.words_alt(info), {"columns": columns, "right": info.right})


def network_plane(info: parts.PlaneInfo, *, key: str, height: int) -> None:
    """Show both paths through the plane of learnt and forgotten."""
    _show("plane", key, height, parts.plane_alt(info), parts.plane_drawing(info))


def network_modules(
    info: parts.ModulesInfo, chosen: str | None, *, key: str, height: int, on_pick: Callable[[str], None]
) -> None:
    """Show the modules at their places in the network; ``on_pick`` gets the short name of the one chosen."""

    @run_to_completion
    def picked() -> None:
        module = sent_text(key, "module")
        if module is not None:
            on_pick(module)

    drawing = {**parts.modules_drawing(info), "chosen": chosen}
    _show("modules", key, height, parts.modules_alt(info), drawing, on_module_change=picked)


def _show(kind: str, key: str, height: int, alt: str, drawing: dict[str, Any], **callbacks: Callable) -> None:
    payload = {
        "kind": kind, "height": height, "alt": alt, "colors": _COLORS, "dark": palette.DARK, **drawing,
    }  # fmt: skip
    payload["run"] = hashlib.sha256(json.dumps(payload).encode()).hexdigest()[:16]
    _component()(key=key, data=payload, **callbacks)


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("network_view", "network/view.js")
