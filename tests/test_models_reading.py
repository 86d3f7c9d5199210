"""The worker that builds models: one process, shared answers, limited, replaced when it hangs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from lora_core.models import CATALOGUE, ModelShape, UnknownClassError
from lora_core.models import reading as module
from lora_core.models.build import build_shape
from lora_core.models.reading import Reader, read_shape
from tests.kit.models import TINY

ROOT = Path(__file__).parents[1]


HANGS = {"model_type": "nllb-moe", "encoder_layers": 1000, "decoder_layers": 1000, "num_experts": 1024}
"""Two million modules: minutes to build."""


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    found = Reader(seconds=3.0)
    yield found
    found.close()
    assert found.pid is None


def test_the_worker_builds_what_the_library_builds(reader: Reader) -> None:
    assert reader.pid is None  # nothing is started before something is pasted
    shape = read_shape(TINY, reader=reader)
    assert shape == build_shape(TINY)
    assert read_shape(TINY, "none", reader) == build_shape(TINY, "none")


def test_the_same_config_is_answered_without_asking_again(reader: Reader) -> None:
    read_shape(TINY, reader=reader)
    assert reader.pid
    os.kill(reader.pid, signal.SIGSTOP)
    try:
        assert read_shape(dict(reversed(TINY.items())), reader=reader).total() == build_shape(TINY).total()
    finally:
        os.kill(reader.pid, signal.SIGCONT)


def test_a_refusal_comes_back_as_a_sentence_and_an_unknown_class_with_heads(reader: Reader) -> None:
    with pytest.raises(ValueError, match="hidden_act: 'no such thing', which transformers does not"):
        read_shape({**TINY, "hidden_act": "no such thing"}, reader=reader)
    with pytest.raises(UnknownClassError) as caught:
        read_shape({**TINY, "architectures": ["LlamaForHire"]}, reader=reader)
    assert caught.value.heads[:2] == ("lm", "classification")
    assert (
        read_shape({**TINY, "architectures": ["LlamaForHire"]}, "lm", reader).total()
        == build_shape(TINY).total()
    )


def test_a_config_that_hangs_ends_with_its_time_and_nobody_waits_for_it(reader: Reader) -> None:
    read_shape(TINY, reader=reader)
    first, said = reader.pid, []

    def hang() -> None:
        with pytest.raises(ValueError, match="takes longer than 3 s to build") as caught:
            read_shape(HANGS, reader=reader)
        said.append(str(caught.value))

    threads = [Thread(target=hang) for _ in range(2)]  # the second waits for what is asked already
    start = time.monotonic()
    for thread in threads:
        thread.start()
    while not children(first):
        assert time.monotonic() < start + 3
    assert read_shape({**TINY, "vocab_size": 132}, reader=reader).total() > 0
    assert not said
    assert len(children(first)) <= 2  # the one that hangs, and that of the answer if it has not ended yet
    for thread in threads:
        thread.join(20)
    assert 2.5 < time.monotonic() - start < 6
    assert len(said) == 2
    assert read_shape({**TINY, "vocab_size": 133}, reader=reader).total() > 0
    assert reader.pid == first
    while children(first):
        assert time.monotonic() < start + 15


def children(pid: int | None) -> list[str]:
    """Processes that a process has started and that have not ended."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_worker_that_dies_is_replaced_with_the_next_config(reader: Reader) -> None:
    read_shape(TINY, reader=reader)
    first = reader.pid
    assert first
    os.kill(first, signal.SIGKILL)
    assert read_shape({**TINY, "vocab_size": 134}, reader=reader).total() > 0
    assert reader.pid not in (None, first)


def test_libraries_that_do_not_load_are_told_and_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    monkeypatch.setattr("lora_core.models.worker_process.START_SECONDS", 0.01)
    for _ in range(2):
        with pytest.raises(
            ValueError, match=r"^config\.json: transformers did not load within 0\.01 s here$"
        ):
            read_shape(TINY, reader=reader)
    assert reader.pid is None


def test_the_memory_of_the_worker_is_limited() -> None:
    code = (
        "import lora_core.models.worker as w, resource; w.limit_memory();"
        "print(resource.getrlimit(resource.RLIMIT_AS)[0] < 2**62);"
        "\ntry: bytearray(3 * 10**9)\nexcept MemoryError: print('refused')"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "refused"]


def test_without_transformers_the_catalogue_works_and_a_config_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs the package transformers, which is not installed here"):
        ModelShape.from_config(TINY)
    code = (
        "import sys; sys.modules['transformers'] = None; import lora_core.models as m;"
        "print(m.CATALOGUE['BERT base'].shape('classification').total())"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(ran.stdout) == CATALOGUE["BERT base"].shape("classification").total()


@pytest.mark.parametrize("what", ["\ud800", float("nan")])
def test_values_without_words_in_json_are_read_or_refused(what: object, reader: Reader) -> None:
    assert read_shape({**TINY, "note": what}, reader=reader).total() == build_shape(TINY).total()
