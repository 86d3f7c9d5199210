"""The code page without a browser: both languages, every number the core's, every try, every export."""

import inspect
import re
from dataclasses import replace
from functools import cache
from itertools import chain
from textwrap import dedent

import pytest
from streamlit.testing.v1 import AppTest

from lora_core import PRESETS, Experiment, run
from lora_core.__main__ import main
from lora_core.accounting import full_cost, lora_cost
from lora_core.export import peft_script, torch_script
from lora_core.findings.original_script import ORIGINAL, base_loss, fixes, print_losses, script_facts
from lora_core.formatting import loss_text
from lora_core.layer import LoRALayer, count_parameters
from lora_core.training.loop import create_toy_dataset, train_model
from pages.code.words import LANGUAGES, Words, texts
from pages.ui.link import differences
from tests.kit.pages import at_link, checked, open_page, shown

PAGE = "pages/4_The_code.py"

ISOLATES = re.compile("[\u2066\u2069]")
ARABIC = re.compile("[\u0600-\u06ff]")


def said(app: AppTest) -> str:
    """All prose of the page, without the marks that keep numbers in order."""
    main_part = app.main
    prose = chain(main_part.title, main_part.header, main_part.markdown, main_part.caption)
    return ISOLATES.sub("", "\n".join(element.value for element in prose))


def cells(app: AppTest, index: int) -> list[list[str]]:
    """A table as rows of texts."""
    return [[ISOLATES.sub("", text) for text in row] for row in app.table[index].value.values.tolist()]


def codes(app: AppTest) -> list[str]:
    return [block.value for block in app.main.code]


def part_of(lang: str, name: str) -> str:
    """A tab as a link names it."""
    return texts(lang)[{"home": "take.title", "walk": "words.walk", "wrong": "says.title"}[name]]


def walked(lang: str, part: str) -> dict[str, str]:
    """The link to a part."""
    return {"lang": lang, "part" if lang == "en" else f"part_{lang}": part_of(lang, part)}


@cache
def opened(lang: str, part: str) -> AppTest:
    """A page that no test changes, on one of its parts."""
    return open_page(PAGE, **walked(lang, part))


def test_both_languages_have_the_same_texts_numbers_and_code() -> None:
    english, arabic = texts("en"), texts("ar")
    assert english.keys() == arabic.keys()
    for name, text in english.items():
        for pattern in (r"\{(\w+)\}", r"`[^`]+`"):
            found = [sorted(re.findall(pattern, each)) for each in (text, arabic[name])]
            assert sorted(set(found[0])) == sorted(set(found[1])), name
        assert ARABIC.search(arabic[name]), name
        assert not ARABIC.search(text), name


def test_a_text_without_its_number_is_an_error_and_not_a_gap() -> None:
    with pytest.raises(KeyError):
        Words("en")("layer.try")


def test_arabic_keeps_a_number_in_its_own_direction() -> None:
    assert Words("ar")("layer.try", other="1 / 2").endswith("\u20661 / 2\u2069")
    assert Words("en")("layer.try", other="1 / 2") == "Try rank 1 / 2"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_speaks_the_language_of_the_link(lang: str) -> None:
    parts = [opened(lang, part) for part in ("home", "walk", "wrong")]
    assert {app.button_group(key="lang").value for app in parts} == {lang}
    assert {app.title[0].value for app in parts} == {texts(lang)["title"]}
    prose = [each.value for app in parts for each in app.main.markdown if len(each.value) > 40]
    assert len(prose) >= 10
    assert all(bool(ARABIC.search(text)) == (lang == "ar") for text in prose)


def test_the_switch_changes_the_language_and_nothing_else() -> None:
    app = open_page(PAGE, part=part_of("en", "walk"))
    checked(app.button_group(key="lang").set_value("ar").run())
    assert app.title[0].value == texts("ar")["title"]
    assert app.session_state["part_ar"] == part_of("ar", "walk")
    assert app.header[0].value == texts("ar")["layer.title"]
    assert shown(app) == Experiment()


@pytest.mark.parametrize("nonsense", ["fr", "", "<b>", "العربية"])
def test_a_language_that_is_none_opens_in_english_with_a_word(nonsense: str) -> None:
    assert open_page(PAGE, lang=nonsense).title[0].value == "The code"
    app = checked(at_link(PAGE, lang=nonsense).run())
    assert app.warning[0].value == f"lang in the link is `{nonsense}`: it must be en or ar. It is en now."


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_number_of_the_script_is_the_cores(lang: str) -> None:
    parts = [opened(lang, part) for part in ("walk", "wrong")]
    text, known, found = "\n".join(map(said, parts)), script_facts(), fixes()
    numbers = [
        "306", "296", "946", "32.35\u00a0%", "31.29\u00a0%",
        *(loss_text(loss, 4) for loss in (known.start, known.end, known.base, known.zero)),
        *(loss_text(loss, 4) for loss in (known.floor, known.full_floor)),
        f"{known.start / known.base:.0f}", f"{known.expected_extra:g}",
        *(loss_text(loss, 5) for loss in (found["bias"].before[-1], found["bias"].after[-1])),
        *(loss_text(loss, 4) for loss in (found["targets"].before[-1], found["targets"].after[-1])),
        *(loss_text(loss, 4) for loss in (found["scaling"].before[0], found["scaling"].after[0])),
        loss_text(found["start"].after[0], 4), loss_text(found["targets"].floors[1], 4),
    ]  # fmt: skip
    for number in numbers:
        assert number in text, number
    fixed = [code for code in codes(parts[1]) if "\n+" in code]
    assert [fix.line.rstrip() for fix in found.values()] == fixed


