"""A decoder small enough to read: Llama's module names, learned positions, no biases.

    x = embed_tokens[signs] + embed_positions
    x = x + o_proj(attention(q_proj(n), k_proj(n), v_proj(n))),  n = RMSNorm(x)     in each block
    x = x + down_proj(SiLU(up_proj(RMSNorm(x))))
    logits = lm_head(RMSNorm(x))

Attention is causal: Vaswani et al., "Attention is all you need" (2017), section 3.2; RMSNorm: Zhang &
Sennrich (2019). SiLU, not ReLU: a rounding error that moves an activation across ReLU's corner moves the
gradient by a jump, and two machines would part within a hundred updates.
"""

import math
from functools import lru_cache
from importlib.resources import files
from io import BytesIO

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lora_core.network.shape import SHAPES, Network, Shape

EPS = 1e-6
"""Added to the mean square in RMSNorm, as in Llama."""


class Attention(nn.Module):
    """Causal attention: maps (n, t, width) to (n, t, width)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        d = shape.width
        self.q_proj, self.k_proj = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.v_proj, self.o_proj = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        q, k, v = (
            project(x).view(n, t, self.heads, -1).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(width // self.heads)
        future = torch.ones(t, t, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(future, -math.inf).softmax(-1) @ v
        out: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(n, t, width))
        return out


class MLP(nn.Module):
    """down_proj(SiLU(up_proj(x))): maps (n, t, width) to (n, t, width)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.up_proj = nn.Linear(shape.width, 4 * shape.width, bias=False)
        self.down_proj = nn.Linear(4 * shape.width, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.up_proj(x)))
        return out


class Block(nn.Module):
    """Attention and MLP, each added to what came in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.width, EPS)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.width, EPS)
        self.mlp = MLP(shape)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Decoder(nn.Module):
    """The network: signs (n, t), whole numbers, to logits (n, t, vocabulary) of the sign after each."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.embed_positions = nn.Embedding(shape.context, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, EPS)
        self.lm_head = nn.Linear(shape.width, shape.vocabulary, bias=False)

    def forward(self, signs: Tensor) -> Tensor:
        """Logits (n, t, vocabulary).

        :raises ValueError: more signs than the network has positions.
        """
        if signs.shape[1] > self.shape.context:
            raise ValueError(
                f"signs is {tuple(signs.shape)}: a row must have at most {self.shape.context} signs."
            )
        x = self.embed_tokens(signs) + self.embed_positions.weight[: signs.shape[1]]
        for block in self.layers:
            x = block(x)
        logits: Tensor = self.lm_head(self.norm(x))
        return logits


def load_network(name: Network | str = Network.WORDS) -> Decoder:
    """The shipped network, float32, as its pre-training left it; a fresh copy at every call.

    :raises ValueError: there is no network of this name.
    """
    if name not in list(Network):
        raise ValueError(f"network is {name!r}: it must be one of {', '.join(Network)}.")
    model = Decoder(SHAPES[Network(name)])
    model.load_state_dict({path: weight.clone() for path, weight in _checkpoint(Network(name)).items()})
    return model


@lru_cache
def _checkpoint(name: Network) -> dict[str, Tensor]:
    raw = (files("lora_core.network") / f"{name}.npz").read_bytes()
    with np.load(BytesIO(raw)) as arrays:
        # Shipped in float16, computed in float32: rounding moves the loss by about 1e-5.
        return {path: torch.from_numpy(arrays[path].astype(np.float32)) for path in arrays.files}
