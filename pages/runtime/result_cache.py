"""Results that all sessions share: trained once, kept while the memory limit allows.

A quick result is trained by the first session that requests it, in one slot of the compute queue, or in one
slot a step where it ``gives_way``; the others wait for it. A longer one grows: each tick of each page that
shows it trains some more steps, and all sessions get the same state. There is no background thread: a result
that no page requests any more stops growing and is dropped.
"""

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import numpy as np
import streamlit as st
import torch
from torch import nn

from pages.runtime.queue import PATIENCE, QUICK, SLOW, BusyError, ComputeQueue, NoMemoryError, setting, wait

BUDGET, TICK = 0.15, 0.25
"""Seconds of training in a tick, and seconds between ticks, when a single result grows."""
MOST_GROWING = setting("MOST_GROWING", 8)
"""Results that may grow at the same time; a request for one more raises ``BusyError``."""
KEPT_MEGABYTES = setting("KEPT_MEGABYTES", 400)
"""Memory for the finished results of one cache; the least recently used are evicted."""
PIECE = 1.0
"""Seconds that a tick waits for a slot; without one it draws the latest state."""
AGAIN = 60.0
"""Seconds for which a result is not tried again after the memory was not enough for it."""
NO_MEMORY = "The server has not enough memory for this: try fewer features or samples, or wait a minute."
ABSENT, GONE = 6.0, 120.0
"""Seconds without a tick after which a growing result may be dropped for another, and is dropped anyway."""


class Result(Protocol):
    """A run or a sweep as its training yields it."""

    @property
    def complete(self) -> bool: ...


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Result)


class _Growing(Generic[V]):
    """A result that is being trained; the session that trains it holds its lock."""

    def __init__(self, steps: Iterator[V]) -> None:
        self.steps, self.lock = steps, threading.Lock()
        self.created = self.trained = time.monotonic()
        self.latest: V | None = None
        self.finalized = False
        self.visitors: dict[str, float] = {}
        self.given: set[str] = set()

    def active(self, now: float) -> bool:
        return self.absent(now) < ABSENT

    def absent(self, now: float) -> float:
        """Seconds since a page last requested the result."""
        return 0.0 if self.lock.locked() else now - max(self.visitors.values(), default=0.0)


