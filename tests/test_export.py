"""The exported scripts print the playground's losses, and real PEFT opens the exported adapter.

Scripts run as they are, each in a process of its own that cannot import lora_core. Importing torch or peft
costs seconds, so most of them are forked from one that has imported the libraries and done nothing else:
torch first, and peft when all that must do without it are through.
"""

import io
import json
import os
import random
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load
from torch import nn

from lora_core import PRESETS, Course, Experiment, Run, run
from lora_core.accounting import lora_cost
from lora_core.adapters.run_adapter import save_peft_adapter
from lora_core.experiment import Init, Optimizer, ScalingRule, Shift, Task
from lora_core.export import adapter_zip, peft_script, torch_script
from lora_core.training.history import History
from lora_core.training.run import train
from tests.kit.runs import trained

SMALL = Experiment(in_features=12, out_features=7, samples=40, epochs=60, alpha=5.5)
ORIGINAL = PRESETS["original"].experiment

RUN_ALL = """
import json, os, runpy, sys, tempfile
import torch, sklearn.datasets
from importlib import import_module

printed = {}
torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first one imports for a second
for name, library, files in json.load(sys.stdin):
    import_module(library)  # those that need no more than torch come first
    printed[name] = []
    for file in files:
        with tempfile.TemporaryFile("w+") as out:
            child = os.fork()
            if not child:
                os.dup2(out.fileno(), 1)
                sys.stdout = open(1, "w")
                runpy.run_path(file, run_name="__main__")
                sys.stdout.flush()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0, open(file).read()
            out.seek(0)
            printed[name].append(out.read())
json.dump(printed, sys.stdout)
"""


def spread() -> list[Experiment]:
    """Every init with every optimizer, rule and bias mode; tasks, rates and ratios drawn; and the corners."""
    draw = random.Random(0)
    found = [
        replace(
            SMALL, init=init, optimizer=optimizer, scaling_rule=rule, train_bias=bias,
            seed=draw.randrange(1000), rank=draw.choice([1, 3, 4, 9]),
            task=draw.choice(list(Task)), shift=draw.choice(list(Shift)), true_rank=draw.choice([1, 2, 4]),
            learning_rate=draw.choice([0.001, 0.01, 0.03, 0.1]), lr_ratio=draw.choice([0.5, 1.0, 1.0, 4.0]),
        )
        for init, optimizer, rule, bias in product(Init, Optimizer, ScalingRule, (False, True))
    ]  # fmt: skip
    return [
        *found,
        Experiment(),
        Experiment(learning_rate=0.1, train_bias=True, lr_ratio=16.0),
        Experiment(noise=0.0, rank=4, learning_rate=0.1),
        ORIGINAL,
        replace(ORIGINAL, learning_rate=0.1, epochs=300),
        PRESETS["few-samples"].experiment,
        replace(SMALL, rank=30, out_features=20, epochs=1, learning_rate=0.1),
        replace(SMALL, in_features=2, out_features=2, samples=16, rank=1, true_rank=64),
        replace(SMALL, task=Task.POWER_LAW, decay=0.0, seed=2**31 - 1, epochs=33, init=Init.GAUSSIAN),
        replace(SMALL, task=Task.DIGITS, true_rank=1, train_bias=True, learning_rate=0.1),
        replace(SMALL, task=Task.DIGITS, shift=Shift.TURN, scaling_rule=ScalingRule.RSLORA),
        replace(SMALL, task=Task.DIGITS, shift=Shift.INVERT, optimizer=Optimizer.SGD, learning_rate=0.1),
        replace(SMALL, optimizer=Optimizer.SGD, init=Init.ORIGINAL, learning_rate=0.1, alpha=64.0, rank=2),
    ]


EXPERIMENTS = spread()

