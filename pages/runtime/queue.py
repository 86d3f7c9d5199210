"""Who computes next? One at a time, the longest waiting first; a stream waits for those who need a moment.

All visitors share the cores, so what is heavy takes a turn. A line that is too long, or a wait that lasts too
long, is told (``BusyError``) instead of borne, and the page that waited asks again by itself. What a server
gives is set in its environment, for a public demo less than for a room of one's own.
"""

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import streamlit as st

PATIENCE = 3.0
"""Seconds that a page waits for its turn before it says so: to say it and ask again costs a crowd more."""
LATER = 2.0
"""Seconds after its last piece from which a stream no longer stands behind what takes a moment."""
_LOOK = 0.2
"""Seconds between two looks whether the page that waits is still wanted."""


def setting(name: str, default: int, least: int = 1) -> int:
    """A whole number from the server's environment, ``LORA_`` before its name.

    :raises ValueError: it is no whole number, or less than ``least``.
    """
    text = os.environ.get(f"LORA_{name}", str(default))
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise ValueError(f"LORA_{name} is {text[:40]!r}: it must be a whole number from {least:,}.")
    return int(text)


MOST_WAITING = setting("MOST_WAITING", 24)
"""Pages that may stand in line for a turn; one more is told that the room is busy."""


class BusyError(Exception):
    """There is no turn now; ``ahead`` is how many are training or wait to."""

    def __init__(self, ahead: int) -> None:
        super().__init__(f"{ahead} are training or wait to")
        self.ahead = ahead


class _Place(NamedTuple):
    due: float
    number: int
    called: threading.Event


class Line:
    """``with line.turn():`` what is inside is computed while no other turn of this line is."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.most = most
        self._lock, self._numbers = threading.Lock(), itertools.count()
        self._places: list[_Place] = []
        self._taken = False

    def __len__(self) -> int:
        """How many have a turn or wait for one."""
        with self._lock:
            return self._taken + len(self._places)

    @contextmanager
    def turn(self, since: float | None = None, patience: float = PATIENCE) -> Iterator[None]:
        """Wait for a turn and hold it; who has waited ``since`` longest comes first.

        :raises BusyError: the line is full, or the turn did not come within ``patience`` seconds.
        """
        self._take(time.monotonic() if since is None else since, patience)
        try:
            yield
        finally:
            with self._lock:
                self._call_next()

    def _take(self, since: float, patience: float) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            if len(self._places) >= self.most:
                raise BusyError(1 + len(self._places))
            place = _Place(since, next(self._numbers), threading.Event())
            heapq.heappush(self._places, place)
        try:
            wait(place.called.wait, patience, self)
        except BaseException:
            with self._lock:
                if place in self._places:
                    self._places.remove(place)
                    heapq.heapify(self._places)
                else:  # called in this very moment
                    self._call_next()
            raise

    def _call_next(self) -> None:
        self._taken = bool(self._places)
        if self._places:
            heapq.heappop(self._places).called.set()


def wait(attempt: Callable[[float], bool], patience: float, line: "Line") -> None:
    """Attempt, for a moment each time, until it succeeds; a page that nobody looks at any more ends here.

    :raises BusyError: ``patience`` seconds have passed.
    """
    end = time.monotonic() + patience
    while not attempt(min(_LOOK, max(0.0, end - time.monotonic()))):
        _ = "turn" in st.session_state  # Streamlit ends here the script of a page that was left or rerun
        if time.monotonic() >= end:
            raise BusyError(len(line))


QUICK = Line()
"""What takes a moment, and pieces of what takes long."""
SLOW = Line()
"""What takes long and cannot be cut: the data and the floors of a large layer. It runs beside the other."""
