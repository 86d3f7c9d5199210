"""`python -m lora_core.models`: the keys that scripts rely on, and one sentence for what cannot be."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lora_core.models import CATALOGUE, Adapter
from lora_core.models.__main__ import main
from lora_core.models.peak import Training, fits, predict

ROOT = Path(__file__).parents[1]
LLAMA = CATALOGUE["Llama 3.1 8B"]
KEYS = {"total", "trainable", "peak_bytes", "moment", "parts", "verdict"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "config.json"
    path.write_text(json.dumps(dict(LLAMA.config)))
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_the_command_prints_the_keys_that_scripts_rely_on(config: str) -> None:
    command = [sys.executable, "-m", "lora_core.models", config, "--rank", "16", "--targets", "q_proj,v_proj"]
    command += ["--batch", "4", "--length", "4096", "--checkpointing", "--card", "80", "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    assert found.keys() >= KEYS
    shape, adapter = LLAMA.shape(), Adapter(16, ("q_proj", "v_proj"))
    peak = predict(shape, adapter, Training(4, 4096))
    assert peak is not None
    assert (found["total"], found["trainable"]) == (shape.total(), shape.count(adapter).trainable)
    assert (found["peak_bytes"], found["moment"]) == (peak.total, "the loss")
    assert sum(found["parts"].values()) == peak.total
    assert found["verdict"] == fits(peak.total, 80) == "fits"


def test_full_fine_tuning_and_4_bits(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    full = run(capsys, config, "--full", "--checkpointing", "--card", "24")
    assert full["trainable"] == full["total"]
    assert full["verdict"] == "no"
    assert full["longest"] == 0
    four = run(
        capsys, config, "--targets", "all-linear", "--precision", "nf4", "--checkpointing", "--card", "24"
    )
    assert four["verdict"] == "fits"
    assert four["peak_bytes"] < full["peak_bytes"] / 4
    assert sum(four["parts"].values()) == four["peak_bytes"]
    without = run(capsys, config)
    assert without["verdict"] is None


def test_what_is_not_predicted_is_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t5.json"
    path.write_text(json.dumps(dict(CATALOGUE["T5 base"].config)))
    found = run(capsys, str(path), "--rank", "8", "--card", "24")
    assert (found["peak_bytes"], found["moment"], found["verdict"]) == (None, None, None)
    assert found["trainable"] == CATALOGUE["T5 base"].shape().trainable(8)
    assert main([str(path)]) == 0
    assert "not predicted for this kind of model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("{", (), "config.json is not JSON"),
        ('{"model_type": "mambo"}', (), "model_type: 'mambo'"),
        (None, (), "No such file"),
        ('{"model_type": "llama"}', ("--rank", "0"), "rank: 0, expected"),
        ('{"model_type": "llama"}', ("--targets", "wq"), "targets: 'wq', expected one of"),
        ('{"model_type": "llama"}', ("--batch", "0"), "batch: 0, expected"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_code_2(
    text: str | None, more: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    assert main([str(path), *more]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert not said.out
