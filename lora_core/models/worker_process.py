"""The worker (worker.py) as seen from outside: started with the first config, asked, replaced if it dies.

Each config travels on a connection of its own, so that one that hangs is in nobody's way.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

from lora_core.models.config import TOO_LARGE

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
    """The process that forks a child for each config; for any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The process, None where none is running."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def ask(self, line: str, seconds: float) -> dict[str, Any]:
        """The answer to a line of JSON, an `error` where none comes in so many seconds.

        Raises TimeoutError where the libraries do not load.
        """
        with self._child() as connection:
            start = monotonic()
            try:
                connection.sendall(f"{seconds}\n{line}\n".encode())
                connection.settimeout(seconds + 1)  # its own alarm comes first
                with connection.makefile("rb") as answers:
                    answer = answers.readline()
            except OSError:
                answer = b""
        if answer.endswith(b"\n"):
            return dict(json.loads(answer))
        if monotonic() - start > 0.9 * seconds:
            late = f"takes longer than {seconds:g} s to build, which no published model does"
            return {"error": f"config.json: {late}"}
        return {"error": TOO_LARGE}

    def end(self) -> None:
        """Kill the process, if there is one; children end with their configs."""
        with self._lock:
            self._end()

    def _child(self) -> socket.socket:
        """A connection to a child that has begun; for a worker that has died there is another, once."""
        until = monotonic() + START_SECONDS
        for _ in range(2):
            connection = self._connected()
            connection.settimeout(max(0.01, until - monotonic()))
            try:
                if connection.recv(1):
                    return connection
            except TimeoutError:
                pass
            connection.close()
            self.end()
        raise TimeoutError(f"config.json: transformers did not load within {START_SECONDS:g} s here")

    def _connected(self) -> socket.socket:
        """A connection to a child, which a worker that is still loading forks once it has loaded."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            control = self._start() if self.pid is None or self._control is None else self._control
            try:
                socket.send_fds(control, [b"+"], [theirs.fileno()])
            except OSError:  # it has just ended by itself
                socket.send_fds(self._start(), [b"+"], [theirs.fileno()])
        return ours

    def _start(self) -> socket.socket:
        self._end()
        root = str(Path(__file__).parents[2])
        known = {name: value for name, value in os.environ.items() if "TOKEN" not in name.upper()}
        path = os.pathsep.join(filter(None, [root, known.get("PYTHONPATH", "")]))
        control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lora_core.models.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], cwd=root, env={**known, **ENVIRONMENT, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self._control = control
        return control

    def _end(self) -> None:
        process, control, self._process, self._control = self._process, self._control, None, None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()
            process.wait()
