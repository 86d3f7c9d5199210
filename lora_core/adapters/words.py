"""Pieces of sentences about a file that nobody vouches for."""

MOST = 80


def named(text: object, most: int = MOST) -> str:
    """A name or value out of a stranger's file, on one line, short, and harmless in markdown."""
    kept = "".join(letter if letter.isprintable() else "?" for letter in str(text))
    kept = kept if len(kept) <= most else f"{kept[: most // 2]}…{kept[-most // 2 :]}"
    return kept.replace("`", "'")


def quoted(value: object) -> str:
    """A value out of a JSON file, a text in quotes, so that "4" is no number."""
    return f'"{named(value)}"' if isinstance(value, str) else named(value)


def printable(text: str) -> str:
    """Lines that a terminal can be given: what would steer it, or turn the direction of writing, is a `?`."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def listed(names: list[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(named(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
