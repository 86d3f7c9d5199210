"""What a rank costs on a real model: counted from a config.json, without loading or downloading anything.

    from lora_core.models import CATALOGUE, ModelShape
    shape = CATALOGUE["Llama 2 7B"].shape()          # or ModelShape.from_config(a config.json, read)
    shape.trainable(8, ["q_proj", "v_proj"])          # 4194304
    shape.total(), shape.modules()[0]                 # 6738415616, ("q_proj", 4096, 4096, 32)

Counts are those of transformers and PEFT, to the integer (Hu et al. 2021, arXiv 2106.09685, section 4.2).
"""

from lora_core.models.catalogue import (
    CATALOGUE,
    PEAKS,
    PUBLISHED,
    SIZES,
    MeasuredPeak,
)
from lora_core.models.code import lora_code
from lora_core.models.heads import UnknownClassError
from lora_core.models.memory import (
    LEFT_OUT,
    OPTIMIZERS,
    PRECISIONS,
    Memory,
    adapter_file_bytes,
    adapter_memory,
    compare_memory,
)
from lora_core.models.names import family_ranks, head_names, target_names
from lora_core.models.parts import Family
from lora_core.models.peak import (
    CARDS,
    Peak,
    Training,
    chunks,
    fits,
    fixed_tokens,
    largest_batch,
    longest,
    most_tokens,
    predict,
)
from lora_core.models.shape import ModelShape
from lora_core.models.targets import TARGET_PRESETS, Adapter, Bias, Row

__all__ = [
    "CARDS",
    "CATALOGUE",
    "LEFT_OUT",
    "OPTIMIZERS",
    "PEAKS",
    "PRECISIONS",
    "PUBLISHED",
    "SIZES",
    "TARGET_PRESETS",
    "Adapter",
    "Bias",
    "Family",
    "MeasuredPeak",
    "Memory",
    "ModelShape",
    "Peak",
    "Row",
    "Training",
    "UnknownClassError",
    "adapter_file_bytes",
    "adapter_memory",
    "chunks",
    "compare_memory",
    "family_ranks",
    "fits",
    "fixed_tokens",
    "head_names",
    "largest_batch",
    "longest",
    "lora_code",
    "most_tokens",
    "predict",
    "target_names",
]
