"""Peak memory: against an oracle that follows all that transformers and PEFT allocate, and against real runs.

The oracle builds two layers at real widths on the meta device (kit/peak_oracle.py); the closed form is linear
in depth. `measured_peaks.json` holds published peaks of runs on an A100 of 80 GB.
"""

import json
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import peft
import pytest

from lora_core.models import CATALOGUE, Adapter
from lora_core.models.build import build_shape
from lora_core.models.memory import adapter_memory, weight_bytes
from lora_core.models.peak import CARDS, LAYERS, Training, fits, longest, most_tokens, predict
from lora_core.models.peak.kinds import sizes
from lora_core.models.peak.layer import LayerTape
from tests.kit.models import DATA
from tests.kit.peak_oracle import model_of, step_bytes

pytestmark = pytest.mark.filterwarnings("ignore")

RUNS: list[dict[str, Any]] = json.loads((DATA / "measured_peaks.json").read_text(encoding="utf-8"))["runs"]


class Model(NamedTuple):
    """A model of two layers: fields of its config, and what LoRA adapts in the smaller of two ways."""

    fields: dict[str, Any]
    few: tuple[str, ...] = ("q_proj", "v_proj")
    head: str = "CausalLM"


def widths(d: int, f: int, heads: int, keys: int, vocabulary: int, **more: Any) -> dict[str, Any]:
    """A config's fields in the names that most types use."""
    return {
        "hidden_size": d, "intermediate_size": f, "num_attention_heads": heads, "num_key_value_heads": keys,
        "vocab_size": vocabulary, "num_hidden_layers": 2, "pad_token_id": 0, **more,
    }  # fmt: skip


def encoder(head: str, few: tuple[str, ...] = ("query", "value"), **more: Any) -> Model:
    """BERT base, or one of its kind, two layers of it."""
    return Model({"num_hidden_layers": 2, "vocab_size": 30522, "pad_token_id": 0, **more}, few, head)


PLAIN = Model(widths(2048, 8192, 16, 4, 49152, head_dim=128, bos_token_id=1, eos_token_id=1))
MODELS_AT = dict.fromkeys(LAYERS, PLAIN) | {  # real widths, but two layers
    "llama": Model(widths(4096, 14336, 32, 8, 128256)),
    "mistral": Model(widths(4096, 14336, 32, 8, 32000)),
    "qwen2": Model(widths(896, 4864, 14, 2, 151936, tie_word_embeddings=True)),
    "qwen3": Model(widths(2560, 9728, 32, 8, 151936, head_dim=128, tie_word_embeddings=True)),
    "gemma": Model(widths(2048, 16384, 8, 1, 256000, head_dim=256)),
    "gemma2": Model(widths(2304, 9216, 8, 4, 256000, head_dim=256)),
    "gemma3_text": Model(widths(1152, 6912, 4, 1, 262144, head_dim=256)),
    "phi3": Model(widths(3072, 8192, 32, 8, 32064), ("qkv_proj",)),
    "phi": Model(widths(2560, 10240, 32, 32, 51200, bos_token_id=1, eos_token_id=1)),
    "starcoder2": Model(widths(3072, 12288, 24, 2, 49152, bos_token_id=1, eos_token_id=1)),
    "gpt2": Model({"n_layer": 2, "vocab_size": 50257}, ("c_attn",)),
    **dict.fromkeys(("bert", "electra", "ernie"), encoder("MaskedLM", embedding_size=768, hidden_size=768,
                                                           intermediate_size=3072, num_attention_heads=12)),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert"), encoder("MaskedLM")),
    "distilbert": encoder("MaskedLM", ("q_lin", "v_lin"), n_layers=2),
    "vit": Model({"num_hidden_layers": 2}, head="ImageClassification"),
}  # fmt: skip
HEADS = {
    "CausalLM": "lm", "MaskedLM": "lm", "ImageClassification": "classification",
    "TokenClassification": "token-classification", "QuestionAnswering": "question-answering",
    "SequenceClassification": "classification",
}  # fmt: skip
ATTENTION = {"flash": "oracle_kernel", "sdpa": "oracle_masked", "eager": "oracle_eager"}
DECODERS = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text")
OTHERS = ("gpt2", "bert", "vit")
REST = tuple(kind for kind in LAYERS if kind not in (*DECODERS, *OTHERS))
GRID = [
    *product(DECODERS, ("flash",), (False, True), ("full", "all")),
    *product(("llama", "qwen2", "gemma2"), ("sdpa", "eager"), (False, True), ("few",)),
    *product(OTHERS, ("flash",), (False, True), ("full", "all")),
    *product(OTHERS, ("eager",), (False,), ("few",)),
    *((kind, "flash", *case) for kind in REST for case in ((False, "full"), (True, "all"))),
]  # fmt: skip
SMALL = [
    *product(("llama", "mistral", "qwen2"), ("flash", "eager"), (False, True), ("full", "few")),
    *product(("qwen3", "gemma", "gemma2", "gemma3_text"), ("flash",), (False, True), ("full", "all")),
    *product(("gpt2", "bert"), ("flash", "eager"), (False, True), ("full", "all", "few")),
    *((kind, "flash", *case) for kind in REST for case in ((True, "full"), (False, "all"))),
]
"""Cases with so small a vocabulary that a layer's way back is the peak, as it is for classifiers."""


