"""The stage without a browser: every scene, every guess and reveal, every key's act, and files gone wrong."""

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from hypothesis import given, settings
from hypothesis import strategies as st_
from streamlit.testing.v1 import AppTest

from lora_core import run
from lora_core.experiment import Experiment
from lora_core.figures.ranks.numbers import RanksInfo
from lora_core.findings.verdict import verdict
from lora_core.talk.scenes import Scene, Talk, own_talk
from pages.runtime import networks
from pages.runtime.runs import finished_run, is_quick
from pages.runtime.sweeps import SWEEPS, grows, ranks_plan
from pages.stage import page, setup
from pages.stage.acts import ACTS, perform_from_keys
from pages.stage.following import MOST_ACTS, fetch_acts, leave_act, publish
from pages.stage.join import is_local, join, network_address, read_address
from pages.stage.keys import KEYS
from pages.stage.state import Stage, guess_key, middle, take_scene
from pages.ui.text import plain
from tests.kit.pages import at_link, checked, open_page, shown
from tests.kit.runs import facts, network_trained

PAGE = "pages/3_On_stage.py"

TALK = own_talk().scenes
NAMED = {scene.name: scene for scene in TALK}
OWN = """
[one]
title = "One"
question = "How low does it get?"
experiment = { in_features = 8, out_features = 6, epochs = 20 }
guess = { number = "final_loss", from = 0.001, to = 10 }
sentence = "It gets to {final_loss}."

[two]
title = "Two"
question = "![x](http://x) <b>*How*</b> $low$?"
experiment = { in_features = 8, out_features = 6, epochs = 20, rank = 2 }
choices = [{ says = "Low", when = "final_loss < 1" }, { says = "_High_", when = "final_loss >= 1" }]
sentence = "It gets to {final_loss}."
"""
LARGE = "1024, out_features = 1024"


def press(app: AppTest, act: str) -> AppTest:
    return checked(app.button(key=f"stage {act}").click().run())


def stage(app: AppTest) -> Stage:
    found: Stage = app.session_state["stage"]
    return found


def on_screen(app: AppTest) -> Experiment:
    """The experiment that the stage shows; there are no controls of one."""
    assert not any(name in app.session_state for name in ("rank", "seed", "task"))
    return stage(app).experiment


def link_of(app: AppTest) -> dict[str, str]:
    """What the address says."""
    pairs = app.query_params.items()
    return {name: str(value[0] if isinstance(value, list) else value) for name, value in pairs}


def words(app: AppTest) -> list[str]:
    return [each.value for each in app.markdown]


def upload(app: AppTest, content: bytes) -> AppTest:
    return checked(app.file_uploader(key="talk file").upload("talk.toml", content, "application/toml").run())


@pytest.fixture(scope="module", autouse=True)
def networks_of_the_talk() -> None:
    """The talk's networks as the stage finds them once it has trained them ahead: here by their oracle.

    That the stage trains what is not there yet, ahead and at its scene, two talks of one's own show.
    """
    for scene in TALK:
        for network in (scene.network, scene.network_beside):
            if network is not None:
                found = network_trained(network)
                networks.LORA._keep(network.lora_only(), found.lora)
                networks.FULL._keep(network.full_only(), found.full)


@pytest.fixture(scope="module")
def talk() -> AppTest:
    """One visit, at its first scene; tests of this module walk on in it."""
    return open_page(PAGE)


def guess_anything(app: AppTest, scene: Scene) -> str:
    """Guess in a scene, and return what will stand beside the answer."""
    found = facts(scene)
    if scene.guess is None:
        said = scene.choices[-1].says
        checked(app.button_group(key=f"guess {scene.name}").set_value(said).run())
        right = scene.right_answer(found).says
        mark = ":material/check:" if said == right else ":material/close:"
        return f"Our guess: **{plain(said)}** {mark} · Right: **{plain(right)}**"
    value = scene.guess.options[3]
    checked(app.select_slider(key=f"guess {scene.name}").set_value(value).run())
    truth = found.text(scene.guess.number)
    return f"Our guess: **{plain(scene.guess.text(value))}** · It is **{plain(truth)}**"


