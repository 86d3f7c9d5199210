"""Changes in the middle of a run on the pages: a control moved from here on, links, chips, files, ghosts."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from lora_core import Course, Experiment, run
from lora_core.experiment import Optimizer
from lora_core.export import torch_script
from lora_core.figures.inside.matrices import label, matrices_info
from lora_core.figures.loss.drawing import loss_drawing
from lora_core.figures.loss.numbers import loss_info, table
from lora_core.findings.outcome import outcome_of_run
from lora_core.findings.verdict import verdict_on
from pages.adapter.opened import _TRAINED
from pages.playground.changes import cut_words
from pages.playground.exports import _parsed, _written, run_table
from pages.runtime.courses import is_quick, rank_plan, train_plan
from pages.ui.on_the_way import _CHANGES, _FROM_HERE
from tests.kit.pages import checked, open_page, said, shown
from tests.test_live_chart_message import unpack

MORE = Course(Experiment(), ((100, "rank", 4),))


def chart_of(app) -> dict:
    (chart,) = (
        each.proto for each in app.get("bidi_component")
        if each.proto.component_name == "live_chart" and each.proto.bytes
    )  # fmt: skip
    return unpack(chart.bytes)


def here(app, update: int):
    """Let changes apply from this update on."""
    app.session_state[_FROM_HERE], app.session_state["epoch"] = True, update
    return checked(app.run())


def link_of(app) -> str:
    return "".join(app.query_params.get("course", ""))


def test_a_link_with_a_course_opens_its_run() -> None:
    app = open_page(course="100:rank=4")
    assert said(app) == verdict_on(outcome_of_run(run(MORE))).sentence
    message = chart_of(app)
    assert message["marks"] == [[100, "rank 4"]]
    assert message["run"] == run(MORE).fingerprint
    assert shown(app) == Experiment()
    checked(app.button(key=f"take back {MORE.changes[0]}").click().run())
    assert chart_of(app)["marks"] == []
    assert chart_of(app)["run"] == run(Experiment()).fingerprint
    assert link_of(app) == ""


MOVES = [
    ("rank", 4, "60:rank=4"), ("learning_rate", 0.005, "60:learning_rate=0.005"),
    ("alpha", 16.0, "60:alpha=16"),
    ("scaling_rule", "rslora", "60:scaling_rule=rslora"), ("optimizer", "sgd", "60:optimizer=sgd"),
    ("lr_ratio", 4.0, "60:lr_ratio=4"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "text"), MOVES)
def test_a_moved_control_changes_the_run_from_here_on(name: str, value, text: str) -> None:
    app = here(open_page(), 60)
    control = app.selectbox(key=name) if isinstance(value, str) else app.select_slider(key=name)
    checked(control.set_value(value).run())
    course = Course(Experiment(), ((60, name, value),))
    assert link_of(app) == text
    assert shown(app) == Experiment()  # the sidebar holds the start
    message = chart_of(app)
    assert message["run"] == run(course).fingerprint
    ghost = next(trace for trace in message["figure"]["data"] if trace["name"].startswith("Before"))
    assert ghost["name"] == "Before: without a change"
    assert np.asarray(ghost["y"])[-1] == run(Experiment()).lora.loss[-1]
    assert app.session_state["epoch"] == 60


def test_a_second_move_at_the_same_update_replaces_the_first() -> None:
    app = here(open_page(), 60)
    for rank in (4, 5):
        checked(app.select_slider(key="rank").set_value(rank).run())
    assert link_of(app) == "60:rank=5"
    here(app, 90)
    checked(app.select_slider(key="learning_rate").set_value(0.001).run())
    assert link_of(app) == "60:rank=5~90:learning_rate=0.001"
    checked(app.switch_page("pages/1_Every_rank.py").run())
    checked(app.switch_page("app.py").run())
    assert link_of(app) == "60:rank=5~90:learning_rate=0.001"
    (reset,) = (button for button in app.button if button.label == "Reset")
    checked(reset.click().run())
    assert link_of(app) == ""


def test_from_the_start_a_control_moves_the_start_and_keeps_the_changes() -> None:
    app = open_page(course="100:learning_rate=0.005")
    checked(app.select_slider(key="rank").set_value(4).run())
    assert shown(app) == Experiment(rank=4)
    course = Course(Experiment(rank=4), ((100, "learning_rate", 0.005),))
    assert chart_of(app)["run"] == run(course).fingerprint


def test_a_ninth_change_is_refused_in_a_sentence() -> None:
    app = here(open_page(course="~".join(f"{i}:rank={4 + i}" for i in range(8))), 60)
    checked(app.select_slider(key="alpha").set_value(16.0).run())
    assert "A run may change 8 times: take one change back first." in [each.value for each in app.caption]
    assert "alpha" not in link_of(app)


def test_a_change_beyond_the_epochs_waits() -> None:
    app = open_page(course="100:rank=4", epochs="50")
    assert chart_of(app)["run"] == run(Experiment(epochs=50)).fingerprint
    assert [b.label for b in app.button if "rank 4" in b.label] == ["100: rank 4 (beyond the end)"]
    checked(app.select_slider(key="epochs").set_value(200).run())
    assert chart_of(app)["run"] == run(MORE).fingerprint


NONSENSE = [
    "",
    "60",
    "60:rank",
    "60:rank=0",
    "60:seed=3",
    "-1:rank=4",
    "60:rank=4~60:rank=5",
    "x" * 5000,
    "`a`",
]


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_in_a_link_is_one_sentence(text: str) -> None:
    app = open_page(course=text)
    assert chart_of(app)["run"] == run(Experiment()).fingerprint
    assert link_of(app) == ""
    assert len(app.warning) == bool(text)
    for warning in app.warning:
        assert warning.value.startswith("The course in the link was left out: `")
        assert len(warning.value) < 400
    assert app.session_state[_CHANGES] == ()


def test_files_hold_the_course() -> None:
    assert _parsed(json.dumps(MORE.to_dict()).encode()) == (MORE, [])
    rows = pd.read_csv(io.StringIO(run_table(run(MORE)).to_csv()))
    assert rows["lora_rank"].tolist() == [3] * 100 + [4] * 101
    assert rows["lora_loss"].to_numpy() == pytest.approx(run(MORE).lora.loss, rel=1e-12)
    assert "lora_rank" not in run_table(run(Experiment()))
    with pytest.raises(ValueError, match="changes has 9 of them: a course may have up to 8"):
        _parsed(json.dumps(MORE.to_dict() | {"changes": [[i, "rank", 5] for i in range(9)]}).encode())
    assert Course.from_dict(json.loads(_written(MORE))) == MORE


def test_the_floor_steps_where_the_rank_does() -> None:
    found = run(
        Course(Experiment(rank=6), ((40, "rank", 3), (90, "optimizer", Optimizer.SGD), (120, "rank", 5)))
    )
    info, floors = loss_info(found), found.floors
    own, full = info.floors
    assert (own.value, own.since, own.steps) == (floors[5], 120, ((0, floors[6]), (40, floors[3])))
    assert (full.value, full.since, full.steps) == (floors[-1], 0, ())
    assert info.curves[0].label == "LoRA, rank 6 → 3 → 5"
    assert [jump.update for jump in info.curves[0].jumps] == [40]
    column = table(info)[own.label]
    assert column[[0, 39, 40, 119, 120, 200]].tolist() == [floors[r] for r in (6, 6, 3, 3, 5, 5)]
    drawing = loss_drawing(info)
    (past,) = (trace for trace in drawing["data"] if trace["meta"]["kind"] == "floor")
    assert past["x"] == [0, 40, 40, 120, 120]
    assert past["y"] == [floors[r] for r in (6, 6, 3, 3, 5)]
    assert drawing["layout"]["shapes"][0]["x0"] == 120


def test_a_cut_says_what_it_costs_and_what_the_least_is() -> None:
    found = run(Course(Experiment(rank=8), ((100, "rank", 3),)))
    (words,) = cut_words(found)
    assert words.startswith("The cut to rank 3 costs 0.218 at once (0.00972 to 0.227). ")
    assert "its floor, 0.204, is drawn" in words


def test_the_live_control_has_every_rank_from_the_shown_update_on() -> None:
    e = Experiment(in_features=8, out_features=6, epochs=60)
    plan = rank_plan(Course(e, ((20, "alpha", 4.0), (30, "rank", 5))), 30)
    assert plan == rank_plan(Course(e, ((20, "alpha", 4.0),)), 30)
    *_, sweep = train_plan(plan)
    assert sweep.complete
    for place, rank in enumerate(sweep.ranks):
        course = Course(e, ((20, "alpha", 4.0), (30, "rank", rank)))
        assert sweep.loss[place, 0].tolist() == run(course).lora.loss.tolist()
    assert is_quick(plan)
    assert not is_quick(rank_plan(Course(e, ((40, "rank", 5),)), 30))  # its rank would not be the last


WAY = Course(Experiment(epochs=100), ((20, "rank", 6), (40, "alpha", 2.0), (70, "rank", 2)))
WAY_LINK = {"course": WAY.text(), "epochs": "100"}


def test_the_matrices_have_the_rank_in_force() -> None:
    found = run(WAY)
    info = matrices_info(found)
    for place, update in enumerate(info.updates):
        e, snapshot = WAY.in_force(update), found.lora.snapshots[update]
        assert snapshot.B is not None
        delta = e.scaling * snapshot.A @ snapshot.B
        np.testing.assert_allclose(info.delta[place], delta, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(info.scalings[place] * info.A[place] @ info.B[place], delta, atol=1e-5)
        assert info.norms["delta"][place] == pytest.approx(float(delta.norm()), rel=1e-9)
        assert label(info, "A", place)[0] == f"64 × {e.rank}"
        assert label(info, "B", place)[0] == f"{e.rank} × 64"
        assert not info.A[place][:, e.rank :].any()
    assert {20, 70} <= set(info.updates)


@pytest.mark.parametrize("update", [10, 20, 50, 100])
@pytest.mark.parametrize("view", ["Matrices", "One input", "Parts", "Proofs"])
def test_the_page_inside_looks_at_the_run_of_the_course(view: str, update: int) -> None:
    app = open_page("pages/2_Inside_the_layer.py", **WAY_LINK, epoch=str(update), view=view)
    numbers = f"A and B, {WAY.in_force(update).rank * 128:,} numbers"
    assert any(each.value.startswith(f"After {update} updates {numbers}") for each in app.markdown)
    assert any(
        "rank 6 at update 20, alpha 2 at update 40, rank 2 at update 70" in c.value for c in app.caption
    )
    if view == "Parts":
        pills = app.get("button_group")
        assert max(len(each.options) for each in pills) == WAY.in_force(update).rank


def test_the_code_and_the_adapter_are_those_of_the_course() -> None:
    app = open_page("pages/4_The_code.py", **WAY_LINK)
    assert torch_script(WAY).strip() in [each.value.strip() for each in app.code]
    assert any("PEFT cannot change the rank" in each.value for each in app.caption)
    app = open_page("pages/6_Your_adapter.py", **WAY_LINK)
    assert trained_rank(app) == 2
    app = open_page("pages/1_Every_rank.py", **WAY_LINK)
    assert any("without the changes on the way" in each.value for each in app.caption)


def trained_rank(app) -> int:
    """The rank of the adapter that its page has opened."""
    (_, opened) = app.session_state[_TRAINED]
    (module,) = opened.file.modules
    return module.rank
