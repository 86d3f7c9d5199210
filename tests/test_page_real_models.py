"""The page of real models without a browser: every control, every link, every config.json that is none."""

import json
from itertools import cycle
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lora_core.figures.models.numbers import memory_info
from lora_core.formatting import bytes_text, count_text
from lora_core.models import (
    CATALOGUE,
    OPTIMIZERS,
    PRECISIONS,
    PUBLISHED,
    TARGET_PRESETS,
    Adapter,
    ModelShape,
    Training,
    head_names,
    lora_code,
    target_names,
)
from pages.models.choice import DEFAULT_MODEL
from pages.models.config import CONFIG, MOST_IN_A_LINK, OWN
from pages.models.published import lines
from pages.models.sidebar import DEFAULT_RANK, MODEL_CONTROLS
from pages.models.words import verdict
from tests.kit.pages import at_link, checked, open_page, said

PAGE = "pages/5_Real_models.py"

LLAMA = CATALOGUE[DEFAULT_MODEL].shape()
BERT = CATALOGUE["BERT base"].shape("classification")
RANK = int(DEFAULT_RANK)
QWEN = dict(CATALOGUE["Qwen3 4B"].config)
HOSTILE = {
    "malformed": '{"model_type": "llama", ',
    "empty object": "{}",
    "a list": "[1, 2]",
    "a number": "17",
    "huge": '{"a": "' + "x" * 1_000_001 + '"}',
    "negative": json.dumps(QWEN | {"hidden_size": -4096}),
    "a string": json.dumps(QWEN | {"num_hidden_layers": "thirty-two"}),
    "nested": json.dumps(QWEN | {"vocab_size": {"a": [1, {"b": 2}]}}),
    "deep": "[" * 100_000,
    "endless digits": '{"hidden_size": ' + "9" * 5000 + "}",
    "infinite": '{"model_type": "llama", "hidden_size": Infinity}',
    "unknown": json.dumps({"model_type": "mambo", "hidden_size": 64}),
    "experts": json.dumps(QWEN | {"model_type": "mixtral", "num_local_experts": 8}),
    "markdown": json.dumps(
        {"model_type": "`x` **b** <img src=x onerror=alert(1)> :material/face: $1$ [a](b)"}
    ),
    "experts by name": json.dumps({"model_type": "dbrx", "d_model": 6144}),
    "inside": json.dumps({"model_type": "llava", "text_config": {"model_type": "llama", "vocab_size": -1}}),
    "inside markdown": json.dumps({"model_type": "llava", "text_config": {"model_type": "`**a**` $x$"}}),
    "exponent": '{"model_type": "llama", "hidden_size": 1e999}',
    "not a number": '{"model_type": "llama", "hidden_size": NaN}',
    "true for a number": json.dumps(QWEN | {"num_hidden_layers": True}),
    "a fraction": json.dumps(QWEN | {"num_hidden_layers": 36.0}),
    "thirty levels": '{"hidden_size":' * 30 + "1" + "}" * 30,
    "other digits": json.dumps(QWEN | {"hidden_size": "\u0664\u0660\u0669\u0666"}),
    "other digits, bare": '{"model_type": "llama", "hidden_size": \u0664\u0660}',
    "twice": '{"model_type": "llama", "model_type": "mambo"}',
    "null bytes": '{"model_type": "lla\x00ma"}',
    "surrogates": '{"model_type": "\\ud800"}',
    "architecture": json.dumps(QWEN | {"architectures": ["<script>alert(1)</script>"]}),
}


def trained(app: AppTest) -> int:
    """The number of trained numbers that the page prints."""
    return int(app.metric[0].delta.replace(",", ""))


def code(app: AppTest) -> str:
    return next(each.value for each in app.code if each.value.startswith("from peft"))


def put(app: AppTest, kind: str, key: str, value: Any) -> AppTest:
    return checked(getattr(app, kind)(key=key).set_value(value).run())


def test_the_first_paint_says_what_a_usual_rank_costs() -> None:
    app, adapter = open_page(PAGE), Adapter(RANK, alpha=2 * RANK)
    info = memory_info(LLAMA, adapter, Training(), 24)
    assert said(app).startswith(verdict(DEFAULT_MODEL, LLAMA, adapter, info))
    assert "It fits on 24 GB (longest sequence there: " in said(app)
    assert trained(app) == RANK * 32 * (4096 + 4096 + 4096 + 1024)
    assert app.metric[1].delta == "of 8,030,261,248"
    assert len(app.metric) == 5
    assert not app.warning


