"""Numbers as they are shown."""

import math

import pytest

from lora_core.formatting import bytes_text, count_text, loss_text, percent_text, plural, times_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.17149, "0.171"), (243.7067, "244"), (9.812e-5, "9.81e-5"), (0.0098, "0.00980"),
     (1e9, "1.00e9"), (math.nan, "–"), (math.inf, "–"), (0.99996, "1.00")],
)  # fmt: skip
def test_a_loss_has_three_significant_digits(value: float, text: str) -> None:
    assert loss_text(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.312896, "31.3 %"), (0.0845, "8.45 %"), (0.10959, "11.0 %"), (1.0, "100 %"), (1.04, "104 %"),
     (12.5, "1,250 %"), (0.000123, "0.0123 %"), (0.0, "0 %"), (0.09996, "10.0 %"),
     (0.0054, "0.540 %"), (0.00999, "0.999 %"), (0.009996, "1.00 %"), (0.000_999_6, "0.100 %")],
)  # fmt: skip
def test_a_share_is_a_percentage_with_three_significant_digits(share: float, text: str) -> None:
    assert percent_text(share) == text


def test_counts_bytes_factors_and_plurals() -> None:
    assert [count_text(n) for n in (946, 4096, 65536, 1048576)] == ["946", "4,096", "65,536", "1.05 M"]
    assert [count_text(n) for n in (999_999, 4.19e9, 1.75e12)] == ["1 M", "4.19 B", "1.75 T"]
    assert [count_text(n) for n in (306, 9999, 12_345, 999_499)] == ["306", "9,999", "12,345", "999,499"]
    assert [count_text(n) for n in (999_500, 174_604_259_328)] == ["1 M", "175 B"]
    assert [bytes_text(n) for n in (0, 13_476_831_232, 10**12)] == ["0 bytes", "13.5 GB", "1 TB"]
    assert [bytes_text(n) for n in (592, 1536, 8388608)] == ["592 bytes", "1.54 kB", "8.39 MB"]
    assert [times_text(x) for x in (1.04, 20.8, 180.2)] == ["1.04 times", "21 times", "180 times"]
    assert (plural(1, "update"), plural(200, "update")) == ("1 update", "200 updates")
