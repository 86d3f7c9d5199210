"""``python -m lora_core.adapters``: table, JSON, files, one sentence for what is wrong; large adapters."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from statistics import fmean, median

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_core.adapters.__main__ import main
from lora_core.adapters.source import find_on_disk
from tests.adapters_kit import config, peft_file, truncated

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An adapter of two modules, alpha twice the rank."""
    made = tmp_path / "mine"
    made.mkdir()
    save_file(peft_file({"layers.0.q": 4, "layers.1.q": 4}), made / "adapter_model.safetensors")
    (made / "adapter_config.json").write_text(json.dumps(config(4, 8)))
    return made


def contents(folder: Path) -> dict[str, str]:
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_the_table_says_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith("Rank 4 ")
    assert "scaling 2 = alpha / r" in out
    rows = [line.split() for line in lines if line.startswith("layers.")]
    assert [row[:3] for row in rows] == [["layers.0.q", "4", "2"], ["layers.1.q", "4", "2"]]
    assert "Cut to" not in out


def test_json_holds_the_spectra(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--json", "--rank", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    tensors = load_file(folder / "adapter_model.safetensors")
    energies = []
    for module in found["modules"]:
        A, B = (tensors[f"base_model.model.{module['module']}.lora_{factor}.weight"] for factor in "AB")
        values = np.linalg.svd(2 * (B @ A).double().numpy(), compute_uv=False)[:4]
        np.testing.assert_allclose(module["singular_values"], values, rtol=1e-5)
        assert module["norm"] == pytest.approx(np.linalg.norm(values))
        energies.append(np.square(values))
        shares, parts = energies[-1] / energies[-1].sum(), values / values.sum()
        assert module["effective_energy"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
        assert module["effective"] == pytest.approx(np.exp(-(parts * np.log(parts)).sum()))
    kept = sum(energy[:2].sum() for energy in energies) / sum(energy.sum() for energy in energies)
    assert found["cut"]["energy"] == pytest.approx(kept)
    assert found["written"] == []


@pytest.mark.parametrize(
    "options", [["--rank", "2"], ["--energy", "0.9"], ["--megabytes", "0.002"], [], ["--padded"]]
)
def test_what_is_written_is_the_cut_and_what_was_read_stays(
    folder: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = contents(folder), folder.parent / "out" / "deep"
    assert main([str(folder), *options, "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert contents(folder) == before
    assert sorted(contents(out)) == ["adapter_config.json", "adapter_model.safetensors"]
    whole, cut = (load_file(each / "adapter_model.safetensors") for each in (folder, out))
    for rank, stored, module in zip(
        found["cut"]["ranks"], found["cut"]["stored"], found["modules"], strict=True
    ):
        keys = [f"base_model.model.{module['module']}.lora_{factor}.weight" for factor in "AB"]
        A, B = (cut[key] for key in keys)
        assert len(A) == stored
        expected = truncated(2 * whole[keys[1]].double() @ whole[keys[0]].double(), rank)
        torch.testing.assert_close(B.double() @ A.double(), expected, rtol=0, atol=1e-5)
    assert (out / "adapter_model.safetensors").stat().st_size == found["cut"]["bytes"]
    # A second time it would overwrite.
    assert main([str(folder), *options, "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err


WRONG = {
    "absent": "absent cannot be read: No such file or directory.",
    "{folder} --rank 0": "rank is '0': it must be a whole number from 1 to 1,024.",
    "{folder} --energy 95": ("energy is '95': it must be a share above 0, at most 1, as 0.95."),
    "{folder} --megabytes nan": "megabytes is 'nan': it must be a number above 0, below 1e9.",
    "{folder} --megabytes 1e-4": (
        "megabytes is 0.0001: it must be at least 0.0006, what rank 1 everywhere takes."
    ),
    "{folder} --rank 2 --dtype int4": "dtype is int4: it must be one of F64, F32, F16, BF16.",
    "{folder} --out {folder}": (
        "{folder}/adapter_model.safetensors is there already: give --out a folder without an adapter."
    ),
    "{folder} --megabytes 1e400": "megabytes is '1e400': it must be a number above 0, below 1e9.",
    "{folder} --padded": (
        "--padded and --dtype say how a cut is written: give --rank, --energy, --megabytes or --out."
    ),
    "{folder} --dtype F16": (
        "--padded and --dtype say how a cut is written: give --rank, --energy, --megabytes or --out."
    ),
    "{folder} --out {folder}/adapter_config.json": (
        "{folder}/adapter_config.json is no folder: --out must name one, or one that is not there yet."
    ),
    "{folder} --out=": "out is '': it must be the path of a folder, . for this one.",
    "{folder} --rank 2 --energy 0.9": "argument --energy: not allowed with argument --rank",
    "": "the following arguments are required: PATH",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_what_is_wrong_is_one_sentence(
    folder: Path, arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(folder)
    try:
        code: object = main([each.format(folder=folder) for each in arguments.split()])
    except SystemExit as left:
        code = left.code
    assert code == 2
    assert capsys.readouterr() == ("", WRONG[arguments].format(folder=folder) + "\n")
    assert contents(folder) == before


def test_without_a_config_nothing_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "adapter_config.json").unlink()
    assert main([str(folder)]) == 0
    assert "is taken to be 1" in capsys.readouterr().out
    assert main([str(folder), "--rank", "2", "--out", str(folder.parent / "out")]) == 2
    assert capsys.readouterr().err == (
        "adapter_config.json is missing: without it the scaling is not known, and nothing is written.\n"
    )
    assert not (folder.parent / "out").exists()


def test_numbers_that_are_not_finite_are_told_and_leave_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors["base_model.model.layers.0.q.lora_A.weight"][0] = float("nan")
    save_file(tensors, folder / "adapter_model.safetensors")
    assert main([str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["modules"][0]["singular_values"] is None
    assert main([str(folder), "--rank", "2", "--out", str(folder.parent / "out")]) == 2
    assert (
        capsys.readouterr().err
        == "layers.0.q holds numbers that are not finite: the adapter cannot be cut.\n"
    )
    assert not (folder.parent / "out").exists()


def test_as_a_command_of_its_own(folder: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "lora_core.adapters"]
    done = subprocess.run([*command, folder], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    wrong = subprocess.run([*command, folder / "no"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == f"{folder / 'no'} cannot be read: No such file or directory.\n"


# Opens and cuts in a process of its own: seconds and megabytes above the imports.
LARGE = """
import sys, time
import torch
from lora_core.adapters import __main__, cutting, summary, writing
torch.set_num_threads(1)
def peak():  # of this program alone: ru_maxrss would start at what the test's own process holds
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
before, start = peak(), time.process_time()
assert __main__.main([sys.argv[1], "--energy", "0.9", "--out", sys.argv[2]]) == 0
print(time.process_time() - start, peak() - before, file=sys.stderr)
"""
SIZES = {"q": (4096, 4096), "k": (4096, 4096), "v": (4096, 4096), "o": (4096, 4096),
         "gate": (4096, 11008), "up": (4096, 11008), "down": (11008, 4096)}  # fmt: skip


def test_an_adapter_of_a_7b_model_is_opened_and_cut_in_seconds_and_little_memory(tmp_path: Path) -> None:
    made = tmp_path / "large"
    made.mkdir()
    pool = torch.randn(16 * 11008 + 4096, generator=torch.Generator().manual_seed(0)).bfloat16()
    tensors = {}
    for layer in range(32):
        for name, (inputs, outputs) in SIZES.items():
            path = f"base_model.model.model.layers.{layer}.{name}"
            tensors[f"{path}.lora_A.weight"] = pool[layer : layer + 16 * inputs].reshape(16, inputs).clone()
            tensors[f"{path}.lora_B.weight"] = pool[-16 * outputs :].reshape(outputs, 16).clone()
    save_file(tensors, made / "adapter_model.safetensors")
    (made / "adapter_config.json").write_text(json.dumps(config(16, 32)))
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", LARGE, made, out], capture_output=True, text=True, cwd=ROOT, check=True
    )
    seconds, megabytes = map(float, done.stderr.split()[-2:])
    print(f"7B, 224 modules: {seconds:.2f} s of one core, {megabytes:.0f} MB above the imports")
    assert seconds <= 10
    assert megabytes <= 400
    assert len(load_file(out / "adapter_model.safetensors")) == 448


def test_a_published_adapter_of_random_factors_uses_its_rank(capsys: pytest.CaptureFixture[str]) -> None:
    published = ROOT / "tests/data/gradience-tiny-lora"
    config = find_on_disk(published).config
    assert config is not None
    settings = json.loads(config)
    assert (settings["lora_alpha"], settings["r"]) == (16, 8)
    assert main([str(published), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {(module["rank"], module["scaling"]) for module in found["modules"]} == {(8, 2.0)}
    assert fmean(module["first"] for module in found["modules"]) == pytest.approx(0.154, abs=0.0005)
    assert median(module["rank_90"] for module in found["modules"]) == 7.5
    assert found["headline"].startswith("Rank 8 is really used")
    # What is counted of its change is what a dense SVD finds.
    tensors = load_file(published / "adapter_model.safetensors")
    for module in found["modules"]:
        A, B = (tensors[f"base_model.model.{module['module']}.lora_{part}.weight"] for part in "AB")
        values = np.linalg.svd(2 * (B.double() @ A.double()).numpy(), compute_uv=False)[:8]
        np.testing.assert_allclose(module["singular_values"], values, rtol=1e-9)


def test_the_least_megabytes_that_are_named_are_enough(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), "--megabytes", "1e-9"]) == 2
    least = capsys.readouterr().err.split("at least ")[1].split(",")[0]
    assert main([str(folder), "--megabytes", least, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["cut"]
    assert found["bytes"] <= float(least) * 1e6 < 1.01 * found["bytes"]


@pytest.mark.parametrize("name", ["adapter_model.safetensors.part", "adapter_config.json"])
def test_nothing_of_a_stranger_is_deleted_or_written_through(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, aim = folder.parent / "out", folder.parent / "aim"
    out.mkdir()
    if name == "adapter_config.json":
        (out / name).symlink_to(aim)
    else:
        (out / name).write_text("mine")
    assert main([str(folder), "--rank", "2", "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        f"{out / name} is there already: give --out a folder without an adapter.\n"
    )
    assert not aim.exists()
    assert [each.name for each in out.iterdir()] == [name]
    assert (out / name).is_symlink() or (out / name).read_text() == "mine"


def test_the_precision_is_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--rank", "4", "--dtype", "BF16", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["cut"]
    assert found["total_error"] < 1e-9
    assert 1e-3 < found["total_rounding"] < 2e-2
    assert main([str(folder), "--rank", "4", "--dtype", "BF16"]) == 0
    assert "Rounding to BF16 adds at most 0.0" in capsys.readouterr().out


def test_any_terminal_can_show_what_is_printed(folder: Path) -> None:
    tensors = {
        key.replace("layers.0.q", "layers.0.\x1b[31mq\u4f60"): tensor
        for key, tensor in load_file(folder / "adapter_model.safetensors").items()
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    command = [sys.executable, "-m", "lora_core.adapters"]
    for encoding in ("ascii", "utf-8"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([*command, folder], capture_output=True, cwd=ROOT, check=False, env=environment)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"\x1b" not in done.stdout
        assert ("layers.0.?[31mq" + ("?" if encoding == "ascii" else "\u4f60")).encode(
            encoding
        ) in done.stdout
        wrong = subprocess.run(
            [*command, "\x1b[31mno"], capture_output=True, cwd=ROOT, check=False, env=environment
        )
        assert (wrong.returncode, wrong.stderr) == (
            2,
            b"?[31mno cannot be read: No such file or directory.\n",
        )
    with open("/dev/full", "w") as full:
        done = subprocess.run([*command, folder], stdout=full, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr == b"The output cannot be written: No space left on device.\n"
