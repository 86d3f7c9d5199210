"""The server under load: started on a free port of this machine, measured from outside, ended for certain."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.kit.servers import free_port, healthy

ROOT = Path(__file__).parents[2]


class Report(NamedTuple):
    """What the server says of itself: see `app_under_load`."""

    trained: Counter[str]
    threads: list[str]
    sessions: int

    @property
    def scripts(self) -> int:
        """Threads that run a page at this moment."""
        return sum("ScriptRunner" in name for name in self.threads)


class Server:
    """``with Server() as server``: the app at ``server.address``, in a process of its own."""

    def __init__(self, port: int = 0, descriptors: int | None = None, **environment: str) -> None:
        """``descriptors`` is the soft limit of open files under which the process starts."""
        self._soft = descriptors
        self.port = port or free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._environment = os.environ | environment

    def __enter__(self) -> "Server":
        self._folder = tempfile.TemporaryDirectory()
        self._report, self._log = Path(self._folder.name, "report.json"), Path(self._folder.name, "log")
        command = [sys.executable, "-m", "tests.load.app_under_load", str(self._report)]
        command += ["--server.port", str(self.port), "--server.address", "127.0.0.1"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        if self._soft is not None:
            _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (self._soft, hard))
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()
        self._folder.cleanup()

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._process.kill()
        self._process.wait()

    def report(self) -> Report:
        """Ask the process what it has trained and which threads it runs."""
        self._report.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR1)
        for _ in range(600):
            if self._report.exists():
                found = json.loads(self._report.read_text())
                return Report(Counter(found["trained"]), found["threads"], found["sessions"])
            time.sleep(0.05)
        raise TimeoutError("the server did not report within 30 s")

    def log(self) -> str:
        """What the server has printed."""
        return self._log.read_text()

    def memory(self) -> float:
        """Resident memory of the process, in MB."""
        return self._status("VmRSS") / 1000

    def threads(self) -> int:
        """Threads of the process as the system counts them, those of libraries included."""
        return int(self._status("Threads"))

    def descriptors(self) -> int:
        """Files and sockets that the process holds open."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return float(next(line for line in lines if line.startswith(name)).split()[1])

    def _wait(self) -> None:
        for _ in range(600):
            if healthy(self.address):
                return
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended:\n{self.log()}")
            time.sleep(0.1)
        raise TimeoutError("the server was not healthy within 60 s")