def test_every_third_model_of_the_catalogue_is_counted_on_the_page() -> None:
    app = open_page(PAGE, model_rank="8")
    assert len(CATALOGUE) >= 16
    for name, (preset, words) in zip([*CATALOGUE][::3], cycle(TARGET_PRESETS.items()), strict=False):
        app.selectbox(key="model_targets").set_value(words)
        put(app, "selectbox", "model_name", name)
        shape = CATALOGUE[name].shape()
        adapter = Adapter(8, preset, text_only=bool(shape.text))
        assert trained(app) == shape.count(adapter).trainable, (name, preset)
        assert name in said(app)
        assert not app.warning


def test_every_control_changes_what_is_counted() -> None:
    app = open_page(PAGE, model_rank="8", model_biases="true", model_alpha="= r")
    put(app, "selectbox", "model_name", "BERT base")
    put(app, "selectbox", "model_head", "classification")
    names = ("query", "intermediate.dense")
    assert trained(app) == BERT.trainable(8, "qv", bias="lora_only")
    put(app, "multiselect", "model_modules", list(names))
    assert trained(app) == BERT.trainable(8, names, bias="lora_only")
    put(app, "number_input", "model_rank_mlp", 32)
    ranks = {"intermediate.dense": 32}
    assert trained(app) == BERT.trainable(8, names, rank_pattern=ranks, bias="lora_only")
    put(app, "toggle", "model_dora", True)
    assert trained(app) == BERT.trainable(8, names, rank_pattern=ranks, bias="lora_only", use_dora=True)
    put(app, "toggle", "model_train_head", True)
    adapter = Adapter(
        8, names, 8.0, rank_pattern=tuple(ranks.items()), bias="lora_only", use_dora=True,
        modules_to_save=head_names(BERT.parts),
    )  # fmt: skip
    assert trained(app) == BERT.count(adapter).trainable
    assert code(app) == lora_code(BERT, adapter).strip()
    assert said(app).startswith(
        "DoRA of ranks 8 to 32 on query, intermediate.dense with biases and a full head"
    )


def test_the_head_is_adapted_by_the_presets_that_ask_for_it() -> None:
    app = open_page(PAGE, model_rank="8", model_adapt_head="true", model_targets="all linear")
    names = target_names(LLAMA.parts, "all-linear", head=True)
    assert trained(app) == LLAMA.trainable(8, names)
    assert '"lm_head"' in code(app)


@pytest.mark.parametrize(("alpha", "times"), [("= r", 1), ("= 2 r", 2)])
def test_alpha_follows_the_rank(alpha: str, times: int) -> None:
    app = open_page(PAGE, model_rank="32", model_alpha=alpha, model_rslora="true")
    assert code(app) == lora_code(LLAMA, Adapter(32, "qv", 32 * times, use_rslora=True)).strip()
    put(app, "segmented_control", "model_rank", "64")
    assert code(app) == lora_code(LLAMA, Adapter(64, "qv", 64 * times, use_rslora=True)).strip()


def test_nothing_of_the_playground_is_on_the_page() -> None:
    """Its sliders, its rank and its warnings: a link to it with rank 128 says nothing here."""
    app = open_page(PAGE, rank="128", in_features="64", alpha="8")
    assert trained(app) == LLAMA.trainable(RANK)
    assert not app.warning
    assert not app.sidebar.select_slider
    assert not [each.value for each in app.sidebar.caption if "break-even" in each.value]
    assert "lora_alpha=32" in code(app)


def test_precision_and_optimizer_decide_the_memory() -> None:
    app = open_page(PAGE, model_rank="8")
    for precision, optimizer in zip(PRECISIONS, cycle(OPTIMIZERS), strict=False):
        app.selectbox(key="model_precision").set_value(PRECISIONS[precision])
        put(app, "selectbox", "model_optimizer", OPTIMIZERS[optimizer])
        training = Training(precision=precision, optimizer=optimizer)
        full, lora, qlora = memory_info(LLAMA, Adapter(8), training, 24).bars
        shown = [each.value for each in app.metric][2:4]
        assert shown == [bytes_text(lora.total), bytes_text(qlora.total)]
        assert app.metric[2].delta == f"full: {bytes_text(full.total)}"


