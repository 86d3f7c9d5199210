"""The configuration as Python: `LoraConfig(...)` that trains exactly what was counted, to copy."""

from lora_core.models.families.heads import Head
from lora_core.models.families.registry import FAMILIES
from lora_core.models.parts import Kind, pattern
from lora_core.models.shape import ModelShape
from lora_core.models.targets import Adapter, head_names, is_plain, regular_expression, target_names

# PEFT's classes for these tasks always train the head beside the adapter.
HEAD_TASKS = {Head.CLASSIFICATION: "SEQ_CLS", Head.TOKENS: "TOKEN_CLS", Head.ANSWERS: "QUESTION_ANS"}


def lora_code(shape: ModelShape, adapter: Adapter) -> str:
    """Python that builds the `peft.LoraConfig` of an adapter; only what differs from PEFT's defaults.

    Names with a `*` become one regular expression. Raises ValueError as `shape.count(adapter)` does.
    """
    names = adapter.targets
    names = target_names(shape.parts, names) if isinstance(names, str) else names
    hit = [row.part for row in shape.rows(adapter) if row.rank]
    plain = all(is_plain(name) for name in names)
    arguments = {
        "r": repr(adapter.rank),
        "lora_alpha": repr(int(adapter.alpha) if adapter.alpha == int(adapter.alpha) else adapter.alpha),
        "use_rslora": repr(True) if adapter.use_rslora else "",
        "target_modules": _list(names) if plain else f'r"{regular_expression(names)}"',
        "rank_pattern": _dict(adapter.rank_pattern),
        "use_dora": repr(True) if adapter.use_dora else "",
        "bias": "" if adapter.bias == "none" else f'"{adapter.bias}"',
        "modules_to_save": _list(adapter.modules_to_save) if adapter.modules_to_save else "",
        "fan_in_fan_out": repr(True) if any(part.kind is Kind.CONV1D for part in hit) else "",
        "task_type": _task(shape, adapter),
    }
    lines = [f"    {name}={value}," for name, value in arguments.items() if value]
    return "\n".join(["from peft import LoraConfig", "", "config = LoraConfig(", *lines, ")", ""])


def _task(shape: ModelShape, adapter: Adapter) -> str:
    architecture = FAMILIES[shape.model_type]
    task = architecture.lm_task if shape.head is Head.LM else ""
    if shape.head in HEAD_TASKS and not architecture.pictures:
        trained = set(head_names(shape.parts)) <= set(adapter.modules_to_save)
        task = HEAD_TASKS[shape.head] if trained else ""
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
