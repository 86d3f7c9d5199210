"""The ten losses that the original script prints, and what prints them too.

Each kind of processor adds float32 numbers up in an order of its own, so the last digit may be another one:
the third loss, 225.91592 in float64, prints as 225.9160 with AVX2's products and as 225.9159 with AVX-512's.
"""

import re

import pytest

PRINTED = [243.7067, 234.6470, 225.9160, 217.5043, 209.4038, 201.6063, 194.1039, 186.8890, 179.9540, 173.2909]
"""What the script printed when it was run as it is written (torch on the CPU, float32, seed 42)."""

_LOSS = re.compile(r"(?<=Loss: )\d+\.\d{4}$", re.MULTILINE)


def assert_printed(losses: list[float]) -> None:
    """The losses are those that the script prints, but for one unit of the last digit printed."""
    assert [round(loss, 4) for loss in losses] == pytest.approx(PRINTED, abs=1.01e-4)


def assert_prints(text: str, head: str = "") -> None:
    """The text is the script's ten lines under ``head``, to the letter but for that unit."""
    lines = (f"Epoch {epoch}/10, Loss: {loss:.4f}\n" for epoch, loss in enumerate(PRINTED, 1))
    assert _LOSS.sub("", text) == _LOSS.sub("", head + "".join(lines))
    assert_printed([float(loss) for loss in _LOSS.findall(text)])
