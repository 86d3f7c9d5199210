"""What a crowd does to a server: each scenario sends visitors to a fresh one and returns measured figures.

All traffic stays on 127.0.0.1. Visitors and server share the cores of one machine, so that times hold the
visitors' own work too.
"""

import asyncio
import json
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from statistics import quantiles
from typing import NamedTuple

from lora_core import Experiment, run
from tests.load.browser import playing
from tests.load.server import Report, Server
from tests.load.soak import soaked
from tests.load.visitor import Visitor

LARGE: dict[str, object] = {"in_features": 1024, "out_features": 1024, "samples": 2000}
"""A layer whose run streams: tens of seconds of one core."""
RANKS = (4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 24, 1, 2)
ALPHAS = ("1", "2", "4", "6", "8", "12", "16", "24", "32", "48", "64")
NETWORK = "A_small_network"
NETWORK_RANKS = (1, 2, 3, 6, 8, 12, 16, 24, 32, 48, 64, 4)
"""Of the slider, the default's rank last."""


class Figure(NamedTuple):
    """One measured number and the limits that the playground sets itself."""

    name: str
    value: float
    unit: str = ""
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is within its limits; what is no number never is."""
        above = self.least is None or self.value >= self.least
        return above and (self.most is None or self.value <= self.most)

    def __str__(self) -> str:
        limits = [
            f"{sign} {limit:g}"
            for sign, limit in (("<=", self.most), (">=", self.least))
            if limit is not None
        ]
        mark = "" if self.met else "  MISSED"
        return f"  {self.name:62s}{self.value:10.3g} {self.unit:12s}{' and '.join(limits)}{mark}"


async def room(server: Server, visitors: int = 100, seconds: float = 10, seed: int = 7) -> list[Figure]:
    """A room opens one link, each at a moment of its own: one run is trained, and all have its curve."""
    link = {"seed": seed, "rank": 5}
    expected = run(Experiment(**link)).fingerprint
    await _warm(server)
    before, work = server.memory(), server.cpu()
    async with AsyncExitStack() as stay:
        crowd = [Visitor(server.address, **link) for _ in range(visitors)]

        async def come(visitor: Visitor, at: float) -> float:
            await asyncio.sleep(at)
            start = time.monotonic()
            await stay.enter_async_context(visitor)
            return await visitor.curve(expected) - start

        times = await _all(come(each, i * seconds / visitors) for i, each in enumerate(crowd))
        await _all(each.until(lambda v: v.finished > 0) for each in crowd)
        growth, work = server.memory() - before, server.cpu() - work
        descriptors = server.descriptors() / visitors
        report = await asyncio.to_thread(server.report)
        return [
            Figure("p95 from the link to the trained curve", p95(times), "s", most=1.5),
            Figure("slowest of all", max(times), "s"),
            Figure("runs trained for it", runs_of(report, **link), "", most=1, least=1),
            Figure("errors", sum(len(each.errors) for each in crowd), "", most=0),
            Figure("memory a visitor", growth / visitors, "MB", most=3),
            Figure("descriptors a visitor", descriptors, "", most=8),
            Figure("processor time a visitor", 1000 * work / visitors, "ms"),
        ]


async def idle(server: Server, visitors: int = 300, moving: int = 2, seconds: float = 10) -> list[Figure]:
    """A room leaves its pages open and does nothing, while a few move sliders."""
    await _warm(server)
    memory, descriptors = server.memory(), server.descriptors()
    async with AsyncExitStack() as stay:
        crowd = [Visitor(server.address) for _ in range(visitors)]
        for each in crowd:
            await stay.enter_async_context(each)
        await _all(each.until(lambda v: v.finished > 0) for each in crowd)
        memory, descriptors = server.memory() - memory, server.descriptors() - descriptors
        moves = await _move(server, range(800, 800 + moving), 1, seconds)
        errors = moves.errors + sum(len(each.errors) for each in crowd)
    return [
        Figure("open pages", visitors),
        Figure("descriptors a page", descriptors / visitors, "", most=4.5),
        Figure("memory a page", memory / visitors, "MB", most=3),
        Figure("p95 from a moved slider to its curve", p95(moves.times), "s", most=0.8),
        Figure("errors", errors, "", most=0),
    ]


async def movers(
    server: Server, visitors: int = 16, every: float = 2, seconds: float = 30, first: int = 0
) -> list[Figure]:
    """Each visitor moves the rank slider of an experiment of its own: every move is a new run."""
    await _warm(server)
    moves = await _move(server, range(first, first + visitors), every, seconds)
    report = await asyncio.to_thread(server.report)
    return [
        Figure("p95 from a moved slider to its curve", p95(moves.times), "s", most=0.8),
        Figure("median", median(moves.times), "s"),
        Figure("moves", len(moves.times)),
        Figure("runs trained", sum(report.trained.values())),
        Figure("errors", moves.errors, "", most=0),
    ]


async def draggers(
    server: Server, visitors: int = 16, every: float = 2, seconds: float = 30, first: int = 400
) -> list[Figure]:
    """Each visitor takes hold of the rank of an experiment of its own, again and again.

    A hand comes near: every rank is trained; it lets go somewhere: the run of that rank. More than a few such
    hands, none of which pauses, ask for more ranks than two cores can train; what lets go comes first then.
    """
    await _warm(server)
    near: list[float] = []
    chosen: list[float] = []
    errors = 0

    async def visit(place: float, seed: int) -> None:
        nonlocal errors
        async with Visitor(server.address, seed=seed, samples=200 + seed % 7) as visitor:
            await visitor.until(lambda v: v.finished > 0)
            await asyncio.sleep(place * every)
            end, step = time.monotonic() + seconds, 0
            while time.monotonic() < end:
                if step:  # another experiment, of which nobody has every rank
                    await visitor.move(lr_ratio=_ratio(step))
                    await visitor.until(lambda v: v.ranks == "untrained")
                start = time.monotonic()
                near.append(await visitor.all_ranks() - start)
                before, start = visitor.run, time.monotonic()
                await visitor.move(rank=RANKS[step % len(RANKS)])
                took = await visitor.until(lambda v, b=before: v.run != b and not v.streaming) - start
                chosen.append(took)
                step += 1
                await asyncio.sleep(max(0.0, every - took))
            errors += len(visitor.errors)

    listed = list(range(first, first + visitors))
    await _all(visit(i / len(listed), seed) for i, seed in enumerate(listed))
    return [
        Figure(
            "p95 from a hand's arrival to every rank", p95(near), "s", most=1.5 if visitors <= 4 else None
        ),
        Figure("median", median(near), "s"),
        Figure("p95 from letting go to the curve", p95(chosen), "s", most=0.8),
        Figure("drags", len(chosen)),
        Figure("errors", errors, "", most=0),
    ]


async def sweepers(
    server: Server,
    sweeping: int = 5,
    moving: int = 4,
    every: float = 1,
    seconds: float = 25,
    first: int = 600,
) -> list[Figure]:
    """Some ask for every rank of one experiment after the other, without a pause; others move sliders."""
    await _warm(server)
    swept, errors = [0] * sweeping, 0
    end = asyncio.Event()

    async def sweep(place: int) -> None:
        nonlocal errors
        async with Visitor(server.address, seed=first + place) as visitor:
            await visitor.until(lambda v: v.finished > 0)
            while not end.is_set():
                alpha = ALPHAS[swept[place] // 8 % len(ALPHAS)]
                await visitor.move(alpha=alpha, lr_ratio=_ratio(swept[place]))
                await visitor.until(lambda v: v.ranks == "untrained")
                await visitor.all_ranks()
                swept[place] += 1
            errors += len(visitor.errors)

    sweeps = [asyncio.create_task(sweep(place)) for place in range(sweeping)]
    moves = await _move(server, range(first + 50, first + 50 + moving), every, seconds)
    end.set()
    await asyncio.gather(*sweeps)
    return [
        Figure("p95 from a moved slider to its curve", p95(moves.times), "s", most=0.8),
        Figure("median", median(moves.times), "s"),
        Figure("moves", len(moves.times)),
        Figure("sweeps of the one who got fewest", min(swept), "", least=1),
        Figure("sweeps of all", sum(swept)),
        Figure("errors", moves.errors + errors, "", most=0),
    ]


async def networks(
    server: Server,
    visitors: int = 8,
    every: float = 10,
    seconds: float = 40,
    moving: int = 16,
    first: int = 0,
) -> list[Figure]:
    """Some visitors adapt a small network of their own, while others move the playground's rank."""
    await _warm(server)
    points: list[float] = []
    curves: list[float] = []
    errors = 0
    ready = asyncio.Barrier(visitors + 1)

    async def visit(place: float, seed: int) -> None:
        nonlocal errors
        async with Visitor(server.address, NETWORK, net_seed=seed) as visitor:
            await visitor.until(lambda v: bool(v.run) and not v.streaming)
            await ready.wait()
            await asyncio.sleep(place * every)
            end, step = time.monotonic() + seconds, 0
            while time.monotonic() < end:
                before, start = visitor.run, time.monotonic()
                await visitor.move(net_rank=NETWORK_RANKS[step % len(NETWORK_RANKS)])
                points.append(await visitor.until(lambda v, b=before: v.run != b) - start)
                curves.append(await visitor.until(lambda v: not v.streaming) - start)
                step += 1
                await asyncio.sleep(max(0.0, every - curves[-1]))
            errors += len(visitor.errors)

    async def move() -> Moves:
        await ready.wait()
        return await _move(server, range(first + 600, first + 600 + moving), 2, seconds)

    listed = enumerate(range(first + 1, first + 1 + visitors))
    *_, moves = await _all([*(visit(i / visitors, seed) for i, seed in listed), move()])
    return [
        Figure("p95 from a moved slider to the first points", p95(points), "s", most=1.5),
        Figure("median", median(points), "s"),
        Figure("median to the whole curve", median(curves), "s"),
        Figure("p95 of the playground's movers beside them", p95(moves.times), "s", most=0.8),
        Figure("moves, of networks and of the playground", len(points) + len(moves.times)),
        Figure("errors", errors + moves.errors, "", most=0),
    ]


