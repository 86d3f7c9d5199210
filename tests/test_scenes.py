"""Every scene of the talk: its sentence held against the run, its answers, and what a wrong file is told."""

import re
import subprocess
import sys

import numpy as np
import pytest

from lora_core.accounting import break_even_storage, full_cost, lora_cost
from lora_core.course import Course
from lora_core.data import make_problem
from lora_core.experiment import Experiment
from lora_core.figures.network.curves import curves_alt
from lora_core.figures.stage.words import scene_curves, scene_words
from lora_core.network.data import letter_tables
from lora_core.network.experiment import NetworkExperiment
from lora_core.talk import numbers
from lora_core.talk.expressions import read_comparison
from lora_core.talk.numbers import NUMBERS, SceneNumbers
from lora_core.talk.scenes import FILE, MOST_QUESTION, MOST_SENTENCE, Guess, check, own_talk, read_talk
from lora_core.theory import floors, knee
from tests.kit.runs import facts, trained

NETWORK_SCENE = """
[one]
title = "One"
question = "How many does rank {rank} train?"
view = "words"
experiment = { rank = 2 }
guess = { number = "trained", from = 1, to = 10000 }
sentence = "It trains {trained}."
claims = []
"""
SCENES = {scene.name: scene for scene in own_talk().scenes}
every_scene = pytest.mark.parametrize("name", SCENES)

GOOD = """
[one]
title = "One"
question = "How low does rank {rank} get?"
experiment = { rank = 2, in_features = 8, out_features = 6, epochs = 20 }
guess = { number = "final_loss", from = 0.001, to = 10 }
sentence = "It gets to {final_loss}."
claims = ["final_loss < base_loss"]
"""


def told(name: str, *words: str) -> SceneNumbers:
    """The numbers of a scene whose filled sentence has these words."""
    found = facts(SCENES[name])
    for each in words:
        assert each in found.filled(SCENES[name].sentence)
    return found


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_the_talk_is_its_file_read_in_order() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert own_talk().text == text
    assert list(SCENES) == re.findall(r"^\[([\w-]+)\]$", text, re.MULTILINE)
    assert [own_talk().place(name) for name in SCENES] == list(range(len(SCENES)))
    assert own_talk().place("nowhere") is None


@every_scene
def test_every_scene_holds_against_its_numbers_and_fits_the_stage(name: str) -> None:
    scene, found = SCENES[name], facts(SCENES[name])
    check(scene, found)
    assert len(scene.claims) >= 2
    for text, most in ((scene.question, MOST_QUESTION), (scene.sentence, MOST_SENTENCE)):
        filled = found.filled(text)
        assert len(filled) <= most
        assert "{" not in filled
        assert "–" not in filled  # what a number without a value would read
    assert scene.question.endswith("?")
    assert [scene.guess is not None, bool(scene.choices), bool(scene.steps)].count(True) == 1
    for step in scene.steps:
        assert len(found.filled(step)) <= MOST_SENTENCE
        assert "–" not in found.filled(step)


@every_scene
def test_no_question_tells_its_answer(name: str) -> None:
    scene = SCENES[name]
    if scene.guess is not None:
        assert f"{{{scene.guess.number}}}" not in scene.question
        assert facts(scene).text(scene.guess.number) not in facts(scene).filled(scene.question).split()


def test_original_start() -> None:
    found = told("original-start", "starts at 244", "178 times its own base")
    lora, full = found.run.lora.loss, found.run.full.loss
    assert f"{lora[0]:.4f}" == "243.7067"
    assert lora[0] / full[0] == pytest.approx(178.3, abs=0.2)
    last = found.run.lora.snapshots[0]
    assert last.A.any()
    assert last.B is not None
    assert last.B.any()


def test_zero_b() -> None:
    found = told("zero-b", "Exactly at its base, 1.37", "from there it only gets better")
    lora, before = found.run.lora.loss, facts(SCENES["original-start"]).run
    assert lora[0] == found.run.full.loss[0] == before.full.loss[0]
    assert (np.diff(lora) < 0).all()


def test_one_short() -> None:
    found = told("one-short", "ends at 0.204, on its floor", "rank 3", "Full fine-tuning reaches 0.00747")
    assert found.run.lora.loss[-1] == pytest.approx(found.run.floors[3], rel=1e-3)
    assert found.run.lora.loss.min() >= found.run.floors[3]
    assert found.run.full.loss[-1] < found.run.floors[3] / 20


