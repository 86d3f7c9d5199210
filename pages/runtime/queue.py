"""Queues for the cores: one session computes at a time, earliest first, and long results yield to short ones.

All sessions share the cores, so a heavy computation acquires a slot. A full queue, or a wait that exceeds its
limit, raises ``BusyError``; the page then shows a notice and asks again by itself. The limits are set in the
server's environment; a public demo wants lower ones than one audience.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import streamlit as st

from lora_core.fields import quoted

PATIENCE = 3.0
"""Seconds that a page waits for a slot before it shows the notice: with many sessions, drawing the notice and
asking again costs more than waiting."""
MOST_BEFORE_A_PIECE = 6
"""Whole results that pass a waiting piece of a long one; the next slot is the piece's, so that it gets on."""
_LOOK = 0.2
"""Seconds between two checks for a request that ends the waiting script."""


def setting(name: str, default: int) -> int:
    """A whole number from the environment variable ``LORA_<name>``.

    :raises ValueError: the text is no whole number, or 0.
    """
    text = os.environ.get(f"LORA_{name}", str(default))
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ValueError(f"LORA_{name} is {quoted(text)}: it must be a whole number from 1.")
    return int(text)


MOST_WAITING = setting("MOST_WAITING", 24)
"""Scripts that may wait for a slot, and as many for one of a piece; the next one gets a ``BusyError``."""


class BusyError(Exception):
    """No slot is free; ``ahead`` counts the computations that run or wait."""

    def __init__(self, ahead: int) -> None:
        super().__init__(f"{ahead} are training or wait to")
        self.ahead = ahead


class NoMemoryError(BusyError):
    """The server has not enough memory for a result, and has just tried."""

    def __init__(self) -> None:
        super().__init__(0)


class _Ticket(NamedTuple):
    """A request for a slot; tickets compare by kind, then by ``since``, then by arrival."""

    piece: bool
    since: float
    number: int
    granted: threading.Event


class ComputeQueue:
    """Mutual exclusion in order of waiting time: at most one ``with queue.slot():`` block runs at a time."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.most = most
        self._lock, self._numbers = threading.Lock(), itertools.count()
        self._tickets: list[_Ticket] = []
        self._busy, self._passed = False, 0

    def __len__(self) -> int:
        """Number of computations that hold a slot or wait for one."""
        with self._lock:
            return self._busy + len(self._tickets)

    @contextmanager
    def slot(
        self, since: float | None = None, patience: float = PATIENCE, *, piece: bool = False
    ) -> Iterator[None]:
        """Acquire a slot, earliest ``since`` first (seconds of ``time.monotonic``; None: now).

        A ``piece`` of a long result gives way to whole ones, up to ``MOST_BEFORE_A_PIECE`` in a row.

        :raises BusyError: the queue is full, or no slot was granted within ``patience`` seconds.
        """
        self._acquire(time.monotonic() if since is None else since, patience, piece)
        try:
            yield
        finally:
            with self._lock:
                self._grant_next()

    def _acquire(self, since: float, patience: float, piece: bool) -> None:
        with self._lock:
            if not self._busy:
                self._busy = True
                return
            waiting = sum(each.piece == piece for each in self._tickets)
            if waiting >= self.most:
                raise BusyError(1 + waiting)
            ticket = _Ticket(piece, since, next(self._numbers), threading.Event())
            self._tickets.append(ticket)
        try:
            wait(ticket.granted.wait, patience, self)
        except BaseException:
            with self._lock:
                if ticket in self._tickets:
                    self._tickets.remove(ticket)
                else:  # granted in the meantime: grant it to the next ticket
                    self._grant_next()
            raise

    def _grant_next(self) -> None:
        self._busy = bool(self._tickets)
        if not self._tickets:
            return
        pieces = [each for each in self._tickets if each.piece]
        ticket = min(pieces if pieces and self._passed >= MOST_BEFORE_A_PIECE else self._tickets)
        self._passed = 0 if ticket.piece or not pieces else self._passed + 1
        self._tickets.remove(ticket)
        ticket.granted.set()


def wait(attempt: Callable[[float], bool], patience: float, queue: ComputeQueue) -> None:
    """Repeat ``attempt(timeout)`` until it succeeds; the script ends here if a newer rerun is requested.

    Streamlit checks for that only in its own calls and at an access to the session (seen in 1.67.0; streamlit
    issue 14523 asks for a call for this purpose).

    :raises BusyError: ``patience`` seconds have passed; it counts those in ``queue``.
    """
    end = time.monotonic() + patience
    while not attempt(min(_LOOK, max(0.0, end - time.monotonic()))):
        _ = "slot" in st.session_state  # Streamlit ends the script here
        if time.monotonic() >= end:
            raise BusyError(len(queue))


QUICK = ComputeQueue()
"""For short results and for the pieces of long ones."""
SLOW = ComputeQueue()
"""For long computations that cannot be divided (data and floors of a large layer); runs beside ``QUICK``."""
