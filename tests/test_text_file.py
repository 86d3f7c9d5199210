"""The reader of texts of others: what editors write is read, what is wrong is one sentence."""

import codecs
import json

import pytest

from lora_core.adapters.config import read_config
from lora_core.talk.scenes import own_talk, read_talk
from lora_core.text_file import MOST_DEPTH, decoded, parsed_json, parsed_toml


@pytest.mark.parametrize(
    "content",
    [
        "Zwölf = 12\n".encode(),
        codecs.BOM_UTF8 + "Zwölf = 12\n".encode(),
        "Zwölf = 12\r\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "Zwölf = 12\n".encode("utf-16-be"),
    ],
)
def test_what_common_editors_write_is_read(content: bytes) -> None:
    assert decoded(content, "it", 100).strip() == "Zwölf = 12"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfe", "it is no UTF-8 text."),
        (b"\x80abc", "it is no UTF-8 text."),
        ("Zwölf".encode("latin-1"), "it is no UTF-8 text."),
        (b"PK\x03\x04\x00\x00", "it is no text: it holds a zero byte."),
        (b"a" * 101, "it has 101 bytes: at most 100 are read."),
    ],
)
def test_what_is_no_text_is_one_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as told:
        decoded(content, "it", 100)
    assert str(told.value) == sentence


DEEP, LONG = "nested too deeply", "it is not read: a number in it has thousands of digits."


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_json_and_toml_are_read_with_and_without_a_mark(mark: str) -> None:
    assert parsed_json(f'{mark}{{"a": [1, "b"]}}', "it") == {"a": [1, "b"]}
    assert parsed_toml(f'{mark}a = [1, "b"]', "it") == {"a": [1, "b"]}
    assert read_talk(mark + own_talk().text).scenes == own_talk().scenes
    assert read_config(f'{mark}{{"peft_type": "LORA", "r": 3}}'.encode()).rank == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "it is not JSON: line 1, column 2: "),
        ("", "it is not JSON: line 1, column 1: "),
        ("[" * (MOST_DEPTH + 2) + "]" * (MOST_DEPTH + 2), DEEP),
        ("[" * 100_000, DEEP),
        ('{"a":' * 100_000, DEEP),
        (f"[{'9' * 5000}]", LONG),
    ],
)
def test_wrong_json_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^it [^\n]+\.$") as told:
        parsed_json(text, "it")
    assert sentence in str(told.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[one", "it is no TOML: "),
        (f"a = {'[' * 40_000}", DEEP),
        (f"a = {'[' * 60}{']' * 60}", DEEP),
        (f"a = {'9' * 5000}", LONG),
        ("a = 9999-99-99", "it is no TOML: "),
    ],
)
def test_wrong_toml_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^it [^\n]+\.$") as told:
        parsed_toml(text, "it")
    assert sentence in str(told.value)


def test_what_is_not_nested_too_deeply_is_read() -> None:
    nested = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert json.dumps(parsed_json(nested, "it")) == nested
    assert parsed_toml(f"a = {nested[1:-1]}", "it")
