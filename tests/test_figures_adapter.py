"""Figures of an adapter: their numbers against closed forms, their drawings from hand-made ones."""

import numpy as np
import pytest

from lora_core.adapters.cutting import cut, one_rank
from lora_core.adapters.grid import grid_of
from lora_core.adapters.spectra import Spectrum, measure
from lora_core.figures import palette
from lora_core.figures.adapter.map import MEASURES, MapInfo, draw_map, map_alt, map_info
from lora_core.figures.adapter.sizes import draw_sizes, sizes_alt, sizes_info
from lora_core.figures.adapter.spectrum import draw_spectrum, spectrum_info, spectrum_words
from tests.adapters_kit import PREFIX, config, opened, peft_file
from tests.kit.figures import unnamed_axes

PATHS = ["h.0.q", "h.0.v", "h.1.q"]
FLAT = Spectrum("h.0.q", np.array([2.0, 2.0, 2.0, 2.0]))
STEEP = Spectrum("h.0.v", np.array([3.0, 1.0, 0.0, 0.0]))
STILL = Spectrum("h.1.q", np.zeros(4))

KNOWN = {
    "effective rank, σ²": (4, np.exp(-(0.9 * np.log(0.9) + 0.1 * np.log(0.1)))),
    "effective rank, σ": (4, np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))),
    "energy in the first direction": (0.25, 0.9),
    "norm of the change": (4, np.sqrt(10)),
    "rank for 90 %": (4, 1),
    "rank for 95 %": (4, 2),
    "rank for 99 %": (4, 2),
}


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_of_the_map_is_what_its_name_says(name: str) -> None:
    info = map_info(grid_of(PATHS), {0: FLAT, 1: STEEP, 2: STILL}, name, chosen=1)
    assert (info.rows, info.columns, info.chosen) == (("0", "1"), ("q", "v"), (0, 1))
    assert info.values[0].tolist() == pytest.approx(KNOWN[name])
    assert info.values[1, 0] == 0
    assert np.isnan(info.values[1, 1])
    assert (info.texts[1][0], info.texts[1][1]) == ("never moved", "no module here")
    figure = draw_map(info)
    assert figure.data[0].z[1][1] is None
    assert figure.layout.shapes[0].line.color == palette.FULL
    assert unnamed_axes(figure) == []
    assert name in map_alt(info)


def test_a_map_tells_what_is_not_read_yet_and_what_is_not_finite() -> None:
    broken = Spectrum("h.0.q", np.zeros(0), finite=False)
    info = map_info(grid_of(PATHS), {0: broken}, "norm of the change")
    assert [text for row in info.texts for text in row] == [
        "not finite", "not read yet", "not read yet", "no module here",
    ]  # fmt: skip
    assert map_alt(info).endswith("nothing read yet.")
    assert all(value is None for row in draw_map(info).data[0].z for value in row)


def test_a_map_of_a_hundred_layers_names_some_and_stays_within_a_screen() -> None:
    values = np.ones((100, 2))
    info = MapInfo(
        "rank for 90 %", tuple(map(str, range(100))), ("q", "v"), values, (("1",) * 2,) * 100, None
    )
    assert info.height <= 560
    assert 20 < len(draw_map(info).layout.yaxis.ticktext) <= 34
    assert not draw_map(info).layout.shapes


def test_a_spectrum_shows_what_is_kept_and_what_is_cut_away() -> None:
    info = spectrum_info(STEEP, 4, 1)
    assert info.energy.tolist() == pytest.approx([0.9, 1, 1, 1])
    figure = draw_spectrum(info)
    assert unnamed_axes(figure) == []
    kept, dropped, energy = figure.data
    assert (kept.marker.opacity.tolist(), dropped.marker.opacity.tolist()) == ([1, 0, 0, 0], [0, 1, 1, 1])
    assert kept.y.tolist() == dropped.y.tolist() == [3, 1, 0, 0]
    assert energy.y.tolist() == pytest.approx([90, 100, 100, 100])
    assert spectrum_words(info) == (
        "Rank paid 4. Effective rank 1.38 by energy (exp of the entropy of σ²/Σσ²), 1.75 by size (of σ/Σσ, "
        "Roy and Vetterli). The first direction holds 90.0 % of the energy."
    )
    assert draw_spectrum(spectrum_info(FLAT, 4, 4)).data[1].marker.opacity.tolist() == [0, 0, 0, 0]
    assert "never moved" in spectrum_words(spectrum_info(STILL, 4, 1))
    assert draw_spectrum(spectrum_info(STILL, 4, 1)).data[0].y.tolist() == [0] * 4


def test_the_sizes_are_those_of_the_cuts_and_the_best_is_never_below_one_rank() -> None:
    tensors = peft_file({f"h.{layer}.q": 8 for layer in range(4)}, (60, 40))
    tensors[f"{PREFIX}h.1.q.lora_B.weight"] *= 20
    file = opened(tensors, config(8))
    spectra = list(measure(file.source, file.modules))
    info = sizes_info(file, spectra)
    assert (info.ranks[0], info.ranks[-1]) == (1, 8)
    assert np.all(np.diff(info.bytes) > 0)
    assert np.all(info.best >= info.energy)
    assert info.best[1] > info.energy[1] + 0.001
    now = cut(file, spectra, one_rank(file, 2))
    at = info.ranks.index(2)
    assert (info.bytes[at], info.energy[at]) == (now.bytes, now.energy)
    figure = draw_sizes(info, now)
    assert unnamed_axes(figure) == []
    assert [trace.name for trace in figure.data] == ["best for the size", "one rank for all", "this cut"]
    assert figure.data[2].y[0] == pytest.approx(100 * now.energy)
    assert "the cut in view keeps" in sizes_alt(info, now)