def test_the_ten_lines_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert len(lines) == 10
    assert "\n".join(lines) in codes(opened("en", "walk"))


def test_the_sources_are_those_that_run() -> None:
    sources = (
        LoRALayer.__init__, LoRALayer.forward, LoRALayer.delta, create_toy_dataset, train_model,
        count_parameters, print_losses,
    )  # fmt: skip
    expected = [dedent(inspect.getsource(source)).strip() for source in sources]
    seen = [code.strip() for code in codes(opened("en", "walk"))]
    assert seen[:3] == expected[:3]
    assert set(expected) <= set(seen)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_tables_hold_the_sliders_layer_beside_the_scripts(lang: str) -> None:
    e = Experiment(in_features=12, out_features=7, rank=5, train_bias=True, samples=40)
    app = open_page(
        PAGE, **walked(lang, "walk"), in_features="12", out_features="7", rank="5",
        train_bias="true", samples="40",
    )  # fmt: skip
    tensors, losses, counts = (cells(app, index) for index in range(3))
    here = {row[0]: row[2] for row in tensors}
    for name, parameter in LoRALayer(12, 7, 5, train_bias=True).named_parameters():
        word = texts(lang)["words.trained" if parameter.requires_grad else "words.frozen"]
        assert here[name] == f"{tuple(parameter.shape)} {word}"
    found = run(e)
    assert [row[1] for row in losses] == [
        loss_text(script_facts().start, 4),
        loss_text(script_facts().base, 4),
    ]
    assert [row[2] for row in losses] == [
        loss_text(loss, 4) for loss in (found.lora.loss[0], base_loss(found.problem))
    ]
    costs = lora_cost(64, 10, 4, True), lora_cost(12, 7, 5, True), full_cost(12, 7, True)
    for column, cost in enumerate(costs, 1):
        trainable, total, share = (row[column] for row in counts)
        assert (trainable, total) == (str(cost.trainable), str(cost.total))
        assert float(share.split("\u00a0")[0]) == pytest.approx(100 * cost.trainable / cost.total, abs=0.005)


def press(app: AppTest, label: str) -> Experiment:
    next(button for button in app.main.button if ISOLATES.sub("", button.label) == label).click().run()
    return shown(checked(app))


def test_each_part_has_something_to_try_that_moves_the_sliders() -> None:
    default, app = Experiment(), open_page(PAGE, part=part_of("en", "walk"))
    assert press(app, "Try rank 6") == replace(default, rank=6)
    assert press(app, "Try rank 12") == replace(default, rank=12)
    assert press(app, "Try both random, as in the script") == replace(default, rank=12, init="original")
    assert press(app, "Try B at zero") == replace(default, rank=12)
    assert press(app, "Try a trained bias") == replace(default, rank=12, train_bias=True)
    assert press(app, "Try a frozen bias") == replace(default, rank=12)
    assert press(app, "Try the script's experiment") == ORIGINAL


def test_a_rank_that_cannot_be_doubled_is_halved() -> None:
    app = open_page(PAGE, part=part_of("en", "walk"), in_features="2", out_features="2", rank="1024")
    assert press(app, "Try rank 512").rank == 512


@pytest.mark.parametrize("name", ["bias", "start", "targets", "scaling"])
def test_each_fix_can_be_put_on_the_sliders(name: str) -> None:
    app = open_page(PAGE, **walked("ar", "wrong"))
    checked(app.button(key=f"set {name}").click().run())
    assert shown(app) == fixes()[name].experiment
    assert app.button(key=f"set {name}").disabled
    assert app.toast[0].value.startswith("على المنزلقات الآن")
    assert app.button_group(key="lang").value == "ar"


EXPERIMENTS = {
    "default": Experiment(),
    "digits": PRESETS["swapped-digits"].experiment,
    "original": ORIGINAL,
    "lora+": Experiment(lr_ratio=4.0, train_bias=True, scaling_rule="rslora"),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_scripts_to_take_home_are_those_of_the_sliders(lang: str, name: str) -> None:
    e = EXPERIMENTS[name]
    app = open_page(PAGE, lang=lang, **differences(e))
    assert shown(app) == e
    assert [script.strip() for script in (torch_script(e), peft_script(e))] == codes(app)[-2:]
    text, words = said(app), Words(lang)
    assert (words("take.digits") in text) == (name == "digits")
    assert (texts(lang)["take.adapter_bias"] in text) == e.train_bias
    constant = ISOLATES.sub("", words("take.constant", peft_alpha=4, scaling=1))
    assert (constant in text) == (name == "original")
    labels = [ISOLATES.sub("", button.label) for button in app.main.get("download_button")]
    assert labels == [texts(lang)[f"words.download_{each}"] for each in ("script", "peft", "adapter")]


def test_a_run_that_diverged_has_no_adapter_to_keep() -> None:
    app = open_page(PAGE, **differences(PRESETS["too-fast"].experiment))
    assert texts("en")["take.diverged"] in said(app)
    assert len(app.main.get("download_button")) == 2


def test_a_long_run_grows_until_its_adapter_is_there() -> None:
    app = open_page(PAGE, in_features="256", out_features="256", epochs="300")
    assert "Training:" in said(app)
    for _ in range(60):
        if "Training:" not in said(app):
            break
        checked(app.run())
    assert len(app.main.get("download_button")) == 3
