"""The page of adapters without a browser: uploads, the cut, the download, one sentence for nonsense."""

import inspect
import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from streamlit.testing.v1 import AppTest

from lora_core import Experiment, run
from lora_core.adapters.cutting import Cut, cut, one_rank
from lora_core.adapters.network_adapter import network_adapter_zip
from lora_core.adapters.source import CONFIG, WEIGHTS, Memory, Parts
from lora_core.formatting import percent_text
from lora_core.network import NetworkExperiment
from lora_core.network.run import run_lane
from lora_core.network.shape import path_of
from pages.adapter import follow, take_home
from pages.adapter import opened as state
from pages.adapter.cut import SHARES, Choice
from pages.adapter.cut import _ranks as cut_ranks
from pages.adapter.cut import _sizes as cut_sizes
from pages.components.slider_follower import Follower, follower_message
from pages.runtime.queue import QUICK
from tests.adapters_kit import PREFIX, config, draw, factors, opened, peft_file, truncated

RANKS = {f"model.layers.{layer}.{name}": 4 for layer in range(6) for name in ("q_proj", "v_proj")}
STRONG = f"{PREFIX}model.layers.0.q_proj.lora_A.weight"
SAVED = save({key: tensor * (9 if key == STRONG else 1) for key, tensor in peft_file(RANKS).items()})
SAID = json.dumps(config(4, 16)).encode()
A, B = factors(4, (12, 9))


def open_page(**link: str) -> AppTest:
    """The page as a link opens it."""
    app = AppTest.from_file("../app.py", default_timeout=30)
    for name, value in link.items():
        app.query_params[name] = value
    return checked(app.switch_page("pages/6_Your_adapter.py").run())


def checked(app: AppTest) -> AppTest:
    assert not app.exception, app.exception[0].message
    return app


def drop(app: AppTest, files: dict[str, bytes]) -> AppTest:
    """Upload files at once; those of the last time go, which a page remembers."""
    new = [(name, content, "application/octet-stream") for name, content in files.items()]
    return checked(app.file_uploader[0].set_value(new).run())


def said(app: AppTest) -> str:
    return next(each.value for each in app.markdown if each.value.startswith("# "))[2:].replace("\\", "")


def words(app: AppTest) -> str:
    return " ".join(each.value for each in app.caption).replace("\\", "")


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> list[Cut]:
    """The cuts that were offered for download, as the page drew them."""
    offered: list[Cut] = []
    before = take_home.readers_of
    monkeypatch.setattr(take_home, "readers_of", lambda plan: (offered.append(plan), before(plan))[1])
    return offered


def test_the_first_paint_is_the_adapter_that_the_playground_trained(home: list[Any]) -> None:
    app = open_page(rank="6", true_rank="2")
    e = Experiment(rank=6, true_rank=2)
    last = run(e).lora.snapshots[e.epochs]
    values = np.linalg.svd((e.scaling * last.A @ last.B).numpy(), compute_uv=False)[:6]
    assert said(app) == "Rank 6 was paid for, but 95 % of the change fits into 2 directions."
    energy = np.square(values)
    assert app.metric[0].value == percent_text(energy[:3].sum() / energy.sum())
    assert float(app.metric[1].value) == pytest.approx(np.sqrt(energy[3:].sum() / energy.sum()), rel=0.01)
    assert "The adapter that the playground has just trained, 1 module" in words(app)
    assert not app.warning
    # What goes home is the cut of the very run.
    tensors = load(zipfile.ZipFile(io.BytesIO(take_home._zipped(_Found(home[-1])))).read(WEIGHTS))
    A, B = (tensors[f"{PREFIX}linear.lora_{factor}.weight"] for factor in "AB")
    torch.testing.assert_close((B @ A).T, truncated(e.scaling * last.A @ last.B, 3), rtol=0, atol=1e-9)


def test_what_the_small_network_gives_home_is_opened(home: list[Any]) -> None:
    experiment = NetworkExperiment(updates=10, batch=4, ranks="0.q:7,head:2,1.up:0")
    lane = run_lane(experiment)
    app = drop(open_page(), {"small_network_adapter.zip": network_adapter_zip(experiment, lane)})
    assert not app.warning
    assert not app.error
    assert said(app).startswith("Rank 7 was paid for")
    assert "12 modules, names of PEFT" in words(app)
    assert "Scaling 2.286 to 8 = alpha / r, by module." in words(app)
    found = {module.path: module.rank for module in home[-1].file.modules}
    assert found == {path_of(module): rank for module, rank in experiment.module_ranks().items()}
    # Cut and baked into its factors, each change is the best of its rank.
    tensors = load(zipfile.ZipFile(io.BytesIO(take_home._zipped(_Found(home[-1])))).read(WEIGHTS))
    path = "layers.0.mlp.down_proj"
    A, B = (tensors[f"{PREFIX}{path}.lora_{factor}.weight"] for factor in "AB")
    change = experiment.scaling_of(4) * lane.factors[path][0] @ lane.factors[path][1]
    torch.testing.assert_close((B @ A).T.double(), truncated(change, len(A)), rtol=0, atol=1e-6)