def test_knee() -> None:
    found = told("knee", "By 21 times", "from 0.204 to 0.00980", "At the rank of the change")
    assert found.run.floors[3] / found.run.floors[4] == pytest.approx(20.8, abs=0.1)
    assert found.beside is not None
    assert found.beside.lora.loss[-1] / found.run.lora.loss[-1] == pytest.approx(20.8, abs=0.1)
    assert found.run.experiment.shift_rank == found.run.experiment.rank == 4


def test_more_than_needed() -> None:
    found = told("more-than-needed", "Next to nothing: 0.00956", "rank 4 already has 0.00980")
    assert found.beside is not None
    assert found.beside.experiment == SCENES["knee"].experiment
    assert 0.95 < found.run.lora.loss[-1] / found.beside.lora.loss[-1] < 1
    steps = found.run.floors[4:-1] / found.run.floors[5:]
    assert steps.max() < 1.05  # no more steps


def test_break_even() -> None:
    found = told("break-even", "150 %: 6,144 numbers", "Above rank 32", "gets no lower")
    e = found.run.experiment
    trains, full = lora_cost(64, 64, e.rank, False).trainable, full_cost(64, 64, False).trainable
    assert (trains, full, break_even_storage(64, 64)) == (6144, 4096, 32)
    assert lora_cost(64, 64, 32, False).trainable == full < lora_cost(64, 64, 33, False).trainable
    assert found.run.lora.loss[-1] > found.run.full.loss[-1]


def test_alpha() -> None:
    found = told("alpha", "blows up at update 15", "With alpha 8 it ends at 0.00980")
    assert found.beside is not None
    assert found.run.lora.diverged_at == 15
    assert found.beside.lora.diverged_at is None
    alphas = found.run.experiment.alpha, found.beside.experiment.alpha
    assert alphas == (64, 8)
    assert found.run.experiment.learning_rate == found.beside.experiment.learning_rate
    # Longer steps: plain gradient descent's first one lowers the loss by more, to first order as alpha^2.
    first = [each.lora.loss[0] - each.lora.loss[1] for each in (found.run, found.beside)]
    assert first[0] > 10 * first[1]


def test_power_law() -> None:
    found = told("power-law", "Rank 31, and no step on the way", "a little less than the one before")
    gains = -np.diff(found.run.floors)
    assert (np.diff(gains) < 0).all()
    assert (gains[1:] > 0.2 * gains[:-1])[:50].all()
    left = (found.run.floors - found.run.floors[-1]) / found.run.floors[0]
    assert left[31] <= 0.01 < left[30]


def test_swapped_digits() -> None:
    found = told("swapped-digits", "94.2 % on new digits", "full fine-tuning has 93.8 %", "of rank 1")
    accuracy, full = found.run.lora.test_accuracy, found.run.full.test_accuracy
    assert accuracy is not None
    assert full is not None
    assert [f"{100 * each:.1f}" for each in (accuracy[0], accuracy[-1], full[-1])] == ["79.0", "94.2", "93.8"]
    assert found.run.experiment.true_rank == knee(found.run.floors) == 1


def test_few_samples() -> None:
    found = told("few-samples", "LoRA: 0.309 on new data", "by heart, 0.0518, and has 1.11 there")
    lora, full = found.run.lora, found.run.full
    assert full.loss[-1] < 0.25 * found.run.experiment.noise**2  # below the noise: learnt by heart
    assert full.test_loss[-1] > 3 * lora.test_loss[-1]
    assert found.run.experiment.samples == 80


def test_every_rank() -> None:
    found = told("every-rank", "Rank 10, with 31.2 %", "the knee is the true rank")
    e = found.run.experiment
    problem = make_problem(e)
    assert knee(floors(problem.X, problem.residual())) == e.true_rank == 10
    share = lora_cost(64, 64, 10, False).trainable / full_cost(64, 64, False).trainable
    assert share == pytest.approx(0.3125)


