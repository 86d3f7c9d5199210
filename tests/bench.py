"""What does the engine save, and what does it need? ``python -m tests.bench``, about two minutes.

Each figure is a ratio, both sides timed in turn in one process, the median of its rounds, then the median
over three processes. The other side is the original script's loop, ``train_model`` with ``LoRALayer``:
autograd, float32, the whole batch; a loop run is 200 epochs of it, the adapter alone. Both run on one thread,
as the playground's server does. The table is printed and saved as ``.bench/core.json``; ``--check`` ends with
1 where a target is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / ".bench" / "core.json"


class Target(NamedTuple):
    """What a figure must reach: at least ``bound``, or at most it; None where it is only reported."""

    name: str
    kind: str = ""
    bound: float | None = None
    unit: str = "x"

    def met(self, value: float) -> bool:
        if self.bound is None:
            return True
        return value >= self.bound if self.kind == "at least" else value <= self.bound

    def __str__(self) -> str:
        return "reported" if self.bound is None else f"{self.kind} {self.bound:g}"


SHAPES = {(64, 10, 1000): 4.0, (256, 256, 1000): 10.0, (1024, 1024, 2000): 20.0}
"""(in, out, samples) -> how many times faster a step of the adapter must be than the loop's."""

STEP = "adapter step, float32: loop over engine, {} -> {}, n {:,}"
BOTH = "adapter and full step, float64: loop over engine, {} -> {}, n {:,}"
RUN = "run, 64 -> 64, over a loop run, n {:,}"
SWEEP = "sweep of {}, 64 -> 64, over a loop run, n {:,}"
RANKS_32, RANKS_64, GRID = "32 ranks", "64 ranks", "16 ranks x 12 rates"
PEFT = "adapter step, float32: PEFT over engine, 64 -> 10, n 1,000"
LOOP_OF_PEFT = "step, float32: PEFT over loop, 64 -> 10, n 1,000"
FLAT = "adapter step, 64 -> 10, n 4,000 over n 1,000"
FLAT_RUN = "run, 64 -> 64, n 4,000 over n 1,000"
COURSE = "run with three changes over the run without, 64 -> 64"
MEMORY = "peak memory over the imports: run, 1024 -> 1024, 500 epochs"

TARGETS = [
    *(Target(STEP.format(*shape), "at least", bound) for shape, bound in SHAPES.items()),
    *(Target(BOTH.format(*shape)) for shape in SHAPES),
    *(Target(RUN.format(n), "at most", 0.4) for n in (256, 1000)),
    *(
        Target(SWEEP.format(what, n), "at most", bound)
        for what, bound in ((RANKS_32, 2.0), (RANKS_64, 5.0), (GRID, 12.0))
        for n in (256, 1000)
    ),
    Target(PEFT),
    Target(LOOP_OF_PEFT),
    Target(FLAT, "at most", 1.1),
    Target(FLAT_RUN),
    Target(COURSE, "at most", 1.5),
    Target(MEMORY, "at most", 400.0, "MB"),
]


def compare(one: Callable[[], Any], other: Callable[[], Any], rounds: int = 7) -> float:
    """Median over rounds of seconds of ``one`` over seconds of ``other``, taken in turn after a warm-up."""
    one(), other()
    return median(seconds(one) / seconds(other) for _ in range(rounds))


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# --- what is measured, each in a process of its own; torch is imported there


def measure_steps() -> dict[str, float]:
    """One step: gradients, loss and optimizer, of a stack of one and of adapter and full fine-tuning."""
    found = {}
    for shape, steps in zip(SHAPES, (60, 20, 3), strict=True):
        loop, adapter, both = _steps(*shape)
        found[STEP.format(*shape)] = compare(partial(loop, steps), partial(adapter, 10 * steps)) * 10
        found[BOTH.format(*shape)] = compare(partial(loop, steps), partial(both, 2 * steps)) * 2
    return found


