"""Which rank does each module get? One for all, enough for a share of its energy, or what a budget buys.

Only arithmetic on spectra that are known: it answers while a slider moves. Energy is the sum of the squared
singular values, so that what a cut keeps is exactly what Eckart and Young's truncation keeps; it is not the
share of the loss that is kept, which depends on the inputs.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lora_core.adapters.file import AdapterFile, Module
from lora_core.adapters.header import DTYPE_BYTES
from lora_core.adapters.rounding import may_overflow, rounding_bound
from lora_core.adapters.spectra import Spectrum
from lora_core.adapters.words import named
from lora_core.adapters.writing import Plan, check_vectors, cut_factors, plan_file
from lora_core.formatting import bytes_text, loss_text

Spectra = Sequence[Spectrum]

_NOTICED = 0.01
"""A module whose rounding may be more than this is named."""


@dataclass(frozen=True, eq=False)
class Cut:
    """A rank a module, in the order of the file's modules, and what that keeps.

    `kept` and `error` are shares of each module's own energy and norm, `energy` and `total_error` the same of
    all changes together; `bytes` is the length of the file of weights. `rounding` bounds what the precision
    of the factors adds to each error, as a share of what is kept, `total_rounding` the same of all changes.
    """

    plan: Plan
    kept: tuple[float, ...]
    error: tuple[float, ...]
    energy: float
    total_error: float
    rounding: tuple[float, ...]
    total_rounding: float

    @property
    def ranks(self) -> tuple[int, ...]:
        """The directions kept of each module."""
        return self.plan.ranks

    @property
    def bytes(self) -> int:
        """Length of the file of weights."""
        return self.plan.bytes


def one_rank(file: AdapterFile, rank: int) -> tuple[int, ...]:
    """The same rank for every module, or all that it has where that is less.

    :raises ValueError: a rank below 1.
    """
    if rank < 1:
        raise ValueError(f"rank is {rank}: it must be a whole number from 1.")
    return tuple(min(rank, module.largest_rank) for module in file.modules)


def ranks_for_energy(spectra: Spectra, share: float) -> tuple[int, ...]:
    """For every module the smallest rank that keeps this share of its energy.

    :raises ValueError: a share outside 0 to 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"energy is {share:g}: it must be a share above 0, at most 1.")
    return tuple(spectrum.rank_for(share) for spectrum in spectra)


def ranks_for_bytes(
    file: AdapterFile, spectra: Spectra, budget: float, dtype: str | None = None, padded: bool = False
) -> tuple[int, ...]:
    """Ranks of a file of at most `budget` bytes, each direction bought where it keeps most energy a byte.

    A padded file pays the largest rank everywhere: it gets the largest rank for all that fits.

    :raises ValueError: a budget that rank 1 for every module exceeds.
    """
    most = int(budget)
    least = plan_file(file, (1,) * len(file.modules), dtype, padded).bytes
    if most < least:
        raise ValueError(
            f"megabytes is {budget / 1e6:g}: it must be at least {_rounded_up(least / 1e6):g}, what rank 1 "
            f"everywhere takes{_beside_text(file)}."
        )
    if padded:
        return _largest_rank(file, most, dtype)
    # The header grows with the digits of its numbers: reserved for the longest that it can become.
    longest = plan_file(file, one_rank(file, file.rank), dtype)
    spare = (
        most - least - (len(longest.header) - len(plan_file(file, (1,) * len(file.modules), dtype).header))
    )
    size = DTYPE_BYTES[file.dtype if dtype is None else dtype]
    return _greedy(spectra, [size * module.width for module in file.modules], spare)


def numbers_bought(file: AdapterFile, spectra: Spectra, numbers: int) -> tuple[int, ...]:
    """Ranks whose factors hold at most this many numbers, bought where they keep most.

    :raises ValueError: fewer numbers than rank 1 for every module takes.
    """
    widths = [module.width for module in file.modules]
    if numbers < sum(widths):
        raise ValueError(f"numbers is {numbers:,}: it must be at least {sum(widths):,}, rank 1 everywhere.")
    return _greedy(spectra, widths, numbers - sum(widths))


