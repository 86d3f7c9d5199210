"""The adapter in view: of a visitor's own file, or the one that the playground has just trained.

An upload lives in its visitor's session alone, never in a cache that others share, and goes with it. Spectra
are computed module by module, in turns with everybody else's runs, and kept beside the file.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from lora_core.adapters.file import AdapterFile, open_adapter
from lora_core.adapters.grid import Grid, grid_of
from lora_core.adapters.run_adapter import save_peft_adapter
from lora_core.adapters.source import Memory, Parts, uploaded
from lora_core.adapters.spectra import Spectrum, spectrum_of
from lora_core.adapters.summary import Summary
from lora_core.experiment import Experiment
from lora_core.training.run import Run
from pages.runtime.callbacks import whole
from pages.runtime.queue import QUICK, BusyError

UPLOAD = "adapter_upload"
FIRST, TICK, BUDGET = 0.4, 0.25, 0.15
"""Seconds of measuring before the first paint; then from tick to tick, and within each of them."""

_OWN, _TROUBLE, _PENDING, _SEEN, _TRAINED = (
    f"adapter {name}" for name in ("own", "trouble", "pending", "seen", "trained")
)


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
        """Measure modules for some seconds, at least one unless others compute; for a lone caller."""
        if not self.lock.acquire(blocking=False):
            return  # a newer run of the session has begun beside this one
        try:
            end = time.monotonic() + budget
            while not self.complete and time.monotonic() < end:
                index = len(self.spectra)
                with QUICK.turn():
                    self.spectra[index] = spectrum_of(self.file.source, self.file.modules[index])
        except BusyError:
            pass  # the next tick goes on
        finally:
            self.lock.release()


def own() -> Opened | None:
    """The visitor's own adapter, if one was opened."""
    return st.session_state.get(_OWN)


def trained(run: Run) -> Opened:
    """The adapter at the end of a run, written as PEFT's files and opened from them.

    :raises ValueError: a run without a finished adapter.
    """
    known: tuple[Experiment, Opened] | None = st.session_state.get(_TRAINED)
    if known is None or known[0] != run.experiment:
        files = save_peft_adapter(run)
        weights, config = files["adapter_model.safetensors"], files["adapter_config.json"]
        known = (
            run.experiment,
            _opened("playground", Parts(Memory("adapter_model.safetensors", weights), config)),
        )
        st.session_state[_TRAINED] = known
    return known[1]


def trouble() -> str | None:
    """What was wrong with the last upload, told once."""
    return st.session_state.pop(_TROUBLE, None)


def waiting_for() -> str | None:
    """The other file that an upload still lacks, if one came alone."""
    pending: Parts = st.session_state.get(_PENDING, Parts())
    if pending.config is not None and pending.weights is None:
        return "adapter_model.safetensors"
    found = own()
    return None if found is None or found.file.scale_known else "adapter_config.json"


@whole
def take_upload() -> None:
    """Open what was uploaded since the last time; what is wrong is told, and the last picture stays."""
    files = st.session_state.get(UPLOAD) or []
    seen = st.session_state.get(_SEEN, frozenset())
    fresh = [file for file in files if file.file_id not in seen]
    st.session_state[_SEEN] = frozenset(file.file_id for file in files)
    if not files:
        leave()
    if not fresh:
        return
    try:
        st.session_state.pop(_TROUBLE, None)
        found = uploaded({file.name: file.getvalue() for file in fresh}, most_unpacked())
        parts = _together(st.session_state.get(_PENDING, Parts()), found)
        if parts.weights is not None:
            st.session_state[_OWN] = _opened(parts.weights.name, parts)
        st.session_state[_PENDING] = parts
    except ValueError as error:
        st.session_state[_TROUBLE] = str(error)


@whole
def leave() -> None:
    """Go back to the adapter that the playground has trained, and forget the visitor's own."""
    for key in (_OWN, _PENDING, _TROUBLE):
        st.session_state.pop(key, None)


def most_unpacked() -> int:
    """Bytes that a zip may unpack to: as many as a file without one may have."""
    return int(st.get_option("server.maxUploadSize")) * 1_000_000


def _together(before: Parts, found: Parts) -> Parts:
    """A file that came alone goes with the other one; new weights over old ones begin anew."""
    return found if before.weights is not None and found.weights is not None else before | found


def _opened(name: str, parts: Parts) -> Opened:
    file = open_adapter(parts)
    opened = Opened(name, file, grid_of([module.path for module in file.modules]))
    opened.advance(FIRST)
    return opened
