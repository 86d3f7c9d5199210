"""The page of the small network without a browser: it grows, it obeys its link, and it keeps its controls."""

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from lora_core.findings.network import finding
from lora_core.network.experiment import NETWORK_LIMITS, RANKS, NetworkExperiment
from lora_core.network.presets import NETWORK_PRESETS
from lora_core.network.run import EVERY, NetworkRun, run_lane, run_network
from pages.network.controls import CONTROLS, key_of
from pages.network.on_request import _SECTIONS
from pages.runtime.networks import FULL, LORA, SWEEPS, is_brief, kept_ranks, rank_lanes
from pages.runtime.result_cache import size_of

PAGE = "pages/7_A_small_network.py"
QUICK = {"net_updates": "10", "net_batch": "4"}
EXPERIMENT = NetworkExperiment(updates=10, batch=4)


def opened(**link: str) -> AppTest:
    app = AppTest.from_file("../app.py", default_timeout=60)
    app.run()
    for name, text in {**QUICK, **link}.items():
        app.query_params[name] = text
    app.switch_page(PAGE).run()
    assert not app.exception, app.exception[0].message
    return app


def grown(app: AppTest) -> AppTest:
    """The page once everything that grows on it is complete."""
    for _ in range(60):
        if not app.markdown[0].value.startswith("# Training") and FULL.growing() == LORA.growing() == 0:
            break
        app.run()
        assert not app.exception, app.exception[0].message
    return app.run()


@pytest.fixture(scope="module")
def run() -> NetworkRun:
    return run_network(EXPERIMENT)


def test_it_says_what_the_run_found(run: NetworkRun) -> None:
    app = grown(opened())
    found = finding(run)
    assert app.markdown[0].value == f"# {found.headline}"
    assert app.caption[0].value == found.beside
    kept = LORA.kept(EXPERIMENT.lora_only())
    assert kept is not None
    assert kept.words == run.lora.words
    assert not app.warning


def test_a_new_rank_trains_no_full_fine_tuning_again() -> None:
    app = grown(opened())
    before = FULL.kept(EXPERIMENT.full_only())
    app.select_slider(key="net_rank").set_value(2).run()
    grown(app)
    assert FULL.kept(NetworkExperiment(updates=10, batch=4, rank=2).full_only()) is before
    assert "LoRA trains 3,456 numbers" in app.caption[0].value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rank", "0"), ("rank", "65"), ("network", "reader"), ("language", "latin"), ("ranks", "0.x:4"),
        ("ranks", "q:999"), ("learning_rate", "nan"), ("updates", "4"), ("batch", "1e9"), ("alpha", "-1"),
        ("targets", "`x` **b**"),
    ],
)  # fmt: skip
def test_a_wrong_link_is_told_in_one_sentence(name: str, text: str) -> None:
    app = opened(**{key_of(name): text})
    (warning,) = app.warning
    assert warning.value.startswith(f"{CONTROLS[name].label} in the link is `")
    assert f"it must be {NETWORK_LIMITS[name]}. It is " in warning.value
    assert warning.value.count("`") == 2


def test_a_link_is_obeyed_in_its_own_words() -> None:
    app = opened(
        net_ranks="head:3,q:8", net_learning_rate="1e-2", net_alpha="7.5", net_rank="5", net_seed="9"
    )
    assert not app.warning
    assert app.text_input(key="net_ranks").value == "0.q:8,1.q:8,head:3"
    assert app.select_slider(key="net_learning_rate").value == 0.01
    assert app.select_slider(key="net_alpha").value == 7.5
    assert app.select_slider(key="net_rank").value == 5
    assert app.number_input(key="net_seed").value == 9


def test_a_rank_beyond_a_module_and_none_at_all_are_explained() -> None:
    beyond = opened(net_ranks="head:64")
    assert any("More than a change can have (head 27)" in each.value for each in beyond.caption)
    nothing = grown(opened(net_targets="own"))
    assert nothing.markdown[0].value == "# No module is trained: give one a rank."
    assert any("No module has a rank" in each.value for each in nothing.caption)


def test_ranks_that_cannot_be_read_leave_the_picture() -> None:
    app = grown(opened())
    app.text_input(key="net_ranks").set_value("query:4").run()
    (warning,) = app.warning
    assert warning.value.startswith("ranks is 'query:4': it must be pairs like 0.q:8")
    assert not app.exception


def test_its_controls_and_those_of_the_playground_wait_for_each_other() -> None:
    app = AppTest.from_file("../app.py", default_timeout=60)
    app.query_params["rank"] = "8"
    app.run()
    app.switch_page(PAGE).run()
    app.select_slider(key="net_rank").set_value(2).run()
    app.switch_page("app.py").run()
    app.run()
    assert app.select_slider(key="rank").value == 8
    app.switch_page(PAGE).run()
    app.run()
    assert app.select_slider(key="net_rank").value == 2
    assert not app.exception


def test_another_network_brings_its_usual_rates() -> None:
    app = opened(net_updates="100")
    app.selectbox(key="net_network").set_value("copier").run()
    assert app.select_slider(key="net_learning_rate").value == 0.01
    assert app.select_slider(key="net_full_learning_rate").value == 0.004
    assert app.select_slider(key="net_updates").value == 150
    assert [each.key for each in app.sidebar.selectbox if each.label == "Learn"] == ["net_rewrite"]


