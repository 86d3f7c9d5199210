"""``python -m lora_core``: the original script's experiment, headless, with the lines it prints.

The losses come from the plain float32 loop of ``train_model``, line by line as the script prints them;
``--json`` prints the float64 run of the playground instead, curves, floors and counts. With ``--course`` the
lines are those of that run too, whose rank, rate or optimizer change on the way.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, NoReturn

from tqdm import tqdm

from lora_core.course import Course, course_of, parse_changes
from lora_core.experiment import LIMITS, Experiment
from lora_core.fields import quoted
from lora_core.presets import PRESETS


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}\n")


def _parser() -> _Parser:
    parser = _Parser(prog="python -m lora_core", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--preset", default="original", metavar="NAME", help=f"where to start from: {', '.join(PRESETS)}"
    )
    parser.add_argument("--json", action="store_true", help="print the playground's float64 run as JSON")
    parser.add_argument(
        "--course", default=None, metavar="CHANGES", help="changes on the way, as 60:rank=4~120:alpha=16"
    )
    for name, limit in LIMITS.items():
        parser.add_argument(_option(name), dest=name, metavar="VALUE", help=str(limit))
    return parser


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _joined(arguments: Sequence[str]) -> list[str]:
    """``--option -1e-5`` as ``--option=-1e-5``: argparse takes most values with a minus sign for options."""
    options = {_option(name) for name in LIMITS}
    joined: list[str] = []
    for argument in arguments:
        if argument.startswith("-") and not argument.startswith("--") and joined and joined[-1] in options:
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def read_arguments(arguments: Sequence[str]) -> tuple[Experiment | Course, bool]:
    """The experiment that the options ask for, or a course if it changes on the way; and whether as JSON.

    :raises ValueError: an unknown preset, or a value outside its field's limit.
    """
    options = vars(_parser().parse_args(_joined(arguments)))
    preset, as_json, course = (options.pop(name) for name in ("preset", "json", "course"))
    if preset not in PRESETS:
        raise ValueError(f"preset is {quoted(preset)}: it must be one of {', '.join(PRESETS)}.")
    changes: dict[str, Any] = {
        name: LIMITS[name].parse(text) for name, text in options.items() if text is not None
    }
    experiment = replace(PRESETS[preset].experiment, **changes)
    # A preset's own changes go as far as the epochs do; those of the option have to fit.
    own = tuple(each for each in PRESETS[preset].changes if each.update <= experiment.epochs)
    on_the_way = own if course is None else parse_changes(course)
    return (Course(experiment, on_the_way) if on_the_way else experiment), as_json


def run_as_dict(given: Experiment | Course) -> dict[str, Any]:
    """The playground's run as plain JSON values: experiment, counts, floors, and both histories.

    A course has its changes, the cost of its cuts, and the counts of its last rank.
    """
    from lora_core.accounting import full_cost, lora_cost
    from lora_core.training.run import train

    course = course_of(given)
    experiment = course.last
    sizes = (experiment.in_features, experiment.out_features)
    costs = {
        "lora": lora_cost(*sizes, experiment.rank, experiment.train_bias),
        "full": full_cost(*sizes, experiment.train_bias),
    }
    with tqdm(total=experiment.epochs, unit="epoch", leave=False, disable=None, delay=1) as progress:
        for run in train(course):
            progress.update(run.updates - progress.n)
    found: dict[str, Any] = {"experiment": course.to_dict(), "fingerprint": run.fingerprint}
    found |= {"dead": run.dead, "floors": run.floors.tolist()}
    found |= {"cuts": [asdict(cut) for cut in run.cuts]} if run.cuts else {}
    for name, history in (("lora", run.lora), ("full", run.full)):
        curves = {key: getattr(history, key) for key in ("loss", "test_loss", "accuracy", "test_accuracy")}
        found[name] = {
            "trainable": costs[name].trainable,
            "total": costs[name].total,
            "diverged_at": history.diverged_at,
            **{key: curve.tolist() for key, curve in curves.items() if curve is not None},
        }
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 2 and one sentence on standard error where a value is wrong."""
    try:
        experiment, as_json = read_arguments(sys.argv[1:] if arguments is None else arguments)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if as_json:
        print(json.dumps(run_as_dict(experiment)))
    else:
        from lora_core.findings.original_script import print_losses

        print_losses(experiment)
    return 0


def command() -> int:
    """``main`` for a shell: 1, and not a word, where the reader of a pipe has gone."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end, and must then find an open file.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


if __name__ == "__main__":
    sys.exit(command())
