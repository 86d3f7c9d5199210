"""The configuration as Python: `LoraConfig(...)` that trains exactly what was counted, to copy."""

from lora_core.models.counting import within
from lora_core.models.heads import HEAD_TASKS
from lora_core.models.names import head_names, is_plain, regular_expression, target_names
from lora_core.models.parts import Kind, pattern, selects
from lora_core.models.shape import ModelShape
from lora_core.models.targets import Adapter

HEAD_MODULES: dict[str, tuple[str, ...]] = {
    "SEQ_CLS": ("classifier", "score"),
    "TOKEN_CLS": ("classifier", "score"),
}
HEAD_MODULES["QUESTION_ANS"] = ("qa_outputs",)
"""What PEFT's classes for these tasks train in full beside the adapter, whether one asks for it or not."""


def lora_code(shape: ModelShape, adapter: Adapter) -> str:
    """Python that builds the `peft.LoraConfig` of an adapter; only what differs from PEFT's defaults.

    Names with a `*` become one regular expression. Raises ValueError as `shape.count(adapter)` does.
    """
    hit = [row.part for row in shape.rows(adapter) if row.rank]
    arguments = {
        "r": repr(adapter.rank),
        "lora_alpha": repr(int(adapter.alpha) if adapter.alpha == int(adapter.alpha) else adapter.alpha),
        "use_rslora": repr(True) if adapter.use_rslora else "",
        "target_modules": _targets(shape, adapter),
        "rank_pattern": _dict(adapter.rank_pattern),
        "use_dora": repr(True) if adapter.use_dora else "",
        "bias": "" if adapter.bias == "none" else f'"{adapter.bias}"',
        "modules_to_save": _list(adapter.modules_to_save) if adapter.modules_to_save else "",
        "fan_in_fan_out": repr(True) if any(part.kind is Kind.CONV1D for part in hit) else "",
        "task_type": _task(shape, adapter),
    }
    lines = [f"    {name}={value}," for name, value in arguments.items() if value]
    return "\n".join(["from peft import LoraConfig", "", "config = LoraConfig(", *lines, ")", ""])


def _targets(shape: ModelShape, adapter: Adapter) -> str:
    """PEFT's word for all linear layers, a list of names, or an expression where names would say too much."""
    where = within(shape, adapter)
    if adapter.targets == "all-linear" and not where:
        return '"all-linear"'
    names = adapter.targets
    names = target_names(shape.parts, names, within=where) if isinstance(names, str) else names
    if not where:
        return _list(names) if all(map(is_plain, names)) else f'r"{regular_expression(names)}"'
    apart = [part for part in shape.parts if not part.path.startswith(where + ".")]
    inner = [part for part in shape.parts if part.path.startswith(where + ".")]
    inside = [name for name in names if any(selects(name, part.path) for part in inner)]
    heads = set(head_names(shape.parts))
    outside = [
        name for name in names
        if any(selects(name, part.path) and part.path.split(".")[0] in heads for part in apart)
    ]  # fmt: skip
    return f'r"{regular_expression(inside, where, outside)}"'


def _task(shape: ModelShape, adapter: Adapter) -> str:
    task = shape.task
    if task in HEAD_TASKS:
        heads = set(head_names(shape.parts))
        trained = heads and heads <= set(adapter.modules_to_save) & set(HEAD_MODULES[task])
        task = task if trained else ""
    return f'"{task}"' if task else ""


def _list(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _dict(ranks: tuple[tuple[str, int], ...]) -> str:
    if not ranks:
        return ""
    entries = (f"{_key(name)}: {rank}" for name, rank in ranks)
    return "{" + ", ".join(entries) + "}"


def _key(name: str) -> str:
    """PEFT reads the keys of `rank_pattern` as regular expressions, anchored at the end."""
    return f'"{name}"' if is_plain(name) and "." not in name else f'r"{pattern(name)}"'
