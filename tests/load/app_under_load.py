"""The app as it is, in a process that keeps count: ``python -m tests.load.app_under_load REPORT OPTIONS``.

Starts what ``streamlit run app.py OPTIONS`` starts. On SIGUSR1 it writes to the file REPORT what only the
process itself knows: which runs it has trained and how often, its threads, the sessions it holds.
"""

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from streamlit.runtime import Runtime
from streamlit.web import cli

TRAINED: Counter[str] = Counter()
"""An experiment as JSON -> how many times its training was begun; ``sweep:`` before that of a sweep."""


def counted(train: Callable[..., Iterator[Any]], prefix: str) -> Callable[..., Iterator[Any]]:
    """``train``, noting the experiment when the first of it is asked for."""

    @wraps(train)
    def noting(experiment: Any, *more: Any) -> Iterator[Any]:
        TRAINED[prefix + json.dumps(experiment.to_dict(), sort_keys=True)] += 1
        yield from train(experiment, *more)

    return noting


def count_trainings() -> None:
    """Put the counters where every run and every sweep passes, before a page has imported them."""
    from lora_core.training import run, sweep

    run.train = counted(run.train, "")
    sweep.train_sweep = counted(sweep.train_sweep, "sweep:")


def report_to(path: Path) -> None:
    """Answer SIGUSR1 with a report."""

    def report(*_: object) -> None:
        sessions = Runtime.instance()._session_mgr.list_sessions() if Runtime.exists() else []
        found = {
            "trained": TRAINED,
            "threads": sorted(thread.name for thread in threading.enumerate()),
            "sessions": len(sessions),
        }
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(found))
        draft.rename(path)

    signal.signal(signal.SIGUSR1, report)


def main() -> None:
    report, *options = sys.argv[1:]
    report_to(Path(report))
    count_trainings()
    os.chdir(Path(__file__).parents[2])
    sys.argv = ["streamlit", "run", "app.py", *options]
    cli.main()


if __name__ == "__main__":
    main()
