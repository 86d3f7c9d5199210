"""What an adapter trains on a model: r * (in + out) numbers for every matrix it targets, and what joins them.

Matching and totals are PEFT's (0.21), so a configuration written here counts what PEFT's
`print_trainable_parameters` prints.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lora_core.fields import quoted
from lora_core.models.converted import convert, tensor_rank
from lora_core.models.names import lies_in, target_names
from lora_core.models.parts import Kind, Part, saved_by, selects
from lora_core.models.targets import Adapter, Bias, Row

if TYPE_CHECKING:
    from lora_core.models.shape import ModelShape


def rows(shape: "ModelShape", adapter: Adapter) -> tuple[Row, ...]:
    """One row for every part of the model, trained or not, in the model's order.

    Raises ValueError naming the target, rank or module that the model does not have or PEFT does not adapt.
    """
    parts = shape.parts
    if shape.refused:
        raise ValueError(f"model: {shape.refused}")
    _check_names(shape, adapter)
    for name, _ in adapter.rank_pattern:
        if not any(selects(name, part.path) for part in parts):
            raise ValueError(f"rank_pattern: {quoted(name)}, expected one of {_known(parts)}")
    for name in adapter.modules_to_save:
        if "*" in name or not any(saved_by(name, part) for part in parts):  # PEFT takes plain names only
            raise ValueError(f"modules_to_save: {quoted(name)}, expected one of {_known(parts)}")
    names, tensors = chosen_names(shape, adapter)
    found = tuple(_row(shape, part, adapter, names, tensors) for part in parts)
    if not any(row.rank for row in found):
        raise ValueError(f"targets: {quoted(list(names or ()))}, expected modules outside modules_to_save")
    return found


def chosen_names(
    shape: "ModelShape", adapter: Adapter
) -> tuple[tuple[str, ...] | None, tuple[tuple[str, int], ...]]:
    """Names that PEFT matches with modules (None: all linear layers), and with tensors of experts.

    The tensors come with a factor on the rank; there are some in the few mixtures whose names of experts
    PEFT converts.
    """
    targets = adapter.targets
    if targets == "all-linear" and not shape.converted:
        return None, ()
    if isinstance(targets, str):
        names = target_names(shape.parts, targets, within=within(shape, adapter))
    else:
        names = targets
    if not shape.converted:
        return names, ()
    return convert(shape.converted, names, everything=targets == "all-linear")


def within(shape: "ModelShape", adapter: Adapter) -> str:
    """The path of the model that is adapted: the text model's, or "" for the whole."""
    if adapter.text_only and not shape.text:
        raise ValueError("text_only: True, expected False: this model holds no text model apart from itself")
    return shape.text if adapter.text_only else ""


def _row(
    shape: "ModelShape",
    part: Part,
    adapter: Adapter,
    names: Sequence[str] | None,
    tensors: Sequence[tuple[str, int]],
) -> Row:
    if any(saved_by(name, part) for name in adapter.modules_to_save):
        return Row(part, saved=part.count * part.size)
    if part.kind is Kind.PARAMETER:
        rank = tensor_rank(part.path, adapter.rank, tensors)
    else:
        rank = _module_rank(part, adapter, names, within(shape, adapter))
        rank = rank or tensor_rank(f"{part.path}.weight", adapter.rank, tensors)
    everywhere = adapter.bias == Bias.ALL and named_bias(part)
    biases = part.count * part.bias if everywhere or (rank and adapter.bias == Bias.ADAPTED) else 0
    if not rank:
        return Row(part, biases=biases)
    if rank % part.groups:
        raise ValueError(
            f"rank: {rank}, expected a multiple of {part.groups}, the groups of the convolution {part.name}"
        )
    magnitudes = part.count * part.out_features * adapter.use_dora
    return Row(part, rank, part.count * part.adapter(rank), magnitudes, biases)


def named_bias(part: Part) -> bool:
    """Whether PEFT takes a bias for one: it goes by the name `bias` alone (0.21.2), not `up_proj_bias`."""
    return part.kind is not Kind.PARAMETER or part.path.rpartition(".")[2] == "bias"


def _module_rank(part: Part, adapter: Adapter, names: Sequence[str] | None, where: str) -> int:
    """The rank of the adapter beside a module, 0 for none."""
    if not lies_in(part, where):
        return 0
    if names is None:
        hit = part.linear and not part.output and (part.path.startswith(where + ".") or not where)
    else:
        hit = any(selects(name, part.path) for name in names)
    if not hit:
        return 0
    return next((r for name, r in adapter.rank_pattern if selects(name, part.path)), adapter.rank)


def _check_names(shape: "ModelShape", adapter: Adapter) -> None:
    """ValueError for a target that this model does not have, or that PEFT does not adapt in it."""
    parts, where = shape.parts, within(shape, adapter)
    names, tensors = chosen_names(shape, adapter)
    if tensors and adapter.use_dora:
        raise ValueError("use_dora: True, expected False: PEFT adapts the tensors of experts without it")
    if names is None:
        barred = next((part for part in parts if part.barred and part.linear), None)
        if barred:
            raise ValueError(
                f"targets: all-linear would adapt {barred.name}, which PEFT refuses in {shape.model_type}"
            )
        return
    for name in names:
        hit = [part for part in parts if selects(name, part.path) and lies_in(part, where)]
        other = [path for path in shape.others if selects(name, path)]
        if where:
            other = [path for path in other if path.startswith(where + ".")]
        plain = [part for part in hit if part.kind is not Kind.PARAMETER]
        if not plain or not all(part.adaptable for part in plain) or other:
            why = " (PEFT adapts no module of that kind)" if other else ""
            raise ValueError(f"targets: {quoted(name)}{why}, expected one of {_known(parts)}")


def _known(parts: Sequence[Part]) -> str:
    names = list(dict.fromkeys(part.name for part in parts if part.adaptable))
    return ", ".join(names[:16]) + (f" and {len(names) - 16} more" if len(names) > 16 else "")