def test_the_whole_talk_every_scene_guessed_and_revealed(talk: AppTest) -> None:
    for place, scene in enumerate(TALK):
        found = facts(scene)
        assert words(talk)[0] == f"# :gray[{place + 1}/{len(TALK)}] {plain(found.filled(scene.question))}"
        assert on_screen(talk) == scene.experiment
        for step in scene.steps:
            assert f"## {plain(found.filled(step))}" in words(talk)
            press(talk, "reveal") if step != scene.steps[-1] else None
        if scene.asks:
            sentence = f"## {plain(found.filled(scene.sentence))}"
            assert sentence not in words(talk)
            answer = guess_anything(talk, scene)
            assert answer not in words(talk)
            press(talk, "reveal")
            assert answer in words(talk)
            assert sentence in words(talk)
        if place < len(TALK) - 1:
            press(talk, "next")
    assert talk.button(key="stage next").disabled


def test_guesses_reveals_and_steps_are_remembered_back_and_forth(talk: AppTest) -> None:
    for scene in reversed(TALK[:-1]):
        press(talk, "previous")
        if scene.asks:
            assert any(each.startswith("Our guess: ") for each in words(talk))
        told = scene.sentence or scene.steps[-1]
        assert f"## {plain(facts(scene).filled(told))}" in words(talk)
    for _ in range(2):
        press(talk, "next")
    scene = stage(talk).scene
    press(talk, "reveal")  # hidden again: the guess is on the slider, the sentence is gone
    assert not any(each.startswith("## ") for each in words(talk))
    assert scene.guess is not None
    assert talk.select_slider(key=f"guess {scene.name}").value == scene.guess.options[3]
    assert stage(talk).link == f"{scene.name}~{scene.guess.options[3]:g}"
    # A new session, as after a phone was locked for long, finds all of it in the link.
    anew = checked(at_link(PAGE, **link_of(talk)).run())
    for part in ("name", "guesses", "revealed", "ranks", "steps"):
        assert getattr(stage(anew), part) == getattr(stage(talk), part)


def test_start_over_forgets_everything_and_a_second_press_brings_it_back(talk: AppTest) -> None:
    before = stage(talk).said
    assert before
    name = stage(talk).name
    checked(talk.button(key="stage over").click().run())
    assert (stage(talk).name, stage(talk).said) == (TALK[0].name, "")
    assert "said" not in talk.query_params
    press(press(talk, "next"), "next")
    scene = stage(talk).scene
    assert scene.guess is not None
    assert talk.select_slider(key=f"guess {scene.name} 1").value == middle(scene.guess)
    press(press(talk, "previous"), "previous")
    checked(talk.button(key="stage over").click().run())
    assert (stage(talk).name, stage(talk).said) == (name, before)


def test_every_answer_and_both_ends_of_every_slider_can_be_guessed() -> None:
    app = open_page(PAGE)
    for scene in TALK:
        if not scene.asks:
            press(app, "next")
            continue
        ends = [choice.says for choice in scene.choices]
        if scene.guess is not None:
            ends = [scene.guess.least, scene.guess.greatest]
        for end in ends:
            if scene.guess is None:
                checked(app.button_group(key=f"guess {scene.name}").set_value(end).run())
            else:
                checked(app.select_slider(key=f"guess {scene.name}").set_value(end).run())
            assert stage(app).guess == end
            press(app, "reveal")
            said = plain(end) if isinstance(end, str) else plain(scene.guess.text(end))
            assert any(f"Our guess: **{said}**" in each for each in words(app))
            press(app, "reveal")
        if scene != TALK[-1]:
            press(app, "next")


def test_who_agrees_with_the_slider_has_guessed_and_who_chose_nothing_has_not() -> None:
    app = press(open_page(PAGE, scene="one-short"), "reveal")
    guess = stage(app).scene.guess
    assert guess is not None
    agreed = plain(guess.text(middle(guess)))
    assert f"Our guess: **{agreed}** · It is **0.204**" in words(app)
    app = press(open_page(PAGE, scene="zero-b"), "reveal")
    assert "No guess · Right: **Exactly at its base**" in words(app)


