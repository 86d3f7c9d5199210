"""The door through which every value of a browser comes: typed, bounded, dropped if it is wrong."""

from typing import Any

import pytest
import streamlit as st

from pages.runtime.from_browser import (
    MOST_ACTS,
    MOST_ADDRESS,
    NO_ADDRESS,
    read_page_address,
    sent_acts,
    sent_cell,
    sent_number,
    sent_text,
)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A component's state, and what it reports under the name ``x``."""
    state: dict[str, Any] = {"part": {}}
    monkeypatch.setattr(st, "session_state", state)
    return lambda value: state.update(part={"x": value})


def test_a_number_is_whole_and_among_those_allowed(sent: Any) -> None:
    for value, read in ((3, 3), (0, 0), (9, 9), (10, None), (-1, None), (3.0, None), (True, None)):
        sent(value)
        assert sent_number("part", "x", range(10)) == read
    for wrong in (None, "3", [3], {"x": 3}, 10**30):
        sent(wrong)
        assert sent_number("part", "x", range(10)) is None
    assert sent_number("gone", "x", range(10)) is None
    assert sent_number("part", "y", range(10)) is None


def test_a_cell_lies_in_its_table(sent: Any) -> None:
    sent([1, 2])
    assert sent_cell("part", "x", 2, 3) == (1, 2)
    for wrong in ([2, 2], [1, 3], [-1, 0], [1], [1, 2, 3], ["1", 2], [1.0, 2], None, "12", {"0": 1}):
        sent(wrong)
        assert sent_cell("part", "x", 2, 3) is None


def test_a_text_is_short(sent: Any) -> None:
    for value, read in (("head", "head"), ("", ""), ("a" * 101, None), (7, None), (["head"], None)):
        sent(value)
        assert sent_text("part", "x") == read


def test_four_hundred_thousand_acts_are_a_few(sent: Any) -> None:
    sent({"first": 3, "acts": ["up"] * 400_000})
    found = sent_acts("part", "x")
    assert found is not None
    assert (found.first, len(found.acts)) == (3, MOST_ACTS)
    for wrong in ({"first": 3}, {"acts": ["up"]}, {"first": "3", "acts": ["up"]}, {"first": -1, "acts": []},
                  {"first": 0, "acts": [1]}, {"first": 0, "acts": "up"}, ["up"], None):  # fmt: skip
        sent(wrong)
        assert sent_acts("part", "x") is None


@pytest.mark.parametrize(
    "text",
    ["http://[bad/", f"http://x/{'a' * MOST_ADDRESS}", "http://x:99999/", "http://x:0/", "nothing", "//x", "",
     "http://a b/", "http://x/\x00", "ftp://x/", None],
)  # fmt: skip
def test_what_is_no_address_stands_for_this_machine(text: str | None) -> None:
    assert read_page_address(text).geturl() == NO_ADDRESS


def test_an_address_is_what_it_says() -> None:
    text = "https://play.example:8443/demo/On_stage?rank=4"
    assert read_page_address(text).geturl() == text
    assert read_page_address("http://[::1]:8501/").port == 8501
