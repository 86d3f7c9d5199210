"""Inside the layer: what merging changes, and what it does not."""

from math import isfinite

import streamlit as st

from lora_core.course import Course
from lora_core.experiment import Experiment
from lora_core.figures.inside import merge
from lora_core.formatting import loss_text, percent_text, plural
from lora_core.training.run import Run


def draw_merge(run: Run, at: int) -> None:
    """What merging changes, and what it does not."""
    st.header("The merge, proven", anchor=False)
    info, frozen = _merge(run.course, at, run), _frozen(run.experiment, run)
    saved = percent_text(1 - info.after / info.before)
    st.markdown(
        f"Merged, the layer takes {info.after:,} multiply-adds for an input instead of {info.before:,}, "
        f"{saved} less, as many as the base alone. What it says stays the same up to rounding."
    )
    columns = st.columns(3)
    for column, name, gap in (
        (columns[0], "single", info.single),
        (columns[1], "double", info.double),
    ):
        column.metric(
            f"Largest |merged(x) − adapter(x)|, {name} precision", loss_text(gap.largest),
            f"{loss_text(gap.relative)} of the largest output", delta_color="off", delta_arrow="off",
            border=True,
        )  # fmt: skip
    columns[2].metric(
        "Multiply-adds for an input, merged", f"{info.after:,}", f"unmerged {info.before:,}",
        delta_color="off", delta_arrow="off", border=True,
    )  # fmt: skip
    steps = f"After {plural(frozen.updates, 'update')} by the plain loop"
    found = {
        "At the start": frozen.start, steps: frozen.trained, "Merged": info.merged,
        "Unmerged again": info.unmerged,
    }  # fmt: skip
    st.table(
        {
            "Checksum of W₀ (SHA-256)": list(found),
            " ": list(found.values()),
            "Compared with the start": [
                "–",
                *(_same(each, frozen.start) for each in list(found.values())[1:]),
            ],
        },
        border="horizontal",
    )
    of = len(run.problem.X)
    some = "all" if frozen.samples == of else f"{frozen.samples:,} of"
    moved = f"moves A and B by {loss_text(frozen.moved)}" if isfinite(frozen.moved) else "diverges"
    st.caption(f"The plain loop trains the layer by autograd on {some} {of:,} samples, and {moved}.")


def _same(one: str, other: str) -> str:
    return "the same, to the bit" if one == other else "another weight"


@st.cache_resource(show_spinner=False, max_entries=64)
def _merge(course: Course, at: int, _run: Run) -> merge.MergeInfo:
    return merge.merge_info(course.in_force(at), _run.problem, _run.lora.snapshots[at])


@st.cache_resource(show_spinner=False, max_entries=64)
def _frozen(experiment: Experiment, _run: Run) -> merge.FrozenInfo:
    return merge.frozen_info(experiment, _run.problem)