def test_batch_length_and_card_decide_whether_it_fits() -> None:
    app = open_page(PAGE, model_rank="8", model_batch="8", model_length="4096")
    assert "It does not fit on 24 GB" in said(app)
    put(app, "selectbox", "model_card", "141 GB")
    assert "It fits on 141 GB (longest sequence there: " in said(app)
    put(app, "selectbox", "model_name", "BERT base")
    assert "It fits on 141 GB (longest sequence there: 512 tokens, all that it takes)" in said(app)
    assert "It takes no more than 512 tokens, which are counted." in said(app)
    assert any("All 512 tokens that it takes fit on 141 GB" in each.value for each in app.caption)
    put(app, "selectbox", "model_name", "ViT base")
    assert "(largest batch there: 512 pictures or more, of 197 tokens each)" in said(app)
    assert not [each for each in app.selectbox if each.key == "model_length"]
    put(app, "selectbox", "model_name", "T5 base")
    assert "Not predicted for this kind of model" in said(app)
    assert any("are not counted" in each.value for each in app.caption)


def test_two_configurations_stand_side_by_side() -> None:
    app = open_page(PAGE, model_rank="8", model_beside_rank="64", model_beside_targets="MLP")
    table = next(each.value for each in app.table if "the other" in each.value)
    assert list(table.columns) == ["this one", "the other"]
    counts = [LLAMA.count(Adapter(rank, targets)) for rank, targets in ((8, "qv"), (64, "mlp"))]
    assert [words.split(" (")[0] for words in table.loc["Trained"]] == [
        count_text(count.trainable) for count in counts
    ]
    assert table.loc["On 24 GB"].tolist()[0] == "fits"


LINK: dict[str, tuple[str, str, Any]] = {
    "model_rank": ("segmented_control", "64", "64"),
    "model_alpha": ("segmented_control", "= r", "= r"),
    "model_rslora": ("toggle", "true", True),
    "model_biases": ("toggle", "true", True),
    "model_name": ("selectbox", "Phi-2", "Phi-2"),
    "model_head": ("selectbox", "token classification", "token classification"),
    "model_targets": ("selectbox", "MLP", "MLP"),
    "model_modules": ("multiselect", "v_proj", ["v_proj"]),
    "model_rank_attention": ("number_input", "1024", 1024),
    "model_rank_head": ("number_input", "1", 1),
    "model_train_head": ("toggle", "true", True),
    "model_adapt_head": ("toggle", "true", True),
    "model_dora": ("toggle", "true", True),
    "model_precision": ("selectbox", "4-bit (NF4)", "4-bit (NF4)"),
    "model_optimizer": ("selectbox", "8-bit AdamW", "8-bit AdamW"),
    "model_card": ("selectbox", "80 GB", "80 GB"),
    "model_batch": ("selectbox", "8", "8"),
    "model_length": ("selectbox", "8192", "8192"),
    "model_checkpointing": ("toggle", "false", False),
    "model_attention": ("selectbox", "eager", "eager"),
    "model_computing": ("selectbox", "bf16", "bf16"),
    "model_loss": ("selectbox", "in chunks", "in chunks"),
    "model_prepared": ("toggle", "false", False),
    "model_double": ("toggle", "false", False),
    "model_beside_rank": ("segmented_control", "8", "8"),
    "model_beside_targets": ("selectbox", "MLP", "MLP"),
    "model_beside_precision": ("selectbox", "fp32", "fp32"),
}
VIEW = {"model_tables": ("toggle", "true", True)}


def test_a_link_restores_every_control() -> None:
    app = open_page(PAGE, **{name: text for name, (_, text, _) in (LINK | VIEW).items()})
    for name, (kind, _, value) in (LINK | VIEW).items():
        assert getattr(app, kind)(key=name).value == value, name
    assert not app.warning


def test_nonsense_in_a_link_is_told_for_every_control_and_the_default_stands() -> None:
    nonsense = "<script>alert(`1`)</script>" + "x" * 5000
    app = checked(at_link(PAGE, **dict.fromkeys(LINK, nonsense)).run())
    assert trained(app) == LLAMA.trainable(RANK)
    (warning,) = app.warning
    assert warning.value.count(" in the link is `<script>alert(1)") == len(LINK)
    assert len(warning.value) < 260 * len(LINK)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_config_that_is_none_gives_one_sentence_and_the_last_picture(kind: str) -> None:
    app = open_page(PAGE, model_name="Phi-2")
    before = said(app)
    put(app, "text_area", CONFIG, HOSTILE[kind])
    (warning,) = app.warning
    assert warning.value.startswith("The picture is still that of Phi-2: `")
    assert warning.value.count("`") == 2  # all that came from outside is in one span of code
    assert len(warning.value) < 400
    assert said(app) == before
    put(app, "segmented_control", "model_rank", "8")
    assert trained(app) == CATALOGUE["Phi-2"].shape().trainable(8)


