"""A talk: scenes in order, each an experiment, a question, a guess and a sentence, read from one file.

The file is TOML that a speaker edits (``scenes.toml``, whose head explains it). An error in it raises one
ValueError that names scene, field, value and range. ``check`` then compares a scene with its computed
numbers: the true value must lie on the slider, one answer must be right, and every claim must hold.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lora_core.course import Change, Course, parse_changes
from lora_core.experiment import LIMITS, Experiment, Task
from lora_core.fields import quoted
from lora_core.network.experiment import NETWORK_LIMITS, NetworkExperiment
from lora_core.talk.expressions import Comparison, check_names, check_template, read_comparison
from lora_core.talk.network_numbers import NETWORK_NUMBERS
from lora_core.talk.numbers import BESIDE, NUMBERS, Number, SceneNumbers, Unit
from lora_core.text_file import parsed_toml

FILE = Path(__file__).with_name("scenes.toml")
MOST_SCENES, MOST_BYTES = 40, 100_000
MOST_DOTS = 500
"""In a line: tomllib's time for a dotted key grows with the square of its parts."""
MOST_TITLE, MOST_QUESTION, MOST_SENTENCE, MOST_CHOICE, MOST_NOTES = 40, 120, 170, 30, 600
"""In letters: the first three fit on two lines of the stage, the fourth on a button, the last in a window."""
CHOICES = range(2, 6)
STEPS = range(1, 9)
MOST_CLAIMS = 8
VIEWS = ("loss", "ranks", "share", "digits", "words", "layer", "picture")
"""What a scene shows: a run, every rank, numbers trained, pictures that are read, what a small network
writes; drawings grown by key."""
DRAWINGS = ("layer", "picture")
"""Views that explain: they grow in ``steps`` and ask nothing."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_FIELDS = (
    "title", "question", "sentence", "experiment", "beside", "view", "guess", "choices", "claims",
    "steps", "notes", "course",
)  # fmt: skip


class Known(NamedTuple):
    """Whether there is a run beside the scene's, and the numbers that both have."""

    beside: bool
    numbers: Mapping[str, Number]


@dataclass(frozen=True)
class Guess:
    """A number with its unit that the room guesses on a slider between two ends."""

    number: str
    least: float
    greatest: float
    unit: Unit

    @property
    def options(self) -> tuple[float, ...]:
        """The slider's values: even steps by ratio for losses and factors, whole steps otherwise."""
        return tuple(_steps(self.unit, self.least, self.greatest))

    def text(self, value: float) -> str:
        """A guess as it is read on the slider: 0.5, 20 times, 30 %, 4,096."""
        return f"{value:,.10g}{ {Unit.TIMES: ' times', Unit.PERCENT: ' %'}.get(self.unit, '') }"


@dataclass(frozen=True)
class Answer:
    """One of the answers to choose from, and the comparisons that all hold where it is the right one."""

    says: str
    when: tuple[Comparison, ...]


@dataclass(frozen=True)
class Scene:
    """A question about an experiment, with a ``guess`` or ``choices``; or a drawing that grows in ``steps``.

    ``view`` says what is shown (``VIEWS``). ``notes`` are for the speaker alone. The view ``words`` is about
    ``network``, and ``network_beside``, in place of ``experiment`` and ``beside``. ``changes`` happen on the
    way of the scene's run, in the view of its loss.
    """

    name: str
    title: str
    question: str
    sentence: str
    experiment: Experiment
    beside: Experiment | None
    view: str
    guess: Guess | None
    choices: tuple[Answer, ...]
    claims: tuple[Comparison, ...]
    steps: tuple[str, ...] = ()
    notes: str = ""
    network: NetworkExperiment | None = None
    network_beside: NetworkExperiment | None = None
    changes: tuple[Change, ...] = ()

    @property
    def course(self) -> Course:
        return Course(self.experiment, self.changes)

    @property
    def asks(self) -> bool:
        """Whether there is something to guess and to reveal."""
        return not self.steps

    def right_answer(self, facts: SceneNumbers) -> Answer:
        """The answer whose comparisons hold; ``check`` has made sure that it is one."""
        return next(choice for choice in self.choices if all(each.holds(facts) for each in choice.when))