def both(kind: str, training: Training, way: str, model: Model | None = None, **more: Any) -> tuple[int, int]:
    """Bytes at the peak: predicted, and followed by the oracle."""
    model = MODELS_AT[kind] if model is None else model
    fields = model.fields | more
    targets: Any = "all-linear" if way == "all" else model.few
    lora = None if way == "full" else peft.LoraConfig(r=16, target_modules=targets)
    held, followed = step_bytes(
        model_of(kind, fields, ATTENTION[training.attention], model.head), training.batch, training.length,
        lora=lora, checkpointing=training.checkpointing, adapters=training.computing,
    )  # fmt: skip
    shape = build_shape({**fields, "model_type": kind}, HEADS[model.head])
    found = predict(shape, None if way == "full" else Adapter(16, targets), training)
    assert found is not None
    return found.total, held + followed


@pytest.mark.parametrize(("kind", "attention", "checkpointing", "way"), GRID)
def test_the_peak_is_that_of_the_oracle(kind: str, attention: str, checkpointing: bool, way: str) -> None:
    training = Training(2, 512, checkpointing, attention, optimizer="sgd")
    predicted, followed = both(kind, training, way)
    assert predicted == pytest.approx(followed, rel=0.005)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma2"])
def test_adapters_in_16_bits_share_the_input_of_their_matrices(kind: str) -> None:
    for checkpointing, more in product((False, True), ({}, {"vocab_size": 512})):
        training = Training(2, 512, checkpointing, computing="bf16", optimizer="sgd")
        predicted, followed = both(kind, training, "all", **more)
        assert predicted == pytest.approx(followed, rel=0.005)


@pytest.mark.parametrize(("kind", "attention", "checkpointing", "way"), SMALL)
def test_the_way_back_through_a_layer_is_near_the_oracles(
    kind: str, attention: str, checkpointing: bool, way: str
) -> None:
    training = Training(2, 512, checkpointing, attention, optimizer="sgd")
    predicted, followed = both(kind, training, way, vocab_size=512)
    assert predicted == pytest.approx(followed, rel=0.02)


@pytest.mark.parametrize("head", ["SequenceClassification", "TokenClassification", "QuestionAnswering"])
def test_the_peak_of_a_classifier_is_a_layer_or_the_step(head: str) -> None:
    for checkpointing, way in product((False, True), ("full", "few")):
        training = Training(2, 512, checkpointing, optimizer="sgd")
        predicted, followed = both("bert", training, way, encoder(head))
        assert predicted == pytest.approx(followed, rel=0.005)


def test_the_grid_is_wide_enough() -> None:
    assert len(GRID) >= 30


