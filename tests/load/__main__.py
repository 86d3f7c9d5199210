"""What does a crowd do to the server? ``python -m tests.load``, five minutes for all but ``soak``.

Simulated visitors speak Streamlit's own websocket protocol with a server on this machine; the figures are
printed with the limits that the playground sets itself.
"""

import argparse
import asyncio
import functools
import json
import os
import sys
import traceback
from pathlib import Path

import torch

from tests.load.scenarios import ALONE, SCENARIOS, SETTINGS, Figure, soak
from tests.load.server import Server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "scenarios", nargs="*", choices=[[], *SCENARIOS], help="only these; all if none is named"
    )
    parser.add_argument("--minutes", type=float, default=30, help="how long soak lasts (default: 30)")
    parser.add_argument("--json", type=Path, help="save the figures in this file")
    parser.add_argument("--check", action="store_true", help="end with 1 where a limit is missed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[Figure]] = {}
    SCENARIOS["soak"] = functools.wraps(soak)(functools.partial(soak, minutes=options.minutes))
    for name in options.scenarios or [name for name in SCENARIOS if name not in ALONE]:
        print(f"{name}: {(SCENARIOS[name].__doc__ or '').partition('.')[0].strip()}.", flush=True)
        try:
            with Server(**SETTINGS.get(name, {})) as server:
                found[name] = asyncio.run(SCENARIOS[name](server))
        except (Exception, ExceptionGroup) as error:
            traceback.print_exception(error)
            found[name] = [Figure(f"ended by {type(error).__name__}", 1, most=0)]
        print(*found[name], sep="\n", flush=True)
    if options.json:
        figures = {
            name: [each._asdict() | {"met": each.met} for each in some] for name, some in found.items()
        }
        text = json.dumps(
            {"cores": os.cpu_count(), "load": os.getloadavg()[0], "scenarios": figures}, indent=1
        )
        options.json.write_text(text + "\n")
    missed = any(not each.met for some in found.values() for each in some)
    return int(missed and options.check)


if __name__ == "__main__":
    sys.exit(main())