def test_before_the_reveal_higher_and_lower_move_the_guess_and_after_it_the_rank() -> None:
    app = open_page(PAGE, scene="one-short")
    guess = stage(app).scene.guess
    assert guess is not None
    half = len(guess.options) // 2
    press(app, "up")
    assert stage(app).guess == app.select_slider(key="guess one-short").value == guess.options[half + 1]
    for _ in range(2):
        press(app, "down")
    assert stage(app).guess == guess.options[half - 1]
    press(press(app, "reveal"), "up")
    assert on_screen(app) == Experiment(rank=4)
    assert stage(app).link.endswith("~revealed~rank4")
    assert stage(app).guess == guess.options[half - 1]
    # Question, answer and sentence are those of the rank on the screen.
    assert "The adapter has rank 4" in words(app)[0]
    assert any("At rank 4 it is **0.00980**" in each for each in words(app))
    assert f"## {plain(verdict(run(Experiment(rank=4))).sentence)}" in words(app)
    press(app, "down")
    scene = NAMED["one-short"]
    assert f"## {plain(facts(scene).filled(scene.sentence))}" in words(app)


def test_a_choice_goes_round_and_a_number_chooses() -> None:
    app = open_page(PAGE, scene="zero-b")
    says = [choice.says for choice in stage(app).scene.choices]
    for expected in (says[0], says[1], says[2], says[0]):
        assert stage(press(app, "up")).guess == expected
    assert stage(press(app, "down")).guess == says[2]
    checked(app.button(key="stage reveal").click().run())
    assert any(says[2] in each for each in words(app))


def test_the_visitors_experiment_waits_and_no_secret_is_in_the_link() -> None:
    app = checked(at_link(rank="17", true_rank="2").run())
    checked(app.switch_page(PAGE).run())
    checked(app.button(key="to every-rank").click().run())
    assert stage(app).experiment == NAMED["every-rank"].experiment
    assert "10" not in str(dict(app.query_params))  # the rank that the room looks for
    press(app, "reveal")
    checked(app.switch_page("app.py").run())
    assert shown(checked(app.run())) == Experiment(rank=17, true_rank=2)
    checked(app.switch_page(PAGE).run())
    assert (stage(app).name, stage(app).is_revealed) == ("every-rank", True)


def at_revealed(scene: Scene) -> AppTest:
    """A session in which nothing has run yet, on a stage with one scene, already revealed."""
    app = at_link(PAGE)
    app.session_state["stage"] = Stage(Talk((scene,), ""), scene.name, revealed={scene.name}, hidden=())
    return app


def test_a_sweep_that_grows_is_drawn_when_every_rank_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[RanksInfo] = []
    ticks: list[float | None] = []
    draw, fragment = page.draw_scene_ranks, st.fragment

    def draw_and_note(info: RanksInfo, **how: Any) -> Any:
        drawn.append(info)
        return draw(info, **how)

    def fragment_and_note(function: Any, *, run_every: float | None = None) -> Any:
        if function is page._picture:
            ticks.append(run_every)
        return fragment(function, run_every=run_every)

    monkeypatch.setattr(page, "draw_scene_ranks", draw_and_note)
    monkeypatch.setattr(st, "fragment", fragment_and_note)
    monkeypatch.setattr(SWEEPS, "growing", lambda: 6)
    longer = replace(NAMED["power-law"].experiment, epochs=500, seed=77)
    plan = ranks_plan(longer)
    assert is_quick(longer)  # the run takes a moment, the sweep does not
    assert grows(plan)
    monkeypatch.setattr(page, "prefetch", lambda _: None)
    app = checked(at_revealed(replace(NAMED["power-law"], experiment=longer)).run())
    shares = []
    while grows(plan):
        assert app.get("progress")
        assert not drawn
        shares += [each.proto.value for each in app.get("progress")]
        checked(app.run())
    assert len(set(shares)) > 2
    assert shares == sorted(shares)
    checked(app.run())
    assert not app.get("progress")
    assert {(info.experiment, info.ranks) for info in drawn} == {(plan.experiment, plan.ranks)}
    assert set(ticks[:-1]) == {0.75, None}
    assert ticks[-1] is None