async def streams(server: Server, streaming: int = 8, moving: int = 16, seconds: float = 25) -> list[Figure]:
    """Some stream a large layer while one plays in a real browser and others move sliders."""
    await _warm(server)
    async with AsyncExitStack() as stay:
        growing = [Visitor(server.address, **LARGE, seed=i, epochs=2000) for i in range(streaming)]
        for each in growing:
            await stay.enter_async_context(each)
        await _all(each.until(lambda v: v.charts > 1) for each in growing)
        begun, start = [each.updates for each in growing], time.monotonic()
        player = asyncio.create_task(playing(server.address, seconds - 5))
        moves = await _move(server, range(100, 100 + moving), 2, seconds)
        played = await player
        pace = [
            (each.updates - was) / (time.monotonic() - start)
            for each, was in zip(growing, begun, strict=True)
        ]
        errors = moves.errors + sum(len(each.errors) for each in growing)
    return [
        Figure("frames a second in the browser that plays", played.rate, "frames/s", least=50),
        Figure("its longest gap between two frames", played.longest, "ms"),
        Figure("p95 from a moved slider to its curve", p95(moves.times), "s", most=3),
        Figure("updates a second of the slowest stream", min(pace), "updates/s", least=0.1),
        Figure("updates a second of all streams", sum(pace), "updates/s"),
        Figure("errors", errors, "", most=0),
    ]


