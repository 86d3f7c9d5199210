"""Sentences of the page of real models: its verdict, and what its configuration cannot carry.

Every sentence is computed from a shape, an adapter and the memory of training; nothing here draws.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lora_core.figures.models.numbers import MemoryInfo
from lora_core.formatting import bytes_text, count_text, percent_text, times_text
from lora_core.models import (
    LEFT_OUT,
    PEAKS,
    TARGET_PRESETS,
    Adapter,
    Bias,
    Family,
    MeasuredPeak,
    ModelShape,
    Row,
)
from lora_core.models.heads import HEAD_TASKS


def verdict(name: str, shape: ModelShape, adapter: Adapter, info: MemoryInfo) -> str:
    """The page in one sentence; `info` holds full fine-tuning, LoRA and QLoRA."""
    count, (full, lora, _) = shape.count(adapter), info.bars
    trains, all_of_it = count_text(count.trainable), count_text(count.full)
    if count.share <= 1:
        trained = f"trains {trains} of {all_of_it} numbers ({percent_text(count.share)})"
    else:
        trained = f"trains {trains} numbers, {times_text(count.share)} the {all_of_it} of full fine-tuning"
    needs, instead = bytes_text(lora.total), bytes_text(full.total)
    memory = (
        f"needs {needs} instead of {instead} to train" if lora.total < full.total
        else f"needs {needs} to train, no less than full fine-tuning's {instead}"
    )  # fmt: skip
    return f"{_adapter_words(shape, adapter)} of {name} {trained} and {memory}."


PEOPLE_USE = (
    "What people use: r = 8 on q and v (Hu et al., 2021, where r = 1 comes near it); r = 64, alpha 16 on all "
    "linear layers (QLoRA, Dettmers et al., 2023, appendix B); r = 8, alpha = 8 where nothing is said "
    "(PEFT's LoraConfig)."
)


def notes(shape: ModelShape, adapter: Adapter, break_even: float) -> list[str]:
    """What a person should know about this configuration, each in a sentence; mostly nothing.

    `break_even` is the rank from which LoRA trains more numbers than the matrices it adapts hold.
    """
    rows = shape.rows(adapter)
    found: list[str] = []
    found += shape.remarks
    if shape.text:
        inner, whole = count_text(shape.text_total()), count_text(shape.total())
        inner = f"{inner} of its {whole} numbers are in its text model"
        found.append(
            f"{inner}, which alone is adapted; the code names it." if adapter.text_only
            else f"{inner}; the same names are adapted in the parts that see or hear."
        )  # fmt: skip
    found += expert_notes(shape, rows)
    found += head_notes(shape, rows)
    if _ranks(rows)[-1] > break_even:
        found.append(
            f"From rank {math.floor(break_even) + 1:,} on, LoRA trains more numbers than the matrices it "
            "adapts hold."
        )
    if adapter.bias != Bias.NONE and not any(row.biases for row in rows):
        found.append("Train biases adds nothing here: the adapted matrices have no biases.")
    return found


def expert_notes(shape: ModelShape, rows: Sequence[Row]) -> list[str]:
    """How much of a mixture of experts a token meets, and what an adapter does not reach."""
    if shape.experts is None:
        return []
    found = []
    if shape.active() < shape.total():
        found.append(
            f"A mixture of experts: {shape.experts.picked} of {shape.experts.all} experts a token, "
            f"{count_text(shape.active())} active of {count_text(shape.total())} numbers."
        )
    fused = [row for row in rows if row.part.fused]
    missed = sum(row.part.own for row in fused if not row.rank)
    if missed:
        names = ", ".join(dict.fromkeys(row.part.path.rpartition(".")[2] for row in fused if not row.rank))
        found.append(
            f"{count_text(missed)} numbers of its experts are fused tensors ({names}), which target_modules "
            "do not reach: PEFT adapts them by target_parameters, which is not counted here."
        )
    elif fused and any(row.rank for row in fused):
        found.append(
            "PEFT turns these names of experts into target_parameters: the fused tensors are adapted."
        )
    return found


def head_notes(shape: ModelShape, rows: Sequence[Row]) -> list[str]:
    """A new head that nothing trains, and an output layer that shares its weight with the embedding."""
    heads = [row for row in rows if row.part.family is Family.HEAD and row.part.linear]
    new = shape.task in HEAD_TASKS or (shape.head.endswith("classification") and not shape.task)
    found = []
    if new and heads and not any(row.trainable for row in heads):
        found.append("The head is new and stays random and frozen: train it, or no answer can be learnt.")
    if any(row.part.tied and (row.rank or row.saved) for row in heads):
        found.append(
            "The output layer shares its weight with the input embedding: adapted or saved, it is one of its "
            "own, and PEFT cannot merge it back into the shared one."
        )
    return found


def frozen_note(info: MemoryInfo) -> str:
    """How much of LoRA's memory is not decided by the rank at all, and the moment of each peak."""
    lora = info.bars[1]
    share = percent_text(lora.frozen / lora.total)
    words = f"{share} of LoRA's {bytes_text(lora.total)} are frozen weights, which no rank changes"
    if not info.predicted:
        return f"{words}; {LEFT_OUT}."
    moments = "; ".join(f"{bar.name} at {bar.moment}" for bar in info.bars)
    return f"{words}. The peaks fall: {moments}."


