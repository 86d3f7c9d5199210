"""What a browser would never say: nobody is harmed, and the page of whoever says it goes on."""

import asyncio
import random
from collections.abc import Iterator

import pytest

from lora_core import Experiment, run
from tests.load.forger import forged, forged_components
from tests.load.scenarios import RANKS
from tests.load.server import Server
from tests.load.soak import NAMES
from tests.load.visitor import Visitor

MESSAGES = 12


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


async def bystander(server: Server, end: asyncio.Event) -> Visitor:
    """Moves the rank until the end; every curve that comes is the one that was asked for."""
    async with Visitor(server.address, seed=4242) as visitor:
        await visitor.until(lambda v: v.finished > 0)
        step = 0
        while not end.is_set() or step < 3:
            rank = RANKS[step % len(RANKS)]
            await visitor.move(rank=rank)
            await visitor.curve(run(Experiment(seed=4242, rank=rank)).fingerprint)
            step += 1
            await asyncio.sleep(0.6)
        return visitor


async def forger(server: Server, page: str, kinds: bool) -> Visitor:
    """Sends its messages, then those of an honest browser."""
    chance = random.Random(f"{page} {kinds}")
    async with Visitor(server.address, page) as visitor:
        await visitor.until(lambda v: v.finished > 0)
        for _ in range(4 if kinds else 0):
            await visitor.forge(forged_components(visitor, chance))
        for _ in range(MESSAGES if kinds else 3):
            await visitor.forge(forged(visitor, chance, kinds=kinds))
        return visitor


@pytest.mark.parametrize("page", NAMES)
def test_forged_messages_harm_nobody(server: Server, page: str) -> None:
    async def visits() -> tuple[Visitor, Visitor]:
        end = asyncio.Event()
        watching = asyncio.create_task(bystander(server, end))
        sender = await forger(server, page, kinds=True)
        await forger(server, page, kinds=False)
        end.set()
        return sender, await watching

    sender, other = asyncio.run(visits())
    assert len(sender.widgets) > 20
    assert sender.errors == []
    assert other.errors == []
