"""Opening: names in the wild, configs, what is refused and why, headers that lie."""

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path
from statistics import median, median_low
from time import process_time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors import deserialize as their_reader
from safetensors.torch import save

from lora_core.adapters.config import AdapterConfig, check_fit, config_from, pattern_for, read_config
from lora_core.adapters.file import Share, open_adapter
from lora_core.adapters.grid import grid_of
from lora_core.adapters.header import MOST_HEADER_BYTES, read_header
from lora_core.adapters.names import Family, Part
from lora_core.adapters.source import Memory, Parts, find_on_disk, parts_of, uploaded
from lora_core.adapters.spectra import Spectrum, measure
from lora_core.adapters.summary import Summary, composition, headline, remarks, scaling_words
from tests.adapters_kit import PREFIX, config, draw, factors, opened, peft_file

A, B = factors(4, (12, 9))


def summary_of(tensors: dict[str, torch.Tensor], said: dict[str, Any] | None = None) -> Summary:
    file = opened(tensors, said)
    return Summary(file, tuple(measure(file.source, file.modules)))


NAMES: dict[str, tuple[dict[str, torch.Tensor], Family, str]] = {
    "peft": (peft_file({"a.q": 4}), Family.PEFT, "a.q"),
    "live": (
        {f"{PREFIX}a.q.lora_{x}.default.weight": y for x, y in (("A", A), ("B", B))},
        Family.PEFT,
        "a.q",
    ),
    "own name": (
        {f"{PREFIX}a.q.lora_{x}.my_task.weight": y for x, y in (("A", A), ("B", B))},
        Family.PEFT,
        "a.q",
    ),
    "embedding": (
        {f"{PREFIX}wte.lora_embedding_{x}": y for x, y in (("A", A), ("B", B))},
        Family.PEFT,
        "wte",
    ),
    "live embedding": (
        {f"{PREFIX}wte.lora_embedding_{x}.default": y for x, y in (("A", A), ("B", B))},
        Family.PEFT,
        "wte",
    ),
    "kohya": ({"lora_te_a.lora_down.weight": A, "lora_te_a.lora_up.weight": B}, Family.KOHYA, "lora_te_a"),
    "old diffusers": (
        {"unet.attn1.processor.to_q_lora.down.weight": A, "unet.attn1.processor.to_q_lora.up.weight": B},
        Family.DIFFUSERS,
        "unet.attn1.to_q",
    ),
    "diffusers": (
        {"unet.to_q.lora.down.weight": A, "unet.to_q.lora.up.weight": B},
        Family.DIFFUSERS,
        "unet.to_q",
    ),
    "text encoder": (
        {"te.q.lora_linear_layer.down.weight": A, "te.q.lora_linear_layer.up.weight": B},
        Family.DIFFUSERS,
        "te.q",
    ),
    "new diffusers": ({"unet.q.lora_A.weight": A, "unet.q.lora_B.weight": B}, Family.DIFFUSERS, "unet.q"),
    "cloneofsimo": ({"unet:3:down": A, "unet:3:up": B}, Family.CLONEOFSIMO, "unet:3"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_in_the_wild(name: str) -> None:
    tensors, family, path = NAMES[name]
    file = opened(tensors)
    assert (file.family, [module.path for module in file.modules]) == (family, [path])
    module = file.modules[0]
    assert (module.rank, module.in_features, module.out_features) == (4, 12, 9)
    assert module.scaling == 1
    assert file.scale_known == (family is not Family.PEFT)
    assert module.embedding == ("embedding" in name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_kohyas_alpha_is_read_and_is_the_rank_where_it_is_missing(dtype: torch.dtype) -> None:
    tensors = {f"lora_unet_{name}.lora_{x}.weight": y for name in "ab" for x, y in (("down", A), ("up", B))}
    tensors["lora_unet_a.alpha"] = torch.tensor(1.0, dtype=dtype)
    assert [module.scaling for module in opened(tensors).modules] == [0.25, 1.0]


def test_diffusers_own_config_in_the_metadata_counts() -> None:
    tensors = {"unet.q.lora_A.weight": A, "unet.q.lora_B.weight": B}
    tensors |= {"text_encoder.q.lora_A.weight": A, "text_encoder.q.lora_B.weight": B}
    said = {"unet.r": 4, "unet.lora_alpha": 6, "unet.use_rslora": True, "text_encoder.r": 4}
    file = opened(tensors, metadata={"lora_adapter_metadata": json.dumps(said)})
    assert {module.path: module.scaling for module in file.modules} == {"unet.q": 3.0, "text_encoder.q": 2.0}


REFUSED = {
    "lokr's tensor": ({"a.lokr_t2": A}, "LoKr"),
    "hra": ({"a.hra_u": A}, "HRA"),
    "randlora": ({f"{PREFIX}a.randlora_lambda.weight": A}, "RandLoRA"),
    "a difference": ({"lora_unet_a.diff": A}, "a whole difference of weights"),
    "A alone": ({f"{PREFIX}a.lora_A.weight": A}, "module a lacks its B"),
    "two saved heads": (
        {**peft_file({"a": 4})} | {f"{PREFIX}c.modules_to_save.{n}.weight": B for n in ("default", "other")},
        "2 adapters, default, other",
    ),
    "bias of integers": (
        {**peft_file({"a": 4}), f"{PREFIX}a.lora_B.bias": torch.ones(9, dtype=torch.int32)},
        "its bias of B is I32",
    ),
    "bias of a matrix": (
        {**peft_file({"a": 4}), f"{PREFIX}a.lora_B.bias": draw(3, 3)},
        "must hold 9 numbers",
    ),
    "magnitude of inputs": (
        {**peft_file({"a": 4}), f"{PREFIX}a.lora_magnitude_vector": draw(12)},
        "must hold 9 numbers",
    ),
    "lokr": ({"a.lokr_w1": A, "a.lokr_w2": B}, "LoKr"),
    "loha": ({"a.hada_w1_a": A, "a.hada_w1_b": B}, "LoHa"),
    "oft": ({"a.oft_blocks": A}, "OFT"),
    "experts": ({f"{PREFIX}mlp.experts.base_layer.lora_A.weight": A}, "LoRA on fused experts"),
    "adalora": ({f"{PREFIX}q.lora_A": A, f"{PREFIX}q.lora_B": B, f"{PREFIX}q.lora_E": A}, "AdaLoRA"),
    "no LoRA": ({"model.embed_tokens.weight": A}, "holds no LoRA"),
    "one factor": ({**peft_file({"a": 4}), f"{PREFIX}b.lora_A.weight": A}, "module b lacks its B"),
    "two adapters": (
        {f"{PREFIX}a.lora_A.{name}.weight": A for name in ("one", "two")},
        "same part of one module",
    ),
    "two adapters apart": (
        {f"{PREFIX}{n}.lora_{x}.{n}.weight": y for n in "ab" for x, y in (("A", A), ("B", B))},
        "2 adapters, a, b",
    ),
    "two families": (
        {**peft_file({"a": 4}), "lora_te_a.lora_down.weight": A, "lora_te_a.lora_up.weight": B},
        "mixes the names",
    ),
    "shapes": (
        {f"{PREFIX}a.lora_A.weight": A, f"{PREFIX}a.lora_B.weight": draw(9, 5)},
        "must share their rank",
    ),
    "flat": ({f"{PREFIX}a.lora_A.weight": A[0], f"{PREFIX}a.lora_B.weight": B}, "which is no factor"),
    "empty": ({f"{PREFIX}a.lora_A.weight": A[:, :0], f"{PREFIX}a.lora_B.weight": B}, "which is no factor"),
    "whole numbers": ({f"{PREFIX}a.lora_A.weight": A.int(), f"{PREFIX}a.lora_B.weight": B}, "are I32"),
    "alpha": (
        {
            "lora_a.lora_down.weight": A,
            "lora_a.lora_up.weight": B,
            "lora_a.alpha": torch.tensor(float("nan")),
        },
        "its alpha is nan",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_lora_is_refused_by_name(name: str) -> None:
    tensors, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as caught:
        opened(tensors)
    assert "\n" not in str(caught.value)


CONFIGS = {
    "another method": ({"peft_type": "LOHA", "r": 4}, "of peft_type LOHA"),
    "a model's": ({"model_type": "llama", "hidden_size": 64}, "neither peft_type nor r"),
    "rank": (config(16), r"gives a rank 16, the file has 4 there, and 1 more differ"),
    "target": (
        config(target_modules=["q_proj", "v_proj"]),
        "another model: none of its target modules, q_proj, v_proj",
    ),
    "zero rank": (config(0), "r is 0: it must be a whole number from 1"),
    "alpha": (config(4, "many"), 'lora_alpha is "many": it must be a number'),
    "alpha nan": (config(4, float("nan")), "lora_alpha is nan"),
    "text for a rank": (config("4"), 'r is "4": it must be a whole number from 1 to 1,000,000'),  # type: ignore[arg-type]
    "target numbers": (config(target_modules=5), "target_modules is 5: it must be a name or a list of names"),
    "flag": (config(use_rslora="yes"), 'use_rslora is "yes": it must be true or false'),
    "pattern": (config(rank_pattern=[1]), r"rank_pattern is \[1\]: it must map"),
    "pattern value": (config(rank_pattern={"a": 1.5}), "rank_pattern of a is 1.5"),
    "no regular expression": (config(rank_pattern={"a(": 4}), r"the key a\(, which is no regular expression"),
    "slow expression": (config(alpha_pattern={"(a+)+$": 4}), "too involved to be matched here"),
    "slow stars": (config(alpha_pattern={".*.*.*.*x": 4}), "too involved to be matched here"),
    "experts": (config(target_parameters=["mlp.experts.w"]), "target_parameters"),
    "pissa": (
        config(init_lora_weights="pissa_niter_4"),
        "init_lora_weights pissa_niter_4, which changes the base",
    ),
    "qalora": (config(use_qalora=True), "sets use_qalora"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_does_not_fit_is_one_sentence(name: str) -> None:
    said, words = CONFIGS[name]
    with pytest.raises(ValueError, match=words) as caught:
        opened(peft_file({"a": 4, "b": 4}), said)
    assert "\n" not in str(caught.value)


def test_a_config_that_is_no_json() -> None:
    for content in (b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"r": 1' + b"0" * 5000 + b"}"):
        with pytest.raises(ValueError, match=r"adapter_config.json"):
            read_config(content)


def test_odd_configs_that_peft_reads_are_read() -> None:
    odd = config(
        2, 6, rank_pattern={"a": 4, "b": 4}, modules_to_save=["score", "score", "absent"],
        target_modules=["a", "b", "nobody"], init_lora_weights="gaussian",
    )  # fmt: skip
    odd["alpha"] = 99
    assert [module.scaling for module in opened(peft_file({"a": 4, "b": 4}), odd).modules] == [1.5, 1.5]


PATHS = st.lists(
    st.sampled_from(["a", "b", "layers", "layersX1", "1", "10", "q-proj", "c_attn"]), min_size=1, max_size=4
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.dictionaries(PATHS.map(".".join), st.integers(1, 6), min_size=1, max_size=6),
    st.dictionaries(
        st.sampled_from(["a", "^a", r"layers.\d+", ".*q-proj", "1", r"layers\.1\.a", "b|a"]),
        st.integers(1, 9),
    ),
    st.booleans(),
)
def test_scaling_and_patterns_are_pefts(
    ranks: dict[str, int], patterns: dict[str, int], rslora: bool
) -> None:
    from peft.utils.other import get_pattern_key

    ours = config_from(config(3, 5, use_rslora=rslora, rank_pattern=patterns, alpha_pattern=patterns))
    for path in ranks:
        rank = patterns.get(get_pattern_key(patterns, path), 3)
        alpha = patterns.get(get_pattern_key(patterns, path), 5)
        assert ours.rank_of(path) == rank
        assert ours.scaling_of(path) == pytest.approx(alpha / (rank**0.5 if rslora else rank))
    written = pattern_for(ranks, 3)
    assert [written.get(get_pattern_key(written, path), 3) for path in ranks] == list(ranks.values())
    check_fit(
        AdapterConfig(rank=3, rank_pattern=config_from(config(3, rank_pattern=written)).rank_pattern), ranks
    )


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str = "F32", shape: Any = (2, 2), offsets: Any = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


LIES = {
    "empty": (b"", "0 bytes long"),
    "short": (b"\x01", "1 bytes long"),
    "text": (b"<!DOCTYPE html><html>not found", "no safetensors file, or its header is longer"),
    "header beyond the file": (struct.pack("<Q", 1000) + b"{}", "cut short: its header alone"),
    "header too long": (struct.pack("<Q", MOST_HEADER_BYTES + 1) + b"{}", "longer than 10 MB"),
    "no JSON": (safetensors(b"{not json}"), "its header is not JSON"),
    "a list": (safetensors([1]), "its header is not JSON"),
    "nested": (safetensors(b'{"a":' + b"[" * 50_000), "its header is not JSON"),
    "not UTF-8": (safetensors(b'{"\xff": 1}'), "its header is not JSON"),
    "twice": (safetensors(b'{"a": 1, "a": 2}'), "names a twice"),
    "metadata": (safetensors({"__metadata__": {"a": 1}}), "must map names to texts"),
    "no entry": (safetensors({"a": 5}), "a lacks its dtype"),
    "half an entry": (safetensors({"a": {"dtype": "F32"}}), "a lacks its dtype"),
    "dtype": (safetensors({"a": entry("F7")}, bytes(16)), "a has the dtype F7"),
    "negative size": (safetensors({"a": entry(shape=[-2, -2])}, bytes(16)), "it must be at most 8 sizes"),
    "true for a size": (safetensors({"a": entry(shape=[True, 4])}, bytes(16)), "it must be at most 8 sizes"),
    "fractional size": (safetensors({"a": entry(shape=[2.0, 2])}, bytes(16)), "it must be at most 8 sizes"),
    "many dimensions": (safetensors({"a": entry(shape=[1] * 2000)}, bytes(16)), "it must be at most 8 sizes"),
    "offsets outside": (safetensors({"a": entry(offsets=[0, 16])}, bytes(12)), "it is cut short"),
    "offsets reversed": (safetensors({"a": entry(offsets=[16, 0])}, bytes(16)), "it is cut short"),
    "negative offsets": (safetensors({"a": entry(offsets=[-16, 0])}, bytes(16)), "two numbers from 0"),
    "three offsets": (safetensors({"a": entry(offsets=[0, 16, 16])}, bytes(16)), "two numbers from 0"),
    "other shape": (safetensors({"a": entry(shape=[3, 2])}, bytes(16)), "takes 24"),
    "10^12 numbers": (safetensors({"a": entry(shape=[10**6, 10**6])}, bytes(16)), "takes 4,000,000,000,000"),
    "10^400 numbers": (
        safetensors({"a": entry(shape=[10**60] * 7)}, bytes(16)),
        "it must be at most 8 sizes",
    ),
    "shared bytes": (safetensors({"a": entry(), "b": entry()}, bytes(16)), "a and b share bytes"),
    "a long name": (safetensors({"a" * 513: entry()}, bytes(16)), "is a name of 513 letters"),
    "bytes of nobody": (safetensors({"a": entry()}, bytes(20)), "holds 4 bytes that no tensor names"),
    "a hole": (
        safetensors({"a": entry(), "b": entry(offsets=[20, 36])}, bytes(36)),
        "a and b have bytes of nobody between",
    ),
    "names of escapes": (safetensors({"\n`a`\u202e": 5}), r"\?'a'\? lacks its dtype"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_one_sentence(name: str) -> None:
    content, words = LIES[name]
    with pytest.raises(ValueError, match=words) as caught:
        read_header(Memory("x.safetensors", content))
    said = str(caught.value)
    assert len(said) < 300
    assert said.endswith(".")
    assert said.isprintable()


def test_every_truncation_of_a_file_is_refused() -> None:
    whole = save(peft_file({"a": 4}))
    assert read_header(Memory("x", whole)).tensors
    for length in range(0, len(whole), 7):
        with pytest.raises(ValueError, match=r"cut short|bytes long|no safetensors"):
            read_header(Memory("x", whole[:length]))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "F8_E4M3", "I64", "BOOL", "f32", ""]) | VALUES,
        "shape": st.lists(st.integers(0, 5), max_size=3) | VALUES,
        "data_offsets": st.lists(st.integers(0, 40), min_size=2, max_size=2) | VALUES,
    }
)
HEADERS = st.dictionaries(
    st.sampled_from(["a", "b", "__metadata__", "a.lora_A.weight"]) | st.text(max_size=4), ENTRIES | VALUES
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    HEADERS.map(json.dumps).map(str.encode) | st.binary(max_size=60),
    st.binary(max_size=40),
    st.integers(-9, 9),
)
def test_whatever_is_accepted_the_safetensors_library_accepts(text: bytes, data: bytes, lie: int) -> None:
    content = struct.pack("<Q", max(0, len(text) + (lie if lie > 4 else 0))) + text + data
    try:
        header = read_header(Memory("x", content))
    except ValueError as error:
        said = str(error)
    else:
        said = ""
    assert len(said) < 400
    assert said == "" or said.isprintable()
    if said:
        return
    theirs = dict(their_reader(content))
    assert {key: (each.dtype, list(each.shape)) for key, each in header.tensors.items()} == {
        key: (each["dtype"], list(each["shape"])) for key, each in theirs.items()
    }
    assert all(
        content[each.start : each.stop] == bytes(theirs[each.key]["data"]) for each in header.tensors.values()
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_a_damaged_byte_is_noticed_or_changes_numbers_alone(data: st.DataObject) -> None:
    whole = bytearray(save(peft_file({"a": 2}, (3, 2))))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    try:
        header = read_header(Memory("x", bytes(whole)))
    except ValueError:
        return
    try:
        theirs = their_reader(bytes(whole))
    except SafetensorError as error:
        pytest.fail(f"accepted what the library refuses: {error}")
    assert len(theirs) == len(header.tensors)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_an_adapter_comes_as_a_folder_a_zip_two_files_or_one_after_the_other(tmp_path: Path) -> None:
    weights, said = save(peft_file({"a": 4})), json.dumps(config(4, 6)).encode()
    (tmp_path / "adapter_model.safetensors").write_bytes(weights)
    (tmp_path / "adapter_config.json").write_bytes(said)
    (tmp_path / "README.md").write_text("mine")
    packed = zipped({"mine/adapter_model.safetensors": weights, "mine/adapter_config.json": said})
    (tmp_path / "packed.zip").write_bytes(packed)
    first = uploaded({"adapter_model.safetensors": weights})
    for parts in (
        find_on_disk(tmp_path),
        find_on_disk(tmp_path / "adapter_model.safetensors"),
        find_on_disk(tmp_path / "adapter_config.json"),
        find_on_disk(tmp_path / "packed.zip"),
        uploaded({"a.zip": packed}),
        uploaded({"adapter_config.json": said, "adapter_model.safetensors": weights}),
        first | uploaded({"adapter_config.json": said}),
        uploaded({"adapter_config.json": said}) | first,
    ):
        assert open_adapter(parts).modules[0].scaling == 1.5
    assert not open_adapter(first).scale_known


class Trap:
    """A pickle that would leave a trace if it were loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("the pickle was run",)


def test_pickles_are_recognised_under_any_name_and_never_run(tmp_path: Path) -> None:
    torch.save({"a": A}, tmp_path / "zip.pt")
    torch.save({"a": A}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    contents = [(tmp_path / name).read_bytes() for name in ("zip.pt", "old.pt")]
    contents += [pickle.dumps(Trap(), protocol) for protocol in (2, 3, 4, 5)]
    for content in contents:
        for name in ("adapter_model.safetensors", "adapter_model.bin", "x"):
            with pytest.raises(ValueError, match=r"is a pickle as torch\.save writes it"):
                parts_of(name, content)
    (tmp_path / "adapter_model.bin").write_bytes(contents[0])
    with pytest.raises(ValueError, match="is a pickle"):
        find_on_disk(tmp_path)
    with pytest.raises(ValueError, match="is a pickle"):
        parts_of("a.zip", zipped({"adapter_model.bin": contents[0]}))


@pytest.mark.parametrize("length", [0x280, 0x480])
def test_a_header_whose_length_looks_like_a_pickle_is_read(length: int) -> None:
    text = json.dumps({"a": entry()}).encode()
    content = safetensors(text + b" " * (length - len(text)), bytes(16))
    assert content[:2] in (b"\x80\x02", b"\x80\x04")
    weights = parts_of("x.safetensors", content).weights
    assert weights is not None
    assert list(read_header(weights).tensors) == ["a"]


def test_zips_that_are_bombs_or_broken_are_one_sentence() -> None:
    bomb = zipped({"adapter_model.safetensors": bytes(30_000_000)})
    assert len(bomb) < 50_000
    # The same bomb whose directory says that it is small.
    lying = bomb.replace(struct.pack("<I", 30_000_000), struct.pack("<I", 1_000))
    assert lying != bomb
    packed = zipped({"adapter_model.safetensors": save(peft_file({"a": 4}))}, zipfile.ZIP_STORED)
    for content, words in (
        (bomb, "unpacks to 30 MB: it must be at most 10 MB"),
        (lying, "cannot be unpacked|bytes long|cut short|no safetensors"),
        (packed[: len(packed) // 2], "cannot be unpacked"),
        (zipped({"notes.txt": b"hello"}), "holds no adapter_model.safetensors"),
        (zipped({"a.safetensors": b"", "b.safetensors": b""}), "holds 2 .safetensors files"),
        (packed.replace(b"lora_A", b"lora_X"), "cannot be unpacked: Bad CRC-32"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            open_adapter(parts_of("a.zip", content, most=10_000_000))
        assert "\n" not in str(caught.value)


def test_wrong_paths_and_pairs_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, words in (
        (tmp_path / "absent", "cannot be read: No such file"),
        (tmp_path / "empty", "holds no adapter_model"),
    ):
        with pytest.raises(ValueError, match=words):
            find_on_disk(path)
    with pytest.raises(ValueError, match="the config alone holds no adapter"):
        open_adapter(uploaded({"adapter_config.json": b"{}"}))
    with pytest.raises(ValueError, match="are both weights"):
        uploaded({"a.safetensors": b"", "b.safetensors": b""})
    with pytest.raises(ValueError, match="a config must be at most 1 MB"):
        uploaded({"adapter_config.json": bytes(1_000_001)})


def test_what_a_file_is_made_of_is_every_byte_of_it() -> None:
    tensors = peft_file({"a": 4})
    tensors |= {
        f"{PREFIX}model.embed_tokens.weight": draw(100, 20),
        f"{PREFIX}classifier.weight": draw(3, 9),
        f"{PREFIX}a.bias": draw(9),
        f"{PREFIX}a.lora_magnitude_vector": draw(9),
        f"{PREFIX}a.lora_B.bias": draw(9),
    }
    found = summary_of(tensors, config())
    shares = found.file.shares()
    assert shares[Share.FACTORS] == 4 * 4 * (12 + 9)
    assert shares[Share.EMBEDDINGS] == 8000
    assert (shares[Share.LAYERS], shares[Share.MAGNITUDES], shares[Share.BIASES]) == (108, 36, 72)
    assert sum(shares.values()) == len(save(tensors))
    share = 100 * 8000 / len(save(tensors))
    assert f"{share:.1f} % of this file is embeddings copied whole, not LoRA." in remarks(found)
    assert f"{share:.1f} % embeddings copied whole" in composition(found.file)
    assert set(found.file.modules[0].parts) == {Part.MAGNITUDE, Part.BIAS}
    assert any(text.startswith("DoRA: ") for text in remarks(found))


def test_the_findings_name_the_modules() -> None:
    tensors = peft_file({f"layers.{i}.{name}": 8 for i in range(6) for name in "qv"}, (30, 20))
    tensors[f"{PREFIX}layers.2.v.lora_B.weight"] *= 0
    tensors[f"{PREFIX}layers.4.q.lora_B.weight"] *= 1000
    found = summary_of(tensors, config(8, 16))
    assert found.still == ["layers.2.v"]
    assert [path for path, _ in found.far()] == ["layers.4.q"]
    assert "1 module never moved (the change is 0): layers.2.v." in remarks(found)
    assert any("layers.4.q changes" in text for text in remarks(found))
    need = median_low(spectrum.rank_for(0.95) for spectrum in found.moved)
    said = f"95 % of the change fits into {need} directions in half of the modules that moved."
    assert headline(found) == f"Rank 8 was paid for, but {said}"
    assert scaling_words(found.file) == "2 = alpha / r"
    tensors[f"{PREFIX}layers.0.q.lora_A.weight"][0, 0] = float("inf")
    broken = summary_of(tensors, config(8, 16))
    assert headline(broken) == "1 of 12 modules hold numbers that are not finite."
    assert "Not finite: layers.0.q." in remarks(broken)[0]
    silent = summary_of(peft_file({"a": 4}), config(4, 0))
    assert headline(silent) == "Nothing is added by this adapter: its scaling is 0."
    one = peft_file({"a": 4, "b": 4})
    one[f"{PREFIX}b.lora_B.weight"] *= 0
    assert "in the one module that moved." in headline(summary_of(one))
    still = summary_of({key: 0 * tensor for key, tensor in peft_file({"a": 4}).items()})
    assert headline(still).startswith("Nothing in this adapter has moved")


@pytest.mark.parametrize(
    ("paths", "rows", "columns"),
    [
        (["h.0.q", "h.10.q", "h.2.v"], ("0", "2", "10"), ("q", "v")),
        (["model.layers.1.mlp.up", "lm_head"], ("", "model.layers.1"), ("mlp.up", "lm_head")),
        (["lora_unet_a_0_b_1_to_q", "lora_unet_a_1_b_0_to_out_0"], ("0_b_1", "1_b_0"), ("to_q", "to_out_0")),
        (["unet:3", "unet:14"], ("0", "12"), ("+3", "+2")),
        (["d.0.attn.to_out.0", "d.1.attn.to_out.0"], ("0", "1"), ("attn.to_out.0",)),
        (["linear"], ("",), ("linear",)),
        (["0.a", "0_a"], ("",), ("0.a", "0_a")),
    ],
)
def test_modules_find_their_layer(paths: list[str], rows: tuple[str, ...], columns: tuple[str, ...]) -> None:
    grid = grid_of(paths)
    assert grid.rows == rows
    assert sorted(grid.columns) == sorted(columns)
    assert len(set(grid.cells)) == len(paths)
    assert [grid.at(*cell) for cell in grid.cells] == list(range(len(paths)))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.text("ab01²٣.:_", min_size=1, max_size=12), min_size=1, max_size=6, unique=True))
def test_any_names_find_a_place_of_their_own(paths: list[str]) -> None:
    grid = grid_of(paths)
    assert len(set(grid.cells)) == len(paths)
    assert all(0 <= row < len(grid.rows) and 0 <= column < len(grid.columns) for row, column in grid.cells)


def test_parts_keep_what_the_other_lacks() -> None:
    one, two = Parts(Memory("a", b"1"), b"{}"), Parts(None, b"[]")
    assert ((one | two).config, (two | one).config) == (b"[]", b"{}")
    assert (one | two).weights is one.weights


def summary_of_norms(norms: list[float], paths: list[str] | None = None) -> Summary:
    paths = paths or [f"layers.{i}.{'qv'[i % 2]}" for i in range(len(norms))]
    file = opened(peft_file({"a": 1}))
    return Summary(
        file, tuple(Spectrum(path, np.array([norm])) for path, norm in zip(paths, norms, strict=True))
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([0.0, 1e-3, 1.0, 2.0, 101.0, 250.0, 1e6]), min_size=1, max_size=14))
def test_far_is_held_against_the_median_of_the_others(norms: list[float]) -> None:
    expected = []
    for i, norm in enumerate(norms):
        others = [each for j, each in enumerate(norms) if each and j != i and (i - j) % 2 == 0]
        others = others if len(others) >= 3 else [each for j, each in enumerate(norms) if each and j != i]
        if len(others) >= 3 and norm > 100 * median(others):
            expected.append(f"layers.{i}.{'qv'[i % 2]}")
    assert [path for path, _ in summary_of_norms(norms).far()] == expected


def test_far_of_thousands_of_modules_takes_no_time() -> None:
    found = summary_of_norms([1.0 + i % 7 for i in range(8000)], [f"layers.{i}.q" for i in range(8000)])
    start = process_time()
    assert found.far() == []
    assert process_time() - start < 2
