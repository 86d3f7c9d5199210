"""A model by its name in the catalogue or by a config.json, pasted or uploaded, that nobody vouches for.

What is wrong with it is a ValueError in one sentence. A config that is short enough travels in the link.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

import streamlit as st

from lora_core.models import CATALOGUE, ModelShape
from lora_core.models.config import parse
from lora_core.text_file import decoded
from pages.runtime.callbacks import run_to_completion
from pages.runtime.uploads import content

OWN = "your own config.json"
CONFIG = "model_config"
MOST_BYTES = 2_000_000
"""Of an uploaded config.json."""
MOST_IN_A_LINK = 2_000
"""Characters of a config.json that a link carries; browsers and proxies cut longer addresses."""

_TROUBLE = "trouble with a config.json"


class Model(NamedTuple):
    """A model as the page shows it: its name in a sentence, its config and whence that is, its shape.

    `remark` says what the link cannot carry, if anything.
    """

    name: str
    source: str
    config: Mapping[str, object]
    shape: ModelShape
    remark: str = ""


def read_model(name: str, head: str | None = None) -> Model:
    """The model of that name with a head, its usual one for None; `OWN` is the pasted one.

    :raises ValueError: what is wrong with a pasted or uploaded config.json.
    """
    trouble = st.session_state.pop(_TROUBLE, None)
    if trouble:
        raise ValueError(trouble)
    if name != OWN:
        entry = CATALOGUE[name]
        source = f"[{entry.repository}]({entry.source})" if entry.repository else entry.source
        return Model(name, source, entry.config, entry.shape(head))
    text = st.session_state.get(CONFIG) or ""
    if not text.strip():
        raise ValueError("config.json: nothing is pasted yet under Any config.json")
    config = parse(text)
    shape = ModelShape.from_config(config, head)
    return Model(f"your {shape.model_type} model", OWN, config, shape)


def with_head(model: Model, head: str | None) -> Model:
    """The same model with a head; without a config of its own it is the pasted one, read anew.

    :raises ValueError: the head that the model does not have.
    """
    if model.source != OWN:
        return model._replace(shape=CATALOGUE[model.name].shape(head))
    if not model.config:
        return read_model(OWN, head)
    return model._replace(shape=ModelShape.from_config(model.config, head))


def draw_config() -> None:
    """Where a config.json is pasted or uploaded; either makes it the model of the page."""
    with st.popover("Any config.json", icon=":material/upload:", key="model_own"):
        st.text_area(
            "Paste a config.json", st.query_params.get(CONFIG, ""), key=CONFIG, height=180,
            on_change=_take_paste, persist_state="session",
            placeholder='{"model_type": "llama", "hidden_size": 4096, ...}',
            help="Of any model that transformers knows. Nothing is downloaded, and no code of it is run.",
        )  # fmt: skip
        st.file_uploader(
            "Or upload one", "json", key="model_upload", on_change=_take_upload, max_upload_size=2
        )


def write_link(name: str, model: Model) -> str:
    """Keep the pasted config in the link while it is the model shown and short enough.

    Returns a sentence where the link cannot carry it, "" otherwise.
    """
    text = json.dumps(model.config, separators=(",", ":")) if name == model.source == OWN else ""
    if text and len(text) <= MOST_IN_A_LINK:
        if st.query_params.get(CONFIG) != text:
            st.query_params[CONFIG] = text
        return ""
    if CONFIG in st.query_params:
        del st.query_params[CONFIG]
    if not text:
        return ""
    return (
        f"The link does not carry this config.json: {len(text):,} characters, at most {MOST_IN_A_LINK:,}. "
        "Whoever opens it has to paste the file again."
    )


@run_to_completion
def _take_paste() -> None:
    if (st.session_state.get(CONFIG) or "").strip():
        st.session_state["model_name"] = OWN


@run_to_completion
def _take_upload() -> None:
    """Put an uploaded file where a pasted one would stand, if it can be one at all."""
    file = st.session_state.get("model_upload")
    if file is None:
        return
    try:
        text = decoded(content(file), "config.json", MOST_BYTES)
        parse(text)
    except ValueError as error:
        st.session_state[_TROUBLE] = str(error)
        return
    st.session_state[CONFIG] = text
    st.session_state["model_name"] = OWN
