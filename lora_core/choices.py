"""Which ranks does a slider offer? Dense at the low end, where a rank changes most, and twice the layer's."""

from lora_core.experiment import LIMITS

RANKS = (*range(1, 17), 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Every rank that a slider may offer; a link may carry any other."""


def rank_choices(full_rank: int) -> tuple[int, ...]:
    """The ranks offered for a layer whose change has at most ``full_rank``: up to twice that.

    Twice, because past it only more of the same is seen: numbers stored, and nothing reached.

    :raises ValueError: ``full_rank`` is no rank.
    """
    most = 2 * LIMITS["rank"].read("full_rank", full_rank)
    return tuple(rank for rank in RANKS if rank <= most)
