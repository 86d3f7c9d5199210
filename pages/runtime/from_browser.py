"""Values that a browser sends, each read once, typed and bounded; what is wrong is dropped.

Anybody can send anything over the page's connection. What a component reports, and the address of the page,
pass here; the values of the experiment's widgets pass ``drop_wrong_fields`` of ``pages/ui/controls.py``.
"""

from collections.abc import Container
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

import streamlit as st

from lora_core.choices import RANKS

MOST_ACTS = 64
"""Acts taken from one message of the keyboard; the browser sends those of a second or two."""
MOST_LETTERS = 100
"""Letters of a name that a component reports."""
MOST_ADDRESS = 1_000
"""Letters of the page's address; a link with all fields and pins has some six hundred."""
NO_ADDRESS = "http://localhost:8501"
"""Stands for an address that cannot be read."""
_PROXIED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")
ANY_COUNT = range(2**31)
ANY_RANK = range(1, RANKS[-1] + 1)


class SentActs(NamedTuple):
    """Names of acts, the number of the first of them among all of the session, and whose stage is meant."""

    first: int
    acts: list[str]
    stage: str | None = None


def sent_number(key: str, name: str, allowed: Container[int]) -> int | None:
    """A whole number that a component reports, if it is among those ``allowed``."""
    return _number(_sent(key, name), allowed)


def sent_text(key: str, name: str) -> str | None:
    """A short text that a component reports."""
    return _text(_sent(key, name))


def sent_cell(key: str, name: str, rows: int, columns: int) -> tuple[int, int] | None:
    """Row and column of a cell that a component reports, within a table of this size."""
    sent = _sent(key, name)
    if not isinstance(sent, list) or len(sent) != 2:
        return None
    row, column = _number(sent[0], range(rows)), _number(sent[1], range(columns))
    return None if row is None or column is None else (row, column)


def sent_acts(key: str, name: str) -> SentActs | None:
    """Acts of the keyboard that a component reports, at most ``MOST_ACTS``."""
    sent = _sent(key, name)
    if not isinstance(sent, dict) or not isinstance(sent.get("acts"), list):
        return None
    first, acts = _number(sent.get("first"), ANY_COUNT), [_text(act) for act in sent["acts"]]
    if first is None or None in acts:
        return None
    stage = _text(sent.get("stage"))
    return SentActs(first, [act for act in acts[:MOST_ACTS] if act is not None], stage)


def page_address() -> SplitResult:
    """The address of this page in its browser: scheme, host, port, path, query."""
    return read_page_address(st.context.url)


def from_this_machine() -> bool:
    """Whether the browser runs on the server's own machine, with no proxy between.

    Behind a proxy on the same machine every connection comes from there.
    """
    return st.context.ip_address is None and not any(name in st.context.headers for name in _PROXIED)


def read_page_address(text: str | None) -> SplitResult:
    """An address in its parts, or ``NO_ADDRESS`` in place of what is none."""
    try:
        parts = urlsplit(text or "")
        good = bool(parts.hostname) and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        good = False
    if not good or text is None or len(text) > MOST_ADDRESS or not text.isprintable() or " " in text:
        return urlsplit(NO_ADDRESS)
    return parts


def _sent(key: str, name: str) -> Any:
    """A value that a component reports, or None if the session no longer has the component's state.

    On the browser's Back Streamlit may call the callback of a component on the previous page, whose state it
    has dropped already (seen in 1.67.0).
    """
    return st.session_state.get(key, {}).get(name)


def _number(value: Any, allowed: Container[int]) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value in allowed else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= MOST_LETTERS else None
