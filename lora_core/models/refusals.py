"""Why transformers cannot build what a config.json describes, in one sentence that names the field.

For a wrong value transformers and torch raise what Python makes of it ("'NoneType' object is not iterable"),
mostly without its field: faults.py finds the field, and such words are left out.
"""

import re
from types import NoneType
from typing import Any, Literal, Union, get_args, get_origin

from lora_core.fields import quoted
from lora_core.models.faults import Attempt, Fault, Fields, Search, deepest, null_field, strict_field

LONGEST = 200
"""Characters of what transformers says that a sentence quotes."""
OF_PYTHON = re.compile(
    r"object|argument|unpack|iterable|subscript|hashable|operand|attribute|NoneType|literal for|convert"
    r"|sequence|out of range|<class|not supported between|unexpected|empty\(\)|dtype|Traceback|shape mismatch"
)
KINDS: dict[object, str] = {
    int: "a whole number", float: "a decimal number", bool: "true or false", str: "a text", list: "a list",
    tuple: "a list", dict: "an object", NoneType: "null",
}  # fmt: skip
SEVERAL = {"a whole number": "whole numbers", "a decimal number": "decimal numbers", "a text": "texts"}


def refusal(class_name: str, fields: Fields, error: Exception, attempt: Attempt, known: Any) -> str:
    """What is wrong with a config; `known` is the class of transformers that reads it."""
    words = " ".join(str(error).split())
    if isinstance(error, ValueError) and re.match(r"[\w.]{1,60}: .*, expected ", words):
        return words[:300]  # of our own
    name, kinds = _expected(error)
    fault = Search(attempt, known, name).find(fields, error)
    if kinds and (fault is None or name in _names(known, fault)):
        where = (
            f"{_path(fault)}: {quoted(fault.value)}" if fault else f"{name}: not set as transformers reads it"
        )
        return f"{where}, expected {kinds}"
    if fault is None:
        return _without_fault(class_name, deepest(error))
    reason, usual = _plain(deepest(error)), _default(known, fault)
    if isinstance(error, KeyError) and error.args == (fault.value,):
        why = "which transformers does not know"
    else:
        why = f"with which transformers builds no {class_name}{f': {reason}' if reason else ''}"
    return f"{_path(fault)}: {quoted(fault.value)}, {why}{f'; by default it is {usual}' if usual else ''}"


def _without_fault(class_name: str, error: BaseException) -> str:
    """The sentence where no field of the file is at fault: mostly one that is not in it."""
    package = re.search(r"requires the ([\w-]+) library", str(error))
    if package:
        return f"config.json: {class_name} needs the package {package[1]}, which is not installed here"
    missing = null_field(error)
    if missing:
        return f"{missing}: not said, or null, and transformers builds no {class_name} without it"
    reason = _plain(error)
    return (
        f"config.json: transformers builds no {class_name} of these fields{f': {reason}' if reason else ''}"
    )


def _expected(error: BaseException) -> tuple[str, str]:
    """The field that must be of another kind, and that kind in words; "" where that is not the trouble."""
    name, annotation = strict_field(error)
    return name, kinds_of(annotation) if isinstance(error.__cause__, TypeError) else ""


def kinds_of(annotation: Any) -> str:
    """A type as a person says it: "a whole number, a list of numbers or null"."""
    union = get_origin(annotation) is Union or type(annotation).__name__ == "UnionType"
    words = dict.fromkeys(_kind(option) for option in (get_args(annotation) if union else (annotation,)))
    if {"a decimal number", "a whole number"} <= words.keys():
        words = {"a number": None} | {word: None for word in words if not word.endswith("number")}
    *first, last = [word for word in words for word in word.split(" or ")]
    return f"{', '.join(first)} or {last}" if first else last


def _kind(option: Any) -> str:
    if get_origin(option) is Literal:
        return "one of " + ", ".join(map(repr, get_args(option)))
    kind = KINDS.get(get_origin(option) or option, "an object")
    items = {_kind(item) for item in get_args(option) if item is not Ellipsis}
    of = SEVERAL.get(items.pop()) if len(items) == 1 else None
    return f"{kind} of {of}" if kind == "a list" and of else kind


def _names(known: Any, fault: Fault) -> tuple[str, ...]:
    """What a class may call the field at fault."""
    last = fault.path[-1]
    return last, getattr(known, "attribute_map", {}).get(last, last)


def _path(fault: Fault) -> str:
    return ".".join(_printable(piece)[:60] for piece in fault.path)[-120:]


def _plain(error: BaseException) -> str:
    """What an error says, if a person who knows no Python can read it; else ""."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    words = _printable(" ".join(str(said).split())).replace("`", "'").partition(". ")[0].rstrip(".")
    if len(words.split()) < 4 or OF_PYTHON.search(words):
        return ""
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 3]}..."


def _printable(words: str) -> str:
    return "".join(letter for letter in words if letter.isprintable())


def _default(known: Any, fault: Fault) -> str:
    """What the class sets where a file says nothing, if that is short enough to be told."""
    for piece in fault.path[:-1]:
        known = getattr(known, "sub_configs", {}).get(piece)
    usual = getattr(known, _names(known, fault)[1], None)
    if isinstance(usual, bool | int | float | str) and usual != fault.value:
        return quoted(usual)
    return ""
