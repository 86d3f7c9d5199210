"""Take home: the cut adapter as files, and the libraries that read them."""

import io
import zipfile

import pandas as pd
import streamlit as st

from lora_core.adapters.cutting import Cut, rounding_words
from lora_core.adapters.readers import readers_of
from lora_core.adapters.source import CONFIG
from lora_core.adapters.writing import files_of, must_pad, write_file
from pages.ui.text import plain

COARSE = 0.05
"""Relative error by rounding above which a warning is shown."""


def draw_take_home(found: Cut) -> None:
    """Draw the download and a table of its readers."""
    file = found.plan.file
    name, config = files_of(found.plan)
    st.markdown("**Take it home**")
    if not file.scale_known:
        st.caption(f"Add {CONFIG} first: without it the strength of this adapter is not known.")
    elif config is None:
        st.download_button(
            "Cut adapter", lambda: _weights(found), f"cut-{name}", "application/octet-stream",
            key="adapter_file", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.caption(
            f"In the names that it came with, {file.family}'s: only the base model tells what they mean."
            + (" Of one rank, padded, as these names have no place for a scaling a module." * must_pad(file))
        )
    else:
        st.download_button(
            "Cut adapter for PEFT", lambda: _zipped(found), "adapter.zip", "application/zip",
            key="adapter_file", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.caption("The scaling is baked in: alpha = r for every module, so that B A is the whole change.")
    with st.container(key="adapter_rounding"):
        if found.total_rounding > COARSE:
            st.warning(plain(rounding_words(found)), icon=":material/error:")
        else:
            st.caption(plain(rounding_words(found)))
    readers = readers_of(found.plan)
    table = {
        "Reader": [reader.name for reader in readers],
        "Scaling it applies": [reader.scaling for reader in readers],
        "This file": [reader.verdict for reader in readers],
    }
    with st.container(key="adapter_readers"):
        st.table(pd.DataFrame(table), border="horizontal", hide_index=True)


def _weights(found: Cut) -> bytes:
    stream = io.BytesIO()
    for _ in write_file(found.plan, stream):
        pass
    return stream.getvalue()


def _zipped(found: Cut) -> bytes:
    """Zip of both files, stored without compression: factors hardly deflate."""
    name, config = files_of(found.plan)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        # ZipInfo's own date is a fixed one: equal cuts give equal archives.
        with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
            for _ in write_file(found.plan, member):
                pass
        archive.writestr(zipfile.ZipInfo(CONFIG), config or b"")
    return stream.getvalue()
