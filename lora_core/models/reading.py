"""Configs read by way of a worker process (worker.py), in which each has a child of its own with its limits.

It is started when the first one comes; so that no machine is swamped, `AT_ONCE` are built at a time. Results
are shared by everybody who brings the same config; the catalogue needs no worker (catalogue.py).
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

AT_ONCE = 3
SECONDS = 10.0
"""A config may take so long to build; the largest published ones take less than one."""
KEPT = 256


class Reader:
    """The worker and what it has answered; for any number of threads."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._worker = WorkerProcess()
        self._changed = Condition()
        self._asked: set[str] = set()
        self._answers: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def ask(self, config: Mapping[str, object], head: str | None) -> dict[str, Any]:
        """The worker's answer, `shape` or `error`; the same for everybody who asks the same."""
        line = json.dumps({"config": config, "head": head}, sort_keys=True)
        with self._changed:
            self._changed.wait_for(
                lambda: line in self._answers or (len(self._asked) < AT_ONCE and line not in self._asked)
            )
            if line in self._answers:
                self._answers.move_to_end(line)
                return self._answers[line]
            self._asked.add(line)
        try:
            found = self._answers[line] = self._worker.ask(line, self._seconds)
        finally:
            with self._changed:
                self._asked.remove(line)
                while len(self._answers) > KEPT:
                    self._answers.popitem(last=False)
                self._changed.notify_all()
        return found

    def close(self) -> None:
        """End the worker; the next question starts another."""
        self._worker.end()

    @property
    def pid(self) -> int | None:
        """The worker's process, None where none is running."""
        return self._worker.pid


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
