"""What was found in an adapter, in numbers and in sentences: for the page and for the terminal.

Everything relative: a small change is no sign of a collapsed adapter, so that a module is compared with the
modules of its own kind, and a direction with the first of its own module.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from lora_core.adapters.file import AdapterFile, Module, Share
from lora_core.adapters.grid import grid_of
from lora_core.adapters.names import Part
from lora_core.adapters.spectra import Spectrum
from lora_core.adapters.words import listed
from lora_core.formatting import bytes_text, percent_text, plural

ENERGIES = (0.90, 0.95, 0.99)
"""Shares of energy at which ranks are told."""
FAR = 100
"""A module is told apart if its change is this many times the median of its neighbours."""
_FEWEST_NEIGHBOURS = 3


@dataclass(frozen=True, eq=False)
class Summary:
    """An adapter with the spectra of all of its modules, in their order."""

    file: AdapterFile
    spectra: tuple[Spectrum, ...]

    @property
    def not_finite(self) -> list[str]:
        """Paths of modules that hold nan or infinity."""
        return [spectrum.path for spectrum in self.spectra if not spectrum.finite]

    @property
    def still(self) -> list[str]:
        """Paths of modules whose change is zero, most often as B was never moved from its start."""
        return [spectrum.path for spectrum in self.spectra if spectrum.finite and not spectrum.moved]

    @property
    def moved(self) -> list[Spectrum]:
        """Spectra of modules with a change."""
        return [spectrum for spectrum in self.spectra if spectrum.moved]

    def far(self) -> list[tuple[str, float]]:
        """Modules that are `FAR` times their neighbours, and how many times that is."""
        columns = [column for _, column in grid_of([spectrum.path for spectrum in self.spectra]).cells]
        norms = [spectrum.norm for spectrum in self.spectra]
        groups: dict[int, list[float]] = {}
        for column, norm in zip(columns, norms, strict=True):
            if norm:
                insort(groups.setdefault(column, []), norm)
        everybody = sorted(norm for norm in norms if norm)
        found = []
        for spectrum, column, norm in zip(self.spectra, columns, norms, strict=True):
            others = groups.get(column, [])
            others = others if len(others) > _FEWEST_NEIGHBOURS else everybody
            if norm and len(others) > _FEWEST_NEIGHBOURS:
                usual = _median_without(others, norm)
                if norm / FAR > usual:
                    found.append((spectrum.path, norm / usual))
        return found


def _median_without(ordered: Sequence[float], value: float) -> float:
    """The median of the others, from numbers in order, without a copy of them."""
    left = bisect_left(ordered, value)
    count = len(ordered) - 1
    low, high = (ordered[i + (i >= left)] for i in ((count - 1) // 2, count // 2))
    return low + (high - low) / 2


def headline(summary: Summary) -> str:
    """One sentence: how much of the rank that was paid is used, or what is wrong with the file."""
    moved, count = summary.moved, len(summary.spectra)
    if summary.not_finite:
        return f"{len(summary.not_finite)} of {plural(count, 'module')} hold numbers that are not finite."
    if not moved:
        if all(module.scaling == 0 for module in summary.file.modules):
            return "Nothing is added by this adapter: its scaling is 0."
        return "Nothing in this adapter has moved: every change is zero."
    # The lower one of two in the middle: as many directions are enough for half of the modules.
    paid, need = summary.file.rank, median_low(spectrum.rank_for(0.95) for spectrum in moved)
    directions = plural(need, "direction")
    where = " in half of the modules" if len(moved) == count > 1 else ""
    if len(moved) < count:
        where = " in half of the modules that moved" if len(moved) > 1 else " in the one module that moved"
    if need >= 0.75 * paid:
        return f"Rank {paid} is really used: 95 % of the change takes {directions}{where}."
    return f"Rank {paid} was paid for, but 95 % of the change fits into {directions}{where}."


def composition(file: AdapterFile) -> str:
    """What the bytes of the file are for, the largest share first: "92.1 % of this file is ..."."""
    shares, total = file.shares(), file.header.file_bytes
    factors = shares.get(Share.FACTORS, 0)
    beside = {share: size for share, size in shares.items() if share not in (Share.FACTORS, Share.HEADER)}
    texts = [f"{bytes_text(total)}, {percent_text(factors / total)} of it LoRA factors in {file.dtype}"]
    texts += [f"{percent_text(size / total)} {share}" for share, size in beside.items()]
    return ", ".join(texts) + "."


def remarks(summary: Summary) -> list[str]:
    """Sentences about what a reader of this adapter should know, the gravest first."""
    file, found = summary.file, []
    shares, total = file.shares(), file.header.file_bytes
    if summary.not_finite:
        found.append(f"Not finite: {listed(summary.not_finite)}. Nothing can be cut before they are mended.")
    for share in (Share.EMBEDDINGS, Share.LAYERS):
        if shares.get(share, 0) > 0.2 * total:
            found.append(f"{percent_text(shares[share] / total)} of this file is {share}, not LoRA.")
    if summary.still and summary.moved:
        found.append(
            f"{plural(len(summary.still), 'module')} never moved (the change is 0): {listed(summary.still)}."
        )
    if far := summary.far():
        path, times = max(far, key=lambda each: each[1])
        found.append(f"{listed([path])} changes {times:,.0f} times as much as its neighbours.")
    if file.dora:
        found.append(
            "DoRA: the layer is rescaled to its magnitudes after B A is added. What is told of B A is exact; "
            "what a cut does to the layer depends on the base weight, which is not in the file."
        )
    if file.config_unused:
        found.append(
            f"adapter_config.json is not used: names of {file.family} have their scaling in the file itself."
        )
    if not file.scale_known:
        found.append("Without adapter_config.json the scaling, alpha / r, is not known: it is taken to be 1.")
    return found


def scaling_words(file: AdapterFile) -> str:
    """The scaling in use: one number and its rule, or the range that patterns give."""
    values = sorted({module.scaling for module in file.modules})
    if not file.scale_known:
        return "not known, taken to be 1"
    if (
        file.config is None
        and not any(Part.ALPHA in module.parts for module in file.modules)
        and values == [1]
    ):
        return f"1, as files in {file.family}'s names have no alpha"
    rule = "alpha / sqrt(r), rsLoRA" if file.config is not None and file.config.rslora else "alpha / r"
    if len(values) == 1:
        return f"{values[0]:.4g} = {rule}"
    return f"{values[0]:.4g} to {values[-1]:.4g} = {rule}, by module"


def ideal_ranks(spectra: Sequence[Spectrum], share: float) -> list[int]:
    """The rank that each module needs for this share of its energy; 0 where there is nothing to keep."""
    return [spectrum.rank_for(share) if spectrum.moved else 0 for spectrum in spectra]


def row_of(module: Module, spectrum: Spectrum) -> dict[str, Any]:
    """One module in numbers, with JSON's values; None where it is not finite."""
    row: dict[str, Any] = {
        "module": module.path, "in": module.in_features, "out": module.out_features, "rank": module.rank,
        "scaling": module.scaling,
    }  # fmt: skip
    if not spectrum.finite:
        return row | dict.fromkeys(_MEASURED)
    values = (
        spectrum.norm, spectrum.kept(1) if spectrum.moved else 0.0, spectrum.used, spectrum.effective,
        spectrum.effective_energy, *(ideal_ranks([spectrum], share)[0] for share in ENERGIES),
    )  # fmt: skip
    return row | dict(zip(_MEASURED, values, strict=True))


_MEASURED = ("norm", "first", "used", "effective", "effective_energy", "rank_90", "rank_95", "rank_99")


def as_dict(summary: Summary) -> dict[str, Any]:
    """The whole adapter as JSON values, spectra included."""
    file = summary.file
    rows = [
        row_of(module, spectrum) | {"singular_values": spectrum.values.tolist() if spectrum.finite else None}
        for module, spectrum in zip(file.modules, summary.spectra, strict=True)
    ]
    return {
        "file": file.source.name,
        "names": file.family.value,
        "dtype": file.dtype,
        "dora": file.dora,
        "scale_known": file.scale_known,
        "bytes": {share.name.lower(): size for share, size in file.shares().items()},
        "headline": headline(summary),
        "remarks": remarks(summary),
        "modules": rows,
    }
