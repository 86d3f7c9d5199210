"""The picture of the page of real models: verdict, five numbers, shares, memory, code, table, sources."""

from dataclasses import replace
from functools import lru_cache

import pandas as pd
import streamlit as st

from lora_core.figures.models import drawing, numbers
from lora_core.formatting import bytes_text, count_text, percent_text
from lora_core.models import Adapter, ModelShape, Training, adapter_file_bytes, lora_code
from pages.components.still_chart import steady_chart
from pages.models.beside import draw_beside
from pages.models.choice import Chosen, choose
from pages.models.controls import complaints
from pages.models.fit import UNCERTAIN, fit_sentence
from pages.models.published import draw_published
from pages.models.sidebar import Scale
from pages.models.training import choose_training
from pages.models.words import (
    PEOPLE_USE,
    frozen_note,
    measured_note,
    module_table,
    notes,
    verdict,
)

HEIGHT = 360

# Drawn once for equal numbers: Plotly checks every property it is given, which takes longer than counting.
_share, _ranks, _memory, _lengths = (
    lru_cache(maxsize=128)(draw)
    for draw in (drawing.draw_share, drawing.draw_ranks, drawing.draw_memory, drawing.draw_lengths)
)
_rank_info = lru_cache(maxsize=128)(numbers.rank_info)
_length_info = lru_cache(maxsize=128)(numbers.length_info)


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
        training, card = choose_training(shape)
        memory = _draw_memory(shape, adapter, training, card)
    with right:
        _draw_lengths(shape, adapter, training, card)
        _draw_code(shape, adapter)
    draw_beside(shape, adapter, training, card)
    st.caption(PEOPLE_USE)
    st.caption(f"By module, sizes from {choice.model.source}:")
    _draw_table(shape, adapter, info, memory)
    draw_published()
    fit = fit_sentence(memory, shape, adapter, training)
    top.markdown(f"# {verdict(choice.model.name, shape, adapter, memory)}\n\n{fit}")
    with metrics:
        _draw_numbers(choice, memory)
    with said:
        wrong = complaints()
        if wrong:
            st.warning("\n\n".join(wrong), icon=":material/error:")
    with remarks:
        for note in filter(None, [choice.model.remark, *notes(shape, adapter, info.break_even)]):
            st.caption(note)


def _draw_numbers(choice: Chosen, memory: numbers.MemoryInfo) -> None:
    shape, adapter = choice.model.shape, choice.adapter
    count, (full, lora, qlora) = shape.count(adapter), memory.bars
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


def _draw_memory(shape: ModelShape, adapter: Adapter, training: Training, card: int) -> numbers.MemoryInfo:
    info = numbers.memory_info(shape, adapter, training, card)
    steady_chart(_memory(info), key="model_memory_picture", alt=numbers.memory_text(info), height=300)
    st.caption(f"{frozen_note(info)} {measured_note()}")
    if info.predicted:
        st.caption(UNCERTAIN)
    return info


def _draw_lengths(shape: ModelShape, adapter: Adapter, training: Training, card: int) -> None:
    """The longest sequence over ranks, where it depends on anything."""
    info = _length_info(shape, replace(adapter, rank=1, alpha=1.0), training, card)  # over all ranks
    if info is None:
        return
    if not any(length for _, tokens in info.lines for length in tokens):
        st.caption(f"No sequence is short enough for {card} GB.")
        return
    if info.all_fit:
        st.caption(f"All {info.most:,} tokens that it takes fit on {card} GB, at every rank and each way.")
        return
    st.caption("How long a sequence may be: the rank hardly matters.")
    steady_chart(_lengths(info), key="model_length_picture", alt=numbers.length_text(info), height=260)


def _draw_code(shape: ModelShape, adapter: Adapter) -> None:
    st.caption("The same adapter for PEFT, to copy:")
    st.code(lora_code(shape, adapter), "python", wrap_lines=True)


def _draw_table(
    shape: ModelShape, adapter: Adapter, info: numbers.RankInfo, memory: numbers.MemoryInfo
) -> None:
    """What the bars of the share show, in numbers; and, asked for, the two other pictures."""
    table = pd.DataFrame(module_table(numbers.table_rows(shape, adapter)))
    st.table(table, border="horizontal", hide_index=True)
    if st.toggle("Charts as tables", key="model_tables", bind="query-params"):
        shares = {curve.label: [percent_text(share / 100) for share in curve.share] for curve in info.curves}
        st.table(pd.DataFrame({"Rank": info.ranks, **shares}), border="horizontal", hide_index=True)
        bars = [
            {"": bar.name}
            | {words: bytes_text(getattr(bar, name)) for name, (words, _) in numbers.SEGMENTS.items()}
            | {"sum": bytes_text(bar.total)}
            for bar in memory.bars
        ]
        st.table(pd.DataFrame(bars), border="horizontal", hide_index=True)
