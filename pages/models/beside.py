"""A second configuration of the same model, side by side with the one above."""

import pandas as pd
import streamlit as st

from lora_core.formatting import bytes_text, count_text, percent_text
from lora_core.models import (
    PRECISIONS,
    TARGET_PRESETS,
    Adapter,
    ModelShape,
    Training,
    adapter_file_bytes,
    adapter_memory,
    fits,
    predict,
)
from pages.models.chosen_adapter import TARGETS
from pages.models.controls import choose_segment, pick
from pages.models.fit import room_words
from pages.models.sidebar import RANKS

FITS = {"fits": "fits", "tight": "tight", "no": "does not fit"}


def draw_beside(shape: ModelShape, adapter: Adapter, training: Training, card: int) -> None:
    """Controls of the second configuration, and a table of both."""
    folded = st.expander(
        "Two configurations side by side", icon=":material/compare_arrows:", key="model_beside",
        on_change="rerun", expanded=_asked(),
    )  # fmt: skip
    if not folded.open:
        return
    with folded:
        _draw(shape, adapter, training, card)


def _asked() -> bool:
    """Whether the link says anything of the second configuration."""
    return any(name.startswith("model_beside_") for name in st.query_params)


def _draw(shape: ModelShape, adapter: Adapter, training: Training, card: int) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rank = choose_segment("Its rank", RANKS, "64", "model_beside_rank", "Alpha as above.")
        words = pick(
            "Its target modules",
            tuple(TARGETS),
            TARGET_PRESETS["all-linear"],
            "model_beside_targets",
            width=190,
        )
        precisions = {text: name for name, text in PRECISIONS.items()}
        precision = pick(
            "Its frozen weights in",
            tuple(precisions),
            PRECISIONS["bf16"],
            "model_beside_precision",
            width=190,
        )
    other = Adapter(
        int(rank), TARGETS[words], adapter.alpha / adapter.rank * int(rank), text_only=adapter.text_only
    )
    way = Training(**{**vars(training), "precision": precisions[precision]})
    try:
        columns = {
            "this one": _column(shape, adapter, training, card),
            "the other": _column(shape, other, way, card),
        }
    except ValueError as error:
        st.caption(f"The other cannot be counted: {error}.")
        return
    st.table(pd.DataFrame(columns), border="horizontal")


def _column(shape: ModelShape, adapter: Adapter, training: Training, card: int) -> dict[str, str]:
    count, peak = shape.count(adapter), predict(shape, adapter, training)
    targets = adapter.targets
    names = TARGET_PRESETS[targets] if isinstance(targets, str) else ", ".join(targets)
    found = {
        "Adapter": f"r = {adapter.rank}, {names}, weights in {PRECISIONS[training.precision]}",
        "Trained": f"{count_text(count.trainable)} ({percent_text(count.share)})",
        "Adapter file": bytes_text(adapter_file_bytes(shape, adapter)),
    }
    if peak is None:
        memory = adapter_memory(shape, adapter, training.precision, training.optimizer)
        return found | {"Memory, without activations": bytes_text(memory.total)}
    what, room = room_words(shape, adapter, training, card)
    return found | {
        "Peak": f"{bytes_text(peak.total)}, at {peak.moment}",
        f"On {card} GB": FITS[fits(peak.total, card)],
        what: room,
    }
