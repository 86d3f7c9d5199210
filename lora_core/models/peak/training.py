"""One way of training: batch, length, checkpointing, kernels, precision and optimizer, checked once."""

from dataclasses import dataclass

from lora_core.fields import quoted
from lora_core.models.memory import BYTES

ATTENTION = {"flash": "flash, or packed", "sdpa": "SDPA with a mask", "eager": "eager"}
COMPUTING = {"fp32": "fp32, PEFT's default", "autocast": "autocast to bf16", "bf16": "bf16"}
LOSSES = {"whole": "as transformers", "chunked": "in chunks", "4.46": "as transformers 4.46 to 4.49"}
CHUNK = 512
"""Tokens of which a chunked loss holds the logits at a time."""
BATCHES, LENGTHS = (1, 512), (1, 1_048_576)


@dataclass(frozen=True)
class Training:
    """One way of training. Raises ValueError naming the field, the value and the range."""

    batch: int = 1
    length: int = 2048  # the longest sequence after padding, in tokens
    checkpointing: bool = True
    attention: str = "flash"
    computing: str = "fp32"  # of the adapters
    loss: str = "whole"
    precision: str = "bf16"  # of the frozen weights
    optimizer: str = "adamw"
    prepared: bool = True  # quantised weights through prepare_model_for_kbit_training
    double: bool = True  # NF4's scales quantised again
    dropout: bool = False  # of the adapters

    def __post_init__(self) -> None:
        for name, (low, high) in (("batch", BATCHES), ("length", LENGTHS)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name}: {quoted(value)}, expected an integer from {low} to {high}")
        for name, words in (("attention", ATTENTION), ("computing", COMPUTING), ("loss", LOSSES)):
            if getattr(self, name) not in words:
                raise ValueError(f"{name}: {quoted(getattr(self, name))}, expected one of {', '.join(words)}")

    @property
    def tokens(self) -> int:
        return self.batch * self.length

    @property
    def stream(self) -> int:
        """Bytes of a number between the layers: prepare_model_for_kbit_training holds embeddings in fp32."""
        return 4 if self.quantised and self.prepared else 2

    @property
    def quantised(self) -> bool:
        return self.precision not in BYTES
