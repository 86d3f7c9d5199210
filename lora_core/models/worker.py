"""The process that builds models: `python -m lora_core.models.worker` reads a config from each line.

It exists because a config.json may ask for anything: what hangs or grows here is ended from outside
(worker_process.py), and the page goes on. It ends by itself after some idle minutes and once its input is
closed. Hugging Face's libraries are told that there is no network.
"""

import gc
import json
import os
import resource
import select
import sys
from pathlib import Path
from typing import Any

MEMORY = 1_500_000_000
"""Bytes that a model's modules may take beside what the libraries take; no weight is ever allocated."""
IDLE_SECONDS = 300.0
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


def answer(line: str) -> dict[str, Any]:
    """The shape of a model as JSON, or what is wrong with its config in a sentence."""
    from lora_core.models.build import build_shape
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
        return {"error": "config.json: too large to be built in the memory that is set aside for it"}
    except RecursionError:
        return {"error": "config.json: nested too deeply to be a model's configuration"}
    finally:
        sweep()


def sweep() -> None:
    """Free the model that was built; what is left are the libraries, which no later sweep needs to visit."""
    gc.collect()
    gc.freeze()


def main() -> None:
    """Answer lines until there are no more, or none for some minutes."""
    with os.fdopen(os.dup(1), "w") as out, os.fdopen(os.dup(0), "r") as lines:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):  # what a library prints is no answer
            os.dup2(nowhere, stream)
        import torch
        import transformers
        from transformers.models.auto import modeling_auto  # noqa: F401

        torch.set_num_threads(1)
        transformers.logging.set_verbosity_error()
        limit_memory()
        answer(json.dumps({"config": FIRST, "head": None}))
        out.write("ready\n")
        out.flush()
        while select.select([lines], [], [], IDLE_SECONDS)[0]:
            line = lines.readline()
            if not line:
                return
            out.write(json.dumps(answer(line)) + "\n")
            out.flush()


if __name__ == "__main__":
    sys.setrecursionlimit(2_000)
    main()
