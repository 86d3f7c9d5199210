"""Talks that were opened from files, kept by a short name for links: a reload and a phone find them again."""

import hashlib
from collections import OrderedDict
from threading import Lock

from lora_core.talk.scenes import Talk

TALK = "talk"
"""Query parameter that names an opened talk."""
MOST = 32
"""Talks kept in this process, of at most 100,000 bytes each; the one opened longest ago is dropped first."""

_kept: OrderedDict[str, Talk] = OrderedDict()
_lock = Lock()


def name_of_talk(talk: Talk) -> str:
    """Short name of a talk: the beginning of its text's SHA-256."""
    return hashlib.sha256(talk.text.encode()).hexdigest()[:8]


def keep_talk(talk: Talk) -> None:
    """Keep a checked talk under its name."""
    with _lock:
        _kept[name_of_talk(talk)] = talk
        _kept.move_to_end(name_of_talk(talk))
        if len(_kept) > MOST:
            _kept.popitem(last=False)


def kept_talk(name: str) -> Talk | None:
    """The talk of that name, None if it was never opened here or was dropped."""
    with _lock:
        return _kept.get(name)
