"""Sentences of the page of real models: its verdict, and what its configuration cannot carry.

Every sentence is computed from a shape, an adapter and the memory of training; nothing here draws.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lora_core.experiment import Experiment, ScalingRule
from lora_core.formatting import bytes_text, count_text, percent_text, times_text
from lora_core.models import LEFT_OUT, PEAKS, TARGET_PRESETS, Adapter, Bias, Memory, ModelShape, Peak, Row


def verdict(name: str, shape: ModelShape, adapter: Adapter, memories: Sequence[Memory]) -> str:
    """The page in one sentence; `memories` as `compare_memory` gives them."""
    count, (full, lora, _) = shape.count(adapter), memories
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


def notes(shape: ModelShape, adapter: Adapter, break_even: float) -> list[str]:
    """What a person should know about this configuration, each in a sentence; mostly nothing.

    `break_even` is the rank from which LoRA trains more numbers than the matrices it adapts hold.
    """
    found, rows = [], shape.rows(adapter)
    if shape.inside:
        found.append(
            f"Counted is the text model inside {shape.inside}, alone: what sees or hears is left out. "
            "The code is for that text model; the same names may stand in the other parts too."
        )
    if _ranks(rows)[-1] > break_even:
        found.append(
            f"From rank {math.floor(break_even) + 1:,} on, LoRA trains more numbers than the matrices it "
            "adapts hold."
        )
    if adapter.bias != Bias.NONE and not any(row.biases for row in rows):
        found.append("Train bias adds nothing here: the adapted matrices have no biases.")
    return found


def code_notes(experiment: Experiment, adapter: Adapter) -> list[str]:
    """Where the code to copy has to say something otherwise than the sidebar."""
    found = []
    if experiment.scaling_rule is ScalingRule.CONSTANT:
        found.append(
            f"PEFT has no constant scaling: lora_alpha = alpha × rank gives the factor {experiment.alpha:g} "
            "at the sidebar's rank" + (", and another one at other ranks." if adapter.rank_pattern else ".")
        )
    return found


def frozen_note(memory: Memory) -> str:
    """How much of LoRA's memory is not decided by the rank at all."""
    return (
        f"{percent_text(memory.frozen / memory.total)} of LoRA's {bytes_text(memory.total)} are frozen "
        f"weights, which no rank changes; {LEFT_OUT}."
    )


def measured_note() -> str:
    """What others have measured of how little the rank changes."""
    least, most = (pick(PEAKS, key=lambda peak: peak.gigabytes) for pick in (min, max))
    return (
        f"Measured on {least.model}, activations included: {least.gigabytes} GB with {peak_words(least)}, "
        f"{most.gigabytes} GB with {peak_words(most)} ({least.source.split(':')[0]})."
    )


def peak_words(peak: Peak) -> str:
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
