"""Foreign text, made safe for markdown."""

import re


def harmless(text: str, most: int = 40) -> str:
    """Shorten a foreign text and drop what would end a code span, so that it can be shown in one."""
    text = "".join(letter for letter in text if letter.isprintable() and letter != "`")
    return text if len(text) <= most else f"{text[:most]}…"


def plain(text: str) -> str:
    """Escape a text for markdown, so that it is shown as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+\-!|<>$:~&^=])", r"\\\1", text)
