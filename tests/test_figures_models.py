"""The pictures of a real model: their numbers against closed forms, their drawing from hand-made numbers."""

import math
from dataclasses import replace

import pytest

from lora_core.figures import palette
from lora_core.figures.models.drawing import draw_lengths, draw_memory, draw_ranks, draw_share
from lora_core.figures.models.numbers import (
    CHARTED_RANKS,
    MemoryBar,
    MemoryInfo,
    RankCurve,
    RankInfo,
    ShareBar,
    ShareInfo,
    length_info,
    length_text,
    memory_info,
    memory_text,
    rank_info,
    rank_text,
    share_info,
    share_text,
    table_rows,
)
from lora_core.formatting import bytes_text
from lora_core.models import CARDS, CATALOGUE, TARGET_PRESETS, Adapter, Training, compare_memory, predict
from tests.kit.figures import unnamed_axes

LLAMA = CATALOGUE["Llama 2 7B"].shape()
WIDE = Adapter(16, "all-linear", use_dora=True, bias="all", modules_to_save=("lm_head",))


@pytest.mark.parametrize("name", CATALOGUE)
def test_bars_add_up_to_what_is_trained_and_are_sorted(name: str) -> None:
    shape = CATALOGUE[name].shape()
    for adapter in (Adapter(), Adapter(16, "all-linear", use_dora=True, bias="all")):
        adapter = replace(adapter, text_only=bool(shape.text))
        info = share_info(shape, adapter)
        counts = [bar.trained for bar in info.bars]
        assert sum(counts) == info.trained == shape.count(adapter).trainable
        assert counts == sorted(counts, reverse=True)
        assert len({bar.label for bar in info.bars}) == len(counts) <= (60 if shape.text else 24)


def test_bars_say_what_they_are() -> None:
    info = share_info(LLAMA, Adapter(8, ("q_proj", "v_proj")))
    assert info.title == "Trained: 4.19 M, 0.0622 % of full fine-tuning"
    assert [bar.label for bar in info.bars] == ["q_proj", "v_proj"]
    assert info.bars[0].trained == 32 * 8 * 2 * 4096
    assert info.bars[0].note == "r = 8, 4,096 + 4,096"


def test_what_is_trained_in_full_has_its_own_colour() -> None:
    figure = draw_share(share_info(LLAMA, WIDE))
    assert unnamed_axes(figure) == []
    (trace,) = figure.data
    colours = dict(zip(trace.y, trace.marker.color, strict=True))
    assert colours["lm_head, in full"] == palette.FULL
    assert colours["q_proj"] == palette.LORA