# Layers this small are no faster on two threads, and far slower where something else keeps a core busy.
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the scripts of each kind print, each script in a process of its own outside the project."""
    folder = tmp_path_factory.mktemp("scripts")
    groups = []
    for name, script, given in (
        ("torch", torch_script, EXPERIMENTS), ("courses", torch_script, COURSES),
        ("peft", peft_script, EXPERIMENTS),
    ):  # fmt: skip
        files = [folder / f"{name}_{place}.py" for place in range(len(given))]
        for file, each in zip(files, given, strict=True):
            file.write_text(script(each))
        groups.append((name, name if name == "peft" else "torch", [str(file) for file in files]))
    zipfile.ZipFile(io.BytesIO(adapter_zip(run(ADAPTERS["trained bias"])))).extractall(folder / "archive")
    # What it prints itself is rounded; one line more prints every digit.
    file = folder / "archive" / "load_adapter.py"
    file.write_text(file.read_text() + "\nprint(model(torch.eye(12, dtype=torch.float64)).tolist())\n")
    groups.append(("archive", "peft", [str(file)]))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN_ALL], input=json.dumps(groups), cwd=folder,
        env=ONE_THREAD, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def assert_prints(text: str, histories: dict[str, History], epochs: int) -> None:
    """Every printed loss is the history's to 4 digits; a loss near zero to 1e-9 of the first one."""
    for name, history in histories.items():
        lines = [(int(a), float(b)) for a, b in re.findall(rf"epoch +(\d+) .*?{name} (\S+)", text)]
        assert lines[0][0] == 0
        assert lines[-1][0] == epochs
        # A history that diverged is kept as far as its losses mean anything.
        known = [(epoch, loss) for epoch, loss in lines if epoch <= history.updates]
        assert known == lines or history.diverged_at is not None
        at, losses = np.array([epoch for epoch, _ in known]), np.array([loss for _, loss in known])
        np.testing.assert_allclose(losses, history.loss[at], rtol=5e-5, atol=1e-9 * history.loss[0])


def test_the_spread_reaches_every_choice_and_some_diverge() -> None:
    for name, kind in (("task", Task), ("shift", Shift)):
        assert {getattr(e, name) for e in EXPERIMENTS} == set(kind), name
    for one, other, count in (("init", "scaling_rule", 12), ("task", "init", 16), ("task", "optimizer", 8)):
        assert len({(getattr(e, one), getattr(e, other)) for e in EXPERIMENTS}) == count, (one, other)
    assert len({(e.task, e.learning_rate) for e in EXPERIMENTS if e.learning_rate >= 0.01}) == 12
    assert len({(e.learning_rate, e.lr_ratio) for e in EXPERIMENTS}) >= 12
    assert run(EXPERIMENTS[-1]).lora.diverged_at is not None


@pytest.mark.parametrize("library", ["torch", "peft"])
def test_scripts_in_fresh_processes_print_the_runs_losses(
    library: str, printed: dict[str, list[str]]
) -> None:
    for e, text in zip(EXPERIMENTS, printed[library], strict=True):
        found = trained(e)
        histories = {"LoRA": found.lora} | ({"full": found.full} if library == "torch" else {})
        assert_prints(text, histories, e.epochs)
        cost = lora_cost(e.in_features, e.out_features, e.rank, e.train_bias)
        counts = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", text.splitlines()[0])]
        assert counts[:2] == [cost.trainable, cost.total], text.splitlines()[0]