@dataclass(frozen=True)
class Talk:
    """The scenes in their order, and the text they were read from."""

    scenes: tuple[Scene, ...]
    text: str

    def place(self, name: str) -> int | None:
        """The place of the scene of that name, or None."""
        return next((place for place, scene in enumerate(self.scenes) if scene.name == name), None)


@lru_cache(maxsize=1)
def own_talk() -> Talk:
    """The talk that comes with the playground."""
    return read_talk(FILE.read_text(encoding="utf-8"))


def read_talk(text: str) -> Talk:
    """Read a talk from the text of its file.

    :raises ValueError: what is wrong, naming scene, field, value and range.
    """
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"the talk has {len(text.encode()):,} bytes: at most {MOST_BYTES:,} are read.")
    dots = max((line.count(".") for line in text.splitlines()), default=0)
    if dots > MOST_DOTS:
        raise ValueError(f"the talk has a line with {dots:,} dots: at most {MOST_DOTS} are read.")
    tables = parsed_toml(text, "the talk")
    if not 1 <= len(tables) <= MOST_SCENES:
        raise ValueError(f"the talk has {len(tables)} scenes: it must have from 1 to {MOST_SCENES}.")
    return Talk(tuple(_scene(name, table) for name, table in tables.items()), text)


def check(scene: Scene, facts: SceneNumbers) -> None:
    """Hold a scene against its computed numbers.

    :raises ValueError: a truth beyond the slider, no right answer or two, or a claim that does not hold.
    """
    if scene.guess is not None:
        truth, guess = facts.value(scene.guess.number), scene.guess
        if not guess.least <= truth <= guess.greatest:
            raise _refusal(
                scene.name, "guess", guess.number,
                f"computed as {facts.text(guess.number)}, and it must lie on the slider from "
                f"{guess.text(guess.least)} to {guess.text(guess.greatest)}",
            )  # fmt: skip
    elif scene.choices:
        right = [choice.says for choice in scene.choices if all(each.holds(facts) for each in choice.when)]
        if len(right) != 1:
            found = " and ".join(map(repr, right)) or "none"
            raise _refusal(scene.name, "choices", found, "right, and exactly one answer must be")
    for claim in scene.claims:
        if not claim.holds(facts):
            names = [term.name for term in (claim.left, claim.right) if term.name]
            values = ", ".join(f"{name} = {facts.value(name):.6g}" for name in names)
            raise _refusal(scene.name, "claims", repr(claim.text), f"false, for {values}")


def _scene(name: str, table: Any) -> Scene:
    if not _NAME.fullmatch(name):
        raise ValueError(f"scene {name[:40]!r}: a name has up to 40 small letters, digits and hyphens.")
    if not isinstance(table, Mapping):
        raise ValueError(f"scene {name}: it must be a table, opened by [{name}].")
    for field in table:
        if field not in _FIELDS:
            raise ValueError(f"scene {name}: {field[:40]} is no field: the fields are {', '.join(_FIELDS)}.")
    view = table.get("view", VIEWS[0])
    if view not in VIEWS:
        raise _refusal(name, "view", _shown(view), f"and it must be one of {', '.join(VIEWS)}")
    of_network = view == "words"
    experiment: Any = _experiment(
        name, "experiment", table.get("experiment", {}), NetworkExperiment() if of_network else Experiment()
    )
    beside: Any = None if "beside" not in table else _experiment(name, "beside", table["beside"], experiment)
    together = Known(beside is not None, NETWORK_NUMBERS if of_network else NUMBERS)
    own, network = (Experiment(), None), (experiment, beside)
    if not of_network:
        own, network = network, (None, None)
    _check_view(name, view, table, own[0])
    return Scene(
        name,
        _text(name, table, "title", MOST_TITLE),
        _template(name, table, "question", MOST_QUESTION, together),
        "" if view in DRAWINGS else _template(name, table, "sentence", MOST_SENTENCE, together),
        *own, view,
        _guess(name, table["guess"], together) if "guess" in table else None,
        _choices(name, table["choices"], together) if "choices" in table else (),
        _comparisons(name, "claims", table.get("claims", []), together),
        _steps_of(name, table["steps"], together) if "steps" in table else (),
        _text(name, table, "notes", MOST_NOTES) if "notes" in table else "", *network,
        _changes(name, table["course"], view, experiment) if "course" in table else (),
    )  # fmt: skip