class _Found:
    """A cut as far as the download looks at it."""

    def __init__(self, plan: Any) -> None:
        self.plan = plan


def test_a_diverged_experiment_has_no_adapter_and_a_sentence() -> None:
    app = open_page(learning_rate="1.0", optimizer="sgd", alpha="4096")
    assert said(app) == "This experiment has no adapter to open: it diverged."
    assert not app.metric


@pytest.mark.parametrize(
    "steps",
    [
        [{WEIGHTS: SAVED, CONFIG: SAID}],
        [{CONFIG: SAID, WEIGHTS: SAVED}],
        [{WEIGHTS: SAVED}, {CONFIG: SAID}],
        [{CONFIG: SAID}, {WEIGHTS: SAVED}],
        [{"mine.zip": zipped({f"mine/{WEIGHTS}": SAVED, f"mine/{CONFIG}": SAID})}],
    ],
)
def test_both_files_in_any_order_or_a_zip(steps: list[dict[str, bytes]]) -> None:
    app = open_page()
    for step in steps:
        drop(app, step)
    assert "95 % of the change fits into" in said(app)
    assert "12 modules, names of PEFT" in words(app)
    assert "Scaling 4 = alpha / r." in words(app)
    assert not app.warning
    assert not app.info
    assert app.selectbox(key="adapter_module").options == list(RANKS)
    app.button[0].click()
    back = next(each for each in app.button if each.label.startswith("Back to"))
    checked(back.click().run())
    assert "The adapter that the playground has just trained" in words(app)


def test_weights_alone_are_shown_and_not_given_home() -> None:
    app = drop(open_page(), {WEIGHTS: SAVED})
    assert app.info[0].value == f"Now add {CONFIG}."
    assert "not known" in words(app)
    assert f"Add {CONFIG} first" in words(app)
    assert len(app.metric) == 4


