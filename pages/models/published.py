"""What others have printed about these models, beside what is counted here: equal, or known why not."""

from typing import NamedTuple

import pandas as pd
import streamlit as st

from lora_core.formatting import bytes_text
from lora_core.models import (
    CATALOGUE,
    PEAKS,
    PUBLISHED,
    SIZES,
    TARGET_PRESETS,
    Adapter,
    MeasuredPeak,
    adapter_memory,
)
from pages.models.words import peak_words


class Line(NamedTuple):
    """One published number: what it counts, as its source prints it, and counted here."""

    model: str
    what: str
    published: str
    counted: str
    agrees: bool
    reason: str
    source: str


def draw_published() -> None:
    """The published counts and peaks, folded away, and sent only when they are unfolded."""
    found = lines()
    agree, differ = ([line for line in found if line.agrees is same] for same in (True, False))
    title = f"Published counts: {len(agree)} reproduced, {len(differ)} known not to"
    folded = st.expander(title, icon=":material/fact_check:", key="model_published", on_change="rerun")
    if not folded.open:
        return
    with folded:
        columns = {"model": "Model", "what": "What", "published": "Published", "counted": "Counted here"}
        st.caption("Reproduced to the last digit that is printed:")
        table = pd.DataFrame(agree).drop(columns=["agrees", "reason"])
        st.dataframe(table, hide_index=True, height=240, column_config=columns | {"source": "Source"})
        st.caption("Known not to reproduce, and why:")
        st.markdown(
            "\n".join(
                f"- {line.model}, {line.what}: {line.published} in the {line.source}, "
                f"here {line.counted}: {line.reason}."
                for line in differ
            )
        )
        _draw_peaks()
        _draw_sizes()


@st.cache_data(show_spinner=False, max_entries=1)
def lines() -> list[Line]:
    """Every published count, counted anew."""
    found = []
    for entry in CATALOGUE.values():
        if entry.published_total is not None:
            total = entry.shape(entry.published_head).total()
            published, agrees = f"{entry.published_total:,}", total == entry.published_total
            found.append(
                Line(
                    entry.name, "all parameters", published, f"{total:,}", agrees, "", entry.published_source
                )
            )
    for count in PUBLISHED:
        trainable, total = count.counted()
        what = "all parameters" if count.rank is None else f"r = {count.rank}, {_targets(count.targets)}"
        counted = f"{total:,}" if trainable is None else f"{trainable:,}"
        if trainable is not None and count.total is not None:
            counted += f" of {total:,}"
        equal = count.trainable in (None, trainable) and count.total in (None, total)
        agrees = equal and count.reproduced
        found.append(Line(count.model, what, count.published, counted, agrees, count.reason, count.source))
    return found


def _draw_peaks() -> None:
    st.caption(f"Measured peaks of memory, activations included, {PEAKS[0].source}:")
    rows = [
        {
            "Model": peak.model,
            "What": peak_words(peak),
            "Measured": f"{peak.gigabytes} GB",
            "Counted here, without activations": bytes_text(_counted(peak)),
        }
        for peak in PEAKS
    ]
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)


def _draw_sizes() -> None:
    source = ", ".join(dict.fromkeys(size.source for size in SIZES))
    st.caption(f"Sizes printed without saying what they hold, {source}; here all numbers in 16 bits:")
    rows = [
        {
            "Model": size.model,
            "What": size.what + (f", r = {size.rank}, q, v" if size.rank else ""),
            "Published": size.published,
            "Counted here": bytes_text(size.counted()),
            "Why they differ": f"{size.reason}." if size.reason else "",
        }
        for size in SIZES
    ]
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)


def _counted(peak: MeasuredPeak) -> int:
    """The same setting as the measurement's: weights, gradients and moments all in bf16."""
    shape, adapter = CATALOGUE[peak.model].shape(), Adapter(peak.rank, peak.targets)
    return adapter_memory(shape, adapter, "bf16", "adamw", trained="bf16").total


def _targets(targets: str | tuple[str, ...]) -> str:
    return TARGET_PRESETS[targets] if isinstance(targets, str) else ", ".join(targets)
