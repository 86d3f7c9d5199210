"""Where does a module stand in its model? A row for its layer, a column for what it is there.

A path is split behind its last number, ``model.layers.3.self_attn.q_proj`` into layer ``model.layers.3`` and
module ``self_attn.q_proj``; kohya's names are joined by underscores, cloneofsimo's are numbers alone and get
twelve to a row.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WRAPPED = 12
_NUMBERED = re.compile(r"(.+):(\d+)")
_SEPARATOR = re.compile(r"([._])")


@dataclass(frozen=True)
class Grid:
    """`rows` and `columns` in the order of the file, and the (row, column) of each path."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[int, int], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return len(self.rows), len(self.columns)

    def at(self, row: int, column: int) -> int | None:
        """The index of the module in a cell, if there is one."""
        return self.cells.index((row, column)) if (row, column) in self.cells else None


def grid_of(paths: Sequence[str]) -> Grid:
    """Layers by modules, every path in a cell of its own. Layers in the order of their numbers."""
    places = [_place(path) for path in paths]
    if len(set(places)) < len(paths):  # names that differ in a separator alone: no model's
        places = [("", path) for path in paths]
    rows = sorted({row for row, _ in places}, key=natural)
    columns = list(dict.fromkeys(column for _, column in places))
    by_row, by_column = ({name: i for i, name in enumerate(names)} for names in (rows, columns))
    cells = tuple((by_row[row], by_column[column]) for row, column in places)
    return Grid(_shortened(rows), tuple(columns), cells)


def _place(path: str) -> tuple[str, str]:
    if match := _NUMBERED.fullmatch(path):
        row, column = divmod(int(match[2]), _WRAPPED)
        return f"{match[1]} {row * _WRAPPED}", f"+{column}"
    parts = _SEPARATOR.split(path)  # names at even places, the separators between them
    numbers = [i for i, part in enumerate(parts) if part.isdecimal()]
    words = [i for i, part in enumerate(parts) if i % 2 == 0 and part and not part.isdecimal()]
    last = max((i for i in numbers if words and i < words[-1]), default=None)
    return ("", path) if last is None else ("".join(parts[: last + 1]), "".join(parts[last + 2 :]))


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts layer 10 behind layer 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _shortened(rows: Sequence[str]) -> tuple[str, ...]:
    """Without what all rows start with, up to a separator."""
    start = rows[0]
    for row in rows:
        while not row.startswith(start):
            start = start[:-1]
    cut = max((start.rfind(letter) for letter in ". _"), default=-1) + 1
    return tuple(row[cut:] for row in rows) if len(rows) > 1 else tuple(rows)
