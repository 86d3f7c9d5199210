"""Does the app at an address work? ``python -m tests.load.first_page ADDRESS`` waits for its first curve.

The curve has to be that of the default experiment, trained here again, to the bit. No package is needed that
the app does not need itself.
"""

import asyncio
import sys
import time

from lora_core import Experiment, run
from tests.kit.servers import healthy
from tests.load.visitor import Visitor


async def first_page(address: str, seconds: float = 120) -> str:
    """Wait until the server is healthy and has sent the default experiment's curve; returns its fingerprint.

    :raises RuntimeError: the page reported an error.
    :raises TimeoutError: there is no server, or not this curve.
    """
    end = time.monotonic() + seconds
    while not healthy(address):
        if time.monotonic() > end:
            raise TimeoutError(f"no server at {address} after {seconds:g} s")
        await asyncio.sleep(0.2)
    async with Visitor(address) as visitor:
        await visitor.curve(run(Experiment()).fingerprint, seconds)
        await visitor.until(lambda v: v.finished > 0)
        if visitor.errors:
            raise RuntimeError(f"the page failed: {visitor.errors}")
        return visitor.run


if __name__ == "__main__":
    start = time.monotonic()
    print(
        f"run {asyncio.run(first_page(sys.argv[1]))} on the first page after {time.monotonic() - start:.1f} s"
    )