@pytest.mark.parametrize("script", [torch_script, peft_script])
def test_a_script_saved_as_a_file_runs_as_it_is(script, tmp_path: Path) -> None:
    file = tmp_path / "lora.py"
    experiment = Experiment(task=Task.DIGITS, true_rank=4, rank=4, epochs=50)
    file.write_text(script(experiment))
    done = subprocess.run(
        [sys.executable, "-W", "error", file], cwd=tmp_path, env=ONE_THREAD, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert_prints(done.stdout, {"LoRA": run(experiment).lora}, experiment.epochs)


@pytest.mark.parametrize("script", [torch_script, peft_script])
def test_scripts_are_short_and_stand_alone(script) -> None:
    longest = replace(Experiment(), lr_ratio=0.123, scaling_rule=ScalingRule.CONSTANT, train_bias=True)
    for experiment in [*EXPERIMENTS, longest, replace(longest, task=Task.DIGITS)]:
        lines = script(experiment).splitlines()
        assert len(lines) <= 60
        assert max(map(len, lines)) <= 110
        assert not any("lora_core" in line for line in lines)


COURSES = [
    Course(SMALL, ((0, "rank", 5), (20, "rank", 9), (20, "alpha", 9.0), (40, "rank", 2), (60, "rank", 3))),
    Course(
        replace(SMALL, train_bias=True, init=Init.GAUSSIAN),
        ((10, "learning_rate", 0.03), (20, "scaling_rule", "rslora"), (30, "rank", 8), (50, "lr_ratio", 4.0)),
    ),
    Course(
        replace(SMALL, init=Init.ORIGINAL, rank=9, optimizer=Optimizer.SGD, learning_rate=0.001),
        ((10, "rank", 8), (20, "optimizer", "adam"), (30, "rank", 12), (45, "optimizer", "sgd")),
    ),
    Course(replace(SMALL, task=Task.DIGITS, rank=3), ((30, "rank", 1),)),
    PRESETS["one-more"].course,
    PRESETS["cut-down"].course,
]


def test_the_script_of_a_course_holds_the_rule_and_prints_the_runs_losses(
    printed: dict[str, list[str]],
) -> None:
    scripts = [torch_script(course) for course in COURSES]
    for course, text in zip(COURSES, printed["courses"], strict=True):
        found = run(course)
        assert_prints(text, {"LoRA": found.lora, "full": found.full}, course.experiment.epochs)
    for script in scripts:
        assert len(script.splitlines()) <= 130
        assert max(map(len, script.splitlines())) <= 110
        assert "lora_core" not in script
    assert torch_script(Course(SMALL)) == torch_script(SMALL)


def test_the_adapter_of_a_course_has_its_last_rank() -> None:
    course = COURSES[0]
    archive = zipfile.ZipFile(io.BytesIO(adapter_zip(run(course))))
    config = json.loads(archive.read("adapter_config.json"))
    tensors = load(archive.read("adapter_model.safetensors"))
    assert (config["r"], config["lora_alpha"]) == (3, 9.0)
    assert tensors["base_model.model.linear.lora_A.weight"].shape == (3, 12)
    assert Course.from_dict(json.loads(archive.read("experiment.json"))) == course


def test_a_script_differs_where_the_experiment_does() -> None:
    changes = {
        "in_features": 65, "samples": 100, "true_rank": 3, "noise": 0.2, "seed": 1, "rank": 5, "alpha": 7.0,
        "scaling_rule": "rslora", "init": "gaussian", "train_bias": True, "optimizer": "sgd",
        "learning_rate": 0.02, "lr_ratio": 2.0, "epochs": 7, "task": "noise",
    }  # fmt: skip
    for script in (torch_script, peft_script):
        texts = {script(replace(Experiment(), **{name: value})) for name, value in changes.items()}
        assert len(texts | {script(Experiment())}) == len(changes) + 1


ADAPTERS = {
    "alpha is not r": SMALL,
    "trained bias": replace(SMALL, train_bias=True, learning_rate=0.1),
    "rslora": replace(SMALL, scaling_rule=ScalingRule.RSLORA, alpha=3.25, train_bias=True),
    "constant": replace(SMALL, scaling_rule=ScalingRule.CONSTANT, alpha=0.75, rank=5),
    "wide": replace(SMALL, in_features=5, out_features=31),
    "rank above both": replace(SMALL, rank=20, init=Init.ORIGINAL),
    "the script's": ORIGINAL,
    "digits": Experiment(task=Task.DIGITS, true_rank=4, rank=4, train_bias=True),
    "dead": replace(SMALL, init=Init.ZERO, train_bias=True),
}


def playground_outputs(found: Run) -> torch.Tensor:
    """Y = X (W0^T + scaling A B) + b on the held-out sample, from the run's last snapshot."""
    last, base = found.lora.snapshots[found.experiment.epochs], found.problem.base
    assert last.B is not None
    bias = base.bias.detach() + (0 if last.bias is None else last.bias)
    delta = found.experiment.scaling * last.A @ last.B
    return found.problem.X_test @ (base.weight.detach().T + delta) + bias


@pytest.mark.parametrize("name", ADAPTERS)
def test_peft_loads_the_adapter_onto_the_base_and_gives_the_outputs(name: str, tmp_path: Path) -> None:
    from peft import PeftModel

    found = run(ADAPTERS[name])
    e, problem = found.experiment, found.problem
    for file, content in save_peft_adapter(found).items():
        (tmp_path / file).write_bytes(content)
    model = nn.Sequential()
    model.add_module("linear", nn.Linear(e.in_features, e.out_features, dtype=torch.float64))
    model.load_state_dict({f"linear.{key}": value for key, value in problem.base.state_dict().items()})
    with torch.no_grad():
        base_outputs = model(problem.X_test)
        outputs = PeftModel.from_pretrained(model, tmp_path)(problem.X_test)
    torch.testing.assert_close(outputs, playground_outputs(found), rtol=0, atol=1e-6)
    loss = nn.functional.mse_loss(outputs, problem.Y_test).item()
    assert loss == pytest.approx(found.lora.test_loss[-1], rel=1e-9)
    assert (outputs - base_outputs).abs().max() > (1e-3 if name != "dead" else 1e-6)


def test_the_adapter_has_pefts_own_keys_and_shapes(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    e = ADAPTERS["rslora"]
    model = nn.Sequential()
    model.add_module("linear", nn.Linear(e.in_features, e.out_features, dtype=torch.float64))
    config = LoraConfig(
        r=e.rank, lora_alpha=e.alpha, use_rslora=True, bias="lora_only", target_modules=["linear"]
    )
    get_peft_model(model, config).save_pretrained(tmp_path)
    theirs = load((tmp_path / "adapter_model.safetensors").read_bytes())
    saved = save_peft_adapter(run(e))
    ours = load(saved["adapter_model.safetensors"])
    shapes = {key: (tensor.shape, tensor.dtype) for key, tensor in ours.items()}
    assert shapes == {key: (tensor.shape, tensor.dtype) for key, tensor in theirs.items()}
    written = json.loads((tmp_path / "adapter_config.json").read_text())
    assert json.loads(saved["adapter_config.json"]).items() <= written.items()


def test_a_peft_model_without_a_trained_bias_has_none_in_its_file() -> None:
    tensors = load(save_peft_adapter(run(SMALL))["adapter_model.safetensors"])
    assert sorted(tensors) == [f"base_model.model.linear.lora_{factor}.weight" for factor in "AB"]


def test_the_archive_opens_itself_and_is_the_same_every_time(
    tmp_path: Path, printed: dict[str, list[str]]
) -> None:
    found = run(ADAPTERS["trained bias"])
    archive = adapter_zip(found)
    assert archive == adapter_zip(run(ADAPTERS["trained bias"]))
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path)
    (text,) = printed["archive"]
    last, base = found.lora.snapshots[60], found.problem.base
    weight = base.weight.detach().T + found.experiment.scaling * last.A @ last.B
    expected = weight + base.bias.detach() + last.bias
    np.testing.assert_allclose(json.loads(text.splitlines()[-1]), expected, rtol=0, atol=1e-12)
    assert Experiment.from_dict(json.loads((tmp_path / "experiment.json").read_text())) == found.experiment


def test_what_was_not_trained_to_its_end_is_refused() -> None:
    diverged = run(PRESETS["too-fast"].experiment)
    with pytest.raises(ValueError, match="the adapter diverged"):
        save_peft_adapter(diverged)
    with pytest.raises(ValueError, match="still being trained"):
        save_peft_adapter(next(train(Experiment())))
    with pytest.raises(ValueError, match="was not kept"):
        save_peft_adapter(run(SMALL, snapshots=[0]))
