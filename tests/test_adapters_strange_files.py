"""Strange files: zips of several adapters, damaged archives, names that no terminal can print."""

import io
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from safetensors.torch import save

from lora_core.adapters.file import open_adapter
from lora_core.adapters.header import read_header
from lora_core.adapters.source import CONFIG, WEIGHTS, Memory, find_on_disk, parts_of, uploaded
from tests.adapters_kit import config, peft_file

SAVED, OTHER = save(peft_file({"a": 4})), save(peft_file({"b": 4}))
SAID, LOUD = json.dumps(config(4, 8)).encode(), json.dumps(config(4, 800)).encode()


def zipped(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return stream.getvalue()


def header_of(content: object) -> bytes:
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text


REFUSED = {
    "two adapters": (
        zipped([(f"a/{WEIGHTS}", SAVED), (f"b/{WEIGHTS}", OTHER), (f"a/{CONFIG}", SAID)]),
        f"holds 2 .safetensors files, a/{WEIGHTS}, b/{WEIGHTS}: give one of them",
    ),
    "a checkpoint beside it": (
        zipped([(WEIGHTS, SAVED), (f"checkpoint-10/{WEIGHTS}", OTHER)]),
        f"holds 2 .safetensors files, {WEIGHTS}, checkpoint-10/{WEIGHTS}: give",
    ),
    "two configs": (zipped([(f"a/{CONFIG}", SAID), (f"b/{CONFIG}", SAID)]), f"holds 2 files {CONFIG}"),
    "bzip2": (zipped([(WEIGHTS, SAVED)], zipfile.ZIP_BZIP2), "is compressed with bzip2"),
    "LZMA": (zipped([(WEIGHTS, SAVED)], zipfile.ZIP_LZMA), "is compressed with LZMA"),
    "nothing": (zipped([]), f"holds no {WEIGHTS}"),
    "encrypted": (
        zipped([(WEIGHTS, SAVED)])
        .replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01")
        .replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
        f"{WEIGHTS} is encrypted",
    ),
    "a pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n",
        "is a pointer of git-lfs",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_strange_archive_is_refused_by_name(name: str) -> None:
    content, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as caught:
        parts_of("mine.zip", content)
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith(".")


def test_a_config_of_another_folder_is_not_taken() -> None:
    parts = parts_of("mine.zip", zipped([(f"a/{WEIGHTS}", SAVED), (f"b/{CONFIG}", LOUD)]))
    assert parts.config is None
    both = [(f"a/{WEIGHTS}", SAVED), (f"b/{CONFIG}", LOUD), (f"a/{CONFIG}", SAID)]
    assert open_adapter(parts_of("mine.zip", zipped(both))).modules[0].scaling == 2


def test_what_macos_adds_is_no_second_file(tmp_path: Path) -> None:
    beside = b"\0\5\x16\7" + bytes(100)
    content = zipped([("k.safetensors", SAVED), ("__MACOSX/._k.safetensors", beside), (CONFIG, SAID)])
    assert open_adapter(parts_of("mine.zip", content)).modules[0].scaling == 2
    (tmp_path / "k.safetensors").write_bytes(SAVED)
    (tmp_path / "._k.safetensors").write_bytes(beside)
    assert open_adapter(find_on_disk(tmp_path)).modules[0].rank == 4


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_damage_to_a_zip_is_one_sentence(method: int) -> None:
    whole = zipped([(WEIGHTS, SAVED), (CONFIG, SAID)], method)
    for at in range(len(whole)):
        content = bytearray(whole)
        content[at] ^= 0xFF
        said = ""
        try:
            parts_of("mine.zip", bytes(content))
        except ValueError as error:
            said = f"{type(error).__name__}: {error}"
        assert said == "" or (said.startswith("ValueError: ") and said.endswith(".")), at
        assert "<" not in said


def test_a_zip_that_lies_about_its_size_is_not_unpacked_into_memory() -> None:
    bomb = zipped([(WEIGHTS, bytes(60_000_000))]).replace(
        struct.pack("<I", 60_000_000), struct.pack("<I", 1000)
    )
    tracemalloc.start()
    with pytest.raises(ValueError, match="cannot be unpacked"):
        parts_of("mine.zip", bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_two_files_of_one_name_are_not_one() -> None:
    with pytest.raises(ValueError, match="are both weights"):
        uploaded([(WEIGHTS, SAVED), (WEIGHTS, OTHER)])
    with pytest.raises(ValueError, match="both hold a config"):
        uploaded([(CONFIG, SAID), (CONFIG, LOUD)])


def test_half_a_letter_is_refused_in_the_header() -> None:
    for content in ({"x\ud800.lora_A.weight": 1}, {"__metadata__": {"a": "\udfff"}}):
        with pytest.raises(ValueError, match="is no Unicode") as caught:
            read_header(Memory("x", header_of(content)))
        assert str(caught.value).isprintable()
    paired = {"__metadata__": {"a": "\U0001f600"}}
    assert read_header(Memory("x", header_of(paired))).metadata == {"a": "\U0001f600"}


def test_a_path_that_no_file_has_is_one_printable_sentence() -> None:
    for path in ("a\0b", "a\x1b[31mb"):
        with pytest.raises(ValueError, match=r"a\?(\[31m)?b cannot be read") as caught:
            find_on_disk(path)
        assert str(caught.value).isprintable()
