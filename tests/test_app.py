"""The playground without a browser: every control at both ends, every preset, every verdict, every link."""

from dataclasses import replace

import pytest

from lora_core import PRESETS, Experiment, run
from lora_core.experiment import LIMITS
from lora_core.fields import Flag, FloatRange, IntRange
from lora_core.findings.verdict import verdict
from lora_core.formatting import loss_text
from pages.runtime.runs import AT_ONCE, work
from pages.ui.controls import CONTROLS, value_text
from pages.ui.link import differences
from tests.kit.pages import checked, five_numbers, open_page, said, shown
from tests.kit.runs import CORNERS

QUICK = [name for name, preset in PRESETS.items() if work(preset.experiment) <= AT_ONCE]


def ends(name: str) -> list[object]:
    limit = LIMITS[name]
    if isinstance(limit, IntRange | FloatRange):
        return [limit.least, limit.greatest]
    return [False, True] if isinstance(limit, Flag) else [str(each) for each in limit.kind]


def test_the_formula_breaks_in_no_bracket() -> None:
    (formula,) = [each.value for each in open_page().markdown if each.value.startswith("**W")]
    assert formula.split(" ") == [
        "**W\u00a0=\u00a0W₀\u00a0+\u00a0(8\u00a0/\u00a03)\u00a0A\u00a0B**,", "with",
        "W₀\u00a0(64\u00a0×\u00a064)", "frozen,", "A\u00a0(64\u00a0×\u00a03)", "and",
        "B\u00a0(3\u00a0×\u00a064)", "trained.",
    ]  # fmt: skip


def test_the_first_paint_is_trained_and_one_rank_short() -> None:
    app = open_page()
    found = run(Experiment())
    assert said(app) == verdict(found).sentence
    assert [value for value, _ in five_numbers(app).values()] == [
        "384 of 4,096", "0.204", "nothing", "0.196", "0.248",
    ]  # fmt: skip


def test_the_rank_slider_answers_with_the_run_of_its_rank() -> None:
    app = open_page()
    checked(app.select_slider(key="rank").set_value(4).run())
    assert said(app) == verdict(run(Experiment(rank=4))).sentence
    assert shown(app).rank == 4


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in CONTROLS for value in ends(name)])
def test_a_link_carries_every_field_at_its_ends(name: str, value: object) -> None:
    # Small layers keep it quick: the ends of the sizes themselves come one at a time.
    small = (
        {"in_features": "8", "out_features": "4", "epochs": "5"}
        if "features" not in name
        else {"epochs": "2"}
    )
    app = open_page(**(small | {name: value_text(value)}))
    assert app.session_state[name] == value
    assert not app.warning


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("nonsense", ["", "-1", "1e99", "nan", "∞", "<script>alert(1)</script>", "x" * 5000])
def test_a_link_with_nonsense_opens_on_the_default_and_says_so(name: str, nonsense: str) -> None:
    app = open_page(**{name: nonsense})
    assert app.session_state[name] == getattr(Experiment(), name)
    (warning,) = app.warning
    assert CONTROLS[name].label in warning.value
    assert str(LIMITS[name]) in warning.value
    assert len(warning.value) < 300


def test_a_link_may_write_a_number_in_its_own_way() -> None:
    app = open_page(learning_rate="1e-3", rank=" 17 ", alpha="8.25")
    assert (shown(app).learning_rate, shown(app).rank, shown(app).alpha) == (0.001, 17, 8.25)
    assert not app.warning
    assert app.query_params == {"learning_rate": "0.001", "rank": "17", "alpha": "8.25"}


@pytest.mark.parametrize("kind", CORNERS)
def test_every_verdict_appears_with_something_to_try(kind: str) -> None:
    app = open_page(**differences(CORNERS[kind]))
    found = run(shown(app))
    assert verdict(found).kind == kind
    assert said(app) == verdict(found).sentence
    steps = [button for button in app.button if str(button.key).startswith("try ")]
    assert steps
    before = shown(app)
    checked(steps[0].click().run())
    assert shown(app) != before


@pytest.mark.parametrize("name", QUICK)
def test_every_scene_sets_its_experiment_and_tells_its_verdict(name: str) -> None:
    app = open_page()
    app.session_state["presets"] = True
    checked(app.run().button(key=f"scene {name}").click().run())
    assert shown(app) == PRESETS[name].experiment
    assert said(app) == verdict(run(PRESETS[name].course)).sentence


def test_reset_returns_to_the_default() -> None:
    app = open_page(rank="9", task="digits", seed="7")
    next(button for button in app.button if button.label == "Reset").click().run()
    assert shown(checked(app)) == Experiment()


def test_a_control_that_cannot_apply_shows_the_value_in_use_and_keeps_its_own() -> None:
    link = {"in_features": "16", "out_features": "48", "samples": "100"}
    app = open_page(task="digits", **link)
    for label, used in (("In features", 64), ("Out features", 10), ("Samples", 1297)):
        control = next(each for each in app.select_slider if each.label == label)
        assert control.disabled
        assert control.value == used
        assert "digits fix it" in control.help
    assert {name: "".join(app.query_params[name]) for name in link} == link
    checked(app.select_slider(key="rank").set_value(2).run())
    checked(app.selectbox(key="task").set_value("low-rank").run())
    assert not app.select_slider(key="in_features").disabled
    found = shown(app)
    assert (found.in_features, found.out_features, found.samples, found.rank) == (16, 48, 100, 2)
    assert {name: "".join(app.query_params[name]) for name in link} == link


@pytest.mark.parametrize(("rank", "words"), [("20", "at most rank min(64, 10) = 10"), ("9", "break-even")])
def test_a_rank_beyond_use_is_explained(rank: str, words: str) -> None:
    app = open_page(out_features="10", rank=rank)
    assert any(words in caption.value for caption in app.caption)


def test_pins_travel_in_the_link_as_differences() -> None:
    app = open_page(rank="4", pins="rank:2~rank:8,learning_rate:0.02~nonsense~rank:0")
    names = [button.label for button in app.button if button.label.startswith("Unpin")]
    assert names == ["Unpin rank 2", "Unpin rank 8, learning rate 0.02"]
    checked(app.select_slider(key="rank").set_value(2).run())
    assert app.query_params["pins"] == "rank:2~rank:8,learning_rate:0.02"


def test_a_run_that_diverged_has_no_last_loss() -> None:
    app = open_page(optimizer="sgd", learning_rate="1", alpha="64")
    found = run(Experiment(optimizer="sgd", learning_rate=1.0, alpha=64.0))
    assert found.lora.diverged_at is not None
    assert found.full.diverged_at is None
    final, left, new = (five_numbers(app)[name] for name in ("Ends at", "Training left", "On new data"))
    assert (final[0], left[0], new[0]) == ("diverged", "–", "diverged")
    assert final[1] == f"full {loss_text(found.full.loss[-1])}"


def test_a_long_run_grows_tick_by_tick_and_ends_as_the_run() -> None:
    experiment = replace(Experiment(), in_features=256, out_features=256, epochs=400)
    assert work(experiment) > AT_ONCE
    app = open_page(in_features="256", out_features="256", epochs="400")
    for _ in range(60):
        growing = said(app).startswith("Training")
        assert ("Stands at" if growing else "Ends at") in five_numbers(app)
        if not growing:
            break
        checked(app.run())
    assert said(app) == verdict(run(experiment)).sentence
