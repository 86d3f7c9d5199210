"""Axis of ranks with the control of the whole page: the final error of each rank above its trainable share.

A component that owns one persistent element. The results of every rank are sent once for an experiment; the
rank then changes in the browser, on this control or on the sidebar's, and only its release is reported to the
server. If the pointer or the focus reaches a control before every rank is trained, the component requests the
training.
"""

import hashlib
from collections.abc import Callable, Container, Sequence
from functools import lru_cache
from typing import Any

from lora_core.experiment import Experiment
from lora_core.figures import palette
from lora_core.figures.ranks.digits import DigitsInfo
from lora_core.figures.ranks.shared_axis import SharedAxisInfo, axis_alt, shared_axis_message
from pages.components.message import encode
from pages.components.serving import component
from pages.runtime.callbacks import run_to_completion
from pages.runtime.from_browser import ANY_RANK, sent_number


def axis_message(
    info: SharedAxisInfo, *, state: str, note: str, digits: DigitsInfo | None = None, name: str = ""
) -> bytes:
    """Encode all that the axis shows, at every rank; independent of the current rank, so it can be cached.

    ``state`` is ``trained``, ``untrained`` (training may be requested) or ``large`` (it may not); ``note`` is
    the sentence about it. ``digits`` are the pictures whose readings ``info`` holds, for a task of digits.
    ``name`` tells two courses of the same experiment apart.
    """
    message: dict[str, Any] = {
        **shared_axis_message(info),
        "experiment": hashlib.sha256((repr(info.experiment) + name).encode()).hexdigest()[:16],
        "state": state,
        "note": note,
        "alt": axis_alt(info),
        "colors": palette.ROLES,
        "dark": palette.DARK,
    }
    if digits is not None:
        pictures = (digits.pictures * 255).round().astype(int).reshape(-1).tolist()
        message["digits"] = {"pictures": pictures, "labels": digits.labels.tolist()}
    return encode({**message, "run": hashlib.sha256(encode(message)).hexdigest()[:16]})


def rank_axis(
    message: bytes, *, key: str, on_rank: Callable[[int], None], on_near: Callable[[], None]
) -> None:
    """Show a message of `axis_message`.

    ``on_rank`` gets the rank at which the control was released; ``on_near`` is called when the pointer or the
    focus reaches a control and the message's state is ``untrained``.
    """
    _axis()(key=key, data=message, **rank_callbacks(key, ANY_RANK, on_rank, on_near))


def rank_callbacks(
    key: str, allowed: Container[int], on_rank: Callable[[int], None], on_near: Callable[[], None]
) -> dict[str, Callable[[], None]]:
    """What a component with a control of the rank calls; see ``web/rank_axis/requests.js``."""

    @run_to_completion
    def chosen() -> None:
        rank = sent_number(key, "rank", allowed)
        if rank is not None:
            on_rank(rank)

    near = run_to_completion(on_near)  # the value, the experiment's name, is not needed
    return {"on_rank_change": chosen, "on_near_change": near}


def five_numbers_line(
    names: Sequence[str], meanings: Sequence[str], numbers: Sequence[tuple[str, str]], *, rank: int,
    final: float | None, key: str,
) -> None:  # fmt: skip
    """Show the numbers of the run, value and note of each; in the browser they follow the held rank."""
    data = {
        "names": list(names),
        "meanings": list(meanings),
        "numbers": [list(each) for each in numbers],
        "rank": rank,
        "final": final,
    }
    _numbers()(key=key, data=data)


def sketch(experiment: Experiment, *, key: str) -> None:
    """Draw LoRA as a sketch: the frozen layer, and A and B as thin as the rank."""
    data = {
        "rank": experiment.rank,
        "inputs": experiment.in_features,
        "outputs": experiment.out_features,
        "colors": palette.ROLES,
        "dark": palette.DARK,
    }
    _sketch()(key=key, data=data)


@lru_cache(maxsize=1)
def _axis() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("rank_axis", "rank_axis/rank_axis.js")


@lru_cache(maxsize=1)
def _numbers() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("five_numbers", "playground/numbers.js")


@lru_cache(maxsize=1)
def _sketch() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("lora_sketch", "playground/sketch.js")