def test_what_a_layer_keeps_is_the_sum_by_hand() -> None:
    """Bytes a token with flash attention; d hidden, q and k of queries and keys, H heads, f of the MLP.

    Llama 16 d + 4 q + 4 k + 4 H + 8 f + 8 in full, with the adapters' inputs under LoRA; GPT-2 58 d (of which
    two masks of dropout) and BERT 28 d with adapters on q and v beside masks and statistics.
    """
    for name, adapter, by_hand in (
        ("Llama 3.1 8B", None, 16 * 4096 + 4 * 4096 + 4 * 1024 + 4 * 32 + 8 * 14336 + 8),
        (
            "Llama 3.1 8B",
            "qv",
            8 * 4096 + 4 * 4096 + 4 * 1024 + 4 * 32 + 6 * 14336 + 8 + 2 * (4 * 4096 + 4 * 8),
        ),
        ("GPT-2", None, 58 * 768 + 4 * 12 + 16),
        ("BERT base", "qv", 20 * 768 + 2 * 768 + 8 * 768 + 2 * 4 * 8 + 4 * 12 + 16),
    ):
        shape = CATALOGUE[name].shape()
        found = sizes(shape)
        assert found is not None
        rows = shape.rows(Adapter(8, adapter)) if adapter else ()
        ranks = {row.part.path: row.rank for row in rows if row.rank} if adapter else None
        tape = LayerTape(LAYERS[shape.model_type], found, Training(), ranks, fed=True)
        assert tape.kept == by_hand, name


MODELS = {
    "mistralai/Mistral-7B-v0.1": "Mistral 7B",
    "TheBloke/Mistral-7B-v0.1-GPTQ": "Mistral 7B",
    "NousResearch/Llama-2-70b-hf": "Llama 2 70B",
    "TheBloke/Llama-2-70B-GPTQ": "Llama 2 70B",
    "meta-llama/Meta-Llama-3-8B": "Llama 3.1 8B",
    "TechxGenus/Meta-Llama-3-8B-GPTQ": "Llama 3.1 8B",
}


def predicted(run: dict[str, Any]) -> float:
    """The peak of one published run: LoRA of rank 16 on q, k, v, o with dropout, checkpointed, autocast."""
    work = run["framework"]
    computing = "bf16" if "gptq" in work else "autocast"  # its adapters are taken to be in 16 bits
    training = Training(
        run["batch"], run["length"], computing=computing, dropout=True, optimizer="adamw-foreach",
        precision="gptq" if "gptq" in work else "nf4" if "bnb" in work else "bf16",
        loss="4.46" if run["transformers"] >= "4.46" else "whole", prepared=work.startswith("baseline"),
    )  # fmt: skip
    shape, adapter = (
        CATALOGUE[MODELS[run["model"]]].shape(),
        Adapter(16, ("q_proj", "k_proj", "v_proj", "o_proj")),
    )
    found = predict(shape, None if run["method"] == "full" else adapter, training)
    assert found is not None
    if not training.prepared or not training.quantised:
        return found.total
    # This benchmark's baseline computes in fp32 between the layers and keeps its tables in 16 bits.
    whole, half = (weight_bytes(shape.parts, "nf4", prepared=each) for each in (True, False))
    return found.total - (whole - half)


STOCK = [run for run in RUNS if run["kernels"] == "stock" and run["peak_bytes"]]


@pytest.mark.parametrize("run", STOCK, ids=lambda run: f"{run['model']} {run['framework']} {run['batch']}")
def test_a_published_peak_of_stock_kernels_is_met(run: dict[str, Any]) -> None:
    assert predicted(run) == pytest.approx(run["peak_bytes"], rel=0.01)


def test_no_published_run_that_ran_out_of_memory_is_said_to_fit() -> None:
    assert (len(RUNS), len(STOCK)) == (56, 12)
    verdicts = [(fits(predicted(run), 80), run["ran"], run["kernels"]) for run in RUNS]
    assert sum(verdict == "fits" for verdict, *_ in verdicts) > 20
    assert not [run for run in verdicts if run[0] != "no" and not run[1]]
    assert not [run for run in verdicts if run == ("no", True, "stock")]


def test_llama_3_1_8b_needs_what_was_found_for_it() -> None:
    """2,048 tokens, rank 16 on all linear layers: 39.1 GB, checkpointed 20.3, QLoRA 9.9, in full 64.3."""
    shape, adapter = CATALOGUE["Llama 3.1 8B"].shape(), Adapter(16, "all-linear")
    base = Training(1, 2048, checkpointing=False)
    qlora = replace(base, checkpointing=True, precision="nf4", prepared=False)
    for training, way, gigabytes in (
        (base, adapter, 39.1),
        (replace(base, checkpointing=True), adapter, 20.3),
        (qlora, adapter, 9.9),
        (replace(base, checkpointing=True), None, 64.3),
        (replace(base, checkpointing=True, optimizer="adamw-foreach"), None, 80.3),
    ):
        found = predict(shape, way, training)
        assert found is not None
        assert found.total / 1e9 == pytest.approx(gigabytes, abs=0.15), (training, way)


