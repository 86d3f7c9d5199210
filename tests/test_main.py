"""``python -m lora_core``: printed lines, options, JSON against the run, one sentence for what is wrong."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_core.__main__ import main, read_arguments
from lora_core.course import Course
from lora_core.experiment import LIMITS, Experiment
from lora_core.presets import PRESETS
from lora_core.training.run import run
from tests.printed import LINES, on_any_processor

ORIGINAL = f"Trainable parameters: 306\nTotal parameters: 946\n{LINES}"

OTHER_VALUES: dict[str, tuple[str, Any]] = {
    "task": ("power-law", "power-law"),
    "in_features": ("12", 12),
    "out_features": ("7", 7),
    "samples": ("50", 50),
    "true_rank": ("3", 3),
    "decay": ("0.5", 0.5),
    "shift": ("invert", "invert"),
    "noise": ("1e-1", 0.1),
    "seed": ("7", 7),
    "rank": ("5", 5),
    "alpha": ("16", 16.0),
    "scaling_rule": ("rslora", "rslora"),
    "init": ("gaussian", "gaussian"),
    "train_bias": ("FALSE", False),
    "optimizer": ("sgd", "sgd"),
    "learning_rate": ("0.02", 0.02),
    "lr_ratio": ("4", 4.0),
    "epochs": ("3", 3),
}


def option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def test_the_original_scripts_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    captured = capsys.readouterr()
    assert on_any_processor(captured.out) == ORIGINAL
    assert captured.err == ""


def test_as_a_command_of_its_own() -> None:
    command = [sys.executable, "-W", "error", "-m", "lora_core"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True)
    assert on_any_processor(done.stdout) == ORIGINAL
    assert done.stderr == ""
    wrong = subprocess.run([*command, "--rank", "0"], capture_output=True, text=True, cwd=root, check=False)
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert wrong.stderr == "rank is 0: it must be a whole number from 1 to 1,024.\n"


def test_a_reader_who_has_seen_enough_gets_no_traceback() -> None:
    command = [sys.executable, "-W", "error", "-m", "lora_core", "--json"]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1


def test_options_start_from_the_original() -> None:
    assert read_arguments([]) == (PRESETS["original"].experiment, False)
    assert set(OTHER_VALUES) == set(LIMITS)


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_each_option_changes_its_one_field(name: str) -> None:
    text, value = OTHER_VALUES[name]
    original = PRESETS["original"].experiment
    for arguments in ([option(name), text], [f"{option(name)}={text}"]):
        experiment, as_json = read_arguments(arguments)
        assert experiment == dataclasses.replace(original, **{name: value})
        assert getattr(experiment, name) == value
        assert not as_json


def test_all_options_at_once() -> None:
    arguments = [part for name, (text, _) in OTHER_VALUES.items() for part in (option(name), text)]
    experiment, as_json = read_arguments([*arguments, "--json"])
    assert experiment == Experiment(**{name: value for name, (_, value) in OTHER_VALUES.items()})
    assert as_json


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_place_to_start(name: str) -> None:
    experiment, _ = read_arguments(["--preset", name, "--epochs", "17"])
    assert experiment == dataclasses.replace(PRESETS[name].experiment, epochs=17)


def test_a_preset_trains_and_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--preset", "swapped-digits", "--epochs", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Trainable parameters: 74", "Total parameters: 724"]
    losses = run(dataclasses.replace(PRESETS["swapped-digits"].experiment, epochs=3)).lora.loss
    assert [line.partition(", ")[0] for line in lines[2:]] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    printed = [float(line.rpartition(" ")[2]) for line in lines[2:]]
    assert printed == pytest.approx(losses[:3], abs=6e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--preset", "one-short", "--epochs", "70"],
        ["--task", "digits", "--train-bias", "true"],
        ["--preset", "too-fast"],
        ["--preset", "dead", "--epochs", "5"],
        ["--rank", "40", "--optimizer", "sgd", "--alpha", "0.01"],
    ],
)
def test_json_is_the_run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1

    def no_constant(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(out, parse_constant=no_constant)
    experiment = read_arguments(arguments)[0]
    expected = run(experiment)
    assert Experiment.from_dict(found["experiment"]) == experiment
    assert found["fingerprint"] == expected.fingerprint
    assert found["dead"] is expected.dead
    assert np.array_equal(found["floors"], expected.floors)
    for name, history in (("lora", expected.lora), ("full", expected.full)):
        assert found[name]["diverged_at"] == history.diverged_at
        for curve in ("loss", "test_loss", "accuracy", "test_accuracy"):
            values = getattr(history, curve)
            assert (curve in found[name]) == (values is not None)
            if values is not None:
                assert np.array_equal(found[name][curve], values)
    rank, bias = experiment.rank, experiment.train_bias
    sizes = experiment.in_features, experiment.out_features
    assert found["lora"]["trainable"] == rank * sum(sizes) + bias * sizes[1]
    assert found["lora"]["total"] == sizes[0] * sizes[1] + sizes[1] + rank * sum(sizes)
    assert found["full"]["trainable"] == sizes[0] * sizes[1] + bias * sizes[1]
    assert found["full"]["total"] == sizes[0] * sizes[1] + sizes[1]


WRONG: list[tuple[list[str], str]] = [
    (["--rank", "0"], "rank is 0: it must be a whole number from 1 to 1,024."),
    (["--rank", "-1"], "rank is -1: it must be a whole number from 1 to 1,024."),
    (["--rank=-1"], "rank is -1: it must be a whole number from 1 to 1,024."),
    (["--rank", "2.5"], "rank is '2.5': it must be a whole number from 1 to 1,024."),
    (["--in-features", "many"], "in_features is 'many': it must be a whole number from 2 to 1,024."),
    (["--out-features", "1025"], "out_features is 1025: it must be a whole number from 2 to 1,024."),
    (["--samples", ""], "samples is '': it must be a whole number from 16 to 4,096."),
    (["--seed", "1e3"], "seed is '1e3': it must be a whole number from 0 to 2,147,483,647."),
    (["--learning-rate", "nan"], "learning_rate is nan: it must be a number from 1e-05 to 1."),
    (["--learning-rate", "-1e-3"], "learning_rate is -0.001: it must be a number from 1e-05 to 1."),
    (["--learning-rate", "-inf"], "learning_rate is -inf: it must be a number from 1e-05 to 1."),
    (["--alpha", "-x"], "alpha is '-x': it must be a number from 0.001 to 4096."),
    (["--task", "mnist"], "task is 'mnist': it must be one of low-rank, power-law, noise, digits."),
    (["--optimizer", "Adam"], "optimizer is 'Adam': it must be one of adam, sgd."),
    (["--train-bias", "maybe"], "train_bias is 'maybe': it must be true or false."),
    (["--epochs", "2001", "--json"], "epochs is 2001: it must be a whole number from 1 to 2,000."),
    (["--preset", "nonsense"], f"preset is 'nonsense': it must be one of {', '.join(PRESETS)}."),
]


WRONG_COURSES = [
    ("60", "course holds '60': each change must read update:field=value, as in 60:rank=4."),
    ("6:rank=0", "rank is 0: it must be a whole number from 1 to 1,024."),
    ("11:rank=4", "the update of the change of rank is 11: it must be a whole number from 0 to 10."),
    ("~".join(f"{i}:rank=5" for i in range(9)), "changes has 9 of them: a course may have up to 8."),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG_COURSES)
def test_a_wrong_course_is_one_sentence(text: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--course", text]) == 2
    assert capsys.readouterr() == ("", f"{sentence}\n")


def test_a_course_prints_its_changes_and_the_losses_of_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    course = Course(PRESETS["original"].experiment, ((4, "rank", 2), (6, "learning_rate", 0.1)))
    assert main(["--course", course.text()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Trainable parameters: 306", "Total parameters: 946"]
    assert lines[6:8] == ["After 4 updates: rank 2", f"Epoch 5/10, Loss: {run(course).lora.loss[4]:.4f}"]
    assert "After 6 updates: learning_rate 0.1" in lines
    assert main(["--course", course.text(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert Course.from_dict(found["experiment"]) == course
    assert found["lora"]["loss"] == run(course).lora.loss.tolist()
    assert found["lora"]["trainable"] == 2 * 74 + 10
    (cut,) = found["cuts"]
    assert cut["after"] == pytest.approx(found["lora"]["loss"][4])
    assert cut["before"] == pytest.approx(run(course.experiment).lora.loss[4])


def test_a_preset_brings_its_changes() -> None:
    assert read_arguments(["--preset", "one-more"])[0] == PRESETS["one-more"].course
    assert read_arguments(["--preset", "one-more", "--course", ""])[0] == PRESETS["one-more"].experiment


@pytest.mark.parametrize(("arguments", "sentence"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_value_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", f"{sentence}\n")


@pytest.mark.parametrize("name", LIMITS)
def test_every_field_is_named_where_its_value_is_wrong(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("nonsense", "-1e9", "9" * 5000):
        assert main([option(name), text]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"{name} is ")
        assert err.endswith(f": it must be {LIMITS[name]}.\n")
        assert err.count("\n") == 1
        assert len(err) < 200


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--ranks", "3"], "--ranks"),
        (["stray"], "stray"),
        (["--rank"], "--rank"),
        (["--rank", "--alpha", "3"], "--rank"),
        (["--preset"], "--preset"),
    ],
)
def test_an_unknown_or_empty_option_is_one_sentence(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert word in err
    assert err.count("\n") == 1
    assert "usage" not in err


def test_the_help_names_every_option_and_its_range(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    text = "".join(capsys.readouterr().out.split())  # lines break at spaces and hyphens
    assert all(option(name) in text for name in LIMITS)
    assert all(str(limit).replace(" ", "") in text for limit in LIMITS.values())
    assert all(name in text for name in PRESETS)
