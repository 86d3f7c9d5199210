"""The code page's prose, by language, with the numbers put in."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from pages.code.direction import isolated

LANGUAGES = {"en": "English", "ar": "العربية"}
"""The languages of the prose by their code, in their own words."""


class Words:
    """Says a text of the prose, such as ``layer.title``, in one language."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def __call__(self, name: str, **values: object) -> str:
        """The text with its numbers; a KeyError names a text or a number that is missing."""
        isolates = {key: isolated(str(value), self.lang) for key, value in values.items()}
        return texts(self.lang)[name].format(**isolates)

    def number(self, value: object) -> str:
        """A number or name as it stands in a table."""
        return isolated(str(value), self.lang)


@lru_cache
def texts(lang: str) -> dict[str, str]:
    """Every text of a language by its dotted name; paragraphs on one line."""
    file = Path(__file__).with_name(f"{lang}.toml")
    return dict(_flat(tomllib.loads(file.read_text(encoding="utf-8"))))


def _flat(table: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, " ".join(value.split())))
    return found