def test_where_the_run_takes_long_too_the_sweep_says_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(open_page(PAGE, scene="every-rank"), "reveal")
    monkeypatch.setattr(page, "finished_run", lambda _: None)
    press(app, "up")
    assert "## Training …" not in words(app)
    assert any(each.startswith("## You need rank") for each in words(app))


@pytest.mark.parametrize(
    ("link", "name", "guess", "revealed"),
    [
        ("knee", "knee", None, False),
        ("knee~20", "knee", 20.0, False),
        ("knee~20~revealed", "knee", 20.0, True),
        ("knee~revealed", "knee", None, True),
        ("knee~21.5", "knee", None, False),
        ("zero-b~2~revealed", "zero-b", "Exactly at its base", True),
        ("zero-b~4", "zero-b", None, False),
        ("zero-b~nan~~x", "zero-b", None, False),
    ],
)
def test_a_link_opens_a_scene_with_its_guess_and_its_reveal(
    link: str, name: str, guess: Any, revealed: bool
) -> None:
    app = open_page(PAGE, scene=link)
    found = stage(app)
    assert (found.name, found.guess, found.is_revealed) == (name, guess, revealed)
    assert on_screen(app) == found.scene.experiment
    assert app.query_params["scene"] == found.link


@given(
    st_.sampled_from(TALK),
    st_.lists(
        st_.one_of(
            st_.sampled_from(
                ["revealed", "rank4", "rank48", "rank0", "rank99999", "step2", "step9", "step-1"]
            ),
            st_.sampled_from(["0.1", "2", "1e400", "nan", "", "<b>", "١"]),
            st_.text(max_size=12),
        ),
        max_size=5,
    ),
)
@settings(derandomize=True, max_examples=200, deadline=None)
def test_any_words_of_a_scene_leave_a_state_that_its_own_link_tells_again(
    scene: Scene, parts: list[str]
) -> None:
    there = Stage(own_talk(), scene.name)
    take_scene(there, "~".join([scene.name, *parts]))
    again = Stage(own_talk(), scene.name)
    take_scene(again, there.link)
    for part in ("guesses", "revealed", "ranks", "steps"):
        assert getattr(again, part) == getattr(there, part)
    assert there.step < max(1, len(scene.steps))
    assert scene.asks or not there.revealed
    assert there.experiment.rank <= 2 * there.experiment.full_rank
    assert not there.said


def test_a_link_with_nonsense_opens_the_first_scene_and_says_so() -> None:
    app = checked(at_link(PAGE, scene="<script>alert(1)</script>", hide="sidebar,walls").run())
    assert stage(app).name == TALK[0].name
    told = [each.value for each in app.warning if "scene" in each.value or "hidden" in each.value]
    assert told[0] == "`<script>alert(1)</script>` is no scene of this talk: here is scene 1."
    assert told[1] == "`walls` cannot be hidden: there are sidebar, buttons, numbers, playback."
    assert app.query_params["hide"] == "sidebar"


def test_what_is_hidden_stands_in_the_link() -> None:
    app = open_page(PAGE, scene="knee")
    press(app, "present")
    assert app.query_params["hide"] == "sidebar,buttons"
    press(app, "present")
    assert "hide" not in app.query_params
    checked(app.button_group(key="stage hidden").set_value(["playback"]).run())
    assert app.query_params["hide"] == "playback"


@pytest.mark.parametrize("end", [1_048_576, 10.123456789])
def test_a_guess_of_many_digits_survives_a_reload(end: float) -> None:
    own = OWN.replace("to = 10", f"to = {end}").encode()
    app = upload(open_page(PAGE), own)
    checked(app.select_slider(key=guess_key(stage(app))).set_value(float(end)).run())
    assert stage(app).guess == end
    link = app.query_params["scene"]
    checked(app.switch_page("app.py").run())
    stage(app).guesses.clear()
    app.query_params["scene"] = link
    checked(app.switch_page("pages/3_On_stage.py").run())
    assert stage(app).guess == end


