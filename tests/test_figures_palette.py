"""The palette against WCAG's contrast and against simulated colour blindness."""

from itertools import combinations

import numpy as np
import pytest

from lora_core.figures import palette

LIGHT_PAGE = "#FFFFFF"
DARK_PAGES = ("#0E1117", "#171614")  # Streamlit's dark theme, before and since 1.60
LINES = (palette.LORA, palette.FULL, palette.BASE, palette.GHOST, *palette.PINS)

# What a dichromat sees, in linear RGB: Machado, Oliveira and Fernandes (2009), table 1, severity 1.
EYES = {
    "normal": np.eye(3),
    "protan": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deutan": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def linear(color: str) -> np.ndarray:
    """Linear RGB of a colour written #RRGGBB."""
    channels = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio, 1 to 21."""
    low, high = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB in Ottosson's perceptual space, where distances compare."""
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    opponent = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return opponent @ np.cbrt(cones @ np.clip(rgb, 0, 1))


def test_contrast_of_known_pairs():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("color", LINES)
def test_every_line_reads_on_a_light_and_on_a_dark_page(color):
    for page in (LIGHT_PAGE, *DARK_PAGES):
        assert contrast(color, page) >= 3
    for page in DARK_PAGES:
        assert contrast(palette.DARK[color], page) >= 3


def test_ink_reads_as_text_does():
    assert contrast(palette.INK, LIGHT_PAGE) >= 7
    assert min(contrast(palette.DARK[palette.INK], page) for page in DARK_PAGES) >= 7


def test_brighter_twins_read_better_in_the_dark_except_the_ghost():
    for color in LINES:
        better = contrast(palette.DARK[color], DARK_PAGES[0]) > contrast(color, DARK_PAGES[0])
        assert better == (color != palette.GHOST)


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("colors", [LINES, [palette.DARK[color] for color in LINES]], ids=["light", "dark"])
def test_any_two_lines_stay_apart_for_every_eye(eye, colors):
    seen = [oklab(EYES[eye] @ linear(color)) for color in colors]
    closest = min(float(np.linalg.norm(one - other)) for one, other in combinations(seen, 2))
    assert closest > 0.06  # neighbouring greys #777777 and #8A8A8A are 0.06 apart


def test_diverging_scale_is_neutral_at_zero_and_distinct_at_its_ends():
    for dark, page in ((False, LIGHT_PAGE), (True, DARK_PAGES[0])):
        scale = [(at, palette.DARK[color] if dark else color) for at, color in palette.DIVERGING]
        (low, negative), (half, zero), (high, positive) = scale
        assert (low, half, high) == (0.0, 0.5, 1.0)
        assert zero == page
        assert min(contrast(negative, page), contrast(positive, page)) >= 3
        for see in EYES.values():
            assert np.linalg.norm(oklab(see @ linear(negative)) - oklab(see @ linear(positive))) > 0.1


def test_pins_differ_by_dash_too_and_start_again():
    assert len({palette.pin(index) for index in range(3)}) == 3
    assert len({palette.pin(index)[1] for index in range(3)} | {"dot", "dash"}) == 5
    assert palette.pin(3) == palette.pin(0)