class ResultCache(Generic[K, V]):
    """Results by key: an LRU cache of the finished ones, and those that are being trained.

    ``train(key)`` yields the states of a result. ``is_quick(key)``: it is trained while its page waits.
    ``gives_way``: between two of its steps whoever needs a moment comes first. ``slow_start(key)``: its first
    step takes long and cannot be divided. ``finalize(result)`` computes the lazy values of a finished result.
    ``budget``: seconds of training in a tick of a result that trains alone, ``first``: in its first.
    """

    def __init__(
        self,
        train: Callable[[K], Iterator[V]],
        is_quick: Callable[[K], bool],
        slow_start: Callable[[K], bool],
        finalize: Callable[[V], object] = lambda _: None,
        megabytes: int = KEPT_MEGABYTES,
        budget: float = BUDGET,
        *,
        first: float = BUDGET,
        gives_way: bool = False,
    ) -> None:
        self._train, self._is_quick, self._slow_start, self._finalize = train, is_quick, slow_start, finalize
        self._capacity, self._budget, self._first = megabytes * 1_000_000, budget, first
        self._gives_way = gives_way
        self._lock = threading.Lock()
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._growing: dict[K, _Growing[V]] = {}
        self._too_large: dict[K, float] = {}

    def kept(self, key: K) -> V | None:
        """The finished result, or None."""
        with self._lock:
            self._make_room(time.monotonic())
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def finished(self, key: K, patience: float = PATIENCE) -> V | None:
        """The finished result, trained now if it is quick; None if it is still growing or no slot is free."""
        try:
            return self._at_once(key, patience) if self._is_quick(key) else self.kept(key)
        except BusyError:
            return None

    def advance(self, key: K, name: str, budget: float | None = None) -> V:
        """Train for one tick and return the latest state; a session grows one result per ``name``.

        ``budget``: seconds of training in this tick, if not the cache's.

        :raises BusyError: there is no state to show yet, and no slot for it or too many results are growing.
        """
        if self._is_quick(key):
            return self._at_once(key, PATIENCE)
        while True:
            found = self.kept(key)
            if found is not None:
                return found
            growing = self._request(key, name)
            latest = growing.latest
            if latest is not None and not self._was_given(growing):
                return latest
            if latest is None:
                wait(partial(growing.lock.acquire, True), PATIENCE, SLOW)
            elif not growing.lock.acquire(blocking=False):
                return latest  # another session is training it
            try:
                if self._growing.get(key) is growing:  # if not, it was finished or dropped meanwhile
                    return self._train_for_a_tick(key, growing, budget)
            finally:
                growing.lock.release()

    @staticmethod
    def _was_given(growing: _Growing[V]) -> bool:
        """Whether this session was given an earlier state; it counts as given from now on.

        A slow start takes longer than a tick, and the next tick then ends the script that trained it before
        that script has drawn: so the next one draws first and trains afterwards.
        """
        session = st.session_state["visitor"]
        given = session in growing.given
        growing.given.add(session)
        return given

    def growing(self) -> int:
        """Number of results that are growing."""
        now = time.monotonic()
        with self._lock:
            return sum(not self._is_quick(key) and each.active(now) for key, each in self._growing.items())

    def growing_beside(self, key: K) -> bool:
        """Whether any other result than that of ``key`` is growing."""
        now = time.monotonic()
        with self._lock:
            return any(other != key and each.active(now) for other, each in self._growing.items())

    def tick(self) -> float:
        """Seconds between the ticks of a page: more when many results grow, as drawing takes time too."""
        return TICK * max(1.0, self.growing() / 2)

    def _at_once(self, key: K, patience: float) -> V:
        end = time.monotonic() + patience
        while True:
            found = self.kept(key)
            if found is not None:
                return found
            growing = self._request(key)
            left = max(0.0, end - time.monotonic())
            wait(partial(growing.lock.acquire, True), left, QUICK)
            try:
                if self._growing.get(key) is not growing:
                    continue  # another session has finished it meanwhile, or failed
                with self._dropped_on_error(key, growing):
                    return self._keep(key, self._train_now(growing, end))
            finally:
                growing.lock.release()

    def _train_now(self, growing: _Growing[V], end: float) -> V:
        """Train until it is complete; a later request goes on where a ``BusyError`` has ended this one."""
        while True:
            left = max(0.0, end - time.monotonic())
            with QUICK.slot(growing.created, left, piece=self._gives_way):
                while growing.latest is None or not growing.latest.complete:
                    growing.latest = next(growing.steps)
                    if self._gives_way:
                        break
                if growing.latest.complete:
                    self._finalize(growing.latest)  # in the same slot
                    return growing.latest

    def _train_for_a_tick(self, key: K, growing: _Growing[V], budget: float | None) -> V:
        slow = SLOW if self._slow_start(key) else QUICK
        alone = self._first if growing.latest is None else self._budget  # the first state is needed at once
        usual = alone if self.growing() < 2 else BUDGET / 2
        end = time.monotonic() + (usual if budget is None else budget)
        try:
            with self._dropped_on_error(key, growing):
                if growing.latest is None:
                    with slow.slot(growing.created, piece=self._gives_way):
                        growing.latest = next(growing.steps)
                elif not growing.finalized and not len(QUICK):
                    # Not before the first state was drawn, and only while no other session waits for a slot.
                    with suppress(BusyError):
                        self._finalize_in_slot(growing, slow, patience=0.0)
                while not growing.latest.complete and time.monotonic() < end:
                    with QUICK.slot(growing.trained, PIECE, piece=True):
                        growing.latest = next(growing.steps)
                    growing.trained = time.monotonic()
                if growing.latest.complete:
                    self._finalize_in_slot(growing, slow, PATIENCE)
                    return self._keep(key, growing.latest)
        except BusyError:
            if growing.latest is None:
                raise
        return growing.latest

    def _finalize_in_slot(self, growing: _Growing[V], queue: ComputeQueue, patience: float) -> None:
        if growing.latest is not None and not growing.finalized:
            with queue.slot(growing.trained, patience):
                self._finalize(growing.latest)
                growing.finalized = True

    def _request(self, key: K, name: str = "") -> _Growing[V]:
        """The growing result of a key, with this session among those that request it."""
        session, left = _register(key, name)
        now = time.monotonic()
        with self._lock:
            if now - self._too_large.get(key, -AGAIN) < AGAIN:
                raise NoMemoryError
            if left in self._growing:
                self._growing[left].visitors.pop(session, None)
                if not self._growing[left].active(now):
                    del self._growing[left]
            if key not in self._growing:
                self._make_room(now, one_more=not self._is_quick(key))
                self._growing[key] = _Growing(self._train(key))
            self._growing[key].visitors[session] = now
            return self._growing[key]

    def _make_room(self, now: float, one_more: bool = False) -> None:
        """Drop results that no page requests: after a while, or earlier if another result is to grow."""
        for key, each in list(self._growing.items()):
            if each.absent(now) > (ABSENT if self._is_quick(key) else GONE):
                del self._growing[key]
        growing = [key for key in self._growing if not self._is_quick(key)]
        if one_more and len(growing) >= MOST_GROWING:
            longest = max(growing, key=lambda key: self._growing[key].absent(now))
            if self._growing[longest].active(now):
                raise BusyError(len(growing))
            del self._growing[longest]

    def _keep(self, key: K, result: V) -> V:
        size = size_of(result)
        with self._lock:
            self._growing.pop(key, None)
            self._kept[key] = result, size
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(size for _, size in self._kept.values()) > self._capacity:
                self._kept.popitem(last=False)
        return result

    @contextmanager
    def _dropped_on_error(self, key: K, growing: _Growing[V]) -> Iterator[None]:
        """Drop a training that raised, since its iterator is spent: the next request starts a new one.

        Where the memory was not enough no request does so for a while.
        """
        try:
            yield
        except BusyError:
            raise
        except Exception as error:
            with self._lock:
                if self._growing.get(key) is growing:
                    del self._growing[key]
                if lacks_memory(error):
                    now = time.monotonic()
                    recent = {other: at for other, at in self._too_large.items() if now - at < AGAIN}
                    self._too_large = recent | {key: now}
                    raise NoMemoryError from error
            raise


