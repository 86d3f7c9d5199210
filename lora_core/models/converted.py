"""Names of experts as PEFT converts them: what reaches the fused tensors of Mixtral- and Qwen-like mixtures.

transformers 5 keeps the experts of a layer in one tensor for gate and up, and in one for down. So that an
adapter of the older layout still loads, PEFT turns old names in `target_modules` into `target_parameters`,
gate and up together at twice the rank (peft.utils.transformers_weight_conversion, 0.21).
"""

from collections.abc import Sequence

from lora_core.fields import quoted

TENSORS = {
    "mixtral": {"gate": "gate.weight", "w1": "gate_up_proj", "w3": "gate_up_proj", "w2": "down_proj"},
    "qwen2_moe": {
        "gate": "gate.weight",
        "gate_proj": "gate_up_proj",
        "up_proj": "gate_up_proj",
        "down_proj": "down_proj",
    },
}
BOTH = {"mixtral": ("w1", "w3"), "qwen2_moe": ("gate_proj", "up_proj")}


def convert(
    kind: str, names: Sequence[str], *, everything: bool
) -> tuple[tuple[str, ...], tuple[tuple[str, int], ...]]:
    """The names of modules that stay, and the ends of paths of tensors with their factor on the rank.

    Raises ValueError where gate or up is named alone.
    """
    known = TENSORS[kind]
    if everything:  # PEFT then takes the last piece of each name alone
        names = [*dict.fromkeys([name.rpartition(".")[2] for name in names] + list(known))]
        if "*" in names:
            raise ValueError("targets: all-linear, which PEFT takes for numbers of layers in this mixture")
    stay: list[str] = []
    old: dict[str, None] = {}
    for name in names:
        found = next((one for one in known if name == one or name.endswith("." + one)), None)
        if found:
            old[found] = None
        else:
            stay.append(name)
    missing = [one for one in BOTH[kind] if one not in old]
    if len(missing) == 1:
        raise ValueError(f"targets: {quoted(list(old))}, expected {missing[0]} too: PEFT joins the two")
    tensors = dict.fromkeys(known[one] for one in old)
    return tuple(stay), tuple((name, 2 if name == "gate_up_proj" else 1) for name in tensors)


def tensor_rank(path: str, rank: int, tensors: Sequence[tuple[str, int]]) -> int:
    """The rank of the adapter beside the tensor at `path`, 0 for none."""
    return next((rank * factor for name, factor in tensors if path.endswith("." + name)), 0)
