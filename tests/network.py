"""Every preset's sentence over all eight seeds: ``python -m tests.network``, four minutes of one core."""

import torch

from lora_core.network.presets import NETWORK_PRESETS
from tests.test_network_presets import SEEDS, holds

if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in NETWORK_PRESETS:
        found = [holds(name, seed) for seed in SEEDS]
        print(f"{name}: right at {sum(found)} of {len(found)} seeds", flush=True)