def measure_runs() -> dict[str, float]:
    """A whole run from its experiment: data, base, adapter and full fine-tuning, held-out losses, floors."""
    from lora_core import Experiment, run

    def work(experiment: Experiment) -> None:
        run(experiment).floors  # noqa: B018, computed when they are asked for

    found = {}
    for n in (256, 1000):
        experiment = Experiment(samples=n)
        found[RUN.format(n)] = compare(partial(work, experiment), _loop_run(experiment))
    few, many = (partial(work, Experiment(samples=n)) for n in (1000, 4000))
    return found | {FLAT_RUN: compare(many, few)}


def measure_courses() -> dict[str, float]:
    """A run with three changes, a growth and a cut among them, against the same run without."""
    from lora_core import Course, Experiment, run

    def work(given: Experiment | Course) -> None:
        run(given).floors  # noqa: B018, computed when they are asked for

    changes = ((50, "rank", 5), (100, "learning_rate", 0.003), (150, "rank", 4))
    experiment = Experiment()
    return {COURSE: compare(partial(work, Course(experiment, changes)), partial(work, experiment), 21)}


def measure_sweeps() -> dict[str, float]:
    """Whole sweeps: data, full fine-tuning, floors and held-out losses beside every rank."""
    from lora_core import Experiment, sweep

    rates = [10 ** (-3.5 + 0.25 * i) for i in range(12)]
    found = {}
    for n in (256, 1000):
        experiment = Experiment(samples=n)
        loop = _loop_run(experiment)
        for what, ranks, some in (
            (RANKS_32, range(1, 33), None), (RANKS_64, None, None), (GRID, range(1, 17), rates)
        ):  # fmt: skip
            found[SWEEP.format(what, n)] = compare(partial(sweep, experiment, ranks, some), loop, 5)
    return found


def measure_flatness() -> dict[str, float]:
    """What a step costs once the sample is reduced, with four times the samples."""
    few, many = _steps(64, 10, 1000)[1], _steps(64, 10, 4000)[1]
    return {FLAT: compare(partial(many, 500), partial(few, 500), 41)}


def measure_peft() -> dict[str, float]:
    """PEFT's LoRA of the same layer, start, data and optimizer, in the same loop."""
    import peft
    import torch
    from torch import Tensor, nn

    from lora_core import Experiment, make_problem, train_model
    from lora_core.training.start import lora_layer

    class Holder(nn.Module):
        def __init__(self, linear: nn.Linear) -> None:
            super().__init__()
            self.linear = linear

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x)

    experiment = Experiment(task="noise", out_features=10, samples=1000, rank=4)  # type: ignore[arg-type]
    problem = make_problem(experiment)
    X, Y = problem.X.float(), problem.Y.float()
    layer = lora_layer(experiment, problem)
    linear = nn.Linear(64, 10)
    linear.load_state_dict(problem.base.state_dict())
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["linear"])
    model: Any = peft.get_peft_model(Holder(linear), config)
    with torch.no_grad():
        model.base_model.model.linear.lora_A["default"].weight.copy_(layer.lora_A.T)
    adapter = _steps(64, 10, 1000)[1]

    def theirs() -> None:
        train_model(model, X, Y, 60, verbose=False)

    return {
        PEFT: compare(theirs, lambda: adapter(600)) * 10,
        LOOP_OF_PEFT: compare(theirs, lambda: train_model(layer, X, Y, 60, verbose=False)),
    }


def measure_memory() -> dict[str, float]:
    """The high-water mark of a fresh process, before and after the whole run; all 500 epochs are trained."""
    from lora_core import Experiment, run

    run(Experiment(epochs=1))  # what torch loads at its first steps counts as import
    before = _high_water()
    run(Experiment(in_features=1024, out_features=1024, samples=2000, rank=4, epochs=500))
    return {MEMORY: _high_water() - before}


MEASURES: dict[str, tuple[Callable[[], dict[str, float]], bool]] = {
    "steps": (measure_steps, True),
    "runs": (measure_runs, True),
    "courses": (measure_courses, True),
    "sweeps": (measure_sweeps, True),
    "flatness": (measure_flatness, True),
    "peft": (measure_peft, True),
    "memory": (measure_memory, False),
}
"""Name -> what measures it, and whether it is a time, to be measured in every process."""


