"""Configs read by way of one worker process: started when the first comes, limited, replaced when it hangs.

Results are shared by everybody who brings the same config; the catalogue needs no worker (catalogue.py).
"""

import atexit
import json
import os
import selectors
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

from lora_core.models.config import check
from lora_core.models.heads import UnknownClassError
from lora_core.models.serial import from_json
from lora_core.models.shape import ModelShape

SECONDS = 10.0
"""A config may take so long to build; the largest published ones take less than one."""
START_SECONDS = 60.0
"""The first one may take longer, for the libraries must be loaded, on a machine that may be busy."""
KEPT = 256
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
}


class Reader:
    """One worker process and what it has answered; threads take turns."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._answers: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def ask(self, config: Mapping[str, object], head: str | None) -> dict[str, Any]:
        """The worker's answer, `shape` or `error`; the same for everybody who asks the same."""
        line = json.dumps({"config": config, "head": head}, sort_keys=True)
        with self._lock:
            found = self._answers.get(line)
            if found is None:
                found = self._exchange(line)
                self._answers[line] = found
                while len(self._answers) > KEPT:
                    self._answers.popitem(last=False)
            self._answers.move_to_end(line)
            return found

    def close(self) -> None:
        """End the worker; the next question starts another."""
        with self._lock:
            self._end()

    @property
    def pid(self) -> int | None:
        """The worker's process, None where none is running."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def _exchange(self, line: str) -> dict[str, Any]:
        fresh = self.pid is None
        process = self._start() if fresh or self._process is None else self._process
        assert process.stdin is not None
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = self._wait(process, START_SECONDS if fresh else self._seconds)
        except (OSError, ValueError):
            answer = ""
        if answer:
            return dict(json.loads(answer))
        slow = process.poll() is None
        self._end()
        if slow:
            error = f"takes longer than {self._seconds:g} s to build, which no published model does"
        else:
            error = "too large to be built in the memory that is set aside for it"
        return {"error": f"config.json: {error}"}

    def _start(self) -> "subprocess.Popen[str]":
        self._end()
        root = str(Path(__file__).parents[2])
        known = {name: value for name, value in os.environ.items() if "TOKEN" not in name.upper()}
        path = os.pathsep.join(filter(None, [root, known.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lora_core.models.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root,
            env={**known, **ENVIRONMENT, "PYTHONPATH": path},
        )  # fmt: skip
        return self._process

    def _wait(self, process: "subprocess.Popen[str]", seconds: float) -> str:
        """The next line of the worker, "" where it does not come in time or the worker has ended."""
        assert process.stdout is not None
        until, read = monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not read.endswith(b"\n"):
                if not selector.select(max(0.0, until - monotonic())):
                    return ""
                piece = os.read(process.stdout.fileno(), 1 << 20)
                if not piece:
                    process.wait(5)
                    return ""
                read += piece
        return read.decode()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):  # what was to be written is lost with its reader
                    stream.close()


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
    if "heads" in answer:
        raise UnknownClassError(answer["error"], tuple(answer["heads"]))
    if "error" in answer:
        raise ValueError(answer["error"])
    return from_json(answer["shape"])
