"""The small figures of before and after: their axis, their levels, their points."""

from math import log10

import numpy as np
import pytest

from lora_core.figures import palette
from lora_core.figures.fixes import MOST_TICKS, POINTS, draw_fix, kept, ticks
from lora_core.findings.original_script import ORIGINAL, Fix
from tests.kit.figures import unnamed_axes


def drawn(before: list[float], after: list[float], **more: object):
    fix = Fix("+x", ORIGINAL, np.array(before), np.array(after), **more)
    return draw_fix(fix, "before", "after", "updates", "loss")


def test_both_curves_are_drawn_pale_before_and_blue_after() -> None:
    figure = drawn([3.0, 2.0], [3.0, 1.0])
    assert [(trace.name, trace.line.color, list(trace.y)) for trace in figure.data] == [
        ("before", palette.GHOST, [3.0, 2.0]),
        ("after", palette.LORA, [3.0, 1.0]),
    ]
    assert figure.data[0].line.width == figure.data[1].line.width
    assert unnamed_axes(figure) == []


def test_a_curve_that_lies_under_the_other_is_wider_than_it() -> None:
    figure = drawn([244.0, 166.9], [244.0, 166.94])
    assert figure.data[0].line.width > 2 * figure.data[1].line.width


def test_much_the_same_losses_stand_on_a_linear_axis_from_zero() -> None:
    axis = drawn([244.0, 167.0], [244.0, 168.0]).layout.yaxis
    assert axis.type == "linear"
    assert axis.range[0] == 0
    assert axis.range[1] > 244


def test_losses_far_apart_stand_on_a_log_axis_that_holds_the_levels_too() -> None:
    figure = drawn([244.0, 1.3], [244.0, 0.3], floors=(1.1, 0.01))
    axis = figure.layout.yaxis
    assert axis.type == "log"
    assert axis.range[0] < log10(0.01)
    assert axis.range[1] > log10(244)
    assert [shape.y0 for shape in figure.layout.shapes] == [1.1, 0.01]
    assert [shape.line.color for shape in figure.layout.shapes] == [palette.GHOST, palette.LORA]
    # An annotation on a log axis takes the logarithm, a shape the value itself.
    assert [note.y for note in figure.layout.annotations] == pytest.approx([log10(1.1), log10(0.01)])
    assert [note.text for note in figure.layout.annotations] == ["1.10", "0.0100"]


def test_the_base_is_grey() -> None:
    (shape,) = drawn([244.0, 1.3], [1.4, 1.3], base=1.4).layout.shapes
    assert (shape.line.color, shape.line.dash) == (palette.BASE, palette.FLOOR_DASH)


@pytest.mark.parametrize(
    ("least", "greatest", "expected"),
    [
        (0.008, 300.0, [0.01, 0.1, 1, 10, 100]),
        (28.0, 1200.0, [50, 100, 200, 500, 1000]),
        (1.0, 9.0, [1, 2, 5]),
    ],
)
def test_ticks_are_few_and_round(least: float, greatest: float, expected: list[float]) -> None:
    assert ticks(least, greatest) == pytest.approx(expected)
    assert len(expected) <= MOST_TICKS


def test_long_curves_are_thinned_with_both_ends_kept() -> None:
    assert list(kept(3)) == [0, 1, 2]
    long = kept(2001)
    assert len(long) == POINTS
    assert (long[0], long[-1]) == (0, 2000)
