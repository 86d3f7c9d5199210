"""Who reads a written adapter how? The scaling that each reader applies, held against the file in question.

As read in their sources in November 2026; PEFT's and the two formulas below are also what the tests apply to
our own files.
"""

from typing import NamedTuple

from lora_core.adapters.file import Share
from lora_core.adapters.names import Family
from lora_core.adapters.writing import Plan

VLLM_RANK = 16
"""The greatest rank that vLLM takes unless it is told otherwise (--max-lora-rank)."""


class Reader(NamedTuple):
    """A reader, the scaling that it applies, and what it makes of one file."""

    name: str
    scaling: str
    verdict: str


def readers_of(plan: Plan) -> list[Reader]:
    """What four readers make of the file that is planned."""
    uniform = len(set(plan.stored)) == 1
    if plan.file.family is Family.KOHYA:
        own = [Reader("kohya, ComfyUI", "each module's alpha / rank, from the file", "right")]
    elif plan.file.family is Family.CLONEOFSIMO:
        own = [Reader("cloneofsimo/lora", "1, ranks from the metadata", "right")]
    else:
        own = []
    if own:
        return [*own, Reader("diffusers", "alpha / rank where it converts the names", _same(uniform))]
    return [
        Reader(
            "PEFT",
            "each module's alpha / r, patterns known",
            "right" if plan.file.config else "needs a config",
        ),
        Reader("vLLM", "one alpha / r for all, patterns dropped", _vllm(plan)),
        Reader("llama.cpp", "one alpha over each tensor's own rank", _same(uniform)),
        Reader("diffusers", "a variant of its own without alpha", _same(uniform)),
    ]


def _same(uniform: bool) -> str:
    return "right" if uniform else "wrong: the ranks differ, pad them"


def _vllm(plan: Plan) -> str:
    if plan.file.dora:
        return "refuses DoRA"
    if {Share.LAYERS, Share.EMBEDDINGS} & plan.file.shares().keys():
        return "refuses layers saved whole"
    rank = max(plan.stored)
    return "right" if rank <= VLLM_RANK else f"right with --max-lora-rank {rank}"