def test_the_longest_sequence_fits_and_one_token_more_does_not() -> None:
    shape, adapter, training = CATALOGUE["Llama 3.1 8B"].shape(), Adapter(16, "qv"), Training()
    found = [longest(shape, adapter, training, card) for card in CARDS]
    assert found == sorted(found)  # type: ignore[type-var]
    assert found[:3] == [0, 0, 0]  # 16 GB of weights
    most = longest(shape, adapter, training, 24)
    assert most
    for length, verdict in ((most, True), (most + 1, False)):
        peak = predict(shape, adapter, replace(training, length=length))
        assert peak is not None
        assert (fits(peak.total, 24) == "fits") is verdict
    assert longest(shape, adapter, replace(training, loss="chunked"), 24) > 2 * most  # type: ignore[operator]


def test_what_is_not_known_is_not_predicted() -> None:
    assert predict(CATALOGUE["T5 base"].shape(), None, Training()) is None
    for name in ("Whisper large v2", "gpt-oss 20B", "Llama 4 Scout"):
        assert longest(CATALOGUE[name].shape(), Adapter(8, "all-linear"), Training(), 141) is None
    bert = CATALOGUE["BERT base"]
    assert predict(bert.shape("none"), Adapter(8, "qv"), Training()) is None  # no loss to train
    assert predict(bert.shape(), None, Training(precision="fp32")) is None


@pytest.mark.parametrize("name", ["BERT base", "GPT-2", "ViT base"])
def test_prepared_weights_keep_the_stream_of_an_encoder_in_fp32(name: str) -> None:
    """LayerNorm keeps its own input, which is twice as large then; a masked model's logits too."""
    shape, adapter = CATALOGUE[name].shape(), Adapter(8, "qv")
    for checkpointing in (False, True):
        whole, half = (
            predict(shape, adapter, Training(16, 512, checkpointing, precision="nf4", prepared=prepared))
            for prepared in (True, False)
        )
        assert whole is not None
        assert half is not None
        tokens = 16 * min(512, most_tokens(shape))
        assert whole.total - half.total >= 2 * 12 * 768 * tokens


def test_a_sequence_is_no_longer_than_the_table_of_positions() -> None:
    """BERT has 512 of them; of ViT's pictures every one is 197 patches, whatever is asked for."""
    bert, vit = CATALOGUE["BERT base"].shape(), CATALOGUE["ViT base"].shape()
    adapter = Adapter(8, "qv")
    assert (most_tokens(bert), most_tokens(vit), most_tokens(CATALOGUE["Llama 3.2 1B"].shape())) == (
        512,
        197,
        0,
    )
    assert predict(bert, adapter, Training(4, 2048)) == predict(bert, adapter, Training(4, 512))
    assert predict(vit, adapter, Training(4, 64)) == predict(vit, adapter, Training(4, 512))
    assert longest(bert, adapter, Training(4), 24) == 512
    assert longest(vit, adapter, Training(4), 24) == 197
    assert longest(vit, adapter, Training(512, checkpointing=False), 8) == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch": 0}, "batch: 0, expected an integer from 1 to 512"),
        ({"length": 10**7}, "length: 10000000, expected an integer from 1 to"),
        ({"length": True}, "length: True"),
        ({"attention": "fast"}, "attention: 'fast', expected one of flash, sdpa, eager"),
        ({"loss": ""}, "loss: '', expected one of whole, chunked"),
        ({"computing": "fp8"}, "computing: 'fp8'"),
    ],
)
def test_a_way_of_training_refuses_what_it_cannot_mean(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Training(**changes)


QLORA_MIB = {"Llama 3.2 1B": 1537, "Llama 3.2 3B": 3051, "Qwen2.5 7B": 7697, "Mistral 7B": 4808}


@pytest.mark.parametrize("name", QLORA_MIB)
def test_prepared_4_bit_weights_take_what_was_measured_on_a_t4(name: str) -> None:
    """Embedding, norms and head in fp32, NF4's scales as they are: within 1.5 % of what torch allocated."""
    memory = adapter_memory(CATALOGUE[name].shape(), Adapter(8, "qv"), "nf4", prepared=True, double=False)
    assert memory.frozen / 2**20 == pytest.approx(QLORA_MIB[name], rel=0.015)
