"""The adapter shown: of an uploaded file, or the one that the playground has just trained.

An upload is kept in its session alone, never in a shared cache, and ends with the session. Spectra are
computed module by module, each in a slot of the compute queue, and kept beside the file.
"""

import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from lora_core.adapters.config import read_config
from lora_core.adapters.file import AdapterFile, open_adapter
from lora_core.adapters.grid import Grid, grid_of
from lora_core.adapters.run_adapter import save_peft_adapter
from lora_core.adapters.source import CONFIG, WEIGHTS, Memory, Parts, uploaded
from lora_core.adapters.spectra import Spectrum, spectrum_of
from lora_core.adapters.summary import Summary
from lora_core.course import Course
from lora_core.training.run import Run
from pages.runtime.callbacks import run_to_completion
from pages.runtime.queue import QUICK, BusyError
from pages.runtime.uploads import content

FIRST, TICK, BUDGET = 0.4, 0.25, 0.15
"""Seconds of measuring before the first paint; then from tick to tick, and within each of them."""

_UPLOADS, _TRAINED = "adapter uploads", "adapter trained"


@dataclass(eq=False)
class Opened:
    """An adapter file, and the spectra of it that are known so far, by the index of their module."""

    name: str
    file: AdapterFile
    grid: Grid
    spectra: dict[int, Spectrum] = field(default_factory=dict)
    drawn: dict[Any, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def complete(self) -> bool:
        """Whether all modules are measured."""
        return len(self.spectra) == len(self.file.modules)

    @property
    def summary(self) -> Summary:
        """The whole adapter; once it is complete."""
        return Summary(self.file, tuple(self.spectra[index] for index in range(len(self.file.modules))))

    def advance(self, budget: float) -> None:
        """Measure modules for ``budget`` seconds, at least one if a slot is free; one call at a time."""
        if not self.lock.acquire(blocking=False):
            return  # another script run of the session is measuring
        try:
            end = time.monotonic() + budget
            while not self.complete:
                index = len(self.spectra)
                with QUICK.slot(piece=True):
                    self.spectra[index] = spectrum_of(self.file.source, self.file.modules[index])
                if time.monotonic() >= end:
                    break
        except BusyError:
            pass  # the next tick continues
        finally:
            self.lock.release()


@dataclass(frozen=True, eq=False)
class _Uploads:
    """State of a session's uploads: one value, so that it is replaced at once.

    `blamed` are the files of the upload that gave `trouble`; `left` counts the returns to the playground's
    adapter, each of which needs an empty uploader.
    """

    own: Opened | None = None
    parts: Parts = field(default_factory=Parts)
    seen: frozenset[str] = frozenset()
    trouble: str = ""
    blamed: frozenset[str] = frozenset()
    left: int = 0


def own() -> Opened | None:
    """The uploaded adapter, if one was opened."""
    return _uploads().own


def trained(run: Run) -> Opened:
    """The adapter at the end of a run, written as PEFT's files and opened from them.

    :raises ValueError: a run without a finished adapter.
    """
    known: tuple[Course, Opened] | None = st.session_state.get(_TRAINED)
    if known is None or known[0] != run.course:
        files = save_peft_adapter(run)
        parts = Parts(Memory(WEIGHTS, files[WEIGHTS]), files[CONFIG])
        known = run.course, open_parts("playground", parts)
        st.session_state[_TRAINED] = known
    return known[1]


def trouble() -> str:
    """Fault of the last upload, or an empty text."""
    return _uploads().trouble


def waiting_for() -> str:
    """Name of the file that an upload still lacks, or an empty text."""
    uploads = _uploads()
    if uploads.parts.config is not None and uploads.parts.weights is None:
        return WEIGHTS
    return CONFIG if uploads.own is not None and not uploads.own.file.scale_known else ""


def upload_key() -> str:
    """Key of the uploader, which only a new key empties (seen in Streamlit 1.67.0)."""
    return f"adapter_upload {_uploads().left}"


@run_to_completion
def take_upload() -> None:
    """Open the files uploaded since the last call; on a fault, record it and keep the last adapter."""
    files, before = st.session_state.get(upload_key()) or [], _uploads()
    ids = frozenset(file.file_id for file in files)
    after = replace(before if files else _Uploads(left=before.left), seen=ids)
    fresh = ids - before.seen
    if not fresh and before.blamed - ids:
        # One of several refused files was removed: the others may be right without it.
        after, fresh = replace(after, trouble="", blamed=frozenset()), before.blamed & ids
    if fresh:
        try:
            chosen = [(file.name, content(file)) for file in files if file.file_id in fresh]
            after = replace(after, trouble="", blamed=frozenset(), **_taken(chosen, before))
        except ValueError as error:
            after = replace(after, trouble=str(error), blamed=fresh)
    st.session_state[_UPLOADS] = after


def _taken(files: list[tuple[str, bytes]], before: _Uploads) -> dict[str, Any]:
    """Fields of `_Uploads` after these files. ValueError as `uploaded` and `open_adapter`."""
    found = uploaded(files, most_unpacked())
    if found.config is not None:
        read_config(found.config)  # a fault is reported at once, even if the weights are still missing
    # A single file completes the earlier one; new weights in place of old ones start anew.
    again = before.parts.weights is not None and found.weights is not None
    parts = found if again else before.parts | found
    own = before.own if parts.weights is None else open_parts(parts.weights.name, parts)
    return {"own": own, "parts": parts}


@run_to_completion
def leave() -> None:
    """Return to the adapter that the playground has trained, and forget the uploaded one."""
    st.session_state[_UPLOADS] = _Uploads(left=_uploads().left + 1)


def _uploads() -> _Uploads:
    found: _Uploads = st.session_state.get(_UPLOADS, _Uploads())
    return found


def most_unpacked() -> int:
    """Bytes that a zip may unpack to: as many as an uploaded file may have."""
    return int(st.get_option("server.maxUploadSize")) * 1_000_000


def open_parts(name: str, parts: Parts) -> Opened:
    """Open these parts and measure modules for ``FIRST`` seconds. ValueError as `open_adapter`."""
    file = open_adapter(parts)
    opened = Opened(name, file, grid_of([module.path for module in file.modules]))
    opened.advance(FIRST)
    return opened
