"""Text of others, made safe for markdown: nothing in it is bold, a link, a formula or an icon.

An address is made a link by what Streamlit does after reading the markdown, so that no backslash helps (seen
in 1.67.0; streamlit issue 7638 asks for a way to turn it off): an invisible joiner parts it.
"""

import re

_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-!|<>$:~&^=])")
_ADDRESS = re.compile(r"www(?=\.)|@|:(?=//)|\b(?:mailto|xmpp):", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_JOINER = "\u2060"


def harmless(text: str, most: int = 40) -> str:
    """Shorten a foreign text and drop what would end a code span, so that it can be shown in one."""
    text = "".join(letter for letter in text if letter.isprintable() and letter != "`")
    return text if len(text) <= most else f"{text[:most]}…"


def plain(text: str) -> str:
    """Escape a text for markdown, so that it is shown as it is."""
    parted = _ADDRESS.sub(lambda found: found[0] + _JOINER, _CONTROL.sub(" ", text))
    return _MARKS.sub(r"\\\1", parted)
