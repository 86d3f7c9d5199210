"""All model types of six mappings of transformers, counted as transformers and PEFT count them.

The share that is refused, and why, is printed; run with `-s` to read it.
"""

import pytest

from tests.kit.sweep import Result, cases, check

CHUNKS = 16
MOST_REFUSED = 0.05

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_type_counts_what_transformers_and_peft_count(
    chunk: int, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = cases()[chunk::CHUNKS]
    results = [result for kind, name in mine for result in check(kind, name)]
    wrong = [result for result in results if result.wrong]
    assert not wrong, wrong
    refused = [result for result in results if result.refused]
    with capsys.disabled():
        for word in ("refused", "peft_refuses", "cannot_be"):
            said = [result for result in results if getattr(result, word)]
            print(f"\n{word}: {len(said)} of {len(results)}", *map(short, said), sep="\n  ")
    assert len(refused) <= max(1, MOST_REFUSED * len(results))
    assert sum(not (each.refused or each.peft_refuses or each.cannot_be) for each in results) > len(mine)


def short(result: Result) -> str:
    """One line: the class, and the reason it was not counted."""
    why = " ".join((result.refused or result.peft_refuses or result.cannot_be).split())
    return f"{result.case}: {why}"[:160]


def test_the_mappings_are_those_of_the_transformers_that_is_pinned() -> None:
    """A newer one has more: then the sweep is longer, and this number is to be raised."""
    assert len(cases()) == 419
    assert len({kind for kind, _ in cases()}) > 300
