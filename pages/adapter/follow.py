"""What the slider of the cut comes to at each of its places, sent ahead so that the page follows the hand."""

import time
from contextlib import suppress
from typing import Any

import numpy as np
import streamlit as st

from lora_core.adapters.cutting import Cut, rounding_words
from lora_core.adapters.readers import readers_of
from lora_core.figures.adapter.sizes import point_of
from lora_core.figures.adapter.spectrum import spectrum_info, spectrum_words
from pages.adapter.cut import Choice, numbers_of, sizes_of
from pages.adapter.opened import BUDGET, FIRST, TICK, Opened
from pages.components.slider_follower import Follower, slider_follower
from pages.runtime.queue import QUICK, BusyError

_METRIC = ".st-key-adapter_numbers > :nth-child({}) [data-testid=stMetric{}]"
_NONE = "–"


def follow_slider(opened: Opened, choice: Choice, chosen: int) -> None:
    """Let numbers, words and charts follow the slider while it is dragged; `chosen` is the module in focus.

    Placed last on the page: the cut is made at every place, of a large adapter from tick to tick.
    """
    if not _advance(opened, choice, FIRST):
        st.fragment(_go_on, run_every=TICK)(opened, choice)
        return
    places = _places(opened, choice)
    module, spectrum = opened.file.modules[chosen], opened.spectra[chosen]
    said = {
        kept: spectrum_words(spectrum_info(spectrum, module.rank, kept))
        for kept in {int(each["ranks"][chosen]) for each in places if each["ranks"] is not None}
    }
    kept = [0 if each["ranks"] is None else int(each["ranks"][chosen]) for each in places]
    texts = {
        name: [each["texts"].get(name, _NONE) for each in places] for name in max(places, key=_told)["texts"]
    }
    texts[".st-key-adapter_words p"] = [said.get(rank, _NONE) for rank in kept]
    slider_follower(
        Follower(
            name=choice.name,
            slider=".st-key-adapter_slider",
            at=choice.at,
            texts=texts,
            bars=(".st-key-adapter_spectrum", kept),
            points=(".st-key-adapter_sizes", [each["point"] for each in places]),
            waiting=".st-key-adapter_table",
        ),
        key="adapter_follow",
    )


def _go_on(opened: Opened, choice: Choice) -> None:
    if _advance(opened, choice, BUDGET):
        st.rerun()


def _advance(opened: Opened, choice: Choice, budget: float) -> bool:
    """Cut at further places for some seconds, at least at one unless others wait; whether all are done."""
    places, end = _places(opened, choice), time.monotonic() + budget
    with opened.lock, suppress(BusyError):  # an older run of the session may still be at it
        while len(places) < choice.places:
            with QUICK.slot(piece=True):
                places.append(_at(opened, choice, len(places)))
            if time.monotonic() >= end:
                break
    return len(places) >= choice.places


def _places(opened: Opened, choice: Choice) -> list[dict[str, Any]]:
    """What the cut comes to at the places done so far, kept beside the file."""
    found: list[dict[str, Any]] = opened.drawn.setdefault(("places", choice.name), [])
    return found


def _told(place: dict[str, Any]) -> int:
    return len(place["texts"])


def _at(opened: Opened, choice: Choice, place: int) -> dict[str, Any]:
    """Texts by their place on the page, ranks of all modules, and the point in the chart of sizes."""
    try:
        found = choice.cut_at(place)
    except ValueError:
        return {"texts": {}, "ranks": None, "point": None}  # told once it is chosen
    point = point_of(sizes_of(opened, found.plan.dtype), found)
    return {"texts": _texts(opened, found), "ranks": np.array(found.ranks, np.int16), "point": point}


def _texts(opened: Opened, found: Cut) -> dict[str, str]:
    texts = {".st-key-adapter_rounding p": rounding_words(found)}
    for count, (_, value, note) in enumerate(numbers_of(opened.file, found), 1):
        texts[_METRIC.format(count, "Value")] = value
        texts[_METRIC.format(count, "Delta")] = note
    for count, reader in enumerate(readers_of(found.plan), 1):
        texts[f".st-key-adapter_readers tbody tr:nth-child({count}) td:last-child"] = reader.verdict
    return texts