@every_scene
def test_a_slider_moves_in_order_from_end_to_end_and_holds_the_truth(name: str) -> None:
    guess = SCENES[name].guess
    if not SCENES[name].asks:
        return
    if guess is None:
        right = [choice.says for choice in SCENES[name].choices if choice.says]
        assert SCENES[name].right_answer(facts(SCENES[name])).says in right
        return
    options = guess.options
    assert list(options) == sorted(set(options))
    assert (options[0], options[-1]) == (guess.least, guess.greatest)
    assert 15 <= len(options) <= 45  # few enough for a key
    assert len({guess.text(option) for option in options}) == len(options)
    truth = facts(SCENES[name]).value(guess.number)
    assert any(0.8 * truth <= option <= 1.25 * truth for option in options)


def test_every_number_is_what_its_name_says() -> None:
    found = SceneNumbers(trained(Experiment()), trained(Experiment(rank=4)))
    e, lora, full, least = found.run.experiment, found.run.lora, found.run.full, found.run.floors
    expected = {
        "rank": 3, "true_rank": 4, "epochs": 200, "base_loss": least[0], "start_loss": lora.loss[0],
        "start_over_base": 1, "final_loss": lora.loss[200], "full_loss": full.loss[200],
        "held_out_loss": lora.test_loss[200], "full_held_out_loss": full.test_loss[200],
        "base_held_out_loss": lora.test_loss[0], "floor": least[3], "floor_one_less": least[2],
        "floor_one_more": least[4], "full_floor": least[64], "true_floor": least[4],
        "last_rank_gain": least[2] / least[3], "knee": 4, "full_rank": 64, "break_even": 32,
        "directions_used": 3,
        "trained": 3 * (64 + 64), "full_trained": 64 * 64, "share": 9.375, "knee_share": 12.5,
        "accuracy_before": np.nan, "accuracy": np.nan, "full_accuracy": np.nan, "diverged_at": np.nan,
    }  # fmt: skip
    assert set(expected) == set(NUMBERS)
    assert {name: found.value(name) for name in NUMBERS} == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert found.value("beside.rank") == 4
    assert e.rank == 3
    with pytest.raises(KeyError):
        SceneNumbers(found.run).value("beside.rank")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("rank = 3", True), ("rank < true_rank", True), ("true_rank <= 4", True), ("4 >= true_rank", True),
        ("final_loss > 1.05 * floor", False), ("2 * rank > 1.5 * true_rank", False), ("rank > 1e-3", True),
        ("beside.rank > rank", True), ("diverged_at > 0", False), ("diverged_at <= 0", False),
    ],
)  # fmt: skip
def test_comparisons(text: str, holds: bool) -> None:
    found = SceneNumbers(trained(Experiment()), trained(Experiment(rank=4)))
    assert read_comparison(text, beside=True).holds(found) == holds


@pytest.mark.parametrize(
    "text",
    ["", "rank", "rank == 3", "rank < 3 < 4", "rank < -1", "rank.__class__ = 1", "rank ** 9 < 3",
     "__import__ < 3", "floor * 2 < 3", "rank() > 1", "rank < 1; floor > 1"],
)  # fmt: skip
def test_what_is_no_comparison_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must compare two numbers|no number of a run"):
        read_comparison(text, beside=True)


@pytest.mark.parametrize(
    ("number", "value", "text"),
    [
        ("full_trained", 1_048_576, "1,048,576"), ("full_trained", 4096, "4,096"),
        ("final_loss", 0.001, "0.001"), ("last_rank_gain", 20, "20 times"), ("share", 37.5, "37.5 %"),
        ("knee", 4, "4"),
    ],
)  # fmt: skip
def test_a_guess_is_read_in_full(number: str, value: float, text: str) -> None:
    assert Guess(number, 1, 1e9, NUMBERS[number].unit).text(value) == text


def test_the_good_file_is_good() -> None:
    (scene,) = read_talk(GOOD).scenes
    check(scene, facts(scene))
    assert (scene.view, scene.beside, scene.experiment.rank) == ("loss", None, 2)


