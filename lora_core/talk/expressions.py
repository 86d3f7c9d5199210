"""The language of a talk's sentences and claims: ``{final_loss}``, and ``final_loss < 1.05 * floor``.

Names of numbers in braces and comparisons of two numbers are parsed by the small grammars below and by
nothing else: a file can reach no attribute, call or format string of Python's.
"""

import operator
import re
from collections.abc import Mapping
from typing import NamedTuple

from lora_core.talk.numbers import BESIDE, IN_BRACES, NAME, NUMBERS, Number, SceneNumbers

_TERM = rf"(?:(\d+(?:\.\d+)?(?:e-?\d+)?)(?:\s*\*\s*({NAME}))?|({NAME}))"
_COMPARISON = re.compile(rf"\s*{_TERM}\s*(<=|>=|<|>|=)\s*{_TERM}\s*")
_RELATIONS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge, "=": operator.eq}


class Term(NamedTuple):
    """A factor times a number, or the factor alone."""

    factor: float
    name: str | None

    def value(self, facts: SceneNumbers) -> float:
        return self.factor * (1.0 if self.name is None else facts.value(self.name))


class Comparison(NamedTuple):
    """Two terms and how the first stands to the second; ``text`` is as it was written."""

    text: str
    left: Term
    relation: str
    right: Term

    def holds(self, facts: SceneNumbers) -> bool:
        return bool(_RELATIONS[self.relation](self.left.value(facts), self.right.value(facts)))


def read_comparison(text: str, beside: bool, known: Mapping[str, Number] = NUMBERS) -> Comparison:
    """Read ``number < number``, where a number is a name, a figure, or ``figure * name``.

    :raises ValueError: anything else, or a name that is none of those ``known``.
    """
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} must compare two numbers, as in 'final_loss < 1.05 * floor'.")
    check_names([name for name in (found[2], found[3], found[6], found[7]) if name], beside, known)
    left = Term(float(found[1] or 1), found[2] or found[3])
    right = Term(float(found[5] or 1), found[6] or found[7])
    return Comparison(text, left, found[4], right)


def check_template(text: str, beside: bool, known: Mapping[str, Number] = NUMBERS) -> None:
    """Check that all braces of a sentence hold a known name.

    :raises ValueError: a brace that holds anything else.
    """
    check_names(IN_BRACES.findall(text), beside, known)
    rest = IN_BRACES.sub("", text)
    if "{" in rest or "}" in rest:
        raise ValueError("braces must hold the name of a number, as in {final_loss}.")


def check_names(names: list[str], beside: bool, known: Mapping[str, Number] = NUMBERS) -> None:
    """Check that names are among the ``known`` numbers.

    :raises ValueError: an unknown name, or ``beside.`` in a scene with nothing beside.
    """
    for name in names:
        if name.removeprefix(BESIDE) not in known:
            raise ValueError(f"{name} is no number of a run: there are {', '.join(known)}.")
        if name.startswith(BESIDE) and not beside:
            raise ValueError(f"{name} needs a run beside the scene's: give it 'beside'.")