def _steps(in_features: int, out_features: int, n: int) -> list[Callable[[int], None]]:
    """Some steps of the loop, of the adapter alone in float32, and of the pair in float64."""
    import torch

    from lora_core import Experiment, make_problem, train_model
    from lora_core.training.batched import BatchedAdapters
    from lora_core.training.engine import PairedStepper, reduce_sample
    from lora_core.training.start import lora_layer, start_of

    sizes: dict[str, Any] = {"in_features": in_features, "out_features": out_features, "samples": n}
    experiment = Experiment(task="noise", rank=4, **sizes)  # type: ignore[arg-type]
    problem = make_problem(experiment)
    layer, X, Y = lora_layer(experiment, problem), problem.X.float(), problem.Y.float()
    sample, start = reduce_sample(problem.X, problem.residual()), start_of(experiment, problem)
    stack = BatchedAdapters(sample, [start], experiment.optimizer, torch.float32)
    stepper = PairedStepper(sample, start, experiment.optimizer)

    def loop(count: int) -> None:
        train_model(layer, X, Y, count, verbose=False)

    def adapter(count: int) -> None:
        for _ in range(count):
            stack.gradients()
            stack.optimizer.step()

    def both(count: int) -> None:
        for _ in range(count):
            stepper.gradients()
            stepper.optimizer.step()

    return [loop, adapter, both]


def _loop_run(experiment: Any) -> Callable[[], None]:
    """The original loop for the experiment's epochs: its adapter alone, on data that are there already."""
    from lora_core import make_problem, train_model
    from lora_core.training.start import lora_layer

    problem = make_problem(experiment)
    X, Y = problem.X.float(), problem.Y.float()

    def work() -> None:
        layer = lora_layer(experiment, problem)
        train_model(layer, X, Y, experiment.epochs, experiment.learning_rate, verbose=False)

    return work


def _high_water() -> float:
    """Most memory this process has held so far, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1000


# --- processes and table


def run_worker(name: str) -> None:
    import torch

    torch.set_num_threads(1)
    print(json.dumps(MEASURES[name][0]()))


def collect(processes: int, names: list[str]) -> Iterator[tuple[str, list[float]]]:
    """Figure -> its value in each process."""
    for name in names:
        values: dict[str, list[float]] = {}
        for _ in range(processes if MEASURES[name][1] else 1):
            command = [sys.executable, "-m", "tests.bench", "--worker", name]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            for figure, value in json.loads(done.stdout).items():
                values.setdefault(figure, []).append(value)
        yield from values.items()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="end with 1 where a target is missed")
    parser.add_argument("--processes", type=int, default=3, help="processes that each time is taken in")
    parser.add_argument("--only", choices=MEASURES, action="append", help="measure only these")
    parser.add_argument("--worker", choices=MEASURES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        run_worker(options.worker)
        return 0
    targets = {target.name: target for target in TARGETS}
    print(f"{'':68s}{'measured':>10s}  {'from - to':>15s}  target", flush=True)
    rows, missed = [], False
    for name, values in collect(options.processes, options.only or list(MEASURES)):
        target, value = targets[name], median(values)
        missed |= not target.met(value)
        spread = f"{min(values):.3g} - {max(values):.3g}"
        mark = "" if target.met(value) else "  MISSED"
        print(f"{name:68s}{value:10.3g}  {spread:>15s}  {target} {target.unit}{mark}", flush=True)
        rows.append({"figure": name, "value": value, "unit": target.unit, "values": values}
                    | {"target": str(target), "met": target.met(value)})  # fmt: skip
    OUTPUT.parent.mkdir(exist_ok=True)
    load = os.getloadavg()[0]
    OUTPUT.write_text(json.dumps({"cores": os.cpu_count(), "load": load, "figures": rows}, indent=1) + "\n")
    print(f"\nOne thread each, {os.cpu_count()} cores, load {load:.1f}; saved as {OUTPUT.relative_to(ROOT)}")
    return int(missed and options.check)


if __name__ == "__main__":
    sys.exit(main())