def _check_view(name: str, view: str, table: Mapping[str, Any], experiment: Experiment) -> None:
    """Check that a drawing has steps and nothing to guess, and any other view one thing to guess.

    :raises ValueError: fields that do not go with the view, or digits without digits.
    """
    if view in DRAWINGS:
        extra = [field for field in ("guess", "choices", "sentence") if field in table]
        if extra or "steps" not in table:
            given = f"beside {extra[0]}" if extra else "without steps"
            raise _refusal(name, "view", f"{view} {given}", "and it must have steps and nothing to guess")
        return
    if "steps" in table:
        raise _refusal(name, "steps", f"beside view {view}", f"and only {' and '.join(DRAWINGS)} have steps")
    if ("guess" in table) == ("choices" in table):
        given = "both" if "guess" in table else "neither"
        raise _refusal(name, "guess or choices", given, "and it must be one of the two")
    if view == "digits" and (experiment.task is not Task.DIGITS or experiment.train_bias):
        raise _refusal(name, "view", view, "and it must show a task of digits, without train_bias")


def _steps_of(name: str, texts: Any, known: Known) -> tuple[str, ...]:
    good = isinstance(texts, list) and len(texts) in STEPS
    if not good:
        raise _refusal(
            name, "steps", len(texts) if isinstance(texts, list) else _shown(texts),
            f"and there must be from {STEPS[0]} to {STEPS[-1]} sentences",
        )  # fmt: skip
    return tuple(_template(name, {"steps": text}, "steps", MOST_SENTENCE, known) for text in texts)


def _changes(name: str, text: Any, view: str, experiment: Experiment) -> tuple[Change, ...]:
    if not isinstance(text, str) or view != VIEWS[0]:
        raise _refusal(name, "course", _shown(text), f"and it must be a text, in the view {VIEWS[0]}")
    try:
        return Course(experiment, parse_changes(text)).changes
    except ValueError as error:
        raise ValueError(f"scene {name}: course: {error}") from error


def _experiment(
    name: str, field: str, changes: Any, origin: Experiment | NetworkExperiment
) -> Experiment | NetworkExperiment:
    limits = NETWORK_LIMITS if isinstance(origin, NetworkExperiment) else LIMITS
    if not isinstance(changes, Mapping):
        raise _refusal(name, field, _shown(changes), "and it must be fields, as in { rank = 4 }")
    for each in changes:
        if each not in limits:
            known = ", ".join(limits)
            raise ValueError(f"scene {name}: {field}.{each[:40]} is no field of an experiment: {known}.")
    try:
        return replace(origin, **changes)
    except ValueError as error:
        raise ValueError(f"scene {name}: {field}.{error}") from error


def _text(name: str, table: Mapping[str, Any], field: str, most: int) -> str:
    text = table.get(field)
    if not isinstance(text, str) or not 1 <= len(" ".join(text.split())) <= most:
        raise _refusal(name, field, _shown(text), f"and it must be a text of 1 to {most} letters")
    return " ".join(text.split())


def _template(name: str, table: Mapping[str, Any], field: str, most: int, known: Known) -> str:
    text = _text(name, table, field, most)
    try:
        check_template(text, *known)
    except ValueError as error:
        raise ValueError(f"scene {name}: {field}: {error}") from error
    return text


