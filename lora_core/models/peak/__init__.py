"""Peak memory of a training step: weights, optimizer, gradients, and the activations kept for the way back.

It holds in 16-bit computing for the kinds of models in kinds.py; others are not predicted. A layer is a list
of steps (layer.py, ends.py), of which follows what it keeps and what its way back needs (tape.py); a training
step is a list of moments (moments.py), the largest of which is the peak (verdict.py). It is held to
transformers' own classes by an oracle that follows every allocation (tests/kit/peak_oracle.py), and agrees
with published peaks of real runs (tests/data/measured_peaks.json). The peak is that of torch's allocator
(torch.cuda.max_memory_allocated), not what nvidia-smi shows.
"""

from lora_core.models.peak.ends import chunks
from lora_core.models.peak.kinds import LAYERS
from lora_core.models.peak.training import ATTENTION, CHUNK, COMPUTING, LOSSES, Training
from lora_core.models.peak.verdict import (
    CARDS,
    MARGIN,
    RESERVE,
    Peak,
    fits,
    fixed_tokens,
    largest_batch,
    longest,
    most_tokens,
    predict,
)

__all__ = [
    "ATTENTION", "CARDS", "CHUNK", "COMPUTING", "LAYERS", "LOSSES", "MARGIN", "RESERVE", "Peak", "Training",
    "chunks", "fits", "fixed_tokens", "largest_batch", "longest", "most_tokens", "predict",
]  # fmt: skip
