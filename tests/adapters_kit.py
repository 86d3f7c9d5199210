"""Adapters for tests: small files in any naming, and models of PEFT's to read them with."""

import io
import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from lora_core.adapters.file import AdapterFile, open_adapter
from lora_core.adapters.source import CONFIG, WEIGHTS, Memory, Parts
from lora_core.adapters.writing import Plan, files_of, write_file

PREFIX = "base_model.model."


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    """A float32 tensor of its own seed."""
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def factors(rank: int, sizes: tuple[int, int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A (r, in) and B (out, r) whose directions fall in strength, so that each cut is one of its own."""
    fall = torch.tensor([0.6**i for i in range(rank)])
    return draw(rank, sizes[0], seed=2 * seed) * fall[:, None], draw(sizes[1], rank, seed=2 * seed + 1)


def peft_file(ranks: Mapping[str, int], sizes: tuple[int, int] = (12, 9)) -> dict[str, torch.Tensor]:
    """Tensors of linear modules, rank by path, in PEFT's names."""
    tensors = {}
    for seed, (path, rank) in enumerate(ranks.items()):
        A, B = factors(rank, sizes, seed)
        tensors |= {f"{PREFIX}{path}.lora_A.weight": A, f"{PREFIX}{path}.lora_B.weight": B}
    return tensors


def config(rank: int = 4, alpha: float = 8, **more: Any) -> dict[str, Any]:
    return {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, **more}


def opened(
    tensors: Mapping[str, torch.Tensor],
    settings: Mapping[str, Any] | None = None,
    metadata: dict[str, str] | None = None,
    name: str = WEIGHTS,
) -> AdapterFile:
    """The adapter of these tensors, as if it had been uploaded."""
    content = save({key: tensor.clone().contiguous() for key, tensor in tensors.items()}, metadata)
    return open_adapter(
        Parts(Memory(name, content), None if settings is None else json.dumps(settings).encode())
    )


def written(plan: Plan) -> dict[str, bytes]:
    """File name -> content of a planned adapter."""
    stream = io.BytesIO()
    assert list(write_file(plan, stream)) == list(range(1, len(plan.ranks) + 1))
    name, settings = files_of(plan)
    return {name: stream.getvalue()} | ({} if settings is None else {CONFIG: settings})


def truncated(delta: torch.Tensor, rank: int) -> torch.Tensor:
    """Eckart and Young's truncation of a dense matrix, float64: numpy's SVD, nothing of ours."""
    import numpy as np

    U, values, Vh = np.linalg.svd(delta.double().numpy(), full_matrices=False)
    return torch.from_numpy((U[:, :rank] * values[:rank]) @ Vh[:rank])


class Tiny(nn.Module):
    """A layer of every kind that PEFT adapts."""

    def __init__(self) -> None:
        super().__init__()
        from transformers.pytorch_utils import Conv1D

        self.linear = nn.Linear(12, 9)
        self.turned = Conv1D(10, 12)
        self.conv = nn.Conv2d(5, 7, 3)
        self.point = nn.Conv2d(6, 8, 1)
        self.tokens = nn.Embedding(20, 6)
        self.head = nn.Linear(9, 3)


def made_by_peft(
    seed: int = 0, dtype: torch.dtype = torch.float64, **settings: Any
) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A PEFT model over `Tiny` with factors drawn at random in `dtype`, and its delta weights by module."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    defaults = {"target_modules": ["linear", "turned", "conv", "point", "tokens"]}
    model = get_peft_model(Tiny(), LoraConfig(**(defaults | settings)))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name and "magnitude" not in name:
                parameter.copy_(
                    torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter.shape[-1])
                )
    found = deltas(model.to(dtype))
    return model.to(dtype), found


def deltas(model: nn.Module, adapter: str = "default") -> dict[str, torch.Tensor]:
    """What PEFT adds to each weight, by the module's path, float64."""
    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.double()
    return {
        name.removeprefix(PREFIX): module.get_delta_weight(adapter).detach()
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    }


def as_matrix(path: str, delta: torch.Tensor) -> torch.Tensor:
    """A delta weight as a matrix: kernels flattened."""
    return delta.flatten(1)
