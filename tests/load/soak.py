"""Visitors of all kinds on all pages for a long time: they come, act, stay a while, leave or vanish.

What grows with the minutes is a leak: memory, descriptors, threads and a mover's latency are read every few
seconds, and the second half is compared with the first.
"""

import asyncio
import random
import time
from collections.abc import Callable
from itertools import product
from statistics import median
from typing import NamedTuple

from pages.ui.frame import PAGES
from tests.load.forger import forged
from tests.load.server import Server
from tests.load.visitor import Visitor

NAMES = ["" if script == "app.py" else script.partition("_")[2][:-3] for script, *_ in PAGES]
RANKS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24)
MOVED = ("rank", "alpha", "lr_ratio")
ALPHAS = ("2", "4", "8", "16", "24", "32")
RATIOS = ("0.1", "0.25", "0.5", "1", "2", "4", "8", "16")
REMEMBERED = 150.0
"""Seconds after which caches are full, and as many sessions forgotten as leave: Streamlit keeps each for two
minutes. Of a short soak half of the time."""


class Sample(NamedTuple):
    """The server at a moment: seconds since the start, MB, descriptors, threads."""

    at: float
    memory: float
    descriptors: int
    threads: int


class Soaked(NamedTuple):
    """What a soak has shown: samples, seconds of a mover's moves by their time, visits, errors."""

    samples: list[Sample]
    moves: list[tuple[float, float]]
    visits: int
    errors: list[str]

    def halves(self, number: Callable[[Sample], float]) -> tuple[float, float]:
        """Medians of a number in the first and in the second half of the time after the warm-up."""
        early = [number(each) for each in self.samples if self._half(each.at) == 0]
        return median(early), median([number(each) for each in self.samples if self._half(each.at) == 1])

    def times(self, half: int) -> list[float]:
        """Seconds of the moves of the first half, 0, or of the second, 1."""
        return [took for at, took in self.moves if self._half(at) == half]

    def _half(self, at: float) -> int | None:
        end = self.samples[-1].at
        warm = min(REMEMBERED, end / 2)
        return None if at < warm else int(at >= (warm + end) / 2)


async def soaked(server: Server, seconds: float, crowd: int, seed: int = 17) -> Soaked:
    """Keep ``crowd`` visitors on the server for so long, and a mover beside them."""
    start, chance = time.monotonic(), random.Random(seed)
    found = Soaked([], [], 0, [])
    visits = 0

    def passed() -> float:
        return time.monotonic() - start

    async def come_and_go(own: random.Random) -> None:
        nonlocal visits
        while passed() < seconds:
            visits += 1
            await _visit(server, own, found.errors)
            await asyncio.sleep(own.uniform(0.1, 1.0))

    async def move() -> None:
        async with Visitor(server.address, seed=31) as visitor:
            await visitor.until(lambda v: v.finished > 0)
            step, values = 0, list(product(RANKS, ALPHAS, RATIOS))
            random.Random(seed).shuffle(values)
            while passed() < seconds:
                before, at = visitor.run, passed()
                await visitor.move(**dict(zip(MOVED, values[step % len(values)], strict=True)))
                await visitor.until(lambda v, b=before: v.run != b and not v.streaming)
                found.moves.append((at, passed() - at))
                step += 1
                await asyncio.sleep(1)
            found.errors.extend(visitor.errors)

    async def watch() -> None:
        while passed() < seconds:
            found.samples.append(Sample(passed(), server.memory(), server.descriptors(), server.threads()))
            await asyncio.sleep(min(5.0, seconds / 40))

    async with asyncio.TaskGroup() as group:
        group.create_task(move())
        group.create_task(watch())
        for _ in range(crowd):
            group.create_task(come_and_go(random.Random(chance.random())))
    return found._replace(visits=visits)


async def _visit(server: Server, own: random.Random, errors: list[str]) -> None:
    """One visitor: opens a page, acts as its kind does, and leaves as it likes."""
    page, kind = own.choice(NAMES), own.choice(("looks", "moves", "drags", "streams", "forges", "roams"))
    link: dict[str, object] = {"seed": own.randrange(40)} if page != "On_stage" else {}
    if kind in ("drags", "moves"):
        page = ""
    elif kind == "streams":
        page, link = "", {"in_features": 512, "out_features": 512, "samples": 600, "seed": own.randrange(40)}
    visitor = Visitor(server.address, page, **link)
    await visitor.open()
    await visitor.until(lambda v: v.finished > 0)
    if kind == "moves":
        for _ in range(own.randrange(1, 5)):
            await visitor.move(rank=own.choice(RANKS))
            await asyncio.sleep(own.uniform(0.2, 1.0))
    elif kind == "drags":
        await visitor.until(lambda v: v.ranks != "")
        await visitor.come_near()
        await asyncio.sleep(own.uniform(0.2, 2.0))
    elif kind == "forges":
        for _ in range(5):
            await visitor.forge(forged(visitor, own))
    elif kind == "roams":
        for visitor.page in own.sample(NAMES, 2):
            before = visitor.finished
            await visitor.move()
            await visitor.until(lambda v, b=before: v.finished > b)
    await asyncio.sleep(own.uniform(0.1, 3.0))
    if own.random() < 0.5:
        visitor.vanish()
    else:
        await visitor.leave()
    errors.extend(f"{page or 'Playground'}, who {kind}: {error}" for error in visitor.errors)