def test_the_list_of_scenes_jumps() -> None:
    app = checked(open_page(PAGE).button(key="to swapped-digits").click().run())
    assert stage(app).name == "swapped-digits"
    bold = [button.label for button in app.button if button.label.startswith("**")]
    assert bold == ["**11\\. Real digits**"]
    assert on_screen(app).task == "digits"


def test_a_talk_of_ones_own_takes_the_stage_and_goes_again() -> None:
    app = upload(open_page(PAGE, scene="knee"), OWN.encode())
    assert not app.error
    assert words(app)[0] == "# :gray[1/2] How low does it get?"
    assert on_screen(app).in_features == 8
    press(app, "next")
    # Nothing of it is markup: no picture is fetched, no tag made.
    assert words(app)[0] == "# :gray[2/2] " + plain("![x](http://x) <b>*How*</b> $low$?")
    press(app, "reveal")
    back = next(button for button in app.button if button.label == "Back to the playground's talk")
    checked(back.click().run())
    assert stage(app).talk is own_talk()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", "the talk is no UTF-8 text."),
        (b"", "the talk has 0 scenes: it must have from 1 to 40."),
        (b"[one", "the talk is no TOML"),
        (b"a = " + 40_000 * b"[", "the talk is nested too deeply"),
        (OWN.replace("to = 10", f"to = 1{400 * '0'}").encode(), "scene one: guess.to is an integer of about"),
        (OWN.replace("= 20 }", "= 20, rank = 0 }", 1).encode(), "scene one: experiment.rank is 0: "),
        (OWN.replace('"Low"', '"Low", until = 3').encode(), "scene two: choices is"),
        (OWN.replace("to = 10", "to = 0.01").encode(), "scene one: guess: final_loss is computed as"),
        (OWN.replace("8,", "1024,").replace("20 ", "2000 ").encode(), "scene one: experiment is too large"),
        (
            OWN.replace("= 8, out_features = 6, epochs = 20 }", f"= {LARGE}, epochs = 1 }}").encode(),
            "scene one: experiment is too large for a stage, 1024 x 1024 with 1 epoch: ",
        ),
        (
            OWN.replace("guess =", f"beside = {{ in_features = {LARGE}, epochs = 1 }}\nguess =").encode(),
            "scene one: beside is too large for a stage, 1024 x 1024 with 1 epoch: ",
        ),
    ],
)  # fmt: skip
def test_a_bad_file_keeps_the_talk_and_says_why(content: bytes, told: str) -> None:
    app = upload(open_page(PAGE, scene="knee"), content)
    assert told in app.error[0].value
    assert (stage(app).talk, stage(app).name) == (own_talk(), "knee")
    assert on_screen(app) == NAMED["knee"].experiment
    upload(app, OWN.encode())
    assert not app.error


def test_a_long_talk_is_checked_with_progress_and_can_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "FIRST", 0.0)  # a scene at a time, the first before the page is drawn
    monkeypatch.setattr(setup, "BUDGET", 0.0)
    monkeypatch.setattr(setup, "finished_run", lambda experiment: None)  # as if others were training
    app = upload(open_page(PAGE, scene="knee"), OWN.encode())
    assert [each.proto.text for each in app.get("progress")] == ["0 of 2 scenes checked"]
    assert stage(app).name == "knee"
    left = checked(app.button(key="leave the check").click().run())
    assert not left.get("progress")
    assert (stage(app).talk, stage(app).trouble) == (own_talk(), "")
    monkeypatch.setattr(setup, "finished_run", finished_run)
    upload(app, OWN.replace("8,", "7,").encode())
    assert len(stage(app).talk.scenes) == 2
    assert not app.get("progress")


def test_the_download_is_the_talk_and_opens_again() -> None:
    app = open_page(PAGE)
    assert setup.sized_talk(own_talk().text) == own_talk()
    assert app.get("download_button")


def test_acts_of_the_keyboard_are_done_once_each_and_in_order() -> None:
    def page() -> None:
        import streamlit as st

        from pages.stage.acts import perform_from_keys
        from pages.stage.state import current

        for first, acts in st.session_state["sent"]:
            perform_from_keys(current(), first, acts)
        st.write(current().name, current().done)

    app = AppTest.from_function(page)
    # The second message repeats the first act, which was not yet known to be done; the third arrives again.
    app.session_state["sent"] = [(0, ["next"]), (0, ["next", "next", "next"]), (0, ["next", "next", "next"])]
    checked(app.run())
    assert stage(app).name == TALK[3].name
    assert stage(app).done == 3


