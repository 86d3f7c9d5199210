"""A course: an experiment, and what changes in the middle of its run.

    Course(Experiment(), ((60, "rank", 4), (120, "learning_rate", 0.003)))

After the 60th update the adapter has rank 4, from the 121st the learning rate is 0.003. ``lora_core.training.
course`` holds the rule by which the adapter and the optimizer's moments follow. A link, a preset and an
option write the changes in few words, ``60:rank=4~120:learning_rate=0.003``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any, NamedTuple, cast

from lora_core.experiment import LIMITS, Experiment
from lora_core.fields import IntRange, quoted

CHANGEABLE = ("rank", "alpha", "scaling_rule", "optimizer", "learning_rate", "lr_ratio")
"""The fields that may change in the middle of a run; at one update they change in this order."""
MOST_CHANGES = 8
_MOST_EPOCHS = cast(IntRange, LIMITS["epochs"]).greatest
_READS = "update:field=value, as in 60:rank=4"


class Change(NamedTuple):
    """After ``update`` updates ``field`` has ``value``."""

    update: int
    field: str
    value: Any

    def __str__(self) -> str:
        return f"{self.update}:{self.field}={_value_text(self.value)}"


class Segment(NamedTuple):
    """A stretch of a course: ``experiment`` is in force from ``first`` up to the update before the next."""

    first: int
    experiment: Experiment


@dataclass(frozen=True)
class Course:
    """An experiment and up to eight changes of it, each ``(update, field, value)``, in order of update.

    Update 0 is before the first step, the experiment's last update after the last one. Without changes it is
    the experiment: its run is the same to the bit.

    :raises ValueError: more changes than that, a field that cannot change on the way, a value outside the
        field's limit, an update beyond the epochs, one field twice at the same update.
    """

    experiment: Experiment
    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.experiment, Experiment):
            raise ValueError(f"experiment is {quoted(self.experiment)}: it must be an Experiment.")
        object.__setattr__(self, "changes", _checked(self.changes, self.experiment.epochs))

    def segments(self) -> list[Segment]:
        """The stretches of the course, from update 0; one an update at which anything changes."""
        found = [Segment(0, self.experiment)]
        for change in self.changes:
            now = replace(found[-1].experiment, **{change.field: change.value})
            if found[-1].first == change.update:
                found.pop()
            found.append(Segment(change.update, now))
        return found

    def in_force(self, update: int) -> Experiment:
        """The experiment as it stands after so many updates, changes at that update included."""
        return [each for first, each in self.segments() if first <= update][-1]

    @property
    def last(self) -> Experiment:
        """The experiment as it stands at the end."""
        return self.segments()[-1].experiment

    @property
    def highest_rank(self) -> int:
        return max(segment.experiment.rank for segment in self.segments())

    def with_change(self, update: int, field: str, value: Any) -> "Course":
        """This course with one change more, which replaces one of the same field at the same update.

        :raises ValueError: as the class.
        """
        kept = (each for each in self.changes if (each.update, each.field) != (update, field))
        return replace(self, changes=(*kept, Change(update, field, value)))

    def text(self) -> str:
        """The changes as a link writes them; empty without any."""
        return text_of(self.changes)

    def to_dict(self) -> dict[str, Any]:
        """The experiment's fields and, if there are any, ``changes`` as plain JSON values."""
        plain = [[update, field, _plain(value)] for update, field, value in self.changes]
        return self.experiment.to_dict() | ({"changes": plain} if plain else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Course":
        """Read what ``to_dict`` writes; a missing field has its default.

        :raises ValueError: an unknown field, a value outside its limit, or a change that is wrong.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"an experiment is {quoted(values)}: it must be a set of named fields.")
        fields = {name: value for name, value in values.items() if name != "changes"}
        changes: Any = values.get("changes", [])
        if not isinstance(changes, list):
            raise ValueError(f"changes is {quoted(changes)}: it must be a list of [update, field, value].")
        return cls(Experiment.from_dict(fields), tuple(changes))


def course_of(given: Experiment | Course) -> Course:
    """The course itself, or the experiment as a course without changes."""
    return given if isinstance(given, Course) else Course(given)


def text_of(changes: Iterable[Change]) -> str:
    """Changes in the words of a link."""
    return "~".join(map(str, changes))


def parse_changes(text: str) -> tuple[Change, ...]:
    """Read the words of a link, ``60:rank=4~120:learning_rate=0.003``; an empty text has no changes.

    :raises ValueError: a part that does not read ``update:field=value``, too many of them, a field that
        cannot change or a value outside its limit.
    """
    return _checked(tuple(_parts(text)), _MOST_EPOCHS)


def _parts(text: str) -> Iterator[tuple[Any, str, Any]]:
    for part in text.split("~") if text.strip() else ():
        update, colon, assignment = part.strip().partition(":")
        field, equals, value = assignment.partition("=")
        if not colon or not equals:
            raise ValueError(f"course holds {quoted(part)}: each change must read {_READS}.")
        whole: Any = int(update) if update.isascii() and update.isdigit() and len(update) < 10 else update
        yield whole, field, LIMITS[field].parse(value) if field in CHANGEABLE else value


def _checked(changes: Any, epochs: int) -> tuple[Change, ...]:
    """Changes in order, each with a legal update, field and value."""
    if not isinstance(changes, tuple | list):
        raise ValueError(f"changes is {quoted(changes)}: it must be a tuple of (update, field, value).")
    if len(changes) > MOST_CHANGES:
        raise ValueError(f"changes has {len(changes)} of them: a course may have up to {MOST_CHANGES}.")
    found = [_read(change, epochs) for change in changes]
    found.sort(key=lambda each: (each.update, CHANGEABLE.index(each.field)))
    for one, other in pairwise(found):
        if one[:2] == other[:2]:
            raise ValueError(
                f"{one.field} changes twice at update {one.update}: it must change once an update."
            )
    return tuple(found)


def _read(change: Any, epochs: int) -> Change:
    if not isinstance(change, tuple | list) or len(change) != 3:
        raise ValueError(f"a change is {quoted(change)}: it must be (update, field, value).")
    update, field, value = change
    if not isinstance(field, str) or field not in CHANGEABLE:
        raise ValueError(
            f"{quoted(field)} cannot change in the middle of a run: it must be one of "
            f"{', '.join(CHANGEABLE)}."
        )
    at = IntRange(0, epochs).read(f"the update of the change of {field}", update)
    return Change(at, field, LIMITS[field].read(field, value))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, StrEnum) else value


def _value_text(value: Any) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
