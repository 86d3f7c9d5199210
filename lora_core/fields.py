"""The kinds of fields, each with its limit: what a value may be, how a text is read, how a wrong one is told.

A field's limit is used by its control, by a link, by a script and by the command line alike.
"""

import math
import numbers
import reprlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

_QUOTED = 60
"""Characters of a wrong value that a message quotes."""
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 2, _QUOTED, _QUOTED


class FieldLimit(Protocol):
    """A limit of a field: parses a text, and returns a right value or refuses it by a ``ValueError``."""

    def read(self, name: str, value: object) -> Any: ...
    def parse(self, text: str) -> Any: ...


def quoted(value: object) -> str:
    """A wrong value as an error message quotes it: one line, cut to a length that a sentence can bear."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return f"an integer of about {int(value.bit_length() * math.log10(2)) + 1} digits"
    try:
        text = _REPR.repr(value)
    except ValueError:  # a container of integers that Python refuses to print
        return f"a {type(value).__name__}"
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 3]}..."


@dataclass(frozen=True)
class IntRange:
    """A whole number from ``least`` to ``greatest``."""

    least: int
    greatest: int

    def __str__(self) -> str:
        return f"a whole number from {self.least:,} to {self.greatest:,}"

    def read(self, name: str, value: object) -> Any:
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not (whole and self.least <= value <= self.greatest):  # type: ignore[operator]
            raise _refusal(name, value, self)
        return int(value)  # type: ignore[call-overload]

    def parse(self, text: str) -> Any:
        return _parsed(int, text)


@dataclass(frozen=True)
class FloatRange:
    """A finite number from ``least`` to ``greatest``."""

    least: float
    greatest: float

    def __str__(self) -> str:
        return f"a number from {self.least:g} to {self.greatest:g}"

    def read(self, name: str, value: object) -> Any:
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not (real and self.least <= value <= self.greatest):  # type: ignore[operator]
            raise _refusal(name, value, self)
        return float(value)  # type: ignore[arg-type]

    def parse(self, text: str) -> Any:
        return _parsed(float, text)


@dataclass(frozen=True)
class Choice:
    """One of the names of a ``StrEnum``."""

    kind: type[StrEnum]

    def __str__(self) -> str:
        return "one of " + ", ".join(self.kind)

    def read(self, name: str, value: object) -> Any:
        if not isinstance(value, str) or value not in list(self.kind):
            raise _refusal(name, value, self)
        return self.kind(value)

    def parse(self, text: str) -> Any:
        return text


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def __str__(self) -> str:
        return "true or false"

    def read(self, name: str, value: object) -> Any:
        if not isinstance(value, bool):
            raise _refusal(name, value, self)
        return value

    def parse(self, text: str) -> Any:
        return {"true": True, "false": False}.get(text.lower(), text)


Limit = IntRange | FloatRange | Choice | Flag


def _parsed(kind: type, text: str) -> Any:
    """``kind(text)``, or the text itself where it is none: ``read`` then says what is wrong with it."""
    try:
        return kind(text)
    except ValueError:
        return text


def _refusal(name: str, value: object, limit: Limit) -> ValueError:
    return ValueError(f"{name} is {quoted(value)}: it must be {limit}.")
