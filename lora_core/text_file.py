"""Reader of text files that somebody else has written: talks, experiments, configs.

Whatever is wrong with the encoding, size, syntax, depth or numbers of a file is a ValueError of one sentence
that begins with the file's name.
"""

import json
import re
import tomllib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping
from typing import Any

MOST_DEPTH = 40
"""Brackets within brackets; a talk has four, a config.json some six."""
_DIGITS = re.compile(r"\d{4000}")
_MARK = "\ufeff"


def decoded(content: bytes, name: str, most: int) -> str:
    """The text of a file's content, UTF-8, or UTF-16 with a byte order mark, which is left out.

    :raises ValueError: more than ``most`` bytes, or no text.
    """
    if len(content) > most:
        raise ValueError(f"{name} has {len(content):,} bytes: at most {most:,} are read.")
    wide = content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) and len(content) > 2
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is no UTF-8 text.") from error
    if "\0" in text:
        raise ValueError(f"{name} is no text: it holds a zero byte.")
    return text


def parsed_json(text: str, name: str) -> Any:
    """The value that a text in JSON describes.

    :raises ValueError: no JSON, nested too deeply, a number of thousands of digits.
    """
    try:
        value = json.loads(text.removeprefix(_MARK))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{name} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}."
        ) from error
    except RecursionError as error:
        raise _too_deep(name) from error
    except ValueError as error:  # a whole number of more digits than Python reads
        raise _too_long(name) from error
    _check_depth(value, name)
    return value


def parsed_toml(text: str, name: str) -> dict[str, Any]:
    """The table that a text in TOML describes.

    :raises ValueError: no TOML, nested too deeply, a number of thousands of digits.
    """
    try:
        value = tomllib.loads(text.removeprefix(_MARK))
    except RecursionError as error:
        raise _too_deep(name) from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{name} is no TOML: {error}.") from error
    except ValueError as error:
        raise (
            _too_long(name) if _DIGITS.search(text) else ValueError(f"{name} is no TOML: {error}.")
        ) from error
    _check_depth(value, name)
    return value


def _check_depth(value: Any, name: str) -> None:
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        inside = [each.values() if isinstance(each, Mapping) else each for each in level if _holds(each)]
        level = [each for some in inside for each in some]
        if not level:
            return
    raise _too_deep(name)


def _holds(value: Any) -> bool:
    return isinstance(value, Mapping | list)


def _too_deep(name: str) -> ValueError:
    return ValueError(f"{name} is nested too deeply: at most {MOST_DEPTH} brackets in brackets are read.")


def _too_long(name: str) -> ValueError:
    return ValueError(f"{name} is not read: a number in it has thousands of digits.")
