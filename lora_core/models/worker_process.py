"""A worker process (worker.py) as it is seen from outside: started, asked, ended when it hangs or dies.

It says one line once its libraries are loaded, and then one for each that it is given.
"""

import json
import os
import selectors
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

START_SECONDS = 60.0
"""The libraries may take so long to load, on a machine that may be busy."""
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
}


class WorkerProcess:
    """One process, started with the first question; not for two threads at once."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False

    @property
    def pid(self) -> int | None:
        """The process, None where none is running."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def ask(self, line: str, seconds: float) -> dict[str, Any]:
        """The answer to a line; an `error` where none comes in so many seconds, and another process loads.

        Raises TimeoutError where the libraries do not load.
        """
        process = self._process if self._process is not None and self.pid is not None else self._start()
        if not self._ready:
            self._ready = bool(self._line(process, START_SECONDS))
            if not self._ready:
                self.end()
                raise TimeoutError(f"config.json: transformers did not load within {START_SECONDS:g} s here")
        assert process.stdin is not None
        try:
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            answer = self._line(process, seconds)
        except OSError:
            answer = b""
        if answer:
            return dict(json.loads(answer))
        slow = process.poll() is None
        self._start()
        if slow:
            error = f"takes longer than {seconds:g} s to build, which no published model does"
        else:
            error = "too large to be built in the memory that is set aside for it"
        return {"error": f"config.json: {error}"}

    def end(self) -> None:
        """Kill the process, if there is one."""
        process, self._process, self._ready = self._process, None, False
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):  # what was to be written is lost with its reader
                    stream.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        """A new process in the place of the last, which loads while others do something else."""
        self.end()
        root = str(Path(__file__).parents[2])
        known = {name: value for name, value in os.environ.items() if "TOKEN" not in name.upper()}
        path = os.pathsep.join(filter(None, [root, known.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lora_core.models.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=root,
            env={**known, **ENVIRONMENT, "PYTHONPATH": path},
        )  # fmt: skip
        return self._process

    def _line(self, process: "subprocess.Popen[bytes]", seconds: float) -> bytes:
        """The next line of the worker, empty where it does not come in time or the worker has ended."""
        assert process.stdout is not None
        until, read = monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not read.endswith(b"\n"):
                if not selector.select(max(0.0, until - monotonic())):
                    return b""
                piece = os.read(process.stdout.fileno(), 1 << 20)
                if not piece:
                    process.wait(5)
                    return b""
                read += piece
        return read