WRONG = {
    'title = "One"': [
        ("", "scene one: title is missing, and it must be a text of 1 to 40 letters"),
        (f'title = "{"x" * 41}"', "scene one: title is 'xxx"),
        ("title = 3", "scene one: title is 3"),
        (f"title.{'a.' * 30}a = 3", "scene one: title is {'a': {'a': "),
        (f"title.{'a.' * 400}a = 3", "the talk is nested too deeply"),
        (
            "title = " + f"{{ {'a.' * 8}a = [\n" * 3 + "] }" * 3,
            "scene one: title is {'a': {'a': {...}}}, and it must be a text",
        ),
        ('title = "One"\nwhen = 1', "scene one: when is no field: the fields are title, question"),
    ],
    "rank = 2": [
        ("rank = 0", "scene one: experiment.rank is 0: it must be a whole number from 1 to 1,024"),
        ("rank = 2.5", "scene one: experiment.rank is 2.5: it must be a whole number"),
        ("rang = 2", "scene one: experiment.rang is no field of an experiment: task, in_features"),
        ('task = "x"', "scene one: experiment.task is 'x': it must be one of low-rank, power-law"),
        ("learning_rate = nan", "scene one: experiment.learning_rate is nan: it must be a number from 1e-05"),
    ],
    "{final_loss}": [
        ("{loss}", "scene one: sentence: loss is no number of a run: there are rank, true_rank"),
        ("{beside.rank}", "scene one: sentence: beside.rank needs a run beside the scene's"),
        ("{final_loss!r}", "scene one: sentence: braces must hold the name of a number"),
        ("{final_loss.__class__}", "scene one: sentence: braces must hold"),
        ("{final_loss:.99999999f}", "scene one: sentence: braces must hold"),
        ("{{final_loss}}", "scene one: sentence: braces must hold"),
        ("{", "scene one: sentence: braces must hold"),
        ("x" * 200, "and it must be a text of 1 to 170 letters"),
    ],
    'number = "final_loss"': [
        ('number = "lost"', "scene one: guess.number: lost is no number of a run"),
        ("number = 3", "scene one: guess.number: 3 is no number of a run"),
        ("numbers = 3", "scene one: guess is {'from': 0.001, 'numbers': 3, 'to': 10}, and it must"),
    ],
    "from = 0.001": [
        ("from = 0", "scene one: guess is from 0 to 10, and 'from' must be at least 1e-09 and below 'to'"),
        ("from = 11", "scene one: guess is from 11 to 10"),
        ('from = "low"', "scene one: guess.from is 'low', and it must be a number"),
        ("from = true", "scene one: guess.from is True"),
        ("from = nan", "scene one: guess.from is nan"),
    ],
    "to = 10": [
        ("to = inf", "scene one: guess.to is inf, and it must be a number from -1e9 to 1e9"),
        ("to = 1e30", "scene one: guess.to is 1e+30, and it must be a number from -1e9 to 1e9"),
        (f"to = 1{'0' * 400}", "scene one: guess.to is an integer of about 401 digits, and it must be"),
        (f"to = 0x1{'0' * 5000}", "scene one: guess.to is an integer of about 6021 digits, and it must be"),
    ],
    "guess = {": [
        ("view = 3\nguess = {", "scene one: view is 3, and it must be one of loss, ranks"),
        ("choices = 3\nguess = {", "scene one: guess or choices is both"),
        ("experimen = {", "scene one: experimen is no field"),
        ("beside = 3\nguess = {", "scene one: beside is 3, and it must be fields"),
        ("beside = { rank = -1 }\nguess = {", "scene one: beside.rank is -1"),
    ],
    'guess = { number = "final_loss", from = 0.001, to = 10 }': [
        ("", "scene one: guess or choices is neither"),
        ("choices = [1]", "scene one: choices is 1, and there must be from 2 to 5"),
        ("choices = [1, 2]", "scene one: choices is 1, and each must have says and when"),
        ('choices = [{ says = "a", when = "rank > 0" }, { says = "a", when = "rank < 0.5" }]', "twice"),
        ('choices = [{ says = "a", when = [] }, { says = "b", when = "rank < 0" }]', "scene one: when is []"),
        ('choices = [{ says = "a", when = "x > 0" }, { says = "b", when = "rank < 0" }]', "when: x is no"),
    ],
    '["final_loss < base_loss"]': [
        ("3", "scene one: claims is 3, and it must be up to 8 comparisons"),
        ('["low"]', "scene one: claims: 'low' must compare two numbers"),
        ("[3]", "scene one: claims is [3]"),
        (str(["rank > 1"] * 9), "up to 8 comparisons"),
    ],
    "[one]": [
        ("[ONE]", "scene 'ONE': a name has up to 40 small letters, digits and hyphens"),
        ("[one", "the talk is no TOML"),
        (f"a = 1{'0' * 5000}\n[one]", "the talk is not read: a number in it has thousands of digits"),
        (f"a = {'[' * 40_000}\n[one]", "the talk is nested too deeply"),
        ("one = 3\n[two]", "scene one: it must be a table, opened by [one]"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "words"), [(old, new, words) for old, all in WRONG.items() for new, words in all]
)
def test_what_is_wrong_with_a_file_is_told(old: str, new: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as wrong:
        read_talk(changed(old, new))
    assert len(str(wrong.value)) < 700


def test_a_file_that_is_empty_or_too_long_is_told() -> None:
    with pytest.raises(ValueError, match="0 scenes: it must have from 1 to 40"):
        read_talk("")
    with pytest.raises(ValueError, match="41 scenes"):
        read_talk("".join(GOOD.replace("[one]", f"[s{i}]") for i in range(41)))
    with pytest.raises(ValueError, match="a line with 20,000 dots: at most 500 are read"):
        read_talk(f"[one]\ntitle.{'a.' * 19_999}a = 3")  # tomllib took 6 s for it
    with pytest.raises(ValueError, match="at most 100,000 are read"):
        read_talk("#" * 100_001)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("to = 10", "to = 0.01", "scene one: guess: final_loss is computed as"),
        ("final_loss < base_loss", "final_loss > 2 * base_loss", "'final_loss > 2 * base_loss' is false"),
        (
            'guess = { number = "final_loss", from = 0.001, to = 10 }',
            'choices = [{ says = "a", when = "rank > 0" }, { says = "b", when = "rank > 1" }]',
            "scene one: choices: 'a' and 'b' is right, and exactly one answer must be",
        ),
        (
            'guess = { number = "final_loss", from = 0.001, to = 10 }',
            'choices = [{ says = "a", when = "rank > 9" }, { says = "b", when = "rank > 8" }]',
            "scene one: choices: none is right",
        ),
    ],
)  # fmt: skip
def test_what_the_numbers_do_not_bear_out_is_refused(old: str, new: str, words: str) -> None:
    (scene,) = read_talk(changed(old, new)).scenes
    with pytest.raises(ValueError, match=re.escape(words)):
        check(scene, facts(scene))


