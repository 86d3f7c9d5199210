"""Time machine: W0, A, B, s A B and W after any kept number of updates, scrubbed in the browser.

A component that owns one persistent element. All kept adapters are sent once, as float32; the browser
multiplies and paints them, so that scrubbing and playing cost the server nothing. Its modules are served from
`web/`, and share elements, theme, clock, keys, transport and message format with the live chart.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from lora_core.figures import palette
from lora_core.figures.inside.matrices import NAMES, MatricesInfo, averaged, label, scaling_text
from lora_core.formatting import loss_text
from pages.components.message import encode
from pages.components.serving import component
from pages.runtime.callbacks import run_to_completion
from pages.runtime.from_browser import ANY_COUNT, sent_number


def time_machine(message: bytes, *, key: str, on_epoch: Callable[[int], None]) -> None:
    """Show a run's matrices.

    `on_epoch` is called with the number of updates when the scrub bar is released or a playback ends.
    """

    @run_to_completion
    def reported() -> None:
        epoch = sent_number(key, "epoch", ANY_COUNT)
        if epoch is not None:
            on_epoch(epoch)

    _component()(key=key, data=message, on_epoch_change=reported)


def pack(info: MatricesInfo, *, run_id: str, epochs: int, opens_at: int, classes: bool = False) -> bytes:
    """Encode a run's matrices in one message: a header and float32 arrays, deflated (zlib).

    `epochs` are the updates of the complete run, `opens_at` is the number of them first shown, one of
    `info.updates`. With `classes` the outputs are digits, counted from 0. If A and B hold more numbers than
    their product, the product is sent too and is not multiplied again. Format: see `message.encode`.
    """
    arrays = {"W0": info.W0, "A": info.A, "B": info.B}
    if not info.factors_suffice:
        arrays["delta"] = info.delta
    rows, columns = info.W0.shape
    header = {
        "run": run_id,
        "epochs": epochs,
        "updates": info.updates,
        "opensAt": info.updates.index(opens_at),
        "sizes": [rows, columns, info.A.shape[2]],
        "shapes": info.shapes,
        "block": info.block,
        "output": ["digit", 0] if classes else ["output", 1],
        "scalings": info.scalings,
        "scalingTexts": [scaling_text(scaling) for scaling in info.scalings],
        "scale": info.scale,
        "labels": {name: [label(info, name, i) for i in range(len(info.updates))] for name in NAMES},
        "losses": [loss_text(float(loss)) for loss in info.loss],
        "note": averaged(info),
        "colors": [color for _, color in palette.DIVERGING],
        "dark": palette.DARK,
        "arrays": {name: np.ravel(array).astype("<f4") for name, array in arrays.items()},
    }
    return encode(header, level=1)  # weights hardly deflate: a slower level gains nothing


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("time_machine", "time_machine/time_machine.js")
