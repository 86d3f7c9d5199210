"""Inside the layer, on digits: weights as pictures, and the digits that the adapter fixed or broke."""

import numpy as np
import streamlit as st

from lora_core.experiment import Shift
from lora_core.figures.inside import digits as figure
from lora_core.formatting import percent_text, plural
from lora_core.training.run import Run
from pages.components.still_chart import steady_chart
from pages.inside.chosen_input import INPUT, trace
from pages.runtime.callbacks import run_to_completion


def draw_pictures(run: Run, at: int) -> None:
    """Columns of W0, of the change and of A as pictures."""
    snapshot, e = run.lora.snapshots[at], run.course.in_force(at)
    st.header("Weights are pictures", anchor=False)
    st.markdown(
        "An input is a picture, so each column of the weight is one too: what the layer looks for when it "
        "says that digit. Pixels inked in fewer than 1 % of the digits are left out: hardly anything moves "
        "them. The numbers under a row are digits, those under A its ranks."
    )
    info = figure.pictures_info(run.problem, snapshot, e.scaling)
    if e.shift is Shift.SWAP and info.delta.any():
        twin = figure.twin_info(run.problem, info, e.true_rank)
        left, right = st.columns([0.4, 0.6], vertical_alignment="center")
        alt = f"Two pictures of 8 by 8 weights: {twin.name}, and W0's {twin.con} minus {twin.pro}."
        with left:
            steady_chart(figure.draw_twin(twin), key="twin", alt=alt)
        right.markdown(figure.twin_words(twin))
    steady_chart(
        figure.draw_pictures(info), key="pictures",
        alt="Rows of 8 by 8 pictures: for each digit the columns of W0, of s A B and of their sum; for each "
        "rank the column of A.",
    )  # fmt: skip


def draw_gallery(run: Run, at: int) -> None:
    """The held-out digits that the adapter fixed and broke, each of which can be traced."""
    scaling = run.course.in_force(at).scaling
    info = figure.gallery_info(run.problem, run.lora.snapshots[at], scaling)
    count = len(info.labels)
    before, after = (percent_text(right / count) for right in (info.right_before, info.right_after))
    st.markdown(
        f"Of {count} new digits the base had {info.right_before} right, {before}. The adapter fixed "
        f"{len(info.fixed)} and broke {len(info.broke)}: {info.right_after} are right, {after}."
    )
    if len(info.fixed):
        # One that shows something, where nobody has chosen yet.
        st.session_state.setdefault(INPUT, int(info.fixed[0]))
    for name, indices in (("fixed", info.fixed), ("broken", info.broke)):
        _draw_row(run, info, name, indices)


def _draw_row(run: Run, info: figure.GalleryInfo, name: str, indices: np.ndarray) -> None:
    if not len(indices):
        st.caption(f"None {name}.")
        return
    shown = [int(index) for index in indices[: figure.MOST_SHOWN]]
    more = f", the first {len(shown)} of {len(indices)}" if len(indices) > len(shown) else ""
    st.caption(f"{name.capitalize()}{more}: what the base said → what the layer says, number of the input.")
    steady_chart(
        figure.draw_gallery(run.problem, info, shown), key=f"gallery {name}",
        alt=f"{plural(len(shown), 'digit')} {name}: {'; '.join(map(info.name, shown))}.",
    )  # fmt: skip
    st.pills(
        f"Trace one that was {name}", shown, key=f"trace {name}", on_change=_trace, args=(name,),
        label_visibility="collapsed", format_func=lambda index: f"Trace {index}",
    )  # fmt: skip


@run_to_completion
def _trace(name: str) -> None:
    chosen = st.session_state.get(f"trace {name}")
    if chosen is not None:
        trace(int(chosen))
