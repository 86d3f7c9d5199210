"""Text of others, made safe to show."""

import re


def harmless(text: str, most: int = 40) -> str:
    """What somebody sent, short and without anything that ends a code span, to be shown in one."""
    text = "".join(letter for letter in text if letter.isprintable() and letter != "`")
    return text if len(text) <= most else f"{text[:most]}…"


def plain(text: str) -> str:
    """A text as it is, with nothing in it that markdown would make something of."""
    return re.sub(r"([\\`*_{}\[\]()#+\-!|<>$:~&^=])", r"\\\1", text)
