"""Sentences of the page of real models about the card: whether training fits, and what there is room for."""

from lora_core.figures.models.numbers import MemoryInfo
from lora_core.formatting import bytes_text
from lora_core.models import (
    Adapter,
    ModelShape,
    Training,
    fits,
    fixed_tokens,
    largest_batch,
    longest,
    most_tokens,
)
from lora_core.models.peak.training import BATCHES

UNCERTAIN = (
    "The peak is what torch allocates (torch.cuda.max_memory_allocated); nvidia-smi shows more. It is that "
    "of transformers 5.23 with PEFT 0.21; Unsloth, Liger, compile, offloading and several GPUs give other "
    "numbers; evaluation and generation are not counted. Activation and dropout are taken to be those that "
    "the type has by default. Tight: it fits with less than a tenth to spare."
)


def fit_sentence(info: MemoryInfo, shape: ModelShape, adapter: Adapter, training: Training) -> str:
    """Whether LoRA and QLoRA go on the card, and how long a sequence or large a batch may be there."""
    if not info.predicted:
        return "Not predicted for this kind of model: activations, and so whether it fits on a card."
    words = {"fits": "fits", "tight": "is tight", "no": "does not fit"}
    _, lora, qlora = ((bar, words[fits(bar.total, info.card)]) for bar in info.bars)
    what, room = room_words(shape, adapter, training, info.card)
    most = most_tokens(shape)
    cut = f" It takes no more than {most:,} tokens, which are counted." if training.length > most > 0 else ""
    return (
        f"It {lora[1]} on {info.card} GB ({what[0].lower()}{what[1:]}: {room}); as QLoRA it needs "
        f"{bytes_text(qlora[0].total)} and {qlora[1]}.{'' if fixed_tokens(shape) else cut}"
    )


def room_words(shape: ModelShape, adapter: Adapter, training: Training, card: int) -> tuple[str, str]:
    """What there is room for on a card: the longest sequence, of pictures the largest batch."""
    most = most_tokens(shape)
    if fixed_tokens(shape):
        batch = largest_batch(shape, adapter, training, card)
        words = f"{batch:,} pictures" if batch and batch < BATCHES[1] else f"{BATCHES[1]} pictures or more"
        return "Largest batch there", f"{words}, of {most:,} tokens each" if batch else "none"
    tokens = longest(shape, adapter, training, card)
    words = f"{tokens:,} tokens" if tokens else "none"
    return "Longest sequence there", words + (", all that it takes" if tokens and tokens == most else "")
