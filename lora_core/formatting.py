"""Numbers as a person reads them: losses, counts, bytes, factors. Rounded here and nowhere else."""

import math


def loss_text(value: float, digits: int = 3) -> str:
    """`value` to that many significant digits: 0.171, 1,490, 9.81e-5; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -4 <= power <= 5:
        return f"{value:,.{max(0, digits - 1 - power)}f}"
    return f"{mantissa}e{power}"


def count_text(count: float) -> str:
    """A count in full below a million, else to three digits: 65,536, 4.19 M; B as models are named: 175 B."""
    return f"{count:,.0f}" if count < 999_500 else _scaled(count, ("k", "M", "B", "T"))


def bytes_text(count: float) -> str:
    """Bytes to three digits in powers of 1000, as disks are sold: 592 bytes, 1.54 kB, 8.39 MB, 13.5 GB."""
    return f"{count:.0f} bytes" if count < 999.5 else _scaled(count, ("kB", "MB", "GB", "TB"))


def _scaled(count: float, units: tuple[str, ...]) -> str:
    """Three digits and the greatest unit of 1000, 1000^2, ... that leaves 1 or more of them."""
    power = max(i for i in range(1, len(units) + 1) if i == 1 or count >= 0.9995 * 1000**i)
    return f"{count / 1000**power:.3g} {units[power - 1]}"


def percent_text(share: float) -> str:
    """A share as a percentage with three significant digits: 31.3 %, 8.45 %, 0.540 %, 100 %, 0.0123 %."""
    percent = 100 * share
    if percent < 0.09995:
        return f"{percent:.3g} %"
    decimals = sum(percent < most for most in (0.9995, 9.995, 99.95))
    return f"{percent:,.{decimals}f} %"


def plural(count: int, noun: str) -> str:
    """1 update, 200 updates."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def times_text(factor: float) -> str:
    """1.04 times, 21 times."""
    return f"{factor:.3g} times" if factor < 9.95 else f"{factor:,.0f} times"