def cut(
    file: AdapterFile, spectra: Spectra, ranks: Sequence[int], dtype: str | None = None, padded: bool = False
) -> Cut:
    """What a file with these ranks keeps.

    :raises ValueError: a module whose numbers are not finite, a precision that cannot hold its change, or as
        `plan_file` and `check_vectors`.
    """
    broken = [spectrum.path for spectrum in spectra if not spectrum.finite]
    if broken:
        raise ValueError(f"{named(broken[0])} holds numbers that are not finite: the adapter cannot be cut.")
    plan = plan_file(file, ranks, dtype, padded)
    check_vectors(plan)
    pairs = list(zip(spectra, ranks, strict=True))
    # Relative to the largest norm, so that squares of small changes are not lost.
    unit = max((spectrum.norm for spectrum in spectra), default=0.0) or 1.0
    whole = sum((spectrum.norm / unit) ** 2 for spectrum in spectra)
    lost = sum((spectrum.error(rank) / unit) ** 2 for spectrum, rank in pairs)
    share = lost / whole if whole else 0.0
    rounding = _rounding(plan, spectra)
    rounded = sum(
        (bound * spectrum.norm * math.sqrt(spectrum.kept(rank)) / unit) ** 2
        for bound, (spectrum, rank) in zip(rounding, pairs, strict=True)
    )
    return Cut(
        plan,
        tuple(spectrum.kept(rank) for spectrum, rank in pairs),
        tuple(spectrum.lost(rank) for spectrum, rank in pairs),
        1 - share,
        math.sqrt(share),
        rounding,
        math.sqrt(rounded / whole) if whole else 0.0,
    )


def rounding_words(found: Cut) -> str:
    """What the precision adds to the error, in one sentence."""
    worst = max(range(len(found.rounding)), key=found.rounding.__getitem__)
    dtype, most = found.plan.dtype, found.rounding[worst]
    said = f"Rounding to {dtype} adds at most {loss_text(found.total_rounding, 2)} to the error"
    if most > _NOTICED and most > 2 * found.total_rounding:
        return f"{said}, {loss_text(most, 2)} in {named(found.plan.file.modules[worst].path)}."
    return f"{said}."


def _rounding(plan: Plan, spectra: Spectra) -> tuple[float, ...]:
    """The bound of each module; the first that the precision cannot hold is refused, before any download."""
    found = []
    for index, (module, spectrum) in enumerate(zip(plan.file.modules, spectra, strict=True)):
        if may_overflow(spectrum, plan.dtype):
            cut_factors(plan, index)  # the only way to know: it raises
        bound = rounding_bound(module, spectrum, plan.ranks[index], plan.dtype)
        if bound >= 1:
            raise ValueError(
                f"{named(module.path)} is too small for {plan.dtype}: rounding could take all of its change, "
                f"of norm {spectrum.norm:.3g}. It must be written in {_finer(module, spectrum, plan, index)}."
            )
        found.append(bound)
    return tuple(found)


def _finer(module: Module, spectrum: Spectrum, plan: Plan, index: int) -> str:
    """The first precision that holds a change which this one does not."""
    holds = (
        dtype for dtype in ("BF16", "F32") if rounding_bound(module, spectrum, plan.ranks[index], dtype) < 0.1
    )
    return next(holds, "F64")


def _greedy(spectra: Spectra, costs: Sequence[int], spare: int) -> tuple[int, ...]:
    """Ranks from 1 upwards, always the direction with the most energy for its cost that still fits."""
    ranks = [1] * len(spectra)
    unit = max((spectrum.norm for spectrum in spectra), default=0.0) or 1.0
    heap = [
        (-_gain(spectrum, 1, cost, unit), i)
        for i, (spectrum, cost) in enumerate(zip(spectra, costs, strict=True))
    ]
    heapq.heapify(heap)
    while heap:
        gain, i = heapq.heappop(heap)
        # A module whose next direction does not fit is done; a narrower one may still have room.
        if gain == 0 or costs[i] > spare:
            continue
        spare -= costs[i]
        ranks[i] += 1
        heapq.heappush(heap, (-_gain(spectra[i], ranks[i], costs[i], unit), i))
    return tuple(ranks)


def _gain(spectrum: Spectrum, rank: int, cost: int, unit: float) -> float:
    """Energy that the next direction keeps, in units of the largest change's, for a number."""
    return float((spectrum.values[rank] / unit) ** 2 / cost) if rank < len(spectrum.values) else 0.0


def _rounded_up(value: float) -> float:
    """Three significant digits, never less than the value."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return math.ceil(value / unit * (1 - 1e-12)) * unit


def _largest_rank(file: AdapterFile, most: int, dtype: str | None) -> tuple[int, ...]:
    """The largest rank for all whose padded file is no longer than `most`, by halving."""
    low, high = 1, max(module.largest_rank for module in file.modules)
    while low < high:
        middle = (low + high + 1) // 2
        fits = plan_file(file, one_rank(file, middle), dtype, padded=True).bytes <= most
        low, high = (middle, high) if fits else (low, middle - 1)
    return one_rank(file, low)


def _beside_text(file: AdapterFile) -> str:
    beside = sum(entry.bytes for entry, _ in file.copied)
    return f", {bytes_text(beside)} of it no LoRA" if beside > 1e5 else ""
