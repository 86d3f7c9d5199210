"""Memory to train: weights, gradients and optimizer state, in bytes, of full fine-tuning, LoRA and QLoRA.

    bytes = frozen weights + trained weights + their gradients + their optimizer state

Quantised weights are the linear layers of the network, as bitsandbytes makes them: LLM.int8() one byte and
one fp32 scale a row (Dettmers et al. 2022, arXiv 2208.07339, section 3), NF4 half a byte and doubly
quantised scales, 0.127 bits a number (Dettmers et al. 2023, arXiv 2305.14314, section 3). Embeddings, norms
and the head stay in bf16. Left out, always: activations, which grow with batch and length.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lora_core.fields import quoted
from lora_core.models.parts import Family, Kind, Part
from lora_core.models.shape import ModelShape
from lora_core.models.targets import Adapter, Row

LEFT_OUT = "activations, temporary buffers and fragmentation are not counted"

BYTES = {"fp32": 4, "bf16": 2}  # of one number, where it is not quantised
PRECISIONS = {"fp32": "fp32", "bf16": "bf16", "int8": "8-bit (LLM.int8)", "nf4": "4-bit (NF4)"}
OPTIMIZERS = {
    "adamw": "AdamW, two fp32 moments",
    "adamw-bf16": "AdamW, two bf16 moments",  # what torch keeps for numbers that are bf16 themselves
    "adamw-8bit": "8-bit AdamW",
    "sgd": "SGD without momentum",
}
NF4_BLOCK, NF4_BLOCKS = 64, 256  # numbers to a scale; scales to a scale of scales
STATE_BLOCK, SMALL_TENSOR = 256, 4096  # bitsandbytes >= 0.44; a smaller tensor keeps fp32 moments


@dataclass(frozen=True)
class Memory:
    """One way of training, in bytes."""

    name: str
    frozen: int
    trained: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        return self.frozen + self.trained + self.gradients + self.optimizer


def weight_bytes(parts: Iterable[Part], precision: str) -> int:
    """Bytes of a model's weights at a precision; tied ones are there once."""
    _check("precision", precision, PRECISIONS)
    plain = BYTES.get(precision, BYTES["bf16"])
    total = 0
    for part in parts:
        if precision not in BYTES and part.linear and part.family is not Family.HEAD:
            total += part.count * (_quantised(part, precision) + plain * part.bias)
        else:
            total += plain * part.own
    return total


def optimizer_bytes(tensors: Iterable[tuple[int, int]], optimizer: str) -> int:
    """Bytes of an optimizer's state for tensors given as (numbers in one, how many such).

    8-bit AdamW stores two bytes a number and two fp32 scales to each block of 256, but keeps fp32 moments
    for tensors of fewer than 4096 numbers (Dettmers et al. 2022, arXiv 2110.02861; bitsandbytes 0.44).
    """
    _check("optimizer", optimizer, OPTIMIZERS)
    return sum(count * _state(numbers, optimizer) for numbers, count in tensors)


def full_memory(shape: ModelShape, precision: str = "bf16", optimizer: str = "adamw") -> Memory:
    """Full fine-tuning: every weight at `precision` (fp32 or bf16), with its gradient and state."""
    _check("precision", precision, BYTES)
    size = BYTES[precision] * shape.total()
    tensors = [tensor for part in shape.parts for tensor in _own_tensors(part)]
    return Memory("Full fine-tuning", 0, size, size, optimizer_bytes(tensors, optimizer))


def adapter_memory(
    shape: ModelShape,
    adapter: Adapter,
    precision: str = "bf16",
    optimizer: str = "adamw",
    *,
    trained: str = "fp32",
    name: str = "LoRA",
) -> Memory:
    """LoRA on weights frozen at `precision`; what is trained is kept in `trained` (fp32 by PEFT's default).

    Biases count as trained numbers, saved modules are there twice: frozen as they were, and the trained copy.
    """
    _check("trained", trained, BYTES)
    rows = shape.rows(adapter)
    biases = sum(row.biases for row in rows)
    frozen = weight_bytes(shape.parts, precision) - BYTES.get(precision, BYTES["bf16"]) * biases
    size = BYTES[trained] * sum(row.trainable for row in rows)
    tensors = [tensor for row in rows for tensor in _row_tensors(row)]
    return Memory(name, frozen, size, size, optimizer_bytes(tensors, optimizer))


def compare_memory(
    shape: ModelShape,
    adapter: Adapter,
    precision: str = "bf16",
    optimizer: str = "adamw",
) -> tuple[Memory, Memory, Memory]:
    """Full fine-tuning, LoRA and QLoRA (4-bit) of one model with one optimizer.

    `precision` is that of the weights LoRA freezes; full fine-tuning cannot train quantised weights and
    takes bf16 for them.
    """
    _check("precision", precision, PRECISIONS)
    unquantised = precision if precision in BYTES else "bf16"
    return (
        full_memory(shape, unquantised, optimizer),
        adapter_memory(shape, adapter, precision, optimizer),
        adapter_memory(shape, adapter, "nf4", optimizer, name="QLoRA"),
    )


def adapter_file_bytes(shape: ModelShape, adapter: Adapter, precision: str = "fp32") -> int:
    """Bytes of the tensors in a saved adapter (its header, some kilobytes of names, comes on top).

    PEFT also stores the whole frozen matrix of `lm_head` or `embed_tokens` where one of them is adapted
    by that name (peft.utils.save_and_load, `save_embedding_layers="auto"`).
    """
    _check("precision", precision, BYTES)
    rows = shape.rows(adapter)
    numbers = sum(row.trainable for row in rows)
    if not isinstance(adapter.targets, str) and {"lm_head", "embed_tokens"} & set(adapter.targets):
        ends = [next((p for p in shape.parts if p.kind is Kind.EMBEDDING), None)]
        numbers += sum(
            row.part.size for row in rows if row.rank and (row.part in ends or row.part.path == "lm_head")
        )
    return BYTES[precision] * numbers


def _quantised(part: Part, precision: str) -> int:
    if precision == "int8":
        return part.weight + 4 * part.out_features
    blocks = _ceil(part.weight, NF4_BLOCK)
    return _ceil(part.weight, 2) + blocks + 4 * _ceil(blocks, NF4_BLOCKS)


def _state(numbers: int, optimizer: str) -> int:
    if optimizer == "sgd":
        return 0
    if optimizer == "adamw-bf16":
        return 4 * numbers
    if optimizer == "adamw" or numbers < SMALL_TENSOR:
        return 8 * numbers
    return 2 * (numbers + 4 * _ceil(numbers, STATE_BLOCK))


def _own_tensors(part: Part) -> list[tuple[int, int]]:
    weight = [] if part.tied else [(part.weight, part.count)]
    return [*weight, (part.bias, part.count)]


def _row_tensors(row: Row) -> list[tuple[int, int]]:
    part = row.part
    tensors = [(part.weight, part.count), (part.bias, part.count)] if row.saved else []
    if row.rank:
        tensors += [(row.rank * part.in_features, part.count), (row.rank * part.out_features, part.count)]
    tensors += [(part.out_features, part.count)] if row.magnitudes else []
    return tensors + ([(part.bias, part.count)] if row.biases else [])


def _ceil(numbers: int, size: int) -> int:
    return -(-numbers // size)


def _check(name: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: {quoted(value)}, expected one of {', '.join(choices)}")
