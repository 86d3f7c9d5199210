"""Cut of an adapter by one rank, a share of each module's energy, or a budget, and what it keeps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from lora_core.adapters.cutting import Cut, cut, numbers_bought, one_rank, ranks_for_bytes, ranks_for_energy
from lora_core.adapters.file import AdapterFile
from lora_core.adapters.header import DTYPE_BYTES
from lora_core.adapters.spectra import Spectrum
from lora_core.adapters.writing import must_pad, plan_file
from lora_core.figures.adapter.sizes import SizesInfo, draw_sizes, sizes_alt, sizes_info
from lora_core.formatting import bytes_text, count_text, loss_text, percent_text
from pages.adapter.opened import Opened
from pages.components.still_chart import steady_chart
from pages.ui.choice import choose_one

WAYS = {"rank": "One rank", "energy": "Energy", "numbers": "Numbers", "size": "File size"}
SHARES = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
PRECISIONS = {"as it is": None, "fp32": "F32", "fp16": "F16", "bf16": "BF16"}
HEIGHT = 320
_STEPS, _MOST_RANKS = 24, 40
"""Steps of a budget, and ranks to choose from, so that what each comes to can be sent ahead."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The slider of the cut: a name of its own, its places, the place that it is at, the cut at each place.

    `cut_at` raises ValueError where the adapter cannot be cut.
    """

    name: str
    places: int
    at: int
    cut_at: Callable[[int], Cut]


def choose_cut(opened: Opened) -> tuple[Choice, Cut]:
    """Draw the controls of the cut; returns what can be chosen, and the cut that is.

    :raises ValueError: an adapter that cannot be cut.
    """
    file, spectra = opened.file, opened.summary.spectra
    way = st.segmented_control(
        "Cut by", list(WAYS), default="rank", required=True, key="adapter_cut", bind="query-params",
        format_func=WAYS.__getitem__,
    )  # fmt: skip
    slider = st.container(key="adapter_slider")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        precision = choose_one(
            "Precision", list(PRECISIONS), key="adapter_precision", bind="query-params", width=150,
            help=f"Of the factors in the file; it came in {file.dtype}.",
        )  # fmt: skip
        padded = st.toggle(
            "One rank, padded with zeros", key="adapter_padded", bind="query-params", disabled=must_pad(file),
            help="Every module is stored at the largest rank of all: larger, and read alike by every reader.",
        )  # fmt: skip
    dtype, padded = PRECISIONS[precision], padded or must_pad(file)
    with slider:
        options, at, ranks_of = _slider(str(way), opened, dtype, padded)

    def cut_at(place: int) -> Cut:
        return cut(file, spectra, ranks_of(place), dtype, padded)

    choice = Choice(f"{id(opened)} {way} {dtype} {padded}", len(options), at, cut_at)
    return choice, cut_at(at)


_Slider = tuple[Sequence[float], int, Callable[[int], tuple[int, ...]]]


def _slider(way: str, opened: Opened, dtype: str | None, padded: bool) -> _Slider:
    """The slider of one way to cut: its options, the place that it is at, the ranks at each of its places.

    Its range is the file's own, so that its key is as well.
    """
    file, spectra = opened.file, opened.summary.spectra
    own = f"{id(opened)}"
    options: Sequence[float]
    if way == "rank":
        options = _ranks(file)
        half = -(-options[-1] // 2)
        rank = st.select_slider(
            "Rank of every module", options, min(options, key=lambda each: abs(each - half)),
            key=f"adapter rank {own}",
        )  # fmt: skip
        return options, options.index(rank), lambda place: one_rank(file, int(options[place]))
    if way == "energy":
        share = st.select_slider(
            "Keep of every module's energy", SHARES, 0.95, key="adapter_energy", format_func=percent_text
        )
        return SHARES, SHARES.index(share), lambda place: ranks_for_energy(spectra, SHARES[place])
    if way == "numbers":
        options = _budgets(file)
        numbers = st.select_slider(
            "Numbers in the factors, at most", options, options[len(options) // 2],
            key=f"adapter numbers {own}", format_func=count_text,
        )  # fmt: skip
        return (
            options,
            options.index(numbers),
            lambda place: numbers_bought(file, spectra, int(options[place])),
        )
    options = _sizes(file, dtype, padded)
    size = st.select_slider(
        "File of weights, at most", options, options[len(options) // 2],
        key=f"adapter size {own} {dtype} {padded}", format_func=bytes_text,
    )  # fmt: skip
    return (
        options,
        options.index(size),
        lambda place: ranks_for_bytes(file, spectra, options[place], dtype, padded),
    )


def _ranks(file: AdapterFile) -> list[int]:
    """Every rank of the file, or all small ones and a choice of the others."""
    most = max(module.largest_rank for module in file.modules)
    if most <= _MOST_RANKS:
        return list(range(1, most + 1))
    few = _MOST_RANKS // 2
    return sorted({*range(1, few), *np.geomspace(few, most, few).round().astype(int).tolist()})


def _budgets(file: AdapterFile) -> list[int]:
    """Numbers from rank 1 everywhere to the whole adapter, in even steps."""
    least = sum(module.width for module in file.modules)
    most = sum(module.largest_rank * module.width for module in file.modules)
    return sorted({least + (most - least) * step // _STEPS for step in range(_STEPS + 1)})


def _sizes(file: AdapterFile, dtype: str | None, padded: bool) -> list[int]:
    """Sizes from rank 1 everywhere to the whole adapter, in even steps."""
    all_ranks = tuple(module.largest_rank for module in file.modules)
    least, most = (plan_file(file, ranks, dtype, padded).bytes for ranks in (one_rank(file, 1), all_ranks))
    return sorted({least + (most - least) * step // _STEPS for step in range(_STEPS + 1)})


def draw_cut(opened: Opened, found: Cut) -> None:
    """What the cut keeps: four numbers."""
    for label, value, note in numbers_of(opened.file, found):
        st.metric(label, value, note, delta_color="off", delta_arrow="off", border=True, width=170)


def numbers_of(file: AdapterFile, found: Cut) -> list[tuple[str, str, str]]:
    """Name, value and note of each of the four numbers of a cut."""
    least, most = min(found.ranks), max(found.ranks)
    padded = len(set(found.plan.stored)) == 1 and least != most
    return [
        ("Energy kept", percent_text(found.energy), f"least: {percent_text(min(found.kept))}"),
        ("Relative error", loss_text(found.total_error), "of the change, in all"),
        ("File of weights", bytes_text(found.bytes), f"now {bytes_text(file.header.file_bytes)}"),
        (
            "Rank",
            f"{least}" if least == most else f"{least} to {most}",
            f"stored as {max(found.plan.stored)}" if padded else f"now {file.rank}",
        ),
    ]


def draw_sizes_chart(opened: Opened, found: Cut) -> None:
    """Energy kept by file size; only for adapters that have a choice."""
    info = sizes_of(opened, found.plan.dtype)
    if len(info.ranks) > 1:
        steady_chart(draw_sizes(info, found), key="adapter_sizes", alt=sizes_alt(info, found), height=HEIGHT)


def sizes_of(opened: Opened, dtype: str) -> SizesInfo:
    """The numbers of that chart, kept beside the file."""
    if ("sizes", dtype) not in opened.drawn:
        opened.drawn["sizes", dtype] = sizes_info(opened.file, opened.summary.spectra, dtype)
    info: SizesInfo = opened.drawn["sizes", dtype]
    return info


def draw_table(opened: Opened, found: Cut, spectra: Sequence[Spectrum]) -> None:
    """Draw a table of the modules: rank, norm, effective ranks, and the cut's rank, energy and error."""
    size = DTYPE_BYTES[found.plan.dtype]
    rows = [
        {
            "module": module.path, "rank": module.rank, "scaling": module.scaling, "norm": spectrum.norm,
            "effective rank, σ": spectrum.effective, "effective rank, σ²": spectrum.effective_energy,
            "cut to": rank, "energy kept, %": 100 * kept, "relative error": error,
            "rounding, at most": rounding,
            "bytes": stored * module.width * size,
        }
        for module, spectrum, rank, stored, kept, error, rounding in zip(
            opened.file.modules, spectra, found.ranks, found.plan.stored, found.kept, found.error,
            found.rounding, strict=True,
        )
    ]  # fmt: skip
    with st.expander("All modules as a table"), st.container(key="adapter_table"):
        st.dataframe(pd.DataFrame(rows), hide_index=True, height=300)
