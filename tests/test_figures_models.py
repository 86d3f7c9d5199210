"""The pictures of a real model: their numbers against closed forms, their drawing from hand-made numbers."""

import math
from dataclasses import replace

import pytest

from lora_core.figures import palette
from lora_core.figures.models.drawing import draw_memory, draw_ranks, draw_share
from lora_core.figures.models.numbers import (
    CHARTED_RANKS,
    RankCurve,
    RankInfo,
    ShareBar,
    ShareInfo,
    memory_text,
    rank_info,
    rank_text,
    share_info,
    share_text,
    table_rows,
)
from lora_core.formatting import bytes_text
from lora_core.models import CATALOGUE, TARGET_PRESETS, Adapter, Memory, compare_memory

LLAMA = CATALOGUE["Llama 2 7B"].shape()
WIDE = Adapter(16, "all-linear", use_dora=True, bias="all", modules_to_save=("lm_head",))


@pytest.mark.parametrize("name", CATALOGUE)
def test_bars_add_up_to_what_is_trained_and_are_sorted(name: str) -> None:
    shape = CATALOGUE[name].shape()
    for adapter in (Adapter(), Adapter(16, "all-linear", use_dora=True, bias="all")):
        info = share_info(shape, adapter)
        counts = [bar.trained for bar in info.bars]
        assert sum(counts) == info.trained == shape.count(adapter).trainable
        assert counts == sorted(counts, reverse=True)
        assert len({bar.label for bar in info.bars}) == len(counts) <= 12


def test_bars_say_what_they_are() -> None:
    info = share_info(LLAMA, Adapter(8, ("q_proj", "v_proj")))
    assert info.title == "Trained: 4.19 M, 0.0622 % of full fine-tuning"
    assert [bar.label for bar in info.bars] == ["q_proj", "v_proj"]
    assert info.bars[0].trained == 32 * 8 * 2 * 4096
    assert info.bars[0].note == "r = 8, 4,096 + 4,096"


def test_what_is_trained_in_full_has_its_own_colour() -> None:
    (trace,) = draw_share(share_info(LLAMA, WIDE)).data
    colours = dict(zip(trace.y, trace.marker.color, strict=True))
    assert colours["lm_head, in full"] == palette.FULL
    assert colours["q_proj"] == palette.LORA


def test_the_share_is_drawn_with_a_title_and_a_unit_from_the_top_down() -> None:
    bars = (ShareBar("head", 3, "all of it"), ShareBar("q_proj", 1, ""))
    figure = draw_share(ShareInfo(bars, 4, 0.5))
    (trace,) = figure.data
    assert list(trace.x) == [75, 25]
    assert list(trace.text) == ["75 %", "25 %"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert figure.layout.title.text == "Trained: 4, 50 % of full fine-tuning"
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
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert [shape.y0 for shape in figure.layout.shapes] == [100, 40]
    assert [note.y for note in figure.layout.annotations] == [2, pytest.approx(math.log10(40))]
    assert figure.layout.xaxis.range[0] < 0 < 2 < figure.layout.xaxis.range[1]


def test_memory_bars_stack_to_the_total() -> None:
    memories = compare_memory(LLAMA, Adapter(8, "qv"))
    figure = draw_memory(memories)
    for place, memory in enumerate(memories):
        assert sum(trace.x[place] for trace in figure.data) == pytest.approx(memory.total / 1e9)
        assert figure.layout.annotations[place].text == bytes_text(memory.total)
    colours = {trace.name: trace.marker.color for trace in figure.data}
    assert colours["frozen weights"] == (palette.BASE,) * 3
    assert colours["gradients"] == (palette.FULL, palette.LORA, palette.LORA)
    assert len({trace.marker.pattern.shape for trace in figure.data if trace.name != "frozen weights"}) == 3
    assert figure.layout.barmode == "stack"


def test_memory_of_nothing_is_an_empty_chart() -> None:
    assert sum(len(trace.x) for trace in draw_memory([]).data) == 0


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
    text = memory_text([Memory("LoRA", 10**9, 2 * 10**6, 2 * 10**6, 4 * 10**6)])
    assert text == (
        "Memory to train: LoRA 1.01 GB (frozen weights 1 GB, trained weights 2 MB, gradients 2 MB, "
        "optimizer state 4 MB); activations, temporary buffers and fragmentation are not counted."
    )