def measured_note() -> str:
    """What others have measured of how little the rank changes."""
    least, most = (pick(PEAKS, key=lambda peak: peak.gigabytes) for pick in (min, max))
    return (
        f"Measured on {least.model}, activations included: {least.gigabytes} GB with {peak_words(least)}, "
        f"{most.gigabytes} GB with {peak_words(most)} ({least.source.split(':')[0]})."
    )


def peak_words(peak: MeasuredPeak) -> str:
    """Rank and targets of a measured peak."""
    return f"{'q, v' if len(peak.targets) == 2 else 'all linear layers and the head'} at rank {peak.rank}"


def module_table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The rows of `table_rows` as a person reads them."""
    return [
        {
            "Module": f"`{row['module']}`",
            "Family": row["family"],
            "In → out": f"{row['in']:,} → {row['out']:,}",
            "Layers": f"{row['count']:,}",
            "Rank": f"{row['rank'] or '–'}",
            "Weights": f"{row['weights']:,}",
            "Trained": f"{row['trained']:,}",
            "Of all trained": f"{row['of_trained']:.1f} %",
            "Of its weights": f"{row['of_weights']:.3f} %",
        }
        for row in rows
    ]


def _adapter_words(shape: ModelShape, adapter: Adapter) -> str:
    """Rank 8 on q_proj, v_proj and the head in full."""
    rows = shape.rows(adapter)
    ranks = _ranks(rows)
    rank = f"rank {ranks[0]:,}" if len(ranks) == 1 else f"ranks {ranks[0]:,} to {ranks[-1]:,}"
    names = list(dict.fromkeys(row.part.name for row in rows if row.rank))
    if len(names) <= 3:
        where = ", ".join(names)
    elif isinstance(adapter.targets, str):
        where = {"qv": "q and v", "mlp": "the MLP"}.get(adapter.targets, TARGET_PRESETS[adapter.targets])
        where = {"all linear": "all linear layers"}.get(where, where)
    else:
        where = f"{len(names)} kinds of matrices"
    more = [" with biases"] if any(row.biases for row in rows) else []
    more += [" and a full head"] if any(row.saved for row in rows) else []
    words = f"{'DoRA of ' if adapter.use_dora else ''}{rank} on {where}{''.join(more)}"
    return words[0].upper() + words[1:]


def _ranks(rows: Sequence[Row]) -> list[int]:
    return sorted({row.rank for row in rows if row.rank})