BOMB = zipped({WEIGHTS: bytes(300_000_000)})
NONSENSE: dict[str, tuple[dict[str, bytes], str]] = {
    "cut short": ({WEIGHTS: SAVED[:-50], CONFIG: SAID}, "it is cut short"),
    "not an adapter": ({"x.safetensors": b"<html>"}, "x.safetensors is 6 bytes long"),
    "a pickle": ({WEIGHTS: b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00."}, "is a pickle"),
    "a bomb": (
        {"x.zip": BOMB},
        "unpacks to 300 MB: it must be at most 200 MB",
    ),
    "another model's config": ({WEIGHTS: SAVED, CONFIG: json.dumps(config(16)).encode()}, "does not belong"),
    "no JSON": ({WEIGHTS: SAVED, CONFIG: b"{"}, "is not JSON"),
    "two adapters": ({"a.safetensors": SAVED, "b.safetensors": SAVED}, "are both weights"),
    "lokr": ({"x.safetensors": save({"a.lokr_w1": draw(2, 2)})}, "belongs to LoKr"),
    "markdown": (
        {"x.safetensors": save({"**b** <img src=x> `c`.lokr_w1": A})},
        "**b** <img src=x> 'c'.lokr_w1 belongs to LoKr",
    ),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_one_sentence_and_the_last_picture_stays(name: str) -> None:
    files, sentence = NONSENSE[name]
    app = drop(open_page(), {WEIGHTS: save(peft_file({"a": 4})), CONFIG: SAID})
    before = said(app), [(metric.value, metric.delta) for metric in app.metric]
    drop(app, files)
    assert len(app.warning) == 1
    assert sentence in app.warning[0].value.replace("\\", "")
    assert (said(app), [(metric.value, metric.delta) for metric in app.metric]) == before
    # And what comes right after it is opened.
    drop(app, {"other.safetensors": save({"unet:0:down": A, "unet:0:up": B})})
    assert not app.warning
    assert "names of cloneofsimo" in words(app)


def test_a_config_is_judged_when_it_comes() -> None:
    app = drop(open_page(), {CONFIG: b"{"})
    assert "adapter_config.json is not JSON" in app.warning[0].value.replace("\\", "")
    assert not app.info
    drop(
        app, {"style.safetensors": save({"lora_unet_a.lora_down.weight": A, "lora_unet_a.lora_up.weight": B})}
    )
    assert not app.warning
    assert "names of kohya" in words(app)


def test_a_config_that_was_left_is_not_used_for_names_of_others() -> None:
    app = drop(open_page(), {CONFIG: SAID})
    assert app.info[0].value == f"Now add {WEIGHTS}."
    drop(
        app, {"style.safetensors": save({"lora_unet_a.lora_down.weight": A, "lora_unet_a.lora_up.weight": B})}
    )
    assert not app.warning
    assert "Scaling 1, as files in kohya's names have no alpha." in words(app)
    assert "adapter_config.json is not used" in words(app)


def test_a_refused_file_takes_its_warning_with_it_and_the_others_are_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session: dict[str, Any] = {}
    monkeypatch.setattr(state.st, "session_state", session)
    weights, said_, bad = (
        _Held("1", WEIGHTS, SAVED),
        _Held("2", CONFIG, SAID),
        _Held("3", "x.safetensors", b"x"),
    )
    session[state.upload_key()] = [weights, said_, bad]
    take_upload()
    assert "are both weights" in state.trouble()
    assert state.own() is None
    session[state.upload_key()] = [weights, said_]
    take_upload()
    assert state.trouble() == ""
    assert state.own() is not None
    # Refused alone, and taken away again: the picture stays, the warning goes.
    before = state.own()
    session[state.upload_key()] = [weights, said_, bad]
    take_upload()
    assert "x.safetensors" in state.trouble()
    session[state.upload_key()] = [weights, said_]
    take_upload()
    assert (state.trouble(), state.own()) == ("", before)
    # Two files of one name are two files.
    session[state.upload_key()] = [_Held("4", WEIGHTS, SAVED), _Held("5", WEIGHTS, SAVED)]
    take_upload()
    assert "are both weights" in state.trouble()


class _Held:
    """A file as the uploader holds it."""

    type = "application/octet-stream"

    def __init__(self, file_id: str, name: str, content: bytes) -> None:
        self.file_id, self.name, self.content = file_id, name, content

    def getvalue(self) -> bytes:
        return self.content


def take_upload() -> None:
    inspect.unwrap(state.take_upload)()


@pytest.mark.parametrize(("scale", "sentence"), [(1e-12, "too small for F16"), (1e5, "too large for F16")])
def test_a_precision_that_cannot_hold_the_change_is_told_before_the_download(
    scale: float, sentence: str
) -> None:
    tensors = {key: scale * tensor for key, tensor in peft_file({"a": 4}).items()}
    app = drop(open_page(), {WEIGHTS: save(tensors), CONFIG: SAID})
    assert "Rounding to F32 adds at most" in words(app)
    checked(app.selectbox(key="adapter_precision").select("fp16").run())
    assert sentence in app.warning[0].value
    assert not app.get("download_button")


def test_numbers_near_the_end_of_float64_are_drawn() -> None:
    tensors = {key: 1e100 * tensor.double() for key, tensor in peft_file({"a": 4}).items()}
    app = drop(open_page(), {WEIGHTS: save(tensors), CONFIG: SAID})
    assert not any("nan" in metric.value or "–" in metric.value for metric in app.metric)


def test_numbers_that_are_not_finite_are_told_and_not_cut() -> None:
    tensors = peft_file(RANKS)
    tensors[f"{PREFIX}model.layers.3.q_proj.lora_A.weight"][0, 0] = float("nan")
    app = drop(open_page(), {WEIGHTS: save(tensors), CONFIG: SAID})
    assert said(app) == "1 of 12 modules hold numbers that are not finite."
    assert "cannot be cut" in app.warning[0].value
    assert not app.metric
    checked(app.selectbox(key="adapter_module").select("model.layers.3.q_proj").run())
    assert "it has no spectrum" in words(app)


def test_every_way_to_cut_answers_with_its_numbers() -> None:
    app = drop(open_page(), {WEIGHTS: SAVED, CONFIG: SAID})
    assert app.metric[3].value == "2"
    whole = len(SAVED)
    sizes = cut_sizes(opened(load(SAVED), config(4, 16)), None, False)
    for way, label, values in (
        ("energy", "Keep of every module's energy", SHARES),
        ("numbers", "Numbers in the factors, at most", (12 * 21, 12 * 21 * 4)),
        ("size", "File of weights, at most", sizes),
    ):
        checked(app.segmented_control(key="adapter_cut").set_value(way).run())
        seen = []
        for value in (values[0], values[-1]):
            slider = next(each for each in app.select_slider if each.label == label)
            checked(slider.set_value(value).run())
            seen.append((app.metric[0].value, app.metric[3].value))
        assert seen[0] != seen[1]
        assert seen[1] == ("100 %", "4")
    checked(app.selectbox(key="adapter_precision").select("bf16").run())
    assert f"now {whole / 1000:.3g} kB" == app.metric[2].delta
    assert float(app.metric[2].value.split()[0]) < whole / 1000
    checked(app.toggle(key="adapter_padded").set_value(True).run())


def test_mixed_ranks_are_said_to_be_wrong_for_some_readers_and_padded_ones_right() -> None:
    app = drop(open_page(adapter_cut="File size"), {WEIGHTS: SAVED, CONFIG: SAID})
    table = app.table[0].value
    assert list(table["Reader"]) == ["PEFT", "vLLM", "llama.cpp", "diffusers"]
    mixed = dict(zip(table["Reader"], table["This file"], strict=True))
    assert mixed == {
        "PEFT": "right", "vLLM": "right", "llama.cpp": "wrong: the ranks differ, pad them",
        "diffusers": "wrong: the ranks differ, pad them",
    }  # fmt: skip
    checked(app.toggle(key="adapter_padded").set_value(True).run())
    assert set(app.table[0].value["This file"]) == {"right"}


def test_a_large_adapter_streams_module_by_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "FIRST", 0.0)
    page = open_page()
    monkeypatch.setattr("pages.adapter.page.BUDGET", 1e-9)
    app = drop(page, {WEIGHTS: SAVED, CONFIG: SAID})
    assert said(app) == "Reading 12 modules."
    assert not app.metric
    for _ in range(40):
        checked(app.run())
        if app.metric:
            break
    assert "95 % of the change fits into" in said(app)


def test_names_of_others_go_home_as_they_came(home: list[Any]) -> None:
    weights = {"lora_unet_a.lora_down.weight": A, "lora_unet_a.lora_up.weight": B}
    app = drop(open_page(), {"style.safetensors": save(weights)})
    assert "names of kohya" in words(app)
    assert "In the names that it came with, kohya's" in words(app)
    out = load(take_home._weights(_Found(home[-1])))
    assert set(out) == {*weights, "lora_unet_a.alpha"}
    change = out["lora_unet_a.lora_up.weight"] @ out["lora_unet_a.lora_down.weight"]
    torch.testing.assert_close(change.double(), truncated(B.double() @ A.double(), 2), rtol=0, atol=1e-5)


def test_what_is_uploaded_is_in_no_cache_of_others() -> None:
    one, other = open_page(), open_page()
    drop(one, {WEIGHTS: SAVED, CONFIG: SAID})
    checked(other.run())
    assert "12 modules" in words(one)
    assert "The adapter that the playground has just trained" in words(other)
    source = Path(state.__file__).parent
    assert not any("st.cache" in file.read_text() for file in source.glob("*.py"))


def test_what_each_place_of_the_slider_comes_to_is_sent_ahead_and_is_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Follower] = []
    monkeypatch.setattr(follow, "slider_follower", lambda follower, key: sent.append(follower))
    monkeypatch.setattr(state, "FIRST", 60.0)
    monkeypatch.setattr(follow, "FIRST", 60.0)
    tensors = peft_file(
        {f"model.layers.{layer}.{name}": 64 for layer in range(56) for name in "qkvo"}, (70, 66)
    )
    tensors = {key: 1e-7 * tensor for key, tensor in tensors.items()}
    parts = Parts(Memory(WEIGHTS, save(tensors)), json.dumps(config(64)).encode())
    large = state.open_parts("large", parts)
    options, spectra = cut_ranks(large.file), large.summary.spectra

    def cut_at(place: int) -> Cut:
        if place == 1:
            raise ValueError("a precision that cannot hold this cut")
        return cut(large.file, spectra, one_rank(large.file, options[place]))

    follow.follow_slider(large, Choice("a slider", len(options), 3, cut_at), 5)
    [follower] = sent
    assert options[:4] == [1, 2, 3, 4]
    assert options[-1] == 64
    assert len(options) <= 40
    assert len(follower_message(follower)) <= 60_000
    assert (follower.at, list(follower.bars[1])) == (3, [0 if rank == 2 else rank for rank in options])
    energies = next(texts for at, texts in follower.texts.items() if "child(1)" in at and "Value" in at)
    assert list(energies) == ["–" if i == 1 else percent_text(cut_at(i).energy) for i in range(len(options))]


def test_an_adapter_is_measured_and_cut_in_pieces_that_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    slot, pieces = QUICK.slot, Counter[bool]()

    def noted(*args: Any, piece: bool = False, **options: Any) -> Any:
        pieces[piece] += 1
        return slot(*args, piece=piece, **options)

    monkeypatch.setattr(QUICK, "slot", noted)
    open_page(seed="171717")
    assert pieces[False] == 1  # the playground's run
    assert pieces[True] >= 4  # the spectrum, then the cut at each place of the slider