def test_the_share_is_drawn_with_a_title_and_a_unit_from_the_top_down() -> None:
    bars = (ShareBar("head", 3, "all of it"), ShareBar("q_proj", 1, ""))
    figure = draw_share(ShareInfo(bars, 4, 0.5))
    (trace,) = figure.data
    assert list(trace.x) == [75, 25]
    assert list(trace.text) == ["75.0 %", "25.0 %"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert figure.layout.title.text == "Trained: 4, 50.0 % of full fine-tuning"
    assert figure.layout.xaxis.title.text.endswith("%")


def test_the_table_has_a_row_for_every_linear_module_and_what_else_is_trained() -> None:
    lines = {line["module"]: line for line in table_rows(LLAMA, WIDE)}
    assert list(lines) == [module.name for module in LLAMA.modules()]
    assert lines["q_proj"]["trained"] == 32 * (16 * 8192 + 4096)
    assert lines["q_proj"]["of_weights"] == pytest.approx(100 * (16 * 8192 + 4096) / 4096**2)
    assert lines["lm_head"] | {"of_trained": 0} == {
        "module": "lm_head",
        "family": "head",
        "in": 4096,
        "out": 32000,
        "count": 1,
        "rank": None,
        "weights": 4096 * 32000,
        "trained": 4096 * 32000,
        "of_trained": 0,
        "of_weights": 100.0,
    }
    assert sum(line["of_trained"] for line in lines.values()) == pytest.approx(100)
    assert sum(line["trained"] for line in lines.values()) == LLAMA.count(WIDE).trainable
    norms = {line["module"] for line in table_rows(CATALOGUE["GPT-2"].shape(), Adapter(8, "qv", bias="all"))}
    assert norms >= {"ln_1", "ln_2", "ln_f"}


def test_shares_over_ranks_are_straight_lines_through_the_marker() -> None:
    adapter = Adapter(24, ("q_proj", "v_proj"))
    info = rank_info(LLAMA, adapter)
    assert [curve.label for curve in info.curves] == [*TARGET_PRESETS.values(), "this configuration"]
    mine = next(curve.share for curve in info.curves if curve.current)
    assert mine == pytest.approx([rank * mine[0] for rank in CHARTED_RANKS])
    assert mine == info.curves[0].share  # q and v: the first preset
    assert info.share == pytest.approx(24 * mine[0])
    assert info.break_even == 2048  # in * out / (in + out) of a square matrix: half its side
    assert info.ceiling == pytest.approx(2048 * mine[0])


def test_every_rank_of_the_curve_is_the_count_at_that_rank_to_the_integer() -> None:
    """Whatever stays as it is while the rank moves: saved modules, biases, magnitudes, ranks of their own."""
    for adapter in (WIDE, replace(WIDE, rank_pattern=(("down_proj", 7),))):
        info = rank_info(LLAMA, adapter)
        curve = next(curve.share for curve in info.curves if curve.current)
        assert curve == tuple(100 * LLAMA.count(replace(adapter, rank=rank)).share for rank in CHARTED_RANKS)


def test_ranks_are_drawn_on_log_axes_with_labels_where_their_lines_are() -> None:
    curve = RankCurve("this configuration", (0.1, 10.0), current=True)
    other = RankCurve("attention", (0.2, 20.0))
    figure = draw_ranks(RankInfo((1, 100), (curve, other), 10, 1.0, 40.0, 400.0))
    assert [trace.name for trace in figure.data] == ["attention", "this configuration", "rank 10"]
    assert [trace.line.color for trace in figure.data[:2]] == [palette.BASE, palette.LORA]
    assert unnamed_axes(figure) == []
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert [shape.y0 for shape in figure.layout.shapes] == [100, 40]
    assert [note.y for note in figure.layout.annotations] == [2, pytest.approx(math.log10(40))]
    assert figure.layout.xaxis.range[0] < 0 < 2 < figure.layout.xaxis.range[1]


def test_memory_bars_stack_to_the_peak_and_cards_are_lines() -> None:
    info = memory_info(LLAMA, Adapter(8, "qv"), Training(), 24)
    assert info.predicted
    figure = draw_memory(info)
    assert unnamed_axes(figure) == []
    bars = [trace for trace in figure.data if trace.type == "bar"]
    for place, bar in enumerate(info.bars):
        assert sum(trace.x[place] for trace in bars) == pytest.approx(bar.total / 1e9)
        assert figure.layout.annotations[place].text == bytes_text(bar.total)
    colours = {trace.name: trace.marker.color for trace in bars}
    assert colours["frozen weights"] == (palette.BASE,) * 3
    assert colours["activations kept"] == (palette.FULL, palette.LORA, palette.LORA)
    assert len({trace.marker.pattern.shape for trace in bars}) == len(bars) - 1  # two kinds of weights
    assert figure.layout.barmode == "stack"
    widest = figure.layout.xaxis.range[1]
    assert [shape.x0 for shape in figure.layout.shapes] == [card for card in CARDS if card <= widest]
    (margin,) = (trace for trace in figure.data if trace.type == "scatter")
    assert margin.fillpattern.shape == "/"
    assert (min(margin.x), max(margin.x)) == (pytest.approx(23.4 / 1.1), pytest.approx(23.4))


def test_a_peak_is_the_sum_of_its_bar() -> None:
    adapter = Adapter(8, "qv")
    peak = predict(LLAMA, adapter, Training(4, 1024))
    assert peak is not None
    bar = memory_info(LLAMA, adapter, Training(4, 1024), 24).bars[1]
    assert (bar.total, bar.moment, bar.gradients) == (peak.total, peak.moment, 0)


def test_a_kind_that_is_not_predicted_is_drawn_without_activations_and_cards() -> None:
    info = memory_info(CATALOGUE["T5 base"].shape(), Adapter(8, "qv"), Training(), 24)
    assert not info.predicted
    figure = draw_memory(info)
    assert figure.layout.xaxis.title.text == "GB, without activations"
    assert not figure.layout.shapes
    static = compare_memory(CATALOGUE["T5 base"].shape(), Adapter(8, "qv"))
    assert [bar.total for bar in info.bars] == [memory.total for memory in static]


def test_memory_of_nothing_is_an_empty_chart() -> None:
    assert sum(len(trace.x) for trace in draw_memory(MemoryInfo((), 24)).data) == 0


def test_the_rank_hardly_moves_the_longest_sequence_and_the_loss_does() -> None:
    shape = CATALOGUE["Llama 3.1 8B"].shape()
    info = length_info(shape, Adapter(16, "qv"), Training(), 24)
    assert info is not None
    lines = dict(info.lines)
    assert list(lines) == ["as set", "without checkpointing", "batch 2", "loss in chunks"]
    assert all(list(tokens) == sorted(tokens, reverse=True) for tokens in lines.values())
    assert lines["as set"][0] < 1.5 * lines["as set"][3]  # rank 1 and rank 64
    assert lines["loss in chunks"][0] > 2 * lines["as set"][0]
    figure = draw_lengths(info)
    assert [trace.name for trace in figure.data] == list(lines)
    assert unnamed_axes(figure) == []
    assert length_text(info).startswith("Longest sequence on 24 GB, rank 1 to 256: as set ")
    assert length_info(CATALOGUE["T5 base"].shape(), Adapter(), Training(), 24) is None


def test_every_picture_has_words() -> None:
    assert share_text(share_info(LLAMA, Adapter(8, ("q_proj", "v_proj")))) == (
        "Trainable share by module. Trained: 4.19 M, 0.0622 % of full fine-tuning: "
        "q_proj 50.0 %, v_proj 50.0 %."
    )
    info = rank_info(LLAMA, Adapter(8, "qv"))
    assert rank_text(info) == (
        "Trainable share over ranks: 0.00778 % at rank 1, 0.0622 % at rank 8, 7.97 % at rank 1024; "
        "from rank 2,048 more than the matrices themselves hold."
    )
    bar = MemoryBar("LoRA", 10**9, 2 * 10**6, 2 * 10**6, 4 * 10**6)
    assert memory_text(MemoryInfo((bar,), 24)) == (
        "Memory to train: LoRA 1.01 GB (frozen weights 1 GB, trained weights 2 MB, gradients 2 MB, "
        "optimizer state 4 MB); activations, temporary buffers and fragmentation are not counted."
    )
    bar = MemoryBar("LoRA", 10**9, 2 * 10**6, 0, 4 * 10**6, 10**9, 10**9, "the loss")
    assert "activations kept 1 GB, at the peak 1 GB)." in memory_text(MemoryInfo((bar,), 24))
