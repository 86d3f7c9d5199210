"""The picture of the page of real models: verdict, five numbers, shares, memory, code, table, sources."""

from functools import lru_cache

import pandas as pd
import streamlit as st

from lora_core.figures.models import drawing, numbers
from lora_core.formatting import bytes_text, count_text, percent_text
from lora_core.models import (
    OPTIMIZERS,
    PRECISIONS,
    Adapter,
    Memory,
    ModelShape,
    adapter_file_bytes,
    compare_memory,
    lora_code,
)
from pages.components.still_chart import steady_chart
from pages.models.controls import Chosen, Scale, choose, complaints, pick
from pages.models.published import draw_published
from pages.models.words import frozen_note, measured_note, module_table, notes, verdict

HEIGHT = 360
PRECISION_NAMES = {words: name for name, words in PRECISIONS.items()}
OPTIMIZER_NAMES = {words: name for name, words in OPTIMIZERS.items()}

# Drawn once for equal numbers: Plotly checks every property it is given, which takes longer than counting.
_share, _ranks, _memory = (
    lru_cache(maxsize=128)(draw) for draw in (drawing.draw_share, drawing.draw_ranks, drawing.draw_memory)
)
_rank_info = lru_cache(maxsize=128)(numbers.rank_info)


def show(scale: Scale) -> None:
    """Draw what an adapter of this rank costs on a real model."""
    said = st.container()
    top = st.container(key="verdict")
    choice = choose(scale)
    shape, adapter = choice.model.shape, choice.adapter
    remarks, metrics = st.container(), st.container(horizontal=True)
    left, right = st.columns([0.55, 0.45])
    with left:
        _draw_share(shape, adapter)
    with right:
        info = _rank_info(shape, adapter)
        _draw_ranks(info)
    left, right = st.columns([0.55, 0.45])
    with left:
        memories = _draw_memory(shape, adapter)
    with right:
        _draw_code(shape, adapter)
    st.caption(f"By module, sizes from {choice.model.source}:")
    _draw_table(shape, adapter, info, memories)
    draw_published()
    top.markdown(f"### {verdict(choice.model.name, shape, adapter, memories)}")
    with metrics:
        _draw_numbers(choice, memories)
    with said:
        wrong = complaints()
        if wrong:
            st.warning("\n\n".join(wrong), icon=":material/error:")
    with remarks:
        for note in filter(None, [choice.model.remark, *notes(shape, adapter, info.break_even)]):
            st.caption(note)


def _draw_numbers(choice: Chosen, memories: tuple[Memory, Memory, Memory]) -> None:
    shape, adapter = choice.model.shape, choice.adapter
    count, (full, lora, qlora) = shape.count(adapter), memories
    file, weights = adapter_file_bytes(shape, adapter), 2 * shape.total()
    for label, value, note in (
        ("Trained numbers", count_text(count.trainable), f"{count.trainable:,}"),
        ("Trainable share", percent_text(count.share), f"of {count.full:,}"),
        ("LoRA, to train", bytes_text(lora.total), f"full: {bytes_text(full.total)}"),
        ("QLoRA, to train", bytes_text(qlora.total), "weights in 4 bits"),
        ("Adapter file", bytes_text(file), f"the model: {bytes_text(weights)}"),
    ):
        st.metric(label, value, note, delta_color="off", delta_arrow="off", border=True, width=160)


def _draw_share(shape: ModelShape, adapter: Adapter) -> None:
    info = numbers.share_info(shape, adapter)
    st.caption("Where the trained numbers are.")
    words = numbers.share_text(info)
    steady_chart(_share(info), key="model_share_picture", alt=words, height=HEIGHT)


def _draw_ranks(info: numbers.RankInfo) -> None:
    st.caption("What another rank would train.")
    words = numbers.rank_text(info)
    steady_chart(_ranks(info), key="model_ranks_picture", alt=words, height=HEIGHT)


def _draw_memory(shape: ModelShape, adapter: Adapter) -> tuple[Memory, Memory, Memory]:
    with st.container(horizontal=True):
        precision = pick(
            "Frozen weights in", tuple(PRECISION_NAMES), PRECISIONS["bf16"], "model_precision",
            width=190, help="What LoRA freezes; full fine-tuning trains no quantised weights and takes bf16.",
        )  # fmt: skip
        optimizer = pick(
            "Optimizer of the model", tuple(OPTIMIZER_NAMES), OPTIMIZERS["adamw"], "model_optimizer",
            width=230, help="The state it keeps for every trained number.",
        )  # fmt: skip
    memories = compare_memory(shape, adapter, PRECISION_NAMES[precision], OPTIMIZER_NAMES[optimizer])
    words = numbers.memory_text(memories)
    steady_chart(_memory(memories), key="model_memory_picture", alt=words, height=300)
    st.caption(f"{frozen_note(memories[1])} {measured_note()}")
    return memories


def _draw_code(shape: ModelShape, adapter: Adapter) -> None:
    st.caption("The same adapter for PEFT, to copy:")
    st.code(lora_code(shape, adapter), "python", wrap_lines=True)


def _draw_table(
    shape: ModelShape, adapter: Adapter, info: numbers.RankInfo, memories: tuple[Memory, ...]
) -> None:
    """What the bars of the share show, in numbers; and, asked for, the two other pictures."""
    table = pd.DataFrame(module_table(numbers.table_rows(shape, adapter)))
    st.table(table, border="horizontal", hide_index=True)
    if st.toggle("Charts as tables", key="model_tables", bind="query-params"):
        shares = {curve.label: [f"{share:.3g} %" for share in curve.share] for curve in info.curves}
        st.table(pd.DataFrame({"Rank": info.ranks, **shares}), border="horizontal", hide_index=True)
        bars = [
            {"": memory.name}
            | {words: bytes_text(getattr(memory, name)) for name, (words, _) in numbers.SEGMENTS.items()}
            | {"sum": bytes_text(memory.total)}
            for memory in memories
        ]
        st.table(pd.DataFrame(bars), border="horizontal", hide_index=True)
