"""What a module does in a network, read from its place in it: attention, MLP, router, expert, head.

The names are those that the classes of transformers use; what fits none of them is `other`. A role (q, v, or
qkv where they are one matrix) marks what the paper adapts (Hu et al. 2021, arXiv 2106.09685, section 7.1).
"""

import re

from lora_core.models.parts import Family, Kind

ROLES = {
    **dict.fromkeys(("q_proj", "query", "q", "q_lin", "query_proj", "q_b_proj", "wq", "q_attn", "to_q"), "q"),
    **dict.fromkeys(
        ("v_proj", "value", "v", "v_lin", "value_proj", "kv_b_proj", "wv", "v_attn", "to_v", "kv_proj"), "v"
    ),
    **dict.fromkeys(("c_attn", "query_key_value", "qkv_proj", "qkv", "Wqkv", "att_proj", "W_pack"), "qkv"),
}
KEYS = ("k_proj", "key", "k", "k_lin", "key_proj", "o_proj", "out_lin", "kv_a_proj_with_mqa", "q_a_proj")
ATTENTION = re.compile(r"att(n|ention)|(^|_)mha$", re.IGNORECASE | re.ASCII)
MLP = re.compile(
    r"(^|_)(mlp|ffn?s?|feed_?forward|moe|experts?|intermediate)(_|$)|DenseReluDense", re.IGNORECASE | re.ASCII
)
MLP_NAMES = re.compile(
    r"(gate|up|down|gate_up|in|out)_proj_?\d?|fc_?(\d|in|out)|c_fc|lin(ear)?_?[123]|w[123i]|wi_\d|wo|W[io]"
    r"|dense_(h_to_4h|4h_to_h)",
    re.ASCII,
)
EXPERTS = re.compile(r"experts?(_\*)?$|_experts$", re.ASCII)
SHARED = re.compile(r"shared_(experts?|mlp)|shared_expert_mlp", re.ASCII)
ROUTERS = ("gate", "router", "wg", "shared_expert_gate", "router_weights", "classifier_gate")


def role_of(path: str) -> str:
    """q, v or qkv; "" for everything else."""
    *above, last = path.split(".")
    if last == "in_proj":  # DeBERTa's; a state space model has another one
        return "qkv" if any(ATTENTION.search(piece) for piece in above) else ""
    return ROLES.get(last, "")


def family_of(path: str, kind: Kind, *, head: bool) -> Family:
    """The family of the module (or tensor) at `path`; `head` if it stands on top of the bare network."""
    if kind is Kind.NORM:
        return Family.NORM
    if kind is Kind.EMBEDDING and not head:
        return Family.EMBEDDING
    pieces = path.split(".")
    last = pieces[-1]
    if last in ROUTERS or "router" in pieces or (kind is Kind.PARAMETER and pieces[-2:-1] == ["gate"]):
        return Family.ROUTER
    if any(SHARED.search(piece) for piece in pieces):
        return Family.SHARED
    if any(EXPERTS.search(piece) for piece in pieces[:-1]):
        return Family.EXPERTS
    if head:
        return Family.HEAD
    if any(ATTENTION.search(piece) for piece in pieces) or role_of(path) or last in KEYS:
        return Family.ATTENTION
    beside = len(pieces) > 1 and last == "dense" and pieces[-2] in ("output", "intermediate")
    if beside or any(MLP.search(piece) for piece in pieces) or MLP_NAMES.fullmatch(last):
        return Family.MLP
    return Family.OTHER
