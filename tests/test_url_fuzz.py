"""Links that nobody vouches for, drawn by hypothesis: a page opens, says what is wrong, and shows its run."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from lora_core import Experiment, run
from lora_core.experiment import LIMITS
from lora_core.findings.verdict import verdict
from pages.ui.controls import CONTROLS, value_text
from pages.ui.frame import PAGES
from tests.kit.pages import at_link, checked, open_page, said, shown

SMALL = {
    "in_features": ["2", "7", "16", "64", " 16 ", "+8"],
    "out_features": ["2", "10", "33", "1e1"],
    "samples": ["16", "100", "256"],
    "epochs": ["1", "20", "100"],
    "rank": ["1", "4", "33", "1024", "007"],
}
"""Values of the fields that make a run long; of the others any is quick."""
QUICK = {
    **{name: ["2", "3", "5", "16", "64"] for name in ("in_features", "out_features")},
    **{name: ["1", "2", "3", "4", "9", "33", "128"] for name in ("rank", "true_rank")},
    "samples": ["16", "24", "256"],
    "epochs": ["1", "2", "9", "50"],
}
"""Of the fields that make a run long, values that meet in many corners."""
NONSENSE = [
    *("", " ", "-1", "0", "1e99", "nan", "inf", "∞", "٣", "null", "undefined", "[]", "{}", "1,5", "0x10"),
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "{{7*7}}"),
    *("`` ` ``", "$x^2$", "**bold** [a](http://example.org)", ":material/home:", ":red[x]", "1_000"),
    *("../../etc/passwd", "%00", "\x00", "\u202e\u2066", "a" * 3000, "9" * 500, "🦄" * 60, "1e999", "-inf"),
]

APART = ("pages/3_On_stage.py", "pages/5_Real_models.py", "pages/7_A_small_network.py")
"""The pages with experiments of their own; the stage may warn of its address too."""

texts = st.one_of(st.sampled_from(NONSENSE), st.text(max_size=60))


def ends_of(name: str) -> list[str]:
    """A field's least and greatest value, as a link says them; of a switch both."""
    limit = LIMITS[name]
    return [str(getattr(limit, "least", "true")), str(getattr(limit, "greatest", "false"))]


def names_of(name: str) -> list[str]:
    """The values of a field that has a few with names."""
    return [str(each) for each in getattr(LIMITS[name], "kind", ())]


def words_of(name: str) -> st.SearchStrategy[str]:
    """What a link may say of a field: nonsense, or a value that trains in a moment."""
    if name in SMALL:
        return st.one_of(st.sampled_from(SMALL[name]), st.sampled_from(NONSENSE))
    return st.one_of(st.sampled_from([*ends_of(name), *names_of(name)]), texts)


links = st.fixed_dictionaries(
    {},
    optional={name: words_of(name) for name in CONTROLS}
    | {"pins": st.one_of(texts, st.just("rank:4~rank:8,learning_rate:0.03~rank:0~:::"))}
    | {"utm": texts, "embed": texts},
)


def values_of(name: str) -> st.SearchStrategy[str]:
    """What a link may say of a field that is within its limit and trains in a moment."""
    if name in QUICK:
        return st.sampled_from(QUICK[name])
    return st.sampled_from([*(names_of(name) or ends_of(name)), *map(value_text, CONTROLS[name].options)])


few = st.lists(st.sampled_from(sorted(CONTROLS)), min_size=1, max_size=4, unique=True)
experiments = few.flatmap(lambda names: st.fixed_dictionaries({name: values_of(name) for name in names}))


def meant(name: str, text: str) -> Any:
    """The value that a link's word stands for, or None where it is none within the limit."""
    try:
        return LIMITS[name].read(name, LIMITS[name].parse(text.strip()))
    except ValueError:
        return None


@settings(max_examples=30)
@given(links)
@example({"seed": "1e999"})
@example({"seed": "-inf", "rank": "nan", "alpha": "inf"})
def test_any_link_opens_on_what_it_says_or_complains(link: dict[str, str]) -> None:
    app = open_page(**link)

    wrong = [name for name in CONTROLS if name in link and meant(name, link[name]) is None]
    for name in CONTROLS:
        value = meant(name, link[name]) if name in link else None
        assert app.session_state[name] == (getattr(Experiment(), name) if value is None else value)
    complaints = [each.value for each in app.warning]
    assert len(complaints) == len(wrong)
    for name, sentence in zip(wrong, complaints, strict=True):
        assert sentence.startswith(f"{CONTROLS[name].label} in the link is `")
        assert sentence.count("`") == 2  # what was sent stays inside its code span
        assert len(sentence) < 300
        assert sentence.isprintable()

    assert said(app) == verdict(run(shown(app))).sentence
    assert not any(each.proto.allow_html for each in app.markdown)


@settings(max_examples=60)
@given(experiments, st.sampled_from([script for script, *_ in PAGES]))
@example({"in_features": "3", "out_features": "2", "rank": "2"}, "pages/2_Inside_the_layer.py")
@example({"task": "power-law", "rank": "1"}, "pages/1_Every_rank.py")
def test_any_experiment_is_shown_on_any_page(link: dict[str, str], page: str) -> None:
    app = checked(at_link(page, **link).run())
    warned = [each.value for each in app.warning]
    checked(app.run())  # what a page draws in its second run only
    if page not in APART:
        assert warned == []
        assert shown(app) == Experiment(**{name: meant(name, text) for name, text in link.items()})