def test_a_pasted_config_becomes_the_model_and_travels_in_the_link() -> None:
    app = put(open_page(PAGE), "text_area", CONFIG, json.dumps(QWEN, indent=2))
    shape = ModelShape.from_config(QWEN)
    assert app.selectbox(key="model_name").value == OWN
    assert trained(app) == shape.trainable(RANK)
    assert "your qwen3 model" in said(app)
    link = app.query_params[CONFIG]
    other = open_page(PAGE, model_name=OWN, **{CONFIG: link})
    assert trained(other) == shape.trainable(RANK)
    put(other, "selectbox", "model_name", "GPT-2")
    assert CONFIG not in other.query_params


def test_the_text_model_of_a_larger_one_is_adapted_alone_or_with_the_rest() -> None:
    text = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240}
    config = {"model_type": "gemma3", "text_config": text | {"num_hidden_layers": 34}, "vision_config": {}}
    app = put(open_page(PAGE, model_rank="8"), "text_area", CONFIG, json.dumps(config))
    shape = ModelShape.from_config(config)
    assert trained(app) == shape.count(Adapter(8, "qv", text_only=True)).trainable
    assert r'target_modules=r"model\.language_model\.' in code(app)
    assert any("are in its text model, which alone is adapted" in each.value for each in app.caption)
    put(app, "selectbox", "model_scope", "the whole model")
    assert (
        trained(app)
        == shape.count(Adapter(8, "qv")).trainable
        > shape.count(Adapter(8, "qv", text_only=True)).trainable
    )
    assert 'target_modules=["q_proj", "v_proj"]' in code(app)
    put(app, "selectbox", "model_name", DEFAULT_MODEL)
    assert not any("text model" in each.value for each in app.caption)


def test_an_unknown_class_is_told_and_a_head_may_be_chosen_for_it() -> None:
    config = {**QWEN, "architectures": ["Qwen3ForRewards"], "auto_map": {"AutoModel": "x.Qwen3ForRewards"}}
    app = put(open_page(PAGE), "text_area", CONFIG, json.dumps(config))
    (warning,) = app.warning
    assert "'Qwen3ForRewards', which transformers does not have for qwen3" in warning.value
    assert "Choose one under Head" in warning.value
    put(app, "selectbox", "model_head", "classification")
    assert not app.warning
    assert trained(app) == ModelShape.from_config(config, "classification").trainable(RANK)
    captions = " ".join(each.value for each in app.caption)
    assert "The file brings code of its own (auto_map), which is not run" in captions
    assert "The head is new and stays random and frozen" in captions
    put(app, "toggle", "model_train_head", True)
    assert 'task_type="SEQ_CLS"' in code(app)
    assert "stays random" not in " ".join(each.value for each in app.caption)


def test_a_mixture_of_experts_says_what_is_active_and_what_is_not_reached() -> None:
    config = {"model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"], "num_hidden_layers": 2}
    app = put(open_page(PAGE, model_targets="all linear"), "text_area", CONFIG, json.dumps(config))
    captions = " ".join(each.value for each in app.caption)
    assert "A mixture of experts: 4 of 128 experts a token" in captions
    assert "fused tensors (gate_up_proj, down_proj), which target_modules do not reach" in captions


def test_a_long_config_is_counted_but_stays_out_of_the_link() -> None:
    labels = {str(label): f"label {label}" for label in range(1000)}
    config = dict(CATALOGUE["ViT base"].config) | {"id2label": labels}
    config.pop("num_labels", None)
    app = put(open_page(PAGE), "text_area", CONFIG, json.dumps(config))
    assert trained(app) == ModelShape.from_config(config).trainable(RANK)
    assert len(json.dumps(config)) > MOST_IN_A_LINK
    assert CONFIG not in app.query_params
    (remark,) = (each.value for each in app.caption if "The link does not carry" in each.value)
    assert f"{len(json.dumps(config, separators=(',', ':'))):,} characters, at most 2,000." in remark
    put(app, "text_area", CONFIG, json.dumps(QWEN))
    assert not any("The link does not carry" in each.value for each in app.caption)


@pytest.mark.parametrize("content", [json.dumps(QWEN).encode(), b"\xff\xfe\x00", b"{", b"x" * 1_100_000])
def test_an_upload_is_read_like_a_paste(content: bytes) -> None:
    app = open_page(PAGE)
    app.file_uploader(key="model_upload").set_value(("config.json", content, "application/json")).run()
    good = content.startswith(b'{"')
    assert trained(checked(app)) == (ModelShape.from_config(QWEN) if good else LLAMA).trainable(RANK)
    assert len(app.warning) == (not good)


