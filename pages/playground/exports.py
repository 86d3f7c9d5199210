"""What a visitor can take away, and bring back: the run as CSV, the experiment as JSON."""

import json

import pandas as pd
import streamlit as st

from lora_core.course import Course
from lora_core.experiment import Experiment
from lora_core.text_file import decoded, parsed_json
from lora_core.training.run import Run
from pages.playground.comparisons import MOST_PINS, keep_pins, pins
from pages.runtime.callbacks import run_to_completion
from pages.runtime.uploads import content
from pages.ui.controls import set_fields
from pages.ui.text import harmless

MOST_BYTES = 100_000
"""Of an uploaded experiment."""
_TROUBLE = "trouble with an upload"


def run_table(run: Run) -> pd.DataFrame:
    """A row an update, the columns of LoRA and of full fine-tuning; empty after a divergence.

    With changes on the way the rank in force comes first.
    """
    columns = {}
    if run.course.changes:
        updates = range(run.updates + 1)
        columns["lora_rank"] = pd.Series([run.course.in_force(update).rank for update in updates])
    for name, history in (("lora", run.lora), ("full", run.full)):
        for key in ("loss", "test_loss", "accuracy", "test_accuracy"):
            curve = getattr(history, key)
            if curve is not None:
                columns[f"{name}_{key}"] = pd.Series(curve)
    return pd.DataFrame(columns).rename_axis("updates")


def draw_exports(run: Run) -> None:
    """Downloads of this run and its experiment, and an upload that brings an experiment back."""
    trouble = st.session_state.pop(_TROUBLE, None)
    with st.container(horizontal=True):
        st.download_button(
            "Run as CSV", lambda: run_table(run).to_csv(), "run.csv", "text/csv", icon=":material/download:",
            on_click="ignore", disabled=not run.complete,
        )  # fmt: skip
        st.download_button(
            "Experiment as JSON", lambda: _written(run.course), "experiment.json",
            "application/json", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        with st.popover("Open an experiment", icon=":material/upload:"):
            st.file_uploader(
                "Experiment (JSON)", "json", key="upload", on_change=_read_upload, max_upload_size=1
            )
            if trouble:
                st.warning(trouble, icon=":material/error:")


def _written(course: Course) -> str:
    """The experiment and its changes as JSON, with what is pinned beside it."""
    beside = {"pins": [pin.to_dict() for pin in pins()]} if pins() else {}
    return json.dumps(course.to_dict() | beside, indent=2)


def _parsed(text: bytes) -> tuple[Course, list[Experiment]]:
    """The experiment of a file with its changes, and its pins.

    :raises ValueError: it is no JSON, or has a value outside its field's limit.
    """
    values = parsed_json(decoded(text, "the experiment", MOST_BYTES), "the experiment")
    kept = values.pop("pins", []) if isinstance(values, dict) else []
    if not isinstance(kept, list) or len(kept) > MOST_PINS:
        raise ValueError(f"pins is no list of up to {MOST_PINS} experiments.")
    return Course.from_dict(values), [Experiment.from_dict(each) for each in kept]


@run_to_completion
def _read_upload() -> None:
    """Put an uploaded experiment into the controls, or keep the present one and say why."""
    file = st.session_state.get("upload")
    if file is None:
        return
    try:
        course, kept = _parsed(content(file))
    except ValueError as error:
        st.session_state[_TROUBLE] = f"The file was not opened: `{harmless(str(error), 300)}`"
        return
    set_fields(course.experiment, course.changes)
    if kept:
        keep_pins(kept)
