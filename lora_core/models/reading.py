"""Configs read by way of worker processes: started when the first comes, limited, replaced when they hang.

There are at most `WORKERS`, so that nobody waits for a config of another that hangs; mostly there is one.
Results are shared by everybody who brings the same config; the catalogue needs no worker (catalogue.py).
"""

import atexit
import json
from collections import OrderedDict
from collections.abc import Mapping
from importlib.util import find_spec
from threading import Condition
from typing import Any

from lora_core.models.config import check
from lora_core.models.heads import UnknownClassError
from lora_core.models.serial import from_json
from lora_core.models.shape import ModelShape
from lora_core.models.worker_process import WorkerProcess

WORKERS = 2
SECONDS = 10.0
"""A config may take so long to build; the largest published ones take less than one."""
KEPT = 256


class Reader:
    """The worker processes and what they have answered; for any number of threads."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._free = [WorkerProcess() for _ in range(WORKERS)]
        self._all = tuple(self._free)
        self._changed = Condition()
        self._asked: set[str] = set()
        self._answers: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def ask(self, config: Mapping[str, object], head: str | None) -> dict[str, Any]:
        """The worker's answer, `shape` or `error`; the same for everybody who asks the same."""
        line = json.dumps({"config": config, "head": head}, sort_keys=True)
        with self._changed:
            self._changed.wait_for(lambda: line in self._answers or (self._free and line not in self._asked))
            if line in self._answers:
                self._answers.move_to_end(line)
                return self._answers[line]
            worker = max(self._free, key=lambda each: each.pid is not None)  # one that is running first
            self._free.remove(worker)
            self._asked.add(line)
        try:
            found = self._answers[line] = worker.ask(line, self._seconds)
        finally:
            with self._changed:
                self._free.append(worker)
                self._asked.remove(line)
                while len(self._answers) > KEPT:
                    self._answers.popitem(last=False)
                self._changed.notify_all()
        return found

    def close(self) -> None:
        """End the workers; the next question starts another."""
        for worker in self._all:
            worker.end()

    @property
    def pids(self) -> list[int]:
        """The workers' processes."""
        return [worker.pid for worker in self._all if worker.pid is not None]


READER = Reader()
atexit.register(READER.close)


def read_shape(config: Mapping[str, object], head: str | None = None, reader: Reader = READER) -> ModelShape:
    """The shape of the model that a config.json describes, built by transformers in the worker.

    Raises ValueError in one sentence.
    """
    check(config)
    if head is not None and (not isinstance(head, str) or len(head) > 40):
        raise ValueError("head: expected a word such as lm, classification or none")
    missing = [name for name in ("transformers",) if find_spec(name) is None]
    if missing:
        raise ValueError(
            "config.json: reading one needs the package transformers, which is not installed here; the "
            "catalogue works without it"
        )
    try:
        answer = reader.ask(config, head)
    except (TypeError, UnicodeError, RecursionError):
        raise ValueError("config.json: holds values that JSON has no words for") from None
    except TimeoutError as error:
        raise ValueError(str(error)) from None
    if "heads" in answer:
        raise UnknownClassError(answer["error"], tuple(answer["heads"]))
    if "error" in answer:
        raise ValueError(answer["error"])
    return from_json(answer["shape"])
