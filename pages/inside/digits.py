"""Inside the layer, on digits: weights as pictures, and the digits that the adapter fixed or broke."""

import numpy as np
import streamlit as st

from lora_core.experiment import Shift
from lora_core.figures.inside import digits as figure
from lora_core.formatting import percent_text, plural
from lora_core.training.run import Run
from pages.inside.parts import INPUT
from pages.runtime.callbacks import run_to_completion
from pages.ui.theme import is_dark


def draw_digits(run: Run, at: int) -> None:
    """Columns of W0, of the change and of A as pictures, then the gallery."""
    _draw_pictures(run, at)
    _draw_gallery(run, at)


def _draw_pictures(run: Run, at: int) -> None:
    snapshot, e = run.lora.snapshots[at], run.experiment
    st.subheader("Weights are pictures", anchor=False)
    st.markdown(
        "An input is a picture, so each column of the weight is one too: what the layer looks for when it "
        "says that digit. Pixels inked in fewer than 1 % of the digits are left out: hardly anything moves "
        "them. The numbers under a row are digits, those under A its ranks."
    )
    info = figure.pictures_info(run.problem, snapshot, e.scaling)
    if e.shift is Shift.SWAP and info.delta.any():
        twin = figure.twin_info(run.problem, info, e.true_rank)
        left, right = st.columns([0.4, 0.6], vertical_alignment="center")
        left.plotly_chart(
            figure.draw_twin(twin, is_dark()), key="twin",
            alt=f"Two pictures of 8 by 8 weights: {twin.name}, and W0's {twin.con} minus {twin.pro}.",
        )  # fmt: skip
        right.markdown(figure.twin_words(twin))
    st.plotly_chart(
        figure.draw_pictures(info, is_dark()), key="pictures",
        alt="Rows of 8 by 8 pictures: for each digit the columns of W0, of s A B and of their sum; for each "
        "rank the column of A.",
    )  # fmt: skip


def _draw_gallery(run: Run, at: int) -> None:
    st.subheader("Fixed and broken", anchor=False)
    info = figure.gallery_info(run.problem, run.lora.snapshots[at], run.experiment.scaling)
    count = len(info.labels)
    before, after = (percent_text(right / count) for right in (info.right_before, info.right_after))
    st.markdown(
        f"Of {count} held-out digits the base had {info.right_before} right, {before}. The adapter fixed "
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
    st.plotly_chart(
        figure.draw_gallery(run.problem, info, shown, is_dark()), key=f"gallery {name}",
        config={"staticPlot": True},
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
        st.session_state[INPUT] = chosen