def test_the_head_of_the_file_names_every_field() -> None:
    head = own_talk().text.partition("[original-start]")[0]
    for field in ("title", "question", "sentence", "experiment", "beside", "view", "guess", "choices"):
        assert f"#   {field} " in head


def test_numbers_are_read_before_torch_is_there() -> None:
    code = "import sys, lora_core.talk.scenes as s; s.own_talk(); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
    assert numbers.number_text(float("nan"), numbers.Unit.LOSS) == "–"


DRAWN = """
[drawn]
title = "Drawn"
question = "What is LoRA?"
view = "layer"
steps = ["A layer.", "LoRA trains {trained} numbers of {full_trained}."]
notes = "Say it slowly."
"""


def test_a_drawing_has_steps_and_nothing_to_guess() -> None:
    (scene,) = read_talk(DRAWN).scenes
    assert (scene.asks, scene.guess, scene.choices, scene.sentence) == (False, None, (), "")
    assert facts(scene).filled(scene.steps[1]) == "LoRA trains 384 numbers of 4,096."
    assert scene.notes == "Say it slowly."
    check(scene, facts(scene))
    assert read_talk(GOOD).scenes[0].asks


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (DRAWN.replace("steps", "# "), "scene drawn: view is layer without steps, and it must have steps"),
        (DRAWN + 'sentence = "So."', "scene drawn: view is layer beside sentence, and it must"),
        (DRAWN.replace('["A', '[7, "A'), "scene drawn: steps is 7, and it must be a text"),
        (
            re.sub(r"steps = .*", "steps = []", DRAWN),
            "scene drawn: steps is 0, and there must be from 1 to 8",
        ),
        (re.sub("steps = .*", "steps = 3", DRAWN), "scene drawn: steps is 3, and there must be"),
        (DRAWN.replace("{trained}", "{trained"), "scene drawn: steps: braces must hold"),
        (GOOD + 'steps = ["One."]', "scene one: steps is beside view loss, and only layer and picture"),
        (GOOD + 'view = "digits"', "scene one: view is digits, and it must show a task of digits"),
        (GOOD + f'notes = "{601 * "a"}"', "scene one: notes is"),
    ],
)
def test_a_scene_whose_view_and_fields_do_not_match_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        read_talk(text)


