"""Tensors of known randomness, and what stands for data that are far from white."""

import torch
from torch import Tensor


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers in float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def mixed_inputs(n: int, in_features: int, seed: int = 0) -> Tensor:
    """Inputs (n, in_features) far from white: correlated, unequal in size and off centre."""
    mixture = normal(in_features, in_features, seed=seed + 1) * torch.logspace(0, -2, in_features)
    return normal(n, in_features, seed=seed) @ mixture.double() + 0.3
