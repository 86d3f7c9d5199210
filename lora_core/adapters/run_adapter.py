"""The trained adapter as a file that PEFT opens: ``adapter_config.json`` and ``adapter_model.safetensors``.

PEFT stores the transposes, ``lora_A.weight`` (r, in) = A^T and ``lora_B.weight`` (out, r) = B^T, and a
trained bias (``bias="lora_only"``) as the whole bias of the layer underneath. The keys are those that
``PeftModel.save_pretrained`` of PEFT 0.21 writes for a model whose only layer is called ``linear``; numbers
are float64, as they were trained.
"""

import json

from safetensors.torch import save
from torch import Tensor

from lora_core.adapters.archive import zip_of
from lora_core.adapters.peft_terms import LAYER, peft_terms
from lora_core.experiment import Experiment
from lora_core.training.run import Run

_PREFIX = f"base_model.model.{LAYER}"

_LOAD = '''"""Put the adapter back onto its base layer. Needs torch, safetensors and peft."""
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import nn

here = Path(__file__).parent
model = nn.Sequential()
model.add_module("{layer}", nn.Linear({in_features}, {out_features}, dtype=torch.float64))
model.load_state_dict(load_file(here / "base_layer.safetensors"))
model = PeftModel.from_pretrained(model, here)
print(model(torch.ones(1, {in_features}, dtype=torch.float64)))
'''


def save_peft_adapter(run: Run) -> dict[str, bytes]:
    """File name -> content of the adapter at the end of a run, as ``PeftModel.from_pretrained`` reads it.

    Its rank is the one that a course has at its end.

    :raises ValueError: a run that is still growing, whose adapter diverged, or that did not keep its end.
    """
    last = run.lora.snapshots.get(run.experiment.epochs)
    if last is None or last.B is None:
        state = "diverged" if run.lora.diverged_at is not None else "was not kept at the end of its training"
        state = state if run.complete else "is still being trained"
        raise ValueError(f"the adapter {state}: only one that was trained to its end can be saved.")
    tensors = {f"{_PREFIX}.lora_A.weight": last.A.T, f"{_PREFIX}.lora_B.weight": last.B.T}
    if last.bias is not None:
        tensors[f"{_PREFIX}.base_layer.bias"] = run.problem.base.bias.detach() + last.bias
    return {
        "adapter_config.json": json.dumps(_config(run.last), indent=2).encode(),
        "adapter_model.safetensors": _packed(tensors),
    }


def adapter_zip(run: Run) -> bytes:
    """The adapter, the base layer it belongs to, and a script that puts one onto the other, in one archive.

    Equal runs give equal archives. ValueError as ``save_peft_adapter``.
    """
    e, base = run.experiment, run.problem.base.state_dict()
    load = _LOAD.format(layer=LAYER, in_features=e.in_features, out_features=e.out_features)
    contents = save_peft_adapter(run) | {
        "base_layer.safetensors": _packed({f"{LAYER}.{name}": tensor for name, tensor in base.items()}),
        "load_adapter.py": load.encode(),
        "experiment.json": json.dumps(run.course.to_dict(), indent=2).encode(),
    }
    return zip_of(contents)


def _config(experiment: Experiment) -> dict[str, object]:
    """What sets the adapter apart from PEFT's defaults, which its reader fills in."""
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": experiment.rank,
        "target_modules": [LAYER],
        "lora_dropout": 0.0,
        "fan_in_fan_out": False,
        **peft_terms(experiment)._asdict(),
    }


def _packed(tensors: dict[str, Tensor]) -> bytes:
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"format": "pt"})
