"""All model types of six mappings of transformers, counted as transformers and PEFT count them.

The share that is refused, and why, is printed at the end of the run.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.sweep import Result, cases, check

CHUNKS = 16
MOST_REFUSED = 0.05

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for this run alone, the same for all processes that share the tests."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "sweep"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_type_counts_what_transformers_and_peft_count(
    chunk: int, outcomes: Path, record_property: Callable[[str, object], None]
) -> None:
    mine = cases()[chunk::CHUNKS]
    results = [result for kind, name in mine for result in check(kind, name)]
    wrong = [result for result in results if result.wrong]
    assert not wrong, wrong
    lines = [json.dumps([result.outcome, short(result)]) for result in results]
    unfinished = outcomes / f"{chunk}.part"
    unfinished.write_text("\n".join(lines), encoding="utf-8")
    unfinished.rename(outcomes / f"{chunk}.done")
    found = [path.read_text(encoding="utf-8") for path in outcomes.glob("*.done")]
    if len(found) == CHUNKS:  # the one that ends last speaks for all
        results = [tuple(json.loads(line)) for part in found for line in part.splitlines()]
        record_property("to be read", words_on(results))
        check_shares(results)


def words_on(results: list[tuple[str, str]]) -> str:
    """What became of all types, with the reasons for those that were not counted."""
    lines = []
    for outcome in ("refused", "PEFT refuses", "cannot be built"):
        said = sorted(words for kind, words in results if kind == outcome)
        lines += [f"{outcome}: {len(said)} of {len(results)}, {len(said) / len(results):.1%}"]
        lines += [f"  {words}" for words in said]
    return "\n".join(lines)


def check_shares(results: list[tuple[str, str]]) -> None:
    """Nearly all must be counted, few refused."""
    shares = Counter(outcome for outcome, _ in results)
    assert shares["refused"] <= MOST_REFUSED * len(results)
    assert shares["counted"] > 0.75 * len(results)


def short(result: Result) -> str:
    """One line: the class, and the reason it was not counted."""
    return f"{result.case}: {' '.join(result.why.split())}"[:160]


def test_the_share_of_refused_types_is_held() -> None:
    results = [("counted", "")] * 95 + [("refused", "x: y")] * 5
    assert words_on(results).startswith("refused: 5 of 100, 5.0%\n  x: y\n")
    check_shares(results)
    with pytest.raises(AssertionError):
        check_shares([("counted", "")] * 94 + [("refused", "x: y")] * 6)


def test_the_mappings_are_those_of_the_transformers_that_is_pinned() -> None:
    """A newer one has more: then the sweep is longer, and this number is to be raised."""
    assert len(cases()) == 419
    assert len({kind for kind, _ in cases()}) > 300