def test_an_adapter_that_cannot_be_leaves_the_last_picture() -> None:
    app = open_page(PAGE, model_modules="lm_head")
    before = said(app)
    put(app, "toggle", "model_train_head", True)
    assert said(app) == before
    assert "modules_to_save" in app.warning[0].value


def test_a_rank_beyond_the_matrices_and_a_bias_that_is_not_there_are_explained() -> None:
    app = open_page(PAGE, model_rank_attention="1024", model_biases="true")
    put(app, "selectbox", "model_name", "Qwen2.5 0.5B")
    # q is 896 -> 896 and v is 896 -> 128: (896 * 896 + 896 * 128) / (896 + 896 + 896 + 128) = 325.8.
    notes = " ".join(each.value for each in app.caption)
    assert "From rank 326 on, LoRA trains more numbers than the matrices it adapts hold." in notes
    assert "Train biases adds nothing" not in notes  # q and v of Qwen 2.5 have biases
    put(app, "selectbox", "model_name", "Mistral 7B")
    assert any("Train biases adds nothing" in each.value for each in app.caption)


def test_reset_puts_the_defaults_back_and_clears_the_link() -> None:
    app = open_page(PAGE, model_rank="64", model_name="Phi-2", model_dora="true")
    next(each for each in app.button if each.label == "Reset").click().run()
    assert trained(checked(app)) == LLAMA.trainable(RANK)
    assert "Llama 3.1 8B" in said(app)


def test_the_model_is_still_there_after_a_visit_to_another_page() -> None:
    app = open_page(PAGE, model_rank="64", model_name="Phi-2")
    checked(app.switch_page("pages/4_The_code.py").run())
    app = checked(checked(app.switch_page(PAGE).run()).run())
    assert "Phi-2" in said(app)
    assert trained(app) == CATALOGUE["Phi-2"].shape().trainable(64)
    assert MODEL_CONTROLS.words() is not None


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        (Adapter(1), "Rank 1 on query, value of BERT trains 36,864 of 109 M numbers (0.0337 %) and needs"),
        (Adapter(8, "all-linear"), "Rank 8 on all linear layers of BERT"),
        (Adapter(8, "attention"), "Rank 8 on attention of BERT"),
        (Adapter(1024, "all-linear"), "trains 172 M numbers, 1.57 times the 109 M of full fine-tuning and"),
        (Adapter(1024, "all-linear"), "needs 2.98 GB to train, no less than full fine-tuning's 877 MB."),
    ],
)
def test_the_verdict_is_right_in_every_corner(adapter: Adapter, words: str) -> None:
    assert words in verdict("BERT", BERT, adapter, memory_info(BERT, adapter, Training(), 24))


def test_how_little_the_rank_changes_is_said_with_what_was_measured() -> None:
    (note,) = (
        each.value
        for each in open_page(PAGE, model_rank="8").caption
        if "which no rank changes" in each.value
    )
    assert note.startswith("81.0 % of LoRA's 19.8 GB are frozen weights")
    assert "LoRA at the loss" in note
    assert note.endswith(
        "Measured on Llama 2 7B, activations included: 15.57 GB with q, v at rank 8, 17.04 GB with all "
        "linear layers and the head at rank 64 (torchtune documentation, LoRA tutorial)."
    )


def test_published_counts_are_reproduced_or_explained() -> None:
    found = lines()
    totals = [entry for entry in CATALOGUE.values() if entry.published_total is not None]
    assert len(found) == len(PUBLISHED) + len(totals)
    assert all(line.agrees != bool(line.reason) for line in found)
    assert sum(line.agrees for line in found) >= 15 + len(totals)


def test_the_tables_say_what_the_pictures_show() -> None:
    app = open_page(PAGE, model_rank="8")
    (modules,) = (each.value for each in app.table if "Trained" in each.value)
    assert sum(int(cell.replace(",", "")) for cell in modules["Trained"]) == trained(app)
    checked(app.toggle(key="model_tables").set_value(True).run())
    *_, ranks, memory = (each.value for each in app.table)
    assert ranks["this configuration"][3] == ranks["q, v as in the paper"][3]
    bars = memory_info(LLAMA, Adapter(8), Training(), 24).bars
    assert list(memory["sum"]) == [bytes_text(bar.total) for bar in bars]
    assert count_text(trained(app)) == app.metric[0].value
