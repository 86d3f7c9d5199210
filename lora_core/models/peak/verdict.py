"""The peak of a training step, whether it goes on a card, and the longest sequence that does."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lora_core.models.memory import Memory, adapter_memory, full_memory
from lora_core.models.peak.ends import HEADS, positions
from lora_core.models.peak.kinds import LAYERS, Sizes, sizes
from lora_core.models.peak.moments import StepMoments
from lora_core.models.peak.training import BATCHES, LENGTHS, Training
from lora_core.models.shape import ModelShape
from lora_core.models.targets import Adapter

CARDS = (8, 12, 16, 24, 32, 40, 48, 80, 96, 141)
"""Memory of cards in GB."""
RESERVE, MARGIN = 0.6e9, 1.1
"""Bytes that CUDA takes for itself, and the factor on the peak above which a run is called tight."""


@dataclass(frozen=True)
class Peak:
    """The peak of a training step in bytes and the moment it falls in.

    `static` is what is held throughout; `kept` what the layers keep for the way back; `above` the rest.
    """

    static: Memory
    moment: str
    kept: int
    above: int
    total: int


def predict(shape: ModelShape, adapter: Adapter | None, training: Training) -> Peak | None:
    """The peak of LoRA, or of full fine-tuning for None; None where the model's kind is not predicted.

    A sequence longer than the model's table of positions counts as long as that (`most_tokens`).
    Raises ValueError as `shape.count(adapter)` does.
    """
    static = _static(shape, adapter, training)
    found = _predicted(shape, training)
    if found is None:
        return None
    return _peak(shape, StepMoments(shape, found, adapter, training, static), training)


def most_tokens(shape: ModelShape) -> int:
    """The longest sequence that a predicted model takes: what its table of positions says, 0 for no bound."""
    return positions(shape) if shape.model_type in LAYERS else 0


def fixed_tokens(shape: ModelShape) -> bool:
    """Whether every sequence of a predicted model is equally long, as the patches of a picture are."""
    return shape.model_type in LAYERS and LAYERS[shape.model_type].pictures


def _predicted(shape: ModelShape, training: Training) -> Sizes | None:
    if shape.head not in HEADS or training.precision == "fp32":
        return None
    return sizes(shape)


def _peak(shape: ModelShape, step: StepMoments, training: Training) -> Peak:
    kept, bytes_at = step.at(_possible(shape, training))
    moment = max(bytes_at, key=lambda name: bytes_at[name])
    most, static = bytes_at[moment], step.static
    held = static.frozen + static.trained + static.optimizer
    kept = 0 if "step" in moment else min(kept, most)
    return Peak(static, moment, kept, most - kept, held + most)


def _possible(shape: ModelShape, training: Training) -> Training:
    most = most_tokens(shape)
    if most and (training.length > most or fixed_tokens(shape)):
        return replace(training, length=most)
    return training


def _static(shape: ModelShape, adapter: Adapter | None, training: Training) -> Memory:
    if adapter is None:
        precision = "bf16" if training.quantised else training.precision
        return full_memory(shape, precision, training.optimizer)
    return adapter_memory(
        shape, adapter, training.precision, training.optimizer,
        trained="bf16" if training.computing == "bf16" else "fp32",
        name="QLoRA" if training.quantised else "LoRA",
        prepared=training.prepared and training.quantised, double=training.double,
    )  # fmt: skip


def fits(peak: float, card: float) -> str:
    """`fits`, `tight` or `no`: whether a peak in bytes goes on a card of `card` GB."""
    if MARGIN * peak + RESERVE <= card * 1e9:
        return "fits"
    return "tight" if peak + RESERVE <= card * 1e9 else "no"


def longest(shape: ModelShape, adapter: Adapter | None, training: Training, card: float) -> int | None:
    """The longest sequence, in tokens, that fits with a margin on a card of `card` GB; 0 where none does.

    None where the model's kind is not predicted; at most what its table of positions says.
    """
    held = _room(shape, adapter, training, card)
    if held is None:
        return None

    def holds(length: int) -> bool:
        return held(replace(training, length=length))

    most = most_tokens(shape)
    if fixed_tokens(shape):
        return most if holds(most) else 0
    return _largest(holds, most or LENGTHS[1])


def largest_batch(shape: ModelShape, adapter: Adapter | None, training: Training, card: float) -> int | None:
    """The largest batch, up to 512, that fits with a margin on a card of `card` GB; 0 where none does.

    None where the model's kind is not predicted. For models whose sequences are all equally long
    (`fixed_tokens`).
    """
    held = _room(shape, adapter, training, card)
    return None if held is None else _largest(lambda batch: held(replace(training, batch=batch)), BATCHES[1])


def _room(
    shape: ModelShape, adapter: Adapter | None, training: Training, card: float
) -> Callable[[Training], bool] | None:
    """Whether ways of training that differ in batch and length fit with a margin; None if not predicted."""
    found = _predicted(shape, training)
    if found is None:
        return None
    step = StepMoments(shape, found, adapter, training, _static(shape, adapter, training))
    return lambda way: fits(_peak(shape, step, way).total, card) == "fits"


def _largest(holds: Callable[[int], bool], high: int) -> int:
    """The largest number up to `high` that holds, 0 where none does; what holds for one holds for less."""
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
