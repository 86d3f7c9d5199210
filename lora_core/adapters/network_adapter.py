"""The small network's adapter to take home: in PEFT's format, with its base and a script to train it again.

Keys and transposes are PEFT's, as in ``run_adapter``; the modules have the paths that they have in the model.
``network.py`` in the archive is the model's own source, so that nothing of this project is needed.
"""

import inspect
import json

from safetensors.torch import save

from lora_core.adapters.archive import zip_of
from lora_core.experiment import ScalingRule
from lora_core.network import model as source
from lora_core.network.data import CopyTask, task_of
from lora_core.network.experiment import NetworkExperiment
from lora_core.network.model import Decoder, load_network
from lora_core.network.run import NetworkLane, batch_order
from lora_core.network.shape import path_of

_NETWORK = '''"""The small network: signs (n, t) to logits (n, t, vocabulary). Needs torch and safetensors."""
import math
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

EPS = {eps}


class Shape(NamedTuple):
    vocabulary: int
    width: int
    layers: int
    heads: int
    context: int


{classes}

def load_base():
    """The network as its pre-training left it."""
    model = Decoder(Shape{shape})
    model.load_state_dict(load_file(Path(__file__).parent / "base.safetensors"))
    return model
'''
_LOAD = '''"""Put the adapter back onto the network and run it. Needs torch, safetensors and peft."""
from pathlib import Path

import torch
from network import load_base
from peft import PeftModel

model = PeftModel.from_pretrained(load_base(), Path(__file__).parent)
signs = torch.tensor([{signs}])
print(model(signs)[0, -1].softmax(-1).topk(5))
'''
_TRAIN = '''"""Train such an adapter again with PEFT, on the same batches. Needs torch, safetensors, peft."""
import json
from pathlib import Path

import torch
from network import load_base
from peft import LoraConfig, get_peft_model

here = Path(__file__).parent
config = LoraConfig.from_pretrained(here)
config.inference_mode = False
torch.manual_seed({seed})  # PEFT draws A from it
model = get_peft_model(load_base(), config)
model.print_trainable_parameters()
batches = json.loads((here / "batches.json").read_text())
{optimizer}
for update, (inputs, targets) in enumerate(batches, 1):
    inputs, targets = torch.tensor(inputs), torch.tensor(targets)
    optimizer.zero_grad()
    logits = model(inputs)[:, -targets.shape[1]:]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    optimizer.step()
    if update % 10 == 1:
        print(f"update {{update}}: {{loss.item():.4f}} nats before it")
'''


def network_adapter_zip(experiment: NetworkExperiment, lane: NetworkLane) -> bytes:
    """The adapter, its base, and two scripts in one archive; equal runs give equal archives.

    :raises ValueError: an adapter that diverged, is still being trained, or has no module.
    """
    if not lane.complete or lane.diverged_at is not None or not lane.factors:
        state = "diverged" if lane.diverged_at is not None else "has no module or is still being trained"
        raise ValueError(f"the adapter {state}: only one that was trained to its end can be saved.")
    tensors = {}
    for path, (A, B) in lane.factors.items():
        tensors[f"base_model.model.{path}.lora_A.weight"] = A.T.contiguous()
        tensors[f"base_model.model.{path}.lora_B.weight"] = B.T.contiguous()
    base = load_network(experiment.network)
    contents: dict[str, str | bytes] = {
        "adapter_config.json": json.dumps(_config(experiment), indent=2),
        "adapter_model.safetensors": save(tensors, {"format": "pt"}),
        "base.safetensors": save(base.state_dict(), {"format": "pt"}),
        "network.py": _source(base),
        "load_adapter.py": _LOAD.format(signs=_first_row(experiment)),
        "train_with_peft.py": _TRAIN.format(seed=experiment.seed, optimizer=_optimizer(experiment)),
        "batches.json": _batches(experiment),
        "experiment.json": json.dumps(experiment.to_dict(), indent=2),
    }
    return zip_of(contents)


def _config(e: NetworkExperiment) -> dict[str, object]:
    """What sets the adapter apart from PEFT's defaults; a constant scaling is written as alpha times rank."""
    ranks = {path_of(module): rank for module, rank in e.module_ranks().items()}
    constant = e.scaling_rule is ScalingRule.CONSTANT
    return {
        "peft_type": "LORA", "task_type": None, "base_model_name_or_path": None, "inference_mode": True,
        "r": e.rank, "lora_alpha": e.alpha * e.rank if constant else e.alpha,
        "use_rslora": e.scaling_rule is ScalingRule.RSLORA,
        "target_modules": list(ranks),
        "rank_pattern": {path: rank for path, rank in ranks.items() if rank != e.rank},
        "alpha_pattern": {path: e.alpha * rank for path, rank in ranks.items()} if constant else {},
        "lora_dropout": 0.0, "fan_in_fan_out": False, "bias": "none",
    }  # fmt: skip


def _source(base: Decoder) -> str:
    parts = (source.Attention, source.MLP, source.Block, source.Decoder)
    classes = "\n\n".join(inspect.getsource(each) for each in parts)
    return _NETWORK.format(eps=source.EPS, classes=classes, shape=tuple(base.shape))


def _first_row(e: NetworkExperiment) -> list[int]:
    row: list[int] = task_of(e.network, e.task).held_out.inputs[0].tolist()
    return row[:7] if isinstance(task_of(e.network, e.task), CopyTask) else row[:4]


def _batches(e: NetworkExperiment) -> str:
    task, order = task_of(e.network, e.task), batch_order(e)
    rows = (task.batch(e.batch, order) for _ in range(e.updates))
    return json.dumps([(each.inputs.tolist(), each.targets.tolist()) for each in rows], separators=(",", ":"))


def _optimizer(e: NetworkExperiment) -> str:
    name = "Adam" if e.optimizer == "adam" else "SGD"
    return (
        f"rates = {{True: {e.learning_rate * e.lr_ratio!r}, False: {e.learning_rate!r}}}\n"
        'groups = [{"params": [p], "lr": rates["lora_B" in name]}\n'
        "          for name, p in model.named_parameters() if p.requires_grad]\n"
        f"optimizer = torch.optim.{name}(groups)"
    )