def test_acts_of_a_session_that_is_gone_are_not_done_again() -> None:
    stage = Stage(own_talk(), TALK[0].name)
    perform_from_keys(stage, 7, ["next", "reveal"])
    assert (stage.name, stage.revealed, stage.done) == (TALK[0].name, set(), 0)
    perform_from_keys(stage, 0, ["next"])
    assert (stage.name, stage.done) == (TALK[1].name, 1)


def test_every_key_does_something_once() -> None:
    keys = [key for each in KEYS for key in each.keys]
    assert len(set(keys)) == len(keys)
    assert not {"c", "r"} & set(keys)  # Streamlit's own
    browser = {"play", "step", "full", "code", "blank", "help", "theme"}
    assert {each.act for each in KEYS} == browser | (set(ACTS) - {"go"})
    for remote in ("PageDown", "PageUp", "F5", "Escape", "b", "."):
        assert remote in keys


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("192.168.1.20:8501", "http://192.168.1.20:8501"),
        (" https://talk.example/lora/ ", "https://talk.example/lora"),
        ("http://[fe80::1]:8501", "http://[fe80::1]:8501"),
    ],
)
def test_an_address_for_phones_is_made_whole(typed: str, read: str) -> None:
    assert read_address(typed) == read


@pytest.mark.parametrize(
    "typed", ["ftp://x", "http://", "http://x:99999", "java script", "http://[1", "x" * 300]
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"Address for phones is .* it must be a web address"):
        read_address(typed)


@pytest.mark.parametrize(
    ("base", "local"),
    [("http://localhost:8501", True), ("http://127.0.0.1", True), ("http://[::1]:1", True),
     ("http://10.0.0.5:8501", False), ("https://talk.example", False), ("http://localhost.example", False)],
)  # fmt: skip
def test_what_phones_cannot_reach(base: str, local: bool) -> None:
    assert is_local(base) == local


def test_the_code_has_this_machines_address_in_the_room_until_another_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pages.stage.join._own_ip", lambda: "192.168.7.9")
    monkeypatch.setattr("pages.stage.join.from_this_machine", lambda: True)
    app = open_page(PAGE, scene="knee", rank="17")
    way_in = join(stage(app))
    assert way_in.link == "http://192.168.7.9:8501/On_stage?scene=knee"
    assert (len(way_in.rows), way_in.note) == (29, "")  # version 3: 29 squares in a row
    press(press(app, "reveal"), "up")
    assert join(stage(app)).link.endswith("/On_stage?scene=knee~revealed~rank5")
    assert not app.warning
    checked(app.text_input(key="stage address").set_value("10.0.0.5:8501").run())
    assert join(stage(app)).link.startswith("http://10.0.0.5:8501/On_stage?")
    checked(app.text_input(key="stage address").set_value("ftp://x").run())
    assert "must be a web address" in app.error[0].value
    assert stage(app).address == "http://10.0.0.5:8501"


def test_nobody_outside_is_told_the_address_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.stage.join._own_ip", lambda: "192.168.7.9")
    assert network_address() == "http://192.168.7.9:8501"
    for peer, headers in (
        ("10.0.0.7", {}),
        (None, {"X-Forwarded-For": "10.0.0.7"}),
        (None, {"Via": "1.1 proxy"}),
    ):
        context = SimpleNamespace(ip_address=peer, headers=headers, url="http://localhost:8501/On_stage")
        monkeypatch.setattr(st, "context", context)
        assert network_address() is None
    monkeypatch.setattr("pages.stage.join.ADDRESS", "http://play.example:8080/demo")
    assert network_address() == "http://play.example:8080/demo"


def test_without_an_address_for_phones_a_plain_word_stands_in_place_of_the_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pages.stage.join._own_ip", lambda: None)
    app = open_page(PAGE)
    assert any("Phones cannot reach this address" in each.value for each in app.warning)
    assert join(stage(app)).rows == ()
    assert join(stage(app)).note.startswith("No address for phones is known")


