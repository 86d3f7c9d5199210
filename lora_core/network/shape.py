"""Names and sizes of the small networks, without torch: pages read them before it is loaded."""

from enum import StrEnum
from typing import NamedTuple


class Network(StrEnum):
    """``words`` writes English-like words letter by letter; ``copier`` repeats six letters."""

    WORDS = "words"
    COPIER = "copier"


class Shape(NamedTuple):
    """Sizes of a decoder: signs it knows, width, blocks, heads of attention, signs that it sees at once."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    context: int

    def modules(self) -> dict[str, tuple[int, int]]:
        """Every linear layer by its path in the model, with (in, out), in the order of the forward pass."""
        d = self.width
        sizes = {"q": (d, d), "k": (d, d), "v": (d, d), "o": (d, d), "up": (d, 4 * d), "down": (4 * d, d)}
        blocks = {
            path_of(f"{layer}.{part}"): size for layer in range(self.layers) for part, size in sizes.items()
        }
        return blocks | {"lm_head": (d, self.vocabulary)}


SHAPES = {Network.WORDS: Shape(27, 48, 2, 4, 16), Network.COPIER: Shape(11, 32, 2, 4, 12)}
"""``words``: the letters and the end of a word. ``copier``: ten letters and the bar before an answer."""

ATTENTION, MLP = ("q", "k", "v", "o"), ("up", "down")
MODULES = (*(f"{layer}.{part}" for layer in range(2) for part in (*ATTENTION, *MLP)), "head")
"""The short names of the 13 linear layers of either network, in the order of the forward pass."""


def path_of(module: str) -> str:
    """The path of a module by its short name: ``0.q`` is layers.0.self_attn.q_proj, ``head`` is lm_head."""
    if module == "head":
        return "lm_head"
    layer, _, part = module.partition(".")
    return f"layers.{layer}.{'mlp' if part in MLP else 'self_attn'}.{part}_proj"
