"""The changes in the middle of the run, under its chart: one button each takes it back."""

import streamlit as st

from lora_core.course import Change
from lora_core.formatting import loss_text
from lora_core.training.run import Run
from pages.runtime.callbacks import run_to_completion
from pages.ui.on_the_way import changes, take_back, trouble, words_of_change

RULE = (
    "A rank grows by random columns of A and zero rows of B, so the error does not jump. It is cut to the "
    "nearest change of weights (truncated SVD), and the error jumps. Alpha and scaling rescale B and leave "
    "the change as it is. Adam keeps its moments, except at a cut (of A and B) and with a new optimizer."
)


def draw_changes(run: Run) -> None:
    """A button for each change, which takes it back; what cuts have cost, and why no change was added."""
    said = trouble()
    for change in changes():
        beyond = change.update > run.experiment.epochs
        words = f"{change.update}: {words_of_change(change)}" + (" (beyond the end)" if beyond else "")
        st.button(
            words, key=f"take back {change}", icon=":material/close:", help=f"Take this change back. {RULE}",
            on_click=_take_back, args=(change,),
        )  # fmt: skip
    notes = [said] if said else cut_words(run)
    if notes:
        st.caption(" ".join(notes))


def cut_words(run: Run) -> list[str]:
    """What each cut of the rank has cost, beside the least that any cut to that rank costs."""
    found = []
    for cut in run.cuts:
        moved = "costs" if cut.cost >= 0 else "wins"
        found.append(
            f"The cut to rank {cut.rank} {moved} {loss_text(abs(cut.cost), 3)} at once "
            f"({loss_text(cut.before, 3)} to {loss_text(cut.after, 3)}). No cut to that rank can cost less "
            f"than {loss_text(cut.least, 3)}: its floor, {loss_text(cut.floor, 3)}, is drawn. The one whose "
            f"outputs stay nearest ends at {loss_text(cut.nearest, 3)}."
        )
    return found


@run_to_completion
def _take_back(change: Change) -> None:
    take_back(change)
