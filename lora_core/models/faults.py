"""The field at fault in a config that transformers cannot build, found by leaving fields out.

At fault is the field without which the model is built, or else without which building fails elsewhere; inside
an object the search goes on. The likeliest are tried first, for at most `PATIENCE` seconds.
"""

import linecache
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

PATIENCE = 2.0

Fields = Mapping[str, object]
Attempt = Callable[[Fields], Exception | None]
"""Builds a model of some fields and returns what was raised."""


class Fault(NamedTuple):
    """A field by its path in the file, and what it holds."""

    path: tuple[str, ...]
    value: object


@dataclass(frozen=True)
class Search:
    """What the search goes by: how to build, the class that reads the file, a field that the error names."""

    attempt: Attempt
    known: Any
    hint: str = ""
    until: float = field(default_factory=lambda: monotonic() + PATIENCE)

    def find(self, fields: Fields, error: Exception) -> Fault | None:
        """The field at fault, None where no single one is."""
        place, found = place_of(error), None
        del error  # and with it the half of a model
        here = self._among(fields, (), fields, place)
        while here is not None:
            found = here
            if not isinstance(here.value, Mapping) or not here.value:
                break
            here = self._among(fields, here.path, here.value, place)
        return found

    def _among(
        self, fields: Fields, path: tuple[str, ...], inner: Fields, place: set[object]
    ) -> Fault | None:
        """The same among the fields of the object at `path`."""
        elsewhere: Fault | None = None
        for name in sorted(inner, key=lambda name: self._order(name, inner[name])):
            start, fault = monotonic(), Fault((*path, name), inner[name])
            error = self.attempt(without(fields, fault.path))
            if error is None:
                return fault
            if elsewhere is None and not place_of(error) & place:
                elsewhere = fault
            del error
            if 2 * monotonic() - start > self.until:  # another one would take too long
                break
        return elsewhere

    def _order(self, name: str, value: object) -> int:
        """First what holds the field that was named, then what is of another kind than by default."""
        if self.hint and (name == self.hint or (isinstance(value, Mapping) and self.hint in value)):
            return 0
        usual = getattr(self.known, name, None)
        if usual is not None and type(usual) is not type(value):
            return 1
        return 2 if usual is None else 3


def without(fields: Fields, path: tuple[str, ...]) -> Fields:
    """The fields but for the one at `path`."""
    first, *rest = path
    inner = fields[first]
    if rest and isinstance(inner, Mapping):
        return {**fields, first: without(inner, tuple(rest))}
    return {name: value for name, value in fields.items() if name != first}


def deepest(error: BaseException) -> BaseException:
    """The error from which the others were raised."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def strict_field(error: BaseException) -> tuple[str, Any]:
    """The field that a strict dataclass refuses (huggingface_hub.dataclasses.strict), and its annotation."""
    for frame, _ in _lines(error):
        if frame.f_code.co_name == "__strict_setattr__":
            name, holder = frame.f_locals["name"], type(frame.f_locals["self"])
            known = getattr(holder, "__dataclass_fields__", {}).get(name)
            return name, getattr(known, "type", None)
    return "", None


def null_field(error: BaseException) -> str:
    """The field of a config that is None and stands in the line that raised an error for it; "" for none."""
    if "NoneType" not in str(error):
        return ""
    for frame, number in reversed(list(_lines(error))):
        line = linecache.getline(frame.f_code.co_filename, number)
        for holder, name in re.findall(r"\b(\w*config|self)\.(\w+)", line):
            if getattr(frame.f_locals.get(holder), name, 0) is None:
                return str(name)
    return ""


def place_of(error: BaseException) -> set[object]:
    """What tells where an error was raised, of which one is enough: the lines on the way there, the words."""
    name, root = strict_field(error)[0], deepest(error)
    lines = tuple((frame.f_code.co_filename, line) for frame, line in _lines(root))
    return {(type(root), name, lines), (type(root), name, str(root))}


def _lines(error: BaseException) -> Iterator[tuple[Any, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
