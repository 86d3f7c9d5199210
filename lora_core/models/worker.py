"""The process that builds models: `python -m lora_core.models.worker FD` takes a connection for each config.

It exists because a config.json may ask for anything. It loads the libraries once and builds nothing that is
asked itself: each config gets a child of its own, forked in a moment, that its own alarm ends when it hangs
and its own limit when it grows. It ends by itself after some idle minutes and once its input is closed.
Hugging Face's libraries are told that there is no network.
"""

import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

MEMORY = 1_500_000_000
"""Bytes that a model's modules may take beside what the libraries take; no weight is ever allocated."""
IDLE_SECONDS = 300.0
STARTED = b"."
"""What a child says first; then its time counts."""
FIRST = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
"""Built before anything is asked: much of the libraries is loaded by the first model alone."""


def limit_memory() -> None:
    """Let the address space grow by `MEMORY`; where the system cannot say, only the time is limited."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def answer(line: str | bytes) -> dict[str, Any]:
    """The shape of a model as JSON, or what is wrong with its config in a sentence."""
    from lora_core.models.build import build_shape
    from lora_core.models.config import TOO_LARGE
    from lora_core.models.heads import UnknownClassError
    from lora_core.models.serial import to_json

    asked = json.loads(line)
    try:
        return {"shape": to_json(build_shape(asked["config"], asked["head"]))}
    except UnknownClassError as error:
        return {"error": str(error), "heads": error.heads}
    except ValueError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": TOO_LARGE}
    except RecursionError:
        return {"error": "config.json: nested too deeply to be a model's configuration"}


def serve_one(connection: socket.socket) -> None:
    """Answer one config in a process of its own, which ends with it or when its time is over."""
    connection.sendall(STARTED)
    with connection.makefile("rb") as asked:
        seconds = float(asked.readline())
        signal.setitimer(signal.ITIMER_REAL, seconds)  # nothing handles the signal: it ends the process
        limit_memory()
        connection.sendall(json.dumps(answer(asked.readline())).encode() + b"\n")


def main(descriptor: int) -> None:
    """Fork a child for each connection that comes, until none does for some minutes."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what a library prints is no answer
        os.dup2(nowhere, stream)
    import torch
    import transformers
    from transformers.models.auto import modeling_auto  # noqa: F401

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    answer(json.dumps({"config": FIRST, "head": None}))
    gc.collect()
    gc.freeze()  # memory that no child writes to is shared by all
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a child has ended
    with socket.socket(fileno=descriptor) as control:
        while select.select([control], [], [], IDLE_SECONDS)[0]:
            word, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not word:
                return
            with socket.socket(fileno=descriptors[0]) as connection:
                if os.fork() == 0:
                    try:
                        control.close()
                        serve_one(connection)
                    finally:
                        os._exit(0)


if __name__ == "__main__":
    sys.setrecursionlimit(2_000)
    main(int(sys.argv[1]))
