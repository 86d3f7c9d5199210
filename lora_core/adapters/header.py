"""What does a safetensors file say it holds? Its header, read and checked before any tensor is.

The format: eight bytes, little-endian, with the length of a JSON header, the header, and the tensors' bytes;
the header gives each tensor's dtype, its shape and where its bytes lie, counted from the end of the header
(https://github.com/huggingface/safetensors, "Format"). A file from a stranger may say anything there, so
that every number is held against the size of the file before it is used.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lora_core.adapters.source import Source
from lora_core.adapters.words import named
from lora_core.formatting import bytes_text

DTYPE_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""Bytes of a number of each dtype."""

MOST_HEADER_BYTES = 10_000_000
"""Some 80,000 tensors; the largest adapters have a few thousand."""
_MOST_DIMENSIONS = 8
_MOST_LETTERS = 512
_LENGTH = 8


@dataclass(frozen=True)
class Entry:
    """A tensor in a file: its key, dtype and shape, and where its bytes lie in the file."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def bytes(self) -> int:
        """Length in bytes."""
        return self.stop - self.start

    @property
    def numbers(self) -> int:
        """Numbers stored."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """Everything a safetensors file says of itself: its tensors by key, free metadata, its size in bytes."""

    tensors: Mapping[str, Entry]
    metadata: Mapping[str, str]
    file_bytes: int


def read_header(source: Source) -> Header:
    """The checked header of a safetensors file.

    :raises ValueError: a file that is none, is cut short, or whose header does not fit its bytes.
    """
    size, name = source.size, named(source.name)
    if size < _LENGTH:
        raise ValueError(f"{name} is {size} bytes long: no safetensors file is that short.")
    length = int.from_bytes(bytes(source.read(0, _LENGTH)), "little")
    if length > MOST_HEADER_BYTES:
        most = bytes_text(MOST_HEADER_BYTES)
        raise ValueError(f"{name} is no safetensors file, or its header is longer than {most}.")
    if length > size - _LENGTH:
        raise ValueError(f"{name} is cut short: its header alone is longer than the file.")
    content = _parsed(name, bytes(source.read(_LENGTH, _LENGTH + length)))
    metadata = content.pop("__metadata__", {})
    if not (isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())):
        raise ValueError(f"{name}: the header's __metadata__ must map names to texts.")
    texts = [*content, *metadata, *metadata.values()]
    if strange := next((text for text in texts if not _is_unicode(text)), None):
        raise ValueError(f"{name}: {named(strange)} is no Unicode: half of a letter stands alone in it.")
    first = _LENGTH + length
    entries = {key: _entry(name, key, value, first, size) for key, value in content.items()}
    _check_layout(name, entries, first, size)
    return Header(entries, metadata, size)


def _parsed(name: str, text: bytes) -> dict[str, Any]:
    """The header's JSON as a dictionary."""
    try:
        if not text.startswith(b"{"):
            raise ValueError("not an object")
        content = json.loads(text.decode(), object_pairs_hook=_unique)
    except _TwiceError as error:
        raise ValueError(f"{name}: the header names {named(error)} twice.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no safetensors file: its header is not JSON.") from error
    return dict(content)


class _TwiceError(ValueError):
    """A key that stands twice in one JSON object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        raise _TwiceError(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return found


def _is_unicode(text: str) -> bool:
    """Whether a text can be written at all: JSON's escapes also give halves of a letter, which cannot."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _entry(name: str, key: str, value: object, first: int, size: int) -> Entry:
    """A tensor's entry, held against its dtype and the size of the file."""
    where = f"{name}: {named(key)}"
    if len(key) > _MOST_LETTERS:
        raise ValueError(f"{where} is a name of {len(key):,} letters: it must have at most {_MOST_LETTERS}.")
    if not (isinstance(value, dict) and {"dtype", "shape", "data_offsets"} <= value.keys()):
        raise ValueError(f"{where} lacks its dtype, shape or data_offsets.")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not (isinstance(dtype, str) and dtype in DTYPE_BYTES):
        raise ValueError(f"{where} has the dtype {named(dtype)}: it must be one of {', '.join(DTYPE_BYTES)}.")
    if not (isinstance(shape, list) and len(shape) <= _MOST_DIMENSIONS and all(map(_is_count, shape))):
        raise ValueError(f"{where} has the shape {named(shape)}: it must be at most 8 sizes from 0.")
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(map(_is_count, offsets))):
        raise ValueError(f"{where} has the data_offsets {named(offsets)}: they must be two numbers from 0.")
    start, stop = (first + offset for offset in offsets)
    if not start <= stop <= size:
        raise ValueError(
            f"{where} lies at bytes {start:,} to {stop:,}, the file ends at {size:,}: it is cut short."
        )
    if (needed := math.prod(shape) * DTYPE_BYTES[dtype]) != stop - start:
        raise ValueError(
            f"{where} has {stop - start:,} bytes, but its shape {shape} of {dtype} takes {needed:,}."
        )
    return Entry(key, dtype, tuple(shape), start, stop)


def _check_layout(name: str, entries: Mapping[str, Entry], first: int, size: int) -> None:
    """Tensors follow each other without sharing bytes, up to the end of the file, as the format demands."""
    ordered = sorted(entries.values(), key=lambda entry: (entry.start, entry.stop))
    for before, after in pairwise(ordered):
        if after.start != before.stop:
            found = "share bytes" if after.start < before.stop else "have bytes of nobody between them"
            raise ValueError(f"{name}: {named(before.key)} and {named(after.key)} {found}.")
    start, stop = (ordered[0].start, ordered[-1].stop) if ordered else (first, first)
    if (start, stop) != (first, size):
        raise ValueError(f"{name} holds {size - first - (stop - start):,} bytes that no tensor names.")
