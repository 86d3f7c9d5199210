"""LoRA in a model: named linear layers replaced by layers that hold them, with a change of low rank beside.

The same ``LoRALayer`` as on the other pages. What it holds stays in place and is frozen, so the model's other
code, its names and its checkpoints go on as before; ``merge`` makes an ordinary model of it again.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from lora_core.experiment import Init, ScalingRule
from lora_core.layer import LoRALayer


def adapt(
    model: nn.Module,
    targets: Iterable[str] = ("q_proj", "v_proj"),
    rank: int = 4,
    alpha: float | None = 16.0,
    scaling_rule: ScalingRule | str = ScalingRule.STANDARD,
    init: Init | str = Init.KAIMING,
    rank_pattern: Mapping[str, int] | None = None,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Put an adapter into every ``nn.Linear`` that a target names, freeze all else, and return the model.

    A target is the end of a module's path, in whole names: ``q_proj``, or ``layers.0.self_attn.q_proj``.
    ``rank_pattern`` gives modules named in the same way a rank of their own; the longest name that fits
    counts. A module's draw depends on the generator's seed and its path: neither its rank nor other targets
    move it.

    :raises ValueError: a target that names no linear layer, a bare string as targets, a value outside its
        limit.
    """
    if isinstance(targets, str):
        raise ValueError(f"targets is {targets!r}: it must be a list of names, as ({targets!r},).")
    pattern = dict(rank_pattern or {})
    linear = {path: module for path, module in model.named_modules() if type(module) is nn.Linear}
    chosen = list(dict.fromkeys(targets))
    for name in (*chosen, *pattern):
        if not any(_names(name, path) for path in linear):
            ends = dict.fromkeys(path.rpartition(".")[2] for path in linear)
            raise ValueError(f"targets has {name!r}: it must name a linear layer, as {', '.join(ends)}.")
    seed = torch.initial_seed() if generator is None else generator.initial_seed()
    model.requires_grad_(False)
    for path, module in linear.items():
        if any(_names(name, path) for name in chosen):
            fitting = [name for name in pattern if _names(name, path)]
            own = pattern[max(fitting, key=len)] if fitting else rank
            stream = adapter_stream(seed, path)
            layer = LoRALayer.around(module, own, alpha, scaling_rule, init, generator=stream)
            if init == Init.KAIMING:
                with torch.no_grad():
                    drawn = draw_A(module.in_features, own, adapter_stream(seed, path))
                    layer.lora_A.copy_(drawn)
            _put(model, path, layer)
    return model


def adapters(model: nn.Module) -> dict[str, LoRALayer]:
    """Every adapter of a model by its path."""
    return {path: module for path, module in model.named_modules() if isinstance(module, LoRALayer)}


def merge(model: nn.Module) -> None:
    """Merge every adapter: the model then costs what its base costs."""
    for layer in adapters(model).values():
        layer.merge()


def unmerge(model: nn.Module) -> None:
    """Undo ``merge``, to the bit."""
    for layer in adapters(model).values():
        layer.unmerge()


def adapter_stream(seed: int, path: str) -> torch.Generator:
    """The generator of one module's adapter: of the seed and the module's path alone."""
    mixed = seed % 2**31
    for letter in path.encode():
        mixed = (mixed * 1_000_003 + letter) % (2**61 - 1)
    return torch.Generator().manual_seed(mixed)


def draw_A(in_features: int, rank: int, generator: torch.Generator) -> Tensor:
    """A (in, rank), uniform within 1/sqrt(in) as in ``initialise``; a lower rank's columns come first."""
    bound = 1 / math.sqrt(in_features)
    return torch.empty(rank, in_features).uniform_(-bound, bound, generator=generator).T


def _names(name: str, path: str) -> bool:
    return path == name or path.endswith("." + name)


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