async def vanishing(
    server: Server, visitors: int = 200, at_once: int = 20, size: int = 1024, first: int = 1000
) -> list[Figure]:
    """Visitors who connect and vanish in the middle of a run, every second one of a large layer.

    Half as many have done so before: what a server may hold of runs that nobody waits for, it holds by then.
    What it keeps of finished ones is little here: see ``SETTINGS``.
    """
    await _warm(server)
    await _vanish(server, range(first, first + visitors // 2), at_once, size)
    await _settled(server)
    threads, memory, start = server.threads(), server.memory(), time.monotonic()
    await _vanish(server, range(first + visitors, first + 2 * visitors), at_once, size)
    left = await _settled(server)
    seconds = time.monotonic() - start
    async with Visitor(server.address, rank=7) as after:
        asked = time.monotonic()
        answered = await after.curve(run(Experiment(rank=7)).fingerprint) - asked
    growth, more = server.memory() - memory, server.threads() - threads
    return [
        Figure("threads of pages left", left, "", most=0),
        Figure("more threads in all than before", more, "", most=2),
        Figure("memory more than before", growth, "MB", most=100),
        Figure("seconds until all was quiet", seconds, "s"),
        Figure("the next visitor's curve", answered, "s", most=1.5),
    ]


async def soak(server: Server, minutes: float = 30, crowd: int = 6) -> list[Figure]:
    """Visitors of all kinds on all pages come, act and vanish for long: nothing grows in the second half."""
    await _warm(server)
    found = await soaked(server, 60 * minutes, crowd)
    memory, descriptors, threads = (
        found.halves(lambda each, name=name: getattr(each, name))  # type: ignore[misc]
        for name in ("memory", "descriptors", "threads")
    )
    early, late = p95(found.times(0)), p95(found.times(1))
    for error in dict.fromkeys(found.errors):
        print(f"  {error}")
    return [
        Figure("visits", found.visits),
        Figure("memory, second half", memory[1], "MB"),
        Figure("more than in the first half", memory[1] - memory[0], "MB", most=60),
        Figure("descriptors, second half", descriptors[1]),
        Figure("more than in the first half", descriptors[1] - descriptors[0], "", most=40),
        Figure("threads, second half", threads[1]),
        Figure("more than in the first half", threads[1] - threads[0], "", most=4),
        Figure("p95 of a mover, first half", early, "s"),
        Figure("p95 of a mover, second half", late, "s", most=max(0.8, 1.5 * early)),
        Figure("errors", len(found.errors), "", most=0),
    ]


async def replicas(server: Server, visitors: int = 12, seconds: float = 12) -> list[Figure]:
    """How many new curves a second one server process gives, and two: a link needs no server of its own."""
    rates, curves = [], set()
    with Server() as second:
        for servers in ([server], [server, second]):
            for each in servers:
                await _warm(each)
            first = 200 * len(servers)
            share = visitors // len(servers)
            moves = await _all(
                _move(each, range(first + i * share, first + (i + 1) * share), 0, seconds)
                for i, each in enumerate(servers)
            )
            rates.append(sum(len(each.times) for each in moves) / seconds)
        for each in (server, second):
            async with Visitor(each.address, rank=9, seed=5) as visitor:
                await visitor.curve(run(Experiment(rank=9, seed=5)).fingerprint)
                curves.add(visitor.run)
    return [
        Figure("new curves a second of one process", rates[0], "curves/s"),
        Figure("new curves a second of two processes", rates[1], "curves/s"),
        Figure("what the second adds", 100 * (rates[1] / rates[0] - 1), "%"),
        Figure("different curves for one link", len(curves), "", most=1),
    ]


SCENARIOS: dict[str, Callable[[Server], Awaitable[list[Figure]]]] = {
    "room": room,
    "idle": idle,
    "movers": movers,
    "draggers": draggers,
    "networks": networks,
    "sweepers": sweepers,
    "streams": streams,
    "vanishing": vanishing,
    "replicas": replicas,
    "soak": soak,
}
ALONE = ("soak",)
"""Scenarios that take too long to be part of all."""


_SMALL = {"LORA_KEPT_MEGABYTES": "20", "LORA_MOST_GROWING": "2", "MALLOC_ARENA_MAX": "2"}
SETTINGS = {"vanishing": _SMALL, "soak": _SMALL}
"""The environment of a scenario's server: a cache that fills up to its limit is no leak."""


class Moves(NamedTuple):
    """What moving sliders took: seconds from each move to its curve, and the errors seen."""

    times: list[float]
    errors: int


async def _move(server: Server, seeds: Iterable[int], every: float, seconds: float) -> Moves:
    """A visitor for each seed moves the rank at this pace, or as soon as the curve is there if it is 0."""
    times: list[float] = []
    errors = 0

    async def visit(place: float, seed: int) -> None:
        nonlocal errors
        async with Visitor(server.address, seed=seed, samples=200 + seed % 7) as visitor:
            await visitor.until(lambda v: v.finished > 0)
            await asyncio.sleep(place * every)
            end, step = time.monotonic() + seconds, 0
            while time.monotonic() < end:
                before, start = visitor.run, time.monotonic()
                await visitor.move(rank=RANKS[step % len(RANKS)], lr_ratio=_ratio(step // len(RANKS)))
                took = await visitor.until(lambda v, b=before: v.run != b and not v.streaming) - start
                times.append(took)
                step += 1
                await asyncio.sleep(max(0.0, every - took))
            errors += len(visitor.errors)

    listed = list(seeds)
    await _all(visit(i / len(listed), seed) for i, seed in enumerate(listed))
    return Moves(times, errors)


def _ratio(turn: int) -> str:
    """A LoRA+ ratio for each time that all ranks have been seen, so that no run is asked for twice."""
    return ("1", "2", "4", "8", "16", "0.5", "0.25", "0.1")[turn % 8]


async def _vanish(server: Server, seeds: Iterable[int], at_once: int, size: int) -> None:
    """A visitor for each seed who cuts the line: some before the first word, some in the middle of a run."""
    places, chance = asyncio.Semaphore(at_once), random.Random(0)

    async def visit(seed: int, patience: float) -> None:
        async with places:
            link = LARGE | {"in_features": size, "out_features": size} if seed % 2 else {}
            visitor = Visitor(server.address, seed=seed, **link)
            await visitor.open()
            await asyncio.sleep(patience)
            visitor.vanish()

    await _all(visit(seed, chance.uniform(0.02, 1.0)) for seed in seeds)


async def _settled(server: Server, seconds: float = 30) -> int:
    """Wait until no page runs any more; returns how many still did in the end."""
    end = time.monotonic() + seconds
    while (left := (await asyncio.to_thread(server.report)).scripts) and time.monotonic() < end:
        await asyncio.sleep(0.25)
    return left


async def _warm(server: Server) -> None:
    """One visitor opens the default link: torch is loaded, the components are registered."""
    async with Visitor(server.address) as visitor:
        await visitor.until(lambda v: v.finished > 0 and bool(v.run))


async def _all(tasks: Iterable[Awaitable]) -> list:
    """Run all of them at once; the first that fails ends the rest."""
    async with asyncio.TaskGroup() as group:
        begun = [group.create_task(each) for each in tasks]  # type: ignore[arg-type]
    return [each.result() for each in begun]


def runs_of(report: Report, **link: object) -> int:
    """How often the run of a link was trained."""
    return report.trained[json.dumps(Experiment(**link).to_dict(), sort_keys=True)]  # type: ignore[arg-type]


def p95(values: list[float]) -> float:
    """The 95th percentile; what is no list of numbers has none."""
    return quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else math.nan


def median(values: list[float]) -> float:
    return quantiles(values, n=2)[0] if len(values) > 1 else math.nan
