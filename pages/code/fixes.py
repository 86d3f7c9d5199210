"""What the original script says and what it does: four differences, each with the line that fixes it."""

import streamlit as st

from lora_core.experiment import Experiment
from lora_core.figures.fixes import draw_fix
from lora_core.findings.original_script import (
    LONG,
    ORIGINAL,
    OTHER_RANK,
    Fix,
    ScriptFacts,
    fixes,
    script_facts,
)
from lora_core.formatting import loss_text
from pages.code.tries import try_button
from pages.code.words import Words
from pages.components.still_chart import steady_chart


@st.cache_resource(show_spinner=False)
def known_facts() -> ScriptFacts:
    """What is true of the script, computed once a process."""
    return script_facts()


@st.cache_resource(show_spinner=False)
def known_fixes() -> dict[str, Fix]:
    """The four fixes, trained once a process."""
    return fixes()


def draw_fixes(words: Words, experiment: Experiment) -> None:
    """The four in a square, each in a frame."""
    st.markdown(words("says.text"))
    values = _says_values()
    names = list(values)
    for pair in (names[:2], names[2:]):
        for column, name in zip(st.columns(2, gap="medium"), pair, strict=True):
            with column.container(border=True):
                _draw_fix(words, name, values[name], experiment)


def _says_values() -> dict[str, dict[str, object]]:
    """The numbers of each fix's text."""
    f, found, e = known_facts(), known_fixes(), ORIGINAL
    bias, start, targets, scaling = (found[name] for name in ("bias", "start", "targets", "scaling"))
    return {
        "bias": {
            "trainable": f.trainable, "frozen": f.trainable_frozen, "total": f.total, "epochs": e.epochs,
            "share": percent(f.trainable, f.total), "frozen_share": percent(f.trainable_frozen, f.total),
            "before": loss_text(bias.before[-1], 5), "after": loss_text(bias.after[-1], 5),
        },
        "start": {
            "times": f"{f.start / f.base:.0f}", "expected": f"{f.expected_extra:g}",
            "start": four_digits(f.start), "base": four_digits(f.base),
            "after_start": four_digits(start.after[0]),
        },
        "targets": {
            "full_floor": four_digits(f.full_floor), "rank": e.rank, "floor": four_digits(f.floor),
            "zero": four_digits(f.zero), "long": LONG, "true_rank": targets.experiment.true_rank,
            "before": four_digits(targets.before[-1]), "after": four_digits(targets.after[-1]),
            "taught_floor": four_digits(targets.floors[1]),
        },
        "scaling": {
            "scaling": f"{e.scaling:g}", "rank": e.rank, "alpha": f"{scaling.experiment.alpha:g}",
            "other": OTHER_RANK, "other_scaling": f"{scaling.experiment.scaling:g}",
            "before": four_digits(scaling.before[0]), "after": four_digits(scaling.after[0]),
        },
    }  # fmt: skip


def _draw_fix(words: Words, name: str, values: dict[str, object], experiment: Experiment) -> None:
    fix = known_fixes()[name]
    st.markdown(f"**{words(f'{name}.title', **values)}**")
    st.markdown(words(f"{name}.text", **values))
    st.caption(words("words.fix"))
    st.code(fix.line, "diff", wrap_lines=True)
    figure = draw_fix(fix, *(words(f"words.{name}") for name in ("before", "after", "updates", "loss")))
    ends = {
        f"{side}_{end}": loss_text(curve[place])
        for side, curve in (("before", fix.before), ("after", fix.after))
        for end, place in (("first", 0), ("last", -1))
    }
    steady_chart(figure, key=f"mend_{name}", alt=words("words.chart", **ends), height=220)
    try_button(words, words("words.set"), fix.experiment, experiment, key=f"set {name}")


def four_digits(loss: float) -> str:
    """A loss as this page writes it."""
    return loss_text(loss, 4)


def percent(part: int, whole: int) -> str:
    """A share as this page writes it, 32.35 %, never broken between the lines."""
    return f"{100 * part / whole:.2f}\u00a0%"