def test_words_turn() -> None:
    found = told("words-turn", "of what full fine-tuning gains", "2.02 nats a letter on new names")
    lora, full = found.run.lora.test_loss, found.run.full.test_loss
    assert found.value("gained") == pytest.approx(100 * (lora[0] - lora[-1]) / (lora[0] - full[-1]))
    assert found.run.experiment == NetworkExperiment()
    assert found.value("pairs_loss") == letter_tables("italian").pairs


def test_backwards_and_next_letter() -> None:
    for name, ours, theirs in (("backwards", "q, k", "up, down"), ("next-letter", "q, k", "up, down")):
        found, scene = facts(SCENES[name]), SCENES[name]
        parts = [
            dict.fromkeys(m[2:] for m in run.experiment.module_ranks()) for run in (found.run, found.beside)
        ]
        assert [", ".join(each) for each in parts] == [ours, theirs]
        assert found.value("right") == 100 * found.run.lora.accuracy[-1]
        assert found.value("beside.trained") == scene.network_beside.trainable()
        assert scene.right_answer(found).says == ("q and k" if name == "backwards" else "The MLP")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[]", '["knee > 1"]', "scene one: claims: knee is no number of a run: there are rank, updates"),
        ("rank = 2", "true_rank = 2", "experiment.true_rank is no field of an experiment: network, language"),
        ("rank = 2", "rank = 65", "scene one: experiment.rank is 65: it must be a whole number from 1 to 64"),
        ("rank = 2", "ranks = '0.x:4'", "experiment.ranks is '0.x:4': it must be pairs like"),
    ],
)
def test_a_wrong_scene_of_the_network_is_told(old: str, new: str, words: str) -> None:
    text = NETWORK_SCENE.replace(old, new)
    assert read_talk(NETWORK_SCENE).scenes[0].network == NetworkExperiment(rank=2)
    with pytest.raises(ValueError, match=re.escape(words)):
        read_talk(text)


def test_before_the_reveal_a_network_shows_its_base_alone() -> None:
    found = facts(SCENES["backwards"])
    words = scene_words(found.run, found.beside, revealed=False)
    assert [column.name for column in words.columns] == ["Asked", "Wanted"]
    hidden = scene_curves(found.run, found.beside, revealed=False)
    assert [len(curve.values) for curve in hidden.curves] == [1, 1]
    assert "goes from" not in curves_alt(hidden)
    shown = scene_curves(found.run, found.beside, revealed=True)
    assert [curve.label for curve in shown.curves] == ["LoRA in q, k", "LoRA in the MLP"]
    names = [column.name for column in scene_words(found.run, found.beside, revealed=True).columns]
    assert names == ["Asked", "LoRA in q, k", "LoRA in the MLP"]


def test_one_rank_more_on_the_way() -> None:
    found = told("one-more", "It falls through its floor")
    assert found.run.course == Course(Experiment(epochs=300), ((100, "rank", 4),))
    assert found.beside is not None
    assert found.beside.course.changes == ()
    assert found.value("rank") == 4
    assert found.value("beside.rank") == 3
    assert found.value("floor") == found.run.floors[4]


def test_cut_down_on_the_way() -> None:
    found = told("cut-down", "mostly noise")
    (cut,) = found.run.cuts
    assert (cut.update, cut.rank_before, cut.rank) == (150, 16, 4)
    assert found.value("trained") == 4 * 128


WRONG_COURSES = [
    ('"60"', "scene one: course: course holds '60': each change must read update:field=value"),
    (
        '"60:rank=4"',
        "scene one: course: the update of the change of rank is 60: it must be a whole number from",
    ),
    ("3", "scene one: course is 3, and it must be a text, in the view loss."),
]


@pytest.mark.parametrize(("course", "words"), WRONG_COURSES)
def test_a_wrong_course_in_a_talk_is_one_sentence(course: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        read_talk(f"{GOOD}course = {course}\n")
    assert read_talk(f'{GOOD}course = "10:rank=4"\n').scenes[0].course.last.rank == 4