def _guess(name: str, table: Any, known: Known) -> Guess:
    keys = {"number", "from", "to"}
    if not isinstance(table, Mapping) or set(table) != keys:
        raise _refusal(name, "guess", _shown(table), "and it must have number, from and to")
    number, ends = table["number"], (table["from"], table["to"])
    try:
        check_names([str(number)], *known)
    except ValueError as error:
        raise ValueError(f"scene {name}: guess.number: {error}") from error
    unit = known.numbers[str(number).removeprefix(BESIDE)].unit
    least, greatest = (_end(name, key, end) for key, end in zip(("from", "to"), ends, strict=True))
    guess = Guess(str(number), least, greatest, unit)
    lowest = {Unit.LOSS: 1e-9, Unit.TIMES: 1e-9, Unit.RANK: 1}.get(guess.unit, 0)
    if not lowest <= guess.least < guess.greatest <= 1e9:
        raise _refusal(
            name, "guess", f"from {guess.least:g} to {guess.greatest:g}",
            f"and 'from' must be at least {lowest:g} and below 'to', which is at most 1e9",
        )  # fmt: skip
    return guess


def _end(name: str, key: str, value: Any) -> float:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not (real and -1e9 <= value <= 1e9):  # before it is made a float, which not every whole number can be
        raise _refusal(name, f"guess.{key}", _shown(value), "and it must be a number from -1e9 to 1e9")
    return float(value)


def _choices(name: str, tables: Any, known: Known) -> tuple[Answer, ...]:
    if not isinstance(tables, list) or len(tables) not in CHOICES:
        count = len(tables) if isinstance(tables, list) else _shown(tables)
        raise _refusal(name, "choices", count, f"and there must be from {CHOICES[0]} to {CHOICES[-1]}")
    found = []
    for table in tables:
        if not isinstance(table, Mapping) or set(table) != {"says", "when"}:
            raise _refusal(name, "choices", _shown(table), "and each must have says and when")
        found.append(
            Answer(
                _text(name, table, "says", MOST_CHOICE),
                _comparisons(name, "when", table["when"], known),
            )
        )
    if len({choice.says for choice in found}) < len(found):
        raise _refusal(name, "choices", "the same answer twice", "and each must say something else")
    return tuple(found)


def _comparisons(name: str, field: str, texts: Any, known: Known) -> tuple[Comparison, ...]:
    texts = [texts] if isinstance(texts, str) else texts
    good = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    if not good or len(texts) > MOST_CLAIMS or (field == "when" and not texts):
        raise _refusal(name, field, _shown(texts), f"and it must be up to {MOST_CLAIMS} comparisons")
    try:
        return tuple(read_comparison(text, *known) for text in texts)
    except ValueError as error:
        raise ValueError(f"scene {name}: {field}: {error}") from error


def _steps(unit: Unit, least: float, greatest: float) -> list[float]:
    if unit is Unit.RANK:
        ladder = (*range(1, 17), 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
        return sorted({least, *(float(rank) for rank in ladder if least < rank < greatest), greatest})
    if unit in (Unit.LOSS, Unit.TIMES) and greatest >= 10 * least:
        ends = math.ceil(10 * math.log10(least)), math.floor(10 * math.log10(greatest))
        inner = [float(f"{10 ** (tenth / 10):.2g}") for tenth in range(ends[0], ends[1] + 1)]
        return sorted({least, *(value for value in inner if least < value < greatest), greatest})
    rough = (greatest - least) / 40
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.999 * rough)
    first = math.floor(least / step) + 1
    inner = [float(f"{place * step:.10g}") for place in range(first, math.ceil(greatest / step))]
    return [least, *(value for value in inner if least < value < greatest), greatest]


def _refusal(scene: str, field: str, value: object, must: str) -> ValueError:
    return ValueError(f"scene {scene}: {field} is {value}, {must}." if must.startswith("and ")
                      else f"scene {scene}: {field}: {value} is {must}.")  # fmt: skip


def _shown(value: object) -> str:
    return "missing" if value is None else quoted(value)
