"""Who gets what in a full room and from a full cache, however long it takes: no time is held to a limit."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from lora_core import Experiment, run
from tests.load.scenarios import runs_of
from tests.load.server import Server
from tests.load.visitor import Visitor


def test_a_full_cache_forgets_runs_but_never_mixes_them() -> None:
    links = [{"seed": seed, "samples": 2000} for seed in (1, 2, 3, 1, 2)]

    async def visits(address: str) -> None:
        for link in links:
            async with Visitor(address, **link) as visitor:
                await visitor.curve(run(Experiment(**link)).fingerprint)
                assert not visitor.errors

    with Server(LORA_KEPT_MEGABYTES="1") as small:
        asyncio.run(visits(small.address))
        report = small.report()
    # There is room for one run of this size: the first was forgotten, and trained again to the same bit.
    assert [runs_of(report, **link) for link in links[:3]] == [2, 2, 1]


@pytest.fixture(scope="module")
def small_room() -> Iterator[Server]:
    """A server with one place for what grows and one for who waits."""
    with Server(LORA_MOST_GROWING="1", LORA_MOST_WAITING="1") as started:
        yield started


def test_a_full_room_lets_the_next_one_in_when_one_leaves(small_room: Server) -> None:
    large = {"in_features": 512, "out_features": 512, "samples": 600, "epochs": 2000}

    async def visits() -> None:
        async with Visitor(small_room.address, **large, seed=1) as first:
            await first.until(lambda v: v.updates > 0)
            async with Visitor(small_room.address, **large, seed=2) as second:
                await second.until(lambda v: any("busy: 1 run is training" in each for each in v.notices))
                assert second.charts == 0
                await first.leave()
                await second.until(lambda v: v.updates > 0)
                assert not first.errors + second.errors

    asyncio.run(visits())


def test_a_line_that_is_too_long_is_told_and_everybody_is_served_in_the_end(small_room: Server) -> None:
    links = [{"seed": seed, "epochs": 1000} for seed in range(10, 20)]

    async def visits() -> list[Visitor]:
        crowd = [Visitor(small_room.address, **link) for link in links]
        async with AsyncExitStack() as stay:
            await asyncio.gather(*(stay.enter_async_context(each) for each in crowd))
            for visitor, link in zip(crowd, links, strict=True):
                await visitor.curve(run(Experiment(**link)).fingerprint)
        return crowd

    crowd = asyncio.run(visits())
    assert any("The room is busy" in notice for each in crowd for notice in each.notices)
    assert not [error for each in crowd for error in each.errors]
    report = small_room.report()
    assert [runs_of(report, **link) for link in links] == [1] * len(links)
