"""The adapter to take home: does PEFT open it onto its base and answer as the network that was trained?"""

import io
import runpy
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from lora_core.adapters.network_adapter import network_adapter_zip
from lora_core.layer import count_parameters
from lora_core.network import NetworkExperiment
from lora_core.network.data import task_of
from lora_core.network.run import base_of, run_lane
from lora_core.network.shape import path_of
from lora_core.network.stack import decode

SHORT = NetworkExperiment(updates=6, batch=8)


@pytest.mark.parametrize(
    "experiment",
    [
        SHORT,
        replace(SHORT, ranks="0.q:7,head:2,1.up:0", scaling_rule="rslora"),
        replace(SHORT, network="copier", targets="qv", ranks="0.o:1", scaling_rule="constant", alpha=2.0),
    ],
)
def test_peft_opens_it(
    experiment: NetworkExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    lane = run_lane(experiment)
    archive = network_adapter_zip(experiment, lane)
    assert archive == network_adapter_zip(experiment, lane)
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "network", raising=False)
    base = runpy.run_path(str(tmp_path / "network.py"))["load_base"]()
    model = PeftModel.from_pretrained(base, tmp_path, is_trainable=True)
    assert count_parameters(model)[0] == experiment.trainable()

    signs = task_of(experiment.network, experiment.task).held_out.inputs[:4]
    ours = base_of(experiment.network)
    scale = {
        path_of(module): experiment.scaling_of(rank) for module, rank in experiment.module_ranks().items()
    }
    weights = {path: ours.weights[path] + scale[path] * A @ B for path, (A, B) in lane.factors.items()}
    with torch.no_grad():
        torch.testing.assert_close(model(signs), decode(ours, weights, signs[None])[0], rtol=0, atol=1e-4)

    runpy.run_path(str(tmp_path / "load_adapter.py"))
    runpy.run_path(str(tmp_path / "train_with_peft.py"))
    said = capsys.readouterr().out
    assert f"trainable params: {experiment.trainable():,}" in said
    assert f"update 1: {lane.batch_loss[0]:.4f} nats before it" in said
    monkeypatch.delitem(sys.modules, "network", raising=False)


def test_what_was_not_trained_to_its_end_is_not_saved() -> None:
    nothing = replace(SHORT, targets="own")
    with pytest.raises(ValueError, match="the adapter has no module or is still being trained"):
        network_adapter_zip(nothing, run_lane(nothing))
    wild = replace(SHORT, learning_rate=1.0, alpha=4096.0, updates=40)
    with pytest.raises(ValueError, match="the adapter diverged"):
        network_adapter_zip(wild, run_lane(wild))