def _register(key: Hashable, name: str) -> tuple[str, Any]:
    """This session's id, and the other key that it requested under this name before, if any."""
    session = st.session_state.setdefault("visitor", uuid.uuid4().hex)
    if not name:
        return session, None
    before = st.session_state.get(f"growing {name}")
    st.session_state[f"growing {name}"] = key
    return session, before if before != key else None


def lacks_memory(error: Exception) -> bool:
    """Whether an allocation has failed; torch raises ``RuntimeError`` for one on the processor."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error).lower()
    )


def show_busy(busy: BusyError, meanwhile: Callable[[], object] | None = None) -> NoReturn:
    """Show the notice that the server is busy, draw ``meanwhile``, and schedule reruns of the page.

    If the memory is not enough, say so instead and schedule none.
    """
    if isinstance(busy, NoMemoryError):
        st.error(NO_MEMORY, icon=":material/memory:")
        if meanwhile is not None:
            meanwhile()
        st.stop()
    ahead = "1 run is" if busy.ahead <= 1 else f"{busy.ahead} runs are"
    words = f"The room is busy: {ahead} training before yours, which then starts by itself."
    st.info(words, icon=":material/hourglass_top:")
    if meanwhile is not None:
        meanwhile()
    st.fragment(_again, run_every=1.0)(time.monotonic())
    st.stop()


def _again(since: float) -> None:
    """Rerun the page once the queue is short; a page with ticks of its own is rerun earlier by a tick."""
    if time.monotonic() - since > 2.5 and len(QUICK) <= QUICK.most // 2:
        st.rerun()


def size_of(value: object) -> int:
    """Bytes of all arrays and tensors reachable from a value, each counted once."""
    seen: set[int] = set()

    def bytes_in(node: object) -> int:
        if id(node) in seen:
            return 0
        seen.add(id(node))
        if isinstance(node, np.ndarray):
            return int(node.nbytes)
        if isinstance(node, torch.Tensor):
            return node.nbytes
        if isinstance(node, nn.Module):
            return sum(each.nbytes for each in node.parameters())
        if isinstance(node, dict):
            # A copy: another session may add a cached property to the object at the same time.
            return sum(bytes_in(each) for each in list(node.values()))
        if isinstance(node, list | tuple):
            return sum(bytes_in(each) for each in node)
        return bytes_in(vars(node)) if hasattr(node, "__dict__") else 0

    return bytes_in(value)
