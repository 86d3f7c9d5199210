"""What does the precision of a file cost? A bound on the error of rounded factors, from the spectrum alone.

A number of a dtype with unit roundoff u and smallest positive number t is rounded by at most u times itself,
and by at most t / 2 where it is that small (Higham, Accuracy and Stability of Numerical Algorithms, 2002,
section 2.1). The factors that are written are U sqrt(S) and sqrt(S) Vh: their Frobenius norms are
sqrt(sum sigma), their spectral norms sqrt(sigma_1), so that each is rounded by at most

    d = u sqrt(sum sigma) + t / 2 sqrt(numbers)

and their product by at most sqrt(sigma_1) (d_A + d_B) + d_A d_B, in the Frobenius norm. Nothing is read, so
that it answers while a slider moves; the true error is about a third of it.
"""

import math
from typing import NamedTuple

import numpy as np

from lora_core.adapters.file import Module
from lora_core.adapters.spectra import Spectrum


class Precision(NamedTuple):
    """Unit roundoff, smallest and largest positive number of a dtype."""

    roundoff: float
    smallest: float
    largest: float


PRECISION = {
    "F64": Precision(2.0**-53, 2.0**-1074, float(np.finfo(np.float64).max)),
    "F32": Precision(2.0**-24, 2.0**-149, float(np.finfo(np.float32).max)),
    "F16": Precision(2.0**-11, 2.0**-24, 65504.0),
    "BF16": Precision(2.0**-8, 2.0**-133, (2 - 2.0**-7) * 2.0**127),
}


_ARITHMETIC = 1e-14
"""Of QR, SVD and the square root in float64, relative: some units roundoff more than was measured, 7e-16."""
_SLACK = 1.001
"""bfloat16 may be rounded by way of float32, once more by 2^-24."""


def rounding_bound(module: Module, spectrum: Spectrum, rank: int, dtype: str) -> float:
    """The most that rounding the factors of this rank to `dtype` changes their product.

    A share of the product's norm, with what the float64 arithmetic before it costs; 0 of no change.
    """
    if not spectrum.moved:
        return 0.0
    precision = PRECISION[dtype]
    # In units of the largest singular value, so that neither its square nor its root's product is lost.
    root = math.sqrt(spectrum.values[0])
    relative = spectrum.values[:rank] / spectrum.values[0]
    size = precision.roundoff * math.sqrt(relative.sum())
    absolute = precision.smallest / 2 / root
    A, B = (size + absolute * math.sqrt(rank * side) for side in (module.in_features, module.out_features))
    return float((A + B + A * B) * _SLACK / math.sqrt(np.square(relative).sum())) + _ARITHMETIC


def may_overflow(spectrum: Spectrum, dtype: str) -> bool:
    """Whether a factor could hold a number that the dtype cannot: none of them is above sqrt(sigma_1)."""
    return spectrum.moved and math.sqrt(spectrum.values[0]) > PRECISION[dtype].largest
