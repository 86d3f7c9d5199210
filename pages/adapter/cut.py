"""Cut to size: one rank, a share of each module's energy, or a budget; what that keeps, at once."""

from collections.abc import Sequence

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

WAYS = {"rank": "One rank", "energy": "Energy", "numbers": "Numbers", "size": "File size"}
SHARES = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
PRECISIONS = {"as it is": None, "fp32": "F32", "fp16": "F16", "bf16": "BF16"}
HEIGHT = 320
_STEPS = 40


def choose_cut(opened: Opened) -> Cut:
    """Draw the controls of the cut and return it.

    :raises ValueError: an adapter that cannot be cut.
    """
    file, spectra = opened.file, opened.summary.spectra
    way = st.segmented_control(
        "Cut by", list(WAYS), default="rank", required=True, key="adapter_cut", bind="query-params",
        format_func=WAYS.__getitem__,
    )  # fmt: skip
    slider = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        precision = st.selectbox(
            "Precision", list(PRECISIONS), key="adapter_precision", bind="query-params", width=150,
            help=f"Of the factors in the file; it came in {file.dtype}.",
        )  # fmt: skip
        padded = st.toggle(
            "One rank, padded with zeros", key="adapter_padded", bind="query-params", disabled=must_pad(file),
            help="Every module is stored at the largest rank of all: larger, and read alike by every reader.",
        )  # fmt: skip
    dtype, padded = PRECISIONS[precision], padded or must_pad(file)
    with slider:
        ranks = _slider(str(way), opened, dtype, padded)
    return cut(file, spectra, ranks, dtype, padded)


def _slider(way: str, opened: Opened, dtype: str | None, padded: bool) -> tuple[int, ...]:
    """The slider of one way to cut. Its range is the file's own, so that its key is as well."""
    file, spectra = opened.file, opened.summary.spectra
    own = f"{id(opened)}"
    if way == "rank":
        most = max(module.largest_rank for module in file.modules)
        options = list(range(1, most + 1))
        rank = st.select_slider("Rank of every module", options, -(-most // 2), key=f"adapter rank {own}")
        return one_rank(file, int(rank))
    if way == "energy":
        share = st.select_slider(
            "Keep of every module's energy", SHARES, 0.95, key="adapter_energy", format_func=percent_text
        )
        return ranks_for_energy(spectra, float(share))
    if way == "numbers":
        budgets = _budgets(file)
        numbers = st.select_slider(
            "Numbers in the factors, at most", budgets, budgets[len(budgets) // 2],
            key=f"adapter numbers {own}", format_func=count_text,
        )  # fmt: skip
        return numbers_bought(file, spectra, int(numbers))
    sizes = _sizes(file, dtype, padded)
    middle = sizes[len(sizes) // 2]
    size = st.select_slider(
        "File of weights, at most", sizes, middle, key=f"adapter size {own} {dtype} {padded}",
        format_func=bytes_text,
    )  # fmt: skip
    return ranks_for_bytes(file, spectra, int(size), dtype, padded)


def _budgets(file: AdapterFile) -> list[int]:
    """Numbers from rank 1 everywhere to the whole adapter, in even steps."""
    least = sum(module.width for module in file.modules)
    most = sum(module.largest_rank * module.width for module in file.modules)
    return sorted({least + (most - least) * step // _STEPS for step in range(_STEPS + 1)})


def _sizes(file: AdapterFile, dtype: str | None, padded: bool) -> list[int]:
    """Sizes from rank 1 everywhere to the whole adapter, in even steps."""
    whole = tuple(module.largest_rank for module in file.modules)
    least, most = (plan_file(file, ranks, dtype, padded).bytes for ranks in (one_rank(file, 1), whole))
    return sorted({least + (most - least) * step // _STEPS for step in range(_STEPS + 1)})


def draw_cut(opened: Opened, found: Cut) -> None:
    """What the cut keeps: four numbers, and every size at a glance."""
    file = opened.file
    least, most = min(found.ranks), max(found.ranks)
    ranks = f"{least}" if least == most else f"{least} to {most}"
    stored = max(found.plan.stored)
    for label, value, note in (
        ("Energy kept", percent_text(found.energy), f"least: {percent_text(min(found.kept))}"),
        ("Relative error", loss_text(found.total_error), "of the change, in all"),
        ("File of weights", bytes_text(found.bytes), f"now {bytes_text(file.header.file_bytes)}"),
        (
            "Rank",
            ranks,
            f"stored as {stored}"
            if len(set(found.plan.stored)) == 1 and least != most
            else f"now {file.rank}",
        ),
    ):
        st.metric(label, value, note, delta_color="off", delta_arrow="off", border=True, width=170)


def draw_sizes_chart(opened: Opened, found: Cut) -> None:
    """Energy kept by file size; only for adapters that have a choice."""
    info = _sizes_info(opened, found.plan.dtype)
    if len(info.ranks) > 1:
        steady_chart(draw_sizes(info, found), key="adapter_sizes", alt=sizes_alt(info, found), height=HEIGHT)


def _sizes_info(opened: Opened, dtype: str) -> SizesInfo:
    if ("sizes", dtype) not in opened.drawn:
        opened.drawn["sizes", dtype] = sizes_info(opened.file, opened.summary.spectra, dtype)
    info: SizesInfo = opened.drawn["sizes", dtype]
    return info


def draw_table(opened: Opened, found: Cut, spectra: Sequence[Spectrum]) -> None:
    """Every module: what it is, what it uses, what the cut keeps of it."""
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
    with st.expander("All modules as a table"):
        st.dataframe(pd.DataFrame(rows), hide_index=True, height=300)
