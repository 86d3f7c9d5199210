"""Views of a scene that are no curves: bars, digits, a layer, a picture; drawn and moved in the browser."""

import hashlib
import json
from functools import lru_cache
from typing import Any

from lora_core.figures import palette
from pages.components.serving import component


def scene_view(drawing: dict[str, Any], *, key: str, telling: str = "") -> None:
    """Show a drawing of ``lora_core.figures.stage.views``; ``telling`` names a reveal that it moves with."""
    payload = {**drawing, "colors": palette.ROLES, "dark": palette.DARK, "telling": telling}
    payload["run"] = hashlib.sha256(json.dumps(drawing).encode()).hexdigest()[:16]
    _component()(key=key, data=payload)


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("scene_view", "stage/view.js")