def test_the_notes_follow_the_stage_and_drive_it(monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(open_page(PAGE, scene="one-short"), "notes")
    token = stage(app).token
    assert token not in str(dict(app.query_params))
    notes = checked(at_link(PAGE, notes=token).run())
    told = words(notes)
    assert told[0].startswith("# 0:0")
    assert told[1] == f"## 3/{len(TALK)} One rank short"
    assert "**0.204** · The room does not see it yet" in told
    assert notes.info[0].value == plain(NAMED["one-short"].notes)
    assert "Next: The knee" in [each.value for each in notes.caption]
    checked(notes.button(key="notes on").click().run())
    checked(notes.button(key="notes up").click().run())
    checked(app.run())  # as the stage does by itself twice a second
    assert stage(app).is_revealed
    assert stage(app).experiment.rank == 4
    assert "**0.204** · The room sees the answer" in words(checked(notes.run()))
    later = time.time() + 603
    monkeypatch.setattr("time.time", lambda: later)
    assert words(checked(notes.run()))[0].startswith("# 10:0")
    assert any("The stage is closed at this moment" in each.value for each in notes.caption)
    nobody = checked(at_link(PAGE, notes="nobody").run())
    assert "No stage is open under this link" in nobody.warning[0].value


def test_notes_take_no_other_acts_and_not_too_many() -> None:
    there = Stage(own_talk(), TALK[0].name)
    publish(there)
    for act in ("over", "go knee", "on\n", *50 * ("on",)):
        leave_act(there.token, act)
    leave_act("nobody", "on")
    assert fetch_acts(there.token) == MOST_ACTS * ["on"]
    assert fetch_acts(there.token) == []


def test_a_talk_of_ones_own_is_found_again_by_its_link_until_the_server_forgets_it() -> None:
    app = press(upload(open_page(PAGE), OWN.encode()), "next")
    link = {
        name: str(value[0] if isinstance(value, list) else value) for name, value in app.query_params.items()
    }
    assert set(link) == {"scene", "talk"}
    anew = open_page(PAGE, **link)
    assert (stage(anew).talk.text, stage(anew).name) == (OWN, "two")
    gone = checked(at_link(PAGE, talk="12345678", scene="two").run())
    assert stage(gone).talk is own_talk()
    assert "is no longer here" in gone.warning[0].value


NETWORK_TALK = b"""
[own]
title = "My own"
question = "Rank {rank}: how many numbers does it train?"
view = "words"
experiment = { rank = 2, updates = 10, batch = 4 }
guess = { number = "trained", from = 1, to = 10000 }
sentence = "It trains {trained}, and ends at {final_loss}."
claims = ["trained < full_trained"]
"""


def test_a_scene_of_the_small_network_is_opened_and_has_no_rank_to_move() -> None:
    app = upload(open_page(PAGE), NETWORK_TALK)
    assert "## It trains 3,456" not in " ".join(words(app))
    press(app, "reveal")
    for _ in range(20):
        if "Training" not in " ".join(words(app)):
            break
        app.run()
    assert any(text.startswith("## It trains 3,456, and ends at 2.") for text in words(app))
    assert app.button(key="stage up").disabled
    too_long = NETWORK_TALK.replace(b"updates = 10, batch = 4", b"updates = 400, batch = 64")
    told = upload(open_page(PAGE), too_long).error[0].value
    assert "scene own: experiment is too long for a stage, 400 updates of 64" in told


def test_the_networks_of_a_talk_are_trained_before_their_scenes() -> None:
    app = upload(open_page(PAGE), OWN.encode() + NETWORK_TALK.replace(b"rank = 2,", b"rank = 2, seed = 5,"))
    assert stage(app).name == "one"
    network = stage(app).talk.scenes[-1].network
    assert network is not None
    networks.LORA._kept.pop(network.lora_only())  # trained when the talk was checked
    assert networks.kept_run(network) is None
    for _ in range(20):
        if networks.kept_run(network) is not None:
            break
        checked(app.run())
    assert networks.kept_run(network) is not None
    assert stage(app).name == "one"