def test_a_scene_sets_every_control() -> None:
    app = opened()
    app.session_state["net_scenes"] = True
    app.run()
    app.button(key="net scene backwards").click().run()
    preset = NETWORK_PRESETS["backwards"]
    assert app.text_input(key="net_ranks").value == preset.experiment.ranks
    assert app.selectbox(key="net_network").value == "copier"
    assert "LoRA trains 1,024 numbers" in app.caption[0].value


def test_a_chosen_module_gets_a_rank_of_its_own() -> None:
    app = grown(opened())
    app.session_state["network module"] = "1.up"
    app.run()
    slider = app.select_slider(key="network module rank")
    assert slider.label == "Rank of `layers.1.mlp.up_proj`, 48 x 192"
    assert slider.value == 4
    slider.set_value(0).run()
    assert app.text_input(key="net_ranks").value == "1.up:0"
    next(each for each in app.button if each.label == "As the others").click().run()
    assert app.text_input(key="net_ranks").value == ""


@pytest.mark.parametrize("section", _SECTIONS)
def test_a_section_trains_to_its_end(section: str) -> None:
    app = grown(opened(net_network="copier", net_updates="5"))
    before = len(app.caption)
    app.button_group(key="net_more").set_value(section).run()
    for _ in range(80):
        assert not app.exception, app.exception[0].message
        if not any(" trained" in str(getattr(each.proto, "text", "")) for each in app.get("progress")):
            break
        app.run()
    assert not app.get("progress")
    assert len(app.caption) > before


def test_lanes_are_kept_by_what_they_read() -> None:
    e = NetworkExperiment(rank=2, full_learning_rate=1e-3, rewrite="both")
    assert e.lora_only() == NetworkExperiment(rank=2)
    assert e.full_only() == NetworkExperiment(full_learning_rate=1e-3)
    with_head = NetworkExperiment(ranks="head:2")
    assert len(with_head.full_only().trained_fully()) == 13
    assert run_lane(EXPERIMENT.full_only(), full=True).trained == 55_296


@pytest.mark.parametrize("end", ["least", "greatest"])
@pytest.mark.parametrize("network", ["words", "copier"])
def test_every_field_may_stand_at_its_end(network: str, end: str) -> None:
    numbers = {
        key_of(name): str(getattr(limit, end))
        for name, limit in NETWORK_LIMITS.items()
        if hasattr(limit, end) and name != "updates"
    }
    app = opened(**numbers, net_network=network, net_ranks="head:64" if end == "greatest" else "q:0,head:1")
    assert not app.warning
    grown(app)
    assert app.markdown[0].value.startswith("# ")


def test_the_ranks_of_the_slider_are_trained_when_a_hand_wants_them_and_a_release_trains_nothing() -> None:
    app = grown(opened(net_batch="5"))
    experiment = replace(EXPERIMENT, batch=5)
    assert [lane is None for lane in kept_ranks(experiment)].count(False) == 1
    app.session_state["network experiment whose ranks a hand wants"] = replace(experiment, rank=1)
    for _ in range(200):
        app.run()
        assert not app.exception, app.exception[0].message
        if None not in kept_ranks(experiment):
            break
    lanes = kept_ranks(experiment)
    assert [lane.trained for lane in lanes] == [1_728 * rank for rank in RANKS]
    app.select_slider(key="net_rank").set_value(6).run()
    assert LORA.kept(replace(experiment, rank=6)) is lanes[RANKS.index(6)]
    assert not app.markdown[0].value.startswith("# Training")
    assert "LoRA trains 10,368 numbers" in app.caption[0].value


def test_no_rank_is_trained_ahead_for_a_long_training_or_where_none_is_the_sliders() -> None:
    assert rank_lanes(replace(EXPERIMENT, targets="own", ranks="head:2")) == ()
    assert is_brief(NetworkExperiment())
    assert not is_brief(NetworkExperiment(updates=400))
    assert len({lane.lora_only() for lane in rank_lanes(EXPERIMENT)}) == len(RANKS)
    own = NetworkExperiment(targets="own", ranks="0.q:4")
    assert replace(own, rank=9).lora_only() == own.lora_only()


def test_its_first_paint_is_the_default_trained_while_another_page_was_looked_at() -> None:
    app = AppTest.from_file("../app.py", default_timeout=60).run()
    app.switch_page(PAGE).run()
    assert app.markdown[0].value.startswith("# Italian it is: 2.97 → 2.0")
    assert FULL.kept(NetworkExperiment().full_only()) is not None


def test_a_new_value_cancels_what_is_trained_on_request() -> None:
    app = grown(opened(net_network="copier", net_updates="100"))
    app.button_group(key="net_more").set_value("Where does the rank go?").run()
    assert app.get("progress")
    (growing,) = SWEEPS._growing.values()
    assert growing.latest is not None
    reached = growing.latest.progress
    assert 0 < reached < 1
    app.select_slider(key="net_learning_rate").set_value(0.02).run()
    grown(app)
    assert not app.get("progress")
    assert growing.latest.progress == reached


def test_a_run_is_small() -> None:
    most = NetworkExperiment(
        rank=64, targets="attention", ranks="up:64,down:64,head:64", updates=400, batch=4
    )
    lanes = run_lane(replace(most, updates=5)), run_lane(replace(most, updates=5), full=True)
    looks = 1 + most.updates // EVERY
    a_look = 13 * 8 + 5 * 8 + 12 * 100  # changes, curves, and words with what Python adds
    assert sum(size_of(lane) for lane in lanes) + 2 * looks * a_look < 2_000_000
