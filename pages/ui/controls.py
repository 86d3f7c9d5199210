"""The sidebar's controls: one widget per field of ``Experiment``, keyed by its name and bound to the URL.

A slider's options are fixed and dense at the low end, so that small values are easy to hit on a stage; a link
may carry any value within the field's limits, which then joins the options.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lora_core.accounting import break_even_storage
from lora_core.choices import RANKS, rank_choices
from lora_core.course import CHANGEABLE, Change
from lora_core.experiment import LIMITS, Experiment, Shift, Task
from lora_core.fields import Choice, Flag, FloatRange, IntRange
from pages.runtime.callbacks import run_to_completion
from pages.ui.on_the_way import control_moved, set_changes

SIZES = (2, 3, 4, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
DEFAULT = Experiment()
_SET = "values that a callback has just set"
UNAWARE = 1.5
"""Seconds after a callback in which a browser may still send what its controls held before."""


class Control(NamedTuple):
    """A field's label, its help and, for a slider, its options."""

    label: str
    help: str
    options: Sequence[float] = ()


CONTROLS: dict[str, Control] = {
    "in_features": Control("In features", "Numbers that go into the layer.", SIZES),
    "out_features": Control("Out features", "Numbers that come out of the layer.", SIZES),
    "rank": Control("Rank", "Columns of A and rows of B: the most directions the change can have.", RANKS),
    "learning_rate": Control(
        "Learning rate",
        "Size of the optimizer's steps, for LoRA and for full fine-tuning.",
        (*(float(f"{digit}e{power}") for power in range(-5, 0) for digit in (1, 2, 5)), 1.0),
    ),
    "task": Control(
        "Task",
        "low-rank: the change to learn has a true rank. power-law: its strength fades from direction to "
        "direction. noise: nothing to learn, as in the original script. digits: real handwritten digits.",
    ),
    "true_rank": Control(
        "True rank", "Rank of the change to be learnt; on digits, pairs of labels swapped.", RANKS
    ),
    "shift": Control("Shift", "How the digits change: labels swapped, pictures turned, or inverted."),
    "decay": Control(
        "Decay", "Direction i of the change has strength i to the power of minus this.",
        (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0),
    ),
    "noise": Control(
        "Noise", "Standard deviation of the noise on the targets.",
        (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    ),
    "samples": Control(
        "Samples", "Training samples. With fewer than in features, full fine-tuning can fit anything.",
        (16, 24, 32, 48, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1000, 1500, 2000, 3000, 4096),
    ),
    "seed": Control("Seed", "Another number draws other data, another base and another start."),
    "alpha": Control(
        "Alpha", "How strongly the adapter acts: see Scaling.",
        (0.001, 0.01, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 128.0,
         256.0, 1024.0, 4096.0),
    ),
    "scaling_rule": Control(
        "Scaling", "The factor of A B. standard: alpha / r. rslora: alpha / sqrt(r). constant: alpha."
    ),
    "init": Control(
        "Init",
        "kaiming, gaussian: A random, B zero, so training starts at the base. original: both random, as in "
        "the original script. zero: both zero, which never moves.",
    ),
    "train_bias": Control("Train bias", "Train the bias of the layer too, in LoRA and in full fine-tuning."),
    "optimizer": Control("Optimizer", "adam, or plain gradient descent (sgd)."),
    "lr_ratio": Control(
        "LoRA+ ratio", "Learning rate of B over that of A.",
        (0.01, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0),
    ),
    "epochs": Control(
        "Epochs", "Updates, each on all samples at once.",
        (1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 400, 500, 750, 1000, 1500, 2000),
    ),
}  # fmt: skip
"""All fields of ``Experiment``, in the order of the sidebar."""

IN_SIGHT = ("rank", "learning_rate", "in_features", "out_features")
GROUPS = {
    "Task": ("task", "true_rank", "shift", "decay", "noise", "samples", "seed"),
    "Adapter": ("alpha", "scaling_rule", "init", "train_bias"),
    "Training": ("optimizer", "lr_ratio", "epochs"),
}

_OFFERED = "offered values"


def value_text(value: Any) -> str:
    """Format a value for sliders and links: 64, 0.01, low-rank, true."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return np.format_float_positional(value, trim="-")
    return str(value)


@run_to_completion
def set_fields(experiment: Experiment, changes: tuple[Change, ...] = ()) -> None:
    """Set all controls to an experiment, and its changes on the way; for callbacks, before the controls are
    drawn."""
    set_changes(changes)
    before = {name: st.session_state.get(name) for name in CONTROLS}
    for name in CONTROLS:
        set_field(name, getattr(experiment, name))
    after = {name: st.session_state[name] for name in CONTROLS}
    if after != before:
        st.session_state[_SET] = before, after, time.monotonic()


def set_again_what_was_undone() -> None:
    """Set once more what a callback has just set, if the next request was sent before its browser knew.

    Streamlit takes the values of all widgets from the request (seen in 1.67.0): a popover that is closed
    right after a click in it would undo the click.
    """
    before, after, when = st.session_state.get(_SET, ({}, {}, 0.0))
    now = {name: st.session_state.get(name) for name in CONTROLS}
    if not before or now == after:
        return
    if now == before and time.monotonic() - when < UNAWARE:
        for name, value in after.items():
            st.session_state[name] = value
    del st.session_state[_SET]


def set_field(name: str, value: Any) -> None:
    """Set one field's control; for callbacks, as `set_fields`."""
    offer(name, value)
    st.session_state[name] = value if isinstance(LIMITS[name], IntRange | FloatRange | Flag) else str(value)


def drop_wrong_fields() -> None:
    """Put the default into each control to which a browser has given a value that its field cannot have."""
    for name in CONTROLS:
        try:
            LIMITS[name].read(name, st.session_state.get(name, getattr(DEFAULT, name)))
        except ValueError:
            set_field(name, getattr(DEFAULT, name))


def draw_controls(linked: dict[str, Any], on_the_way: bool = False) -> Experiment:
    """Draw the controls in the current container and return their experiment.

    ``linked`` holds the fields of the link, which the controls take when they are drawn first. With
    ``on_the_way`` a move of those that can change in the middle of a run does so.
    """
    drop_wrong_fields()
    set_again_what_was_undone()
    fields = {name: st.session_state.get(name, linked.get(name, getattr(DEFAULT, name))) for name in CONTROLS}
    for name in IN_SIGHT:
        fields[name] = _draw(name, fields, on_the_way)
    with st.container():  # also without a note, so that the next elements keep their positions
        note = rank_note(Experiment(**fields))
        if note:
            st.caption(note)
    for title, names in GROUPS.items():
        with st.expander(title):
            for name in names:
                fields[name] = _draw(name, fields, on_the_way)
    return Experiment(**fields)


def rank_note(experiment: Experiment) -> str:
    """A note on a rank above the full rank or above break-even; empty for any other."""
    sizes, rank = (experiment.in_features, experiment.out_features), experiment.rank
    if rank > experiment.full_rank:
        return (
            f"A change of this layer has at most rank min({sizes[0]}, {sizes[1]}) = {experiment.full_rank}: "
            f"rank {rank} stores more numbers and reaches nothing more."
        )
    break_even = break_even_storage(*sizes)
    if rank > break_even:
        return (
            f"Above break-even: from rank {break_even:.3g} on LoRA trains more numbers than full fine-tuning."
        )
    return ""


def _draw(name: str, fields: dict[str, Any], on_the_way: bool) -> Any:
    control, limit, default = CONTROLS[name], LIMITS[name], getattr(DEFAULT, name)
    reason = _why_not(name, Task(fields["task"]), Shift(fields["shift"]))
    common: dict[str, Any] = {"key": name, "bind": "query-params", "disabled": reason is not None}
    if on_the_way and name in CHANGEABLE:
        common |= {"on_change": control_moved, "args": (name,)}
    help_text = control.help if reason is None else f"{reason} {control.help}"
    if isinstance(limit, Flag):
        return st.toggle(control.label, value=default, help=help_text, **common)
    if isinstance(limit, Choice):
        names = [str(each) for each in limit.kind]
        return st.selectbox(control.label, names, index=names.index(default), help=help_text, **common)
    if not control.options:
        assert isinstance(limit, IntRange)
        return st.number_input(
            control.label, limit.least, limit.greatest, value=default, step=1, help=help_text, **common
        )
    options = _options(name, fields)
    slider: dict[str, Any] = {"label": control.label, "format_func": value_text, "help": help_text}
    if reason is None:
        return st.select_slider(options=options, value=default, **slider, **common)
    place = st.empty()
    value = place.select_slider(options=options, value=default, **slider, **common)
    _show_used(place, getattr(Experiment(**fields), name), value, options, slider)
    return value


def _show_used(
    place: DeltaGenerator, used: Any, value: Any, options: list[Any], slider: dict[str, Any]
) -> None:
    """Cover a disabled slider with one that shows the value in use.

    The bound slider stays registered, so session and link keep the visitor's value. The covering one has no
    key and so takes each new value: a keyed widget keeps its first one (seen in Streamlit 1.67.0).
    """
    if used != value:
        place.select_slider(options=sorted({*options, used}), value=used, disabled=True, **slider)


def _options(name: str, fields: dict[str, Any]) -> list[Any]:
    """Options of a slider: its fixed ones, for the rank those of the layer, and the value that it has."""
    if name == "rank":
        return sorted({*rank_choices(Experiment(**fields).full_rank), fields[name]})
    return sorted({*CONTROLS[name].options, *st.session_state.get(_OFFERED, {}).get(name, ())})


def _why_not(name: str, task: Task, shift: Shift) -> str | None:
    """The reason why a field does not apply to the task, or None if it applies."""
    if task is Task.DIGITS and name in ("in_features", "out_features", "samples"):
        return "The digits fix it: 64 inputs, 10 outputs, 1,297 training samples."
    if name == "true_rank" and not (task is Task.LOW_RANK or (task is Task.DIGITS and shift is Shift.SWAP)):
        return "Only the task low-rank and swapped digits have a true rank."
    if name == "shift" and task is not Task.DIGITS:
        return "Only digits are shifted."
    if name == "decay" and task is not Task.POWER_LAW:
        return "Only the task power-law has a decay."
    if name == "noise" and task not in (Task.LOW_RANK, Task.POWER_LAW):
        return "Only the tasks low-rank and power-law have noise to choose."
    return None


def offer(name: str, value: Any) -> None:
    """Add a value to the options of its slider in this session."""
    if CONTROLS[name].options and value not in CONTROLS[name].options:
        offered = st.session_state.setdefault(_OFFERED, {})
        offered.setdefault(name, set()).add(value)
