"""The parts of a model that transformers has built: every module and every parameter visited once.

So totals are the library's own. Layers that repeat are one part with a count.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lora_core.models.parts import Family, Kind, Part, named
from lora_core.models.roles import family_of, role_of

BARRED = dict.fromkeys(("falcon_h1", "mamba", "mamba2", "falcon_mamba", "nemotron_h"), ("out_proj", "conv1d"))
"""Names that PEFT refuses to adapt in a type (peft.tuners.tuners_utils, 0.21)."""


def measure(model: Any) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """The parts of a model in their order, and paths that a part's name would also mean to PEFT.

    Raises ValueError for a model that holds no number.
    """
    found: dict[Part, int] = {}
    others: dict[str, None] = {}
    for part in _parts(model, others):
        found[part] = found.get(part, 0) + part.count
    parts = tuple(replace(part, count=count) for part, count in found.items())
    if not any(part.family is Family.EXPERTS for part in parts):
        plain = {Family.SHARED: Family.MLP, Family.ROUTER: Family.MLP}
        parts = tuple(replace(part, family=plain.get(part.family, part.family)) for part in parts)
    if not sum(part.own for part in parts):
        raise ValueError("config.json: describes a model without any numbers")
    ends = {part.path.rpartition(".")[2] for part in parts if part.adaptable}
    return named(parts), tuple(path for path in others if path.rpartition(".")[2] in ends)


def star(path: str) -> str:
    """A path with `*` for the numbers of layers and experts."""
    return re.sub(r"(^|\.)(expert_)?\d+(?=\.|$)", r"\1\2*", path)


def _parts(model: Any, others: dict[str, None]) -> Iterator[Part]:
    """One part for each module that holds numbers, and for each tensor that no known kind of module holds."""
    import torch

    seen: set[int] = set()
    output = _output(model)
    base = getattr(model, "base_model_prefix", "")
    has_head = bool(base) and isinstance(getattr(model, base, None), torch.nn.Module)
    barred = BARRED.get(model.config.model_type, ())
    for path, module in model.named_modules():
        known = _is_known(module)
        if path and not known:
            others[star(path)] = None
        own = {name: tensor for name, tensor in module._parameters.items() if tensor is not None}
        if not own:
            continue
        head = has_head and not path.startswith(base + ".") and (output is None or module is output)
        where = star(path)
        if known or (len(own) <= 2 and "weight" in own and own["weight"].dim() == 1):
            part = _module(module, where, own, seen, head=head, output=module is output, known=known)
            yield replace(part, barred=known and path.rpartition(".")[2] in barred)
        else:
            yield from _tensors(where, own, seen, head=head)


def _is_known(module: Any) -> bool:
    """Whether LoRA is counted on modules of this class."""
    import torch
    from transformers.pytorch_utils import Conv1D

    classes = (torch.nn.Linear, Conv1D, torch.nn.Embedding, torch.nn.modules.conv._ConvNd)
    transposed = "Transpose" in type(module).__name__
    return isinstance(module, classes) and not transposed and "weight" in module._parameters


def _output(model: Any) -> Any:
    """The output layer, None where there is none or transformers cannot say which it is."""
    try:
        return model.get_output_embeddings()
    except Exception:
        return None


def _module(
    module: Any, where: str, own: dict[str, Any], seen: set[int], *, head: bool, output: bool, known: bool
) -> Part:
    """The part that a module is; `own` are its tensors, `seen` those that other modules have brought."""
    weight = own.pop("weight")
    tied = id(weight) in seen
    bias = sum(tensor.numel() for tensor in own.values() if id(tensor) not in seen)
    seen.update(id(tensor) for tensor in (weight, *own.values()))
    kind, rows, columns, kernel, groups = _sizes(module, weight, known)
    family = Family.HEAD if output else family_of(where, kind, head=head)
    role = role_of(where) if known else ""
    return Part(
        where, kind, family, rows, columns, bias=bias, role=role, tied=tied, kernel=kernel, groups=groups,
        output=output,
    )  # fmt: skip


def _sizes(module: Any, weight: Any, known: bool) -> tuple[Kind, int, int, int, int]:
    """Kind, in, out, entries of the kernel and groups of a module."""
    import torch

    if not known:
        return Kind.NORM, 1, weight.numel(), 1, 1
    if isinstance(module, torch.nn.modules.conv._ConvNd):
        kernel = math.prod(module.kernel_size)
        return Kind.CONVOLUTION, module.in_channels, module.out_channels, kernel, module.groups
    if isinstance(module, torch.nn.Linear):
        return Kind.LINEAR, weight.shape[1], weight.shape[0], 1, 1
    kind = Kind.EMBEDDING if isinstance(module, torch.nn.Embedding) else Kind.CONV1D
    return kind, weight.shape[0], weight.shape[1], 1, 1


def _tensors(where: str, own: dict[str, Any], seen: set[int], *, head: bool) -> Iterator[Part]:
    """Tensors of a module that is of no known kind, each a part of its own."""
    for name, tensor in own.items():
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        path = f"{where}.{name}" if where else name
        family = family_of(path, Kind.PARAMETER, head=head)
        if "bias" in name:
            yield Part(path, Kind.PARAMETER, family, 0, 0, bias=tensor.numel())
            continue
        kernel, rows, columns = 1, 1, tensor.numel()
        if tensor.dim() == 3 and family is Family.EXPERTS:
            kernel, columns, rows = tensor.shape
        elif tensor.dim() == 2:
            columns, rows = tensor.shape
        yield Part(path, Kind.PARAMETER, family, rows, columns, kernel=kernel)
