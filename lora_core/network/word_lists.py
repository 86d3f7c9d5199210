"""The words that the small network reads: English ones to begin with, names of four languages to adapt to.

Shipped in ``word_lists.json.gz``, folded to the letters a to z, split once and for all into training and held
out; WORD_LISTS.md names the sources and carries their notices. It was made by

    python -m lora_core.network.word_lists FAKER AMERICAN_ENGLISH

from an unpacked Faker (its folder ``faker``) and the dictionary of Debian's package wamerican.
"""

import gzip
import importlib
import json
import random
import re
import sys
import unicodedata
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

SHIPPED = "word_lists.json.gz"
_SOURCES = {
    "italian": ("it_IT", ("last_names",), 3000),
    "finnish": ("fi_FI", ("last_names", "first_names"), 3000),
    "polish": ("pl_PL", ("male_last_names", "unisex_last_names"), 1200),
    "turkish": ("tr_TR", ("first_names",), 3000),
}
"""Language -> Faker's locale, the lists in its provider ``person``, and the most names that are taken."""
_ENGLISH_WORDS, _ENGLISH_HELD_OUT, _HELD_OUT_SHARE = 30_000, 1_000, 0.2
_LONGEST = 12


class WordList(NamedTuple):
    """Words to train on and words held out; no word stands in both."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]


@lru_cache
def word_list(language: str) -> WordList:
    """The words of ``english``, ``italian``, ``finnish``, ``polish`` or ``turkish``."""
    lists = json.loads(gzip.decompress((files("lora_core.network") / SHIPPED).read_bytes()))
    return WordList(*(tuple(lists[language][part]) for part in WordList._fields))


def fold(name: str) -> str:
    """A name in lower case without its accents: ``Wiśniewski`` is wisniewski, ``Yıldırım`` is yildirim."""
    single = name.lower().translate(str.maketrans("ıłøđ", "ilod"))
    return "".join(sign for sign in unicodedata.normalize("NFKD", single) if not unicodedata.combining(sign))


def _readable(names: list[str]) -> list[str]:
    pattern = rf"[a-z]{{3,{_LONGEST}}}"
    return sorted({folded for folded in map(fold, names) if re.fullmatch(pattern, folded)})


def _split(words: list[str], held_out: int, most: int) -> dict[str, list[str]]:
    shuffled = random.Random(0).sample(words, min(most, len(words)))
    return {"train": sorted(shuffled[held_out:]), "held_out": sorted(shuffled[:held_out])}


def _names(locale: str, lists: tuple[str, ...]) -> list[str]:
    provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
    return [name for each in lists for name in getattr(provider, each)]


def main(faker: Path, dictionary: Path) -> None:
    """Write ``word_lists.json.gz`` beside this module."""
    sys.path.insert(0, str(faker.parent))
    english = _readable(
        [word for word in dictionary.read_text(encoding="utf-8").split() if word == word.lower()]
    )
    made = {"english": _split(english, _ENGLISH_HELD_OUT, _ENGLISH_WORDS + _ENGLISH_HELD_OUT)}
    for language, (locale, lists, most) in _SOURCES.items():
        names = _readable(_names(locale, lists))
        made[language] = _split(names, round(_HELD_OUT_SHARE * min(most, len(names))), most)
    text = json.dumps(made, separators=(",", ":"), ensure_ascii=True).encode()
    (Path(__file__).parent / SHIPPED).write_bytes(gzip.compress(text, 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
