"""Damaged configs: real ones with a field cut, doubled, swapped, nested or made absurd, by a fixed seed.

    python -m tests.damaged [--configs 30000] [--seed 1]

reads them all through the worker, and fails if one gets anything but a count or one sentence, or takes longer
than the worker's limit. The tests read a share of them without it.
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_core.models import CATALOGUE
from lora_core.models.reading import SECONDS, START_SECONDS, Reader, read_shape

CASES = Path(__file__).parent / "data" / "model_cases.json"
ABSURD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 2**31, 10**18, 10**1000, 0.5, float("nan"), float("inf"), "", "llama", "\ud800",
    [], {}, [[]], [0], ["x"] * 100, {"a": {"b": {"c": []}}}, "x" * 3000, [None], {"model_type": "gpt2"},
    "<img src=x>",
)  # fmt: skip


def damaged(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Configs of the catalogue and of known troubles, each with one to four faults."""
    draw = random.Random(seed)
    cases = json.loads(CASES.read_text(encoding="utf-8"))["cases"].values()
    whole = [dict(entry.config) for entry in CATALOGUE.values()]
    whole += [case["config"] for case in cases if "config" in case]
    names = sorted({name for config in whole for name in config})
    for _ in range(count):
        config = json.loads(json.dumps(draw.choice(whole)))
        for _ in range(draw.randint(1, 4)):
            _harm(config, draw, names)
        yield config


def _harm(config: dict[str, Any], draw: random.Random, names: list[str]) -> None:
    place = config
    inner = [value for value in config.values() if isinstance(value, dict) and value]
    if inner and draw.random() < 0.4:
        place = draw.choice(inner)
    name = draw.choice(list(place)) if place and draw.random() < 0.8 else draw.choice(names)
    kind = draw.random()
    if kind < 0.2:
        place.pop(name, None)
    elif kind < 0.4 and isinstance(place.get(name), int) and abs(place[name]) < 2**60:
        place[name] = int(place[name] * draw.choice((-1, 0.5, 2, 3, 1.1, 1000)))
    elif kind < 0.5:
        place[name] = place.get(draw.choice(names))
    else:
        place[name] = draw.choice(ABSURD)


def main() -> None:
    """Read them all and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    reader, found, slowest = Reader(), Counter[str](), 0.0
    for config in damaged(options.configs, options.seed):
        start = time.monotonic()
        try:
            assert read_shape(config, reader=reader).total() > 0
            found["counted"] += 1
        except ValueError as error:
            words = str(error)
            assert "\n" not in words
            assert ": " in words
            assert len(words) < 700
            slow = "longer than" in words
            found["over the limit" if slow else "too large" if "memory" in words else "refused"] += 1
        slowest = max(slowest, time.monotonic() - start)
    reader.close()
    print(*(f"{count:,} {word}" for word, count in found.most_common()), f"slowest {slowest:.1f} s", sep=", ")
    assert slowest < SECONDS + START_SECONDS


if __name__ == "__main__":
    main()
