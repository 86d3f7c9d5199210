"""Memory to train: weights, gradients and optimizer state, in bytes, of full fine-tuning, LoRA and QLoRA.

    bytes = frozen weights + trained weights + their gradients + their optimizer state

Quantised weights are the linear layers of the network, as bitsandbytes makes them: LLM.int8() one byte and
one fp32 scale a row (Dettmers et al. 2022, arXiv 2208.07339, section 3), NF4 half a byte and doubly
quantised scales, 0.127 bits a number (Dettmers et al. 2023, arXiv 2305.14314, section 3). Embeddings, norms
and the head stay in bf16, in fp32 after PEFT's prepare_model_for_kbit_training. Adapters are kept in fp32,
saved heads and trained biases as the base model is. Activations are another matter: peak.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lora_core.fields import quoted
from lora_core.models.parts import Family, Kind, Part
from lora_core.models.shape import ModelShape
from lora_core.models.targets import Adapter, Row

LEFT_OUT = "activations, temporary buffers and fragmentation are not counted"

BYTES = {"fp32": 4, "bf16": 2}  # of one number, where it is not quantised
PRECISIONS = {
    "fp32": "fp32",
    "bf16": "bf16",
    "int8": "8-bit (LLM.int8)",
    "nf4": "4-bit (NF4)",
    "gptq": "4-bit (GPTQ)",
}
OPTIMIZERS = {  # torch keeps moments in the precision of the numbers that they are of
    "adamw": "AdamW, fused",
    "adamw-foreach": "AdamW, foreach",
    "adamw-8bit": "8-bit AdamW",
    "sgd": "SGD without momentum",
}
GPTQ_GROUP = 128
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


def weight_bytes(
    parts: Iterable[Part],
    precision: str,
    *,
    kept_whole: Sequence[str] = (),
    prepared: bool = False,
    double: bool = True,
) -> int:
    """Bytes of a model's weights at a precision; tied ones are there once.

    `kept_whole` names modules that quantisation leaves alone (T5's `wo`); `prepared` holds all that is not
    quantised in fp32; `double` quantises NF4's scales again.
    """
    _check("precision", precision, PRECISIONS)
    plain = BYTES.get(precision, BYTES["fp32" if prepared else "bf16"])
    total = 0
    for part in parts:
        whole = part.family is Family.HEAD or set(part.path.split(".")) & set(kept_whole)
        if precision not in BYTES and part.linear and not whole:
            total += part.count * (_quantised(part, precision, double) + plain * part.bias)
        else:
            total += plain * part.own
    return total


def optimizer_bytes(tensors: Iterable[tuple[int, int]], optimizer: str, size: int = 4) -> int:
    """Bytes of an optimizer's state for tensors of `size` bytes a number, given as (numbers, how many such).

    8-bit AdamW stores two bytes a number and two fp32 scales to each block of 256, but keeps fp32 moments
    for tensors of fewer than 4096 numbers (Dettmers et al. 2022, arXiv 2110.02861; bitsandbytes 0.44).
    """
    _check("optimizer", optimizer, OPTIMIZERS)
    return sum(count * _state(numbers, optimizer, size) for numbers, count in tensors)


def step_copy(memory: Memory, optimizer: str) -> int:
    """What the optimizer's step holds for a moment: foreach AdamW one more copy of what is trained."""
    return memory.trained if optimizer == "adamw-foreach" else 0


def full_memory(shape: ModelShape, precision: str = "bf16", optimizer: str = "adamw") -> Memory:
    """Full fine-tuning: every weight at `precision` (fp32 or bf16), with its gradient and state."""
    _check("precision", precision, BYTES)
    size = BYTES[precision] * shape.total()
    tensors = [tensor for part in shape.parts for tensor in _own_tensors(part)]
    return Memory("Full fine-tuning", 0, size, size, optimizer_bytes(tensors, optimizer, BYTES[precision]))


def adapter_memory(
    shape: ModelShape,
    adapter: Adapter,
    precision: str = "bf16",
    optimizer: str = "adamw",
    *,
    trained: str = "fp32",
    name: str = "LoRA",
    prepared: bool = False,
    double: bool = True,
) -> Memory:
    """LoRA on weights frozen at `precision`; its matrices are kept in `trained` (fp32 by PEFT's default).

    Biases count as trained numbers, saved modules are there twice: frozen as they were, and the trained copy;
    both stay in the base model's precision. `prepared` and `double` as in `weight_bytes`.
    """
    _check("trained", trained, BYTES)
    rows = shape.rows(adapter)
    base = BYTES.get(precision, BYTES["fp32" if prepared else "bf16"])
    biases = sum(row.biases for row in rows)
    weights = weight_bytes(
        shape.parts, precision, kept_whole=shape.kept_whole, prepared=prepared, double=double
    )
    size = base * sum(row.biases + row.saved for row in rows)
    size += BYTES[trained] * sum(row.lora + row.magnitudes for row in rows)
    state = sum(
        optimizer_bytes(tensors(row), optimizer, number)
        for row in rows
        for tensors, number in ((_adapter_tensors, BYTES[trained]), (_base_tensors, base))
    )
    return Memory(name, weights - base * biases, size, size, state)


def compare_memory(
    shape: ModelShape,
    adapter: Adapter,
    precision: str = "bf16",
    optimizer: str = "adamw",
) -> tuple[Memory, Memory, Memory]:
    """Full fine-tuning, LoRA and QLoRA (4-bit) of one model with one optimizer, without activations.

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


def adapter_file_bytes(
    shape: ModelShape, adapter: Adapter, precision: str = "fp32", base: str = "bf16"
) -> int:
    """Bytes of the tensors in a saved adapter (its header, some kilobytes of names, comes on top).

    Its matrices are kept at `precision`, saved modules and biases as the base model is, at `base`.

    PEFT also stores the whole frozen matrix of `lm_head` or `embed_tokens` where one of them is adapted
    by that name (peft.utils.save_and_load, `save_embedding_layers="auto"`).
    """
    _check("precision", precision, BYTES)
    rows = shape.rows(adapter)
    numbers = sum(row.biases + row.saved for row in rows)
    if not isinstance(adapter.targets, str) and {"lm_head", "embed_tokens"} & set(adapter.targets):
        ends = [next((p for p in shape.parts if p.kind is Kind.EMBEDDING), None)]
        numbers += sum(
            row.part.size for row in rows if row.rank and (row.part in ends or row.part.path == "lm_head")
        )
    return BYTES[precision] * sum(row.lora + row.magnitudes for row in rows) + BYTES[base] * numbers


def _quantised(part: Part, precision: str, double: bool) -> int:
    if precision == "int8":
        return part.weight + 4 * part.out_features
    if precision == "gptq":  # 16-bit scale and 4-bit zero a group and output, a group number an input
        groups = _ceil(part.in_features, GPTQ_GROUP) * part.out_features
        return _ceil(part.weight, 2) + 2 * groups + _ceil(groups, 2) + 4 * part.in_features
    blocks = _ceil(part.weight, NF4_BLOCK)
    return _ceil(part.weight, 2) + (blocks + 4 * _ceil(blocks, NF4_BLOCKS) if double else 4 * blocks)


def _state(numbers: int, optimizer: str, size: int) -> int:
    if optimizer == "sgd":
        return 0
    if optimizer in ("adamw", "adamw-foreach"):
        return 2 * size * numbers
    if numbers < SMALL_TENSOR:
        return 8 * numbers
    return 2 * (numbers + 4 * _ceil(numbers, STATE_BLOCK))


def _own_tensors(part: Part) -> list[tuple[int, int]]:
    weight = [] if part.tied else [(part.weight, part.count)]
    return [*weight, (part.bias, part.count)]


def _adapter_tensors(row: Row) -> list[tuple[int, int]]:
    """A, B and magnitudes."""
    part, found = row.part, []
    if row.rank:
        outputs = row.rank * part.out_features // part.groups * (part.kernel if part.fused else 1)
        found += [(part.adapter(row.rank) - outputs, part.count), (outputs, part.count)]
    return found + ([(part.out_features, part.count)] if row.magnitudes else [])


def _base_tensors(row: Row) -> list[tuple[int, int]]:
    """Saved copies and trained biases."""
    part = row.part
    saved = [(part.weight, part.count), (part.bias, part.count)] if row.saved else []
    return saved + ([(row.biases // part.count, part.count)] if row.biases else [])


def _ceil(numbers: int, size: int) -> int:
    return -(-numbers // size)


def _check(name: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: {quoted(value)}, expected one of {', '.join(choices)}")
