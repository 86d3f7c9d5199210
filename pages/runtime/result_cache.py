"""What visitors share: results that are trained once, however many want them, and kept while there is room.

A result that takes a moment is trained in one turn, by whoever asks first; the others wait for it. One that
takes longer grows: each tick of each page that waits for it trains a little, and all see the same. Nothing
computes in the background: what no page asks for any more stops by itself, and its place is free.
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

from pages.runtime.queue import LATER, PATIENCE, QUICK, SLOW, BusyError, ComputeQueue, setting, wait

BUDGET, TICK = 0.15, 0.25
"""Seconds of training in a tick and from tick to tick, of a result that grows alone."""
MOST_GROWING = setting("MOST_GROWING", 8)
"""Results that may grow at a time; a visitor who asks for one more is told that the room is busy."""
KEPT_MEGABYTES = setting("KEPT_MEGABYTES", 400)
"""Memory for finished results of a kind; those not asked for longest make room."""
PIECE = 1.0
"""Seconds that a tick waits for the turn of a piece; it draws what there is if none comes."""
ABSENT, GONE = 6.0, 120.0
"""Seconds without a tick after which a growing result may lose its place to another, and loses it anyway."""


class Result(Protocol):
    """What is trained step by step."""

    @property
    def complete(self) -> bool: ...


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Result)


class _Growing(Generic[V]):
    """A result in the making; its lock is held by whoever trains it."""

    def __init__(self, steps: Iterator[V]) -> None:
        self.steps, self.lock = steps, threading.Lock()
        self.born = self.trained = time.monotonic()
        self.latest: V | None = None
        self.polished = False
        self.visitors: dict[str, float] = {}
        self.looked: set[str] = set()

    def active(self, now: float) -> bool:
        return self.absent(now) < ABSENT

    def absent(self, now: float) -> float:
        """Seconds since a page last asked for it."""
        return 0.0 if self.lock.locked() else now - max(self.visitors.values(), default=0.0)


class Shared(Generic[K, V]):
    """Results by their key.

    ``train(key)`` yields a result as it grows. ``brief(key)``: it takes no longer than a moment.
    ``large(key)``: its beginning takes long and cannot be cut. ``polish(result)`` computes what a finished
    one has besides.
    """

    def __init__(
        self,
        train: Callable[[K], Iterator[V]],
        brief: Callable[[K], bool],
        large: Callable[[K], bool],
        polish: Callable[[V], object] = lambda _: None,
        megabytes: int = KEPT_MEGABYTES,
    ) -> None:
        self._train, self._brief, self._large, self._polish = train, brief, large, polish
        self._room = megabytes * 1_000_000
        self._lock = threading.Lock()
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._growing: dict[K, _Growing[V]] = {}

    def kept(self, key: K) -> V | None:
        """The finished result if there is one."""
        with self._lock:
            self._make_room(time.monotonic())
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def finished(self, key: K, patience: float = PATIENCE) -> V | None:
        """The finished result, trained now if that takes a moment; None for one that grows or has to wait."""
        try:
            return self._at_once(key, patience) if self._brief(key) else self.kept(key)
        except BusyError:
            return None

    def grown(self, key: K, name: str) -> V:
        """The result, a little further than at the last call; one more of this ``name`` gives up the other.

        :raises BusyError: there is nothing to show yet, and no turn or no place for it now.
        """
        if self._brief(key):
            return self._at_once(key, PATIENCE)
        while True:
            found = self.kept(key)
            if found is not None:
                return found
            growing = self._place(key, name)
            latest = growing.latest
            if latest is not None and not self._has_looked(growing):
                return latest
            if latest is None:
                wait(partial(growing.lock.acquire, True), PATIENCE, SLOW)
            elif not growing.lock.acquire(blocking=False):
                return latest  # another page trains it at this moment
            try:
                if self._growing.get(key) is growing:  # else it was finished or given up meanwhile
                    return self._further(key, growing)
            finally:
                growing.lock.release()

    @staticmethod
    def _has_looked(growing: _Growing[V]) -> bool:
        """Whether this visitor has been given what there was before; noted as given now.

        The beginning of a large result takes longer than a tick, which then ends the script that trained it
        before it has drawn: the next one draws first and trains afterwards.
        """
        me = st.session_state["visitor"]
        looked = me in growing.looked
        growing.looked.add(me)
        return looked

    def growing(self) -> int:
        """How many results grow at this moment."""
        now = time.monotonic()
        with self._lock:
            return sum(not self._brief(key) and each.active(now) for key, each in self._growing.items())

    def tick(self) -> float:
        """Seconds from tick to tick of a page: more where many grow, for drawing them takes time too."""
        return TICK * max(1.0, self.growing() / 2)

    def _at_once(self, key: K, patience: float) -> V:
        end = time.monotonic() + patience
        while True:
            found = self.kept(key)
            if found is not None:
                return found
            growing = self._place(key)
            left = max(0.0, end - time.monotonic())
            wait(partial(growing.lock.acquire, True), left, QUICK)
            try:
                if self._growing.get(key) is not growing:
                    continue  # another page has finished it meanwhile, or failed
                left = max(0.0, end - time.monotonic())
                with QUICK.slot(growing.born, left), self._forgotten_if_it_fails(key, growing):
                    for latest in growing.steps:
                        growing.latest = latest
                    self._polish(latest)  # in the same turn
                return self._keep(key, latest)
            finally:
                growing.lock.release()

    def _further(self, key: K, growing: _Growing[V]) -> V:
        slow = SLOW if self._large(key) else QUICK
        end = time.monotonic() + (BUDGET if self.growing() < 2 else BUDGET / 2)
        try:
            with self._forgotten_if_it_fails(key, growing):
                if growing.latest is None:
                    with slow.slot(growing.born):
                        growing.latest = next(growing.steps)
                elif not growing.polished and not len(QUICK):
                    # Only now, and where nobody waits for anything: a first paint does not wait for it.
                    with suppress(BusyError):
                        self._polish_in_turn(growing, slow, patience=0.0)
                while not growing.latest.complete and time.monotonic() < end:
                    with QUICK.slot(growing.trained + LATER, patience=PIECE):
                        growing.latest = next(growing.steps)
                    growing.trained = time.monotonic()
                if growing.latest.complete:
                    self._polish_in_turn(growing, slow, PATIENCE)
                    return self._keep(key, growing.latest)
        except BusyError:
            if growing.latest is None:
                raise
        return growing.latest

    def _polish_in_turn(self, growing: _Growing[V], queue: ComputeQueue, patience: float) -> None:
        if growing.latest is not None and not growing.polished:
            with queue.slot(growing.trained, patience):
                self._polish(growing.latest)
                growing.polished = True

    def _place(self, key: K, name: str = "") -> _Growing[V]:
        """The growing result of a key, with this visitor among those who want it."""
        me, left = _visitor(self, key, name)
        now = time.monotonic()
        with self._lock:
            if left in self._growing:
                self._growing[left].visitors.pop(me, None)
                if not self._growing[left].active(now):
                    del self._growing[left]
            if key not in self._growing:
                self._make_room(now, one_more=not self._brief(key))
                self._growing[key] = _Growing(self._train(key))
            self._growing[key].visitors[me] = now
            return self._growing[key]

    def _make_room(self, now: float, one_more: bool = False) -> None:
        """Give up what no page asks for any more; what grows, where its place is wanted or after a while."""
        for key, each in list(self._growing.items()):
            if each.absent(now) > (ABSENT if self._brief(key) else GONE):
                del self._growing[key]
        growing = [key for key in self._growing if not self._brief(key)]
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
            while len(self._kept) > 1 and sum(size for _, size in self._kept.values()) > self._room:
                self._kept.popitem(last=False)
        return result

    @contextmanager
    def _forgotten_if_it_fails(self, key: K, growing: _Growing[V]) -> Iterator[None]:
        """A training that raised cannot go on: the next who asks for it begins anew."""
        try:
            yield
        except BusyError:
            raise
        except Exception:
            with self._lock:
                if self._growing.get(key) is growing:
                    del self._growing[key]
            raise


def _visitor(shared: Shared, key: Hashable, name: str) -> tuple[str, Any]:
    """This session's name, and the key that it had asked for under this name before, if another."""
    me = st.session_state.setdefault("visitor", uuid.uuid4().hex)
    if not name:
        return me, None
    before = st.session_state.get(f"growing {name}")
    st.session_state[f"growing {name}"] = key
    return me, before if before != key else None


def tell(busy: BusyError, meanwhile: Callable[[], object] | None = None) -> NoReturn:
    """Say that the room is busy, draw what may stand there meanwhile, and let the page ask again itself."""
    ahead = "1 run is" if busy.ahead <= 1 else f"{busy.ahead} runs are"
    words = f"The room is busy: {ahead} training before yours, which then starts by itself."
    st.info(words, icon=":material/hourglass_top:")
    if meanwhile is not None:
        meanwhile()
    st.fragment(_again, run_every=1.0)(time.monotonic())
    st.stop()


def _again(since: float) -> None:
    """Called every second; where the page has ticks of its own it is drawn anew before its time has come."""
    if time.monotonic() - since > 2.5 and len(QUICK) <= QUICK.most // 2:
        st.rerun()


def size_of(value: object) -> int:
    """Bytes of all arrays and tensors that a value holds, each counted once."""
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
            # A copy: another page may compute something at this moment that its object then keeps.
            return sum(bytes_in(each) for each in list(node.values()))
        if isinstance(node, list | tuple):
            return sum(bytes_in(each) for each in node)
        return bytes_in(vars(node)) if hasattr(node, "__dict__") else 0

    return bytes_in(value)
