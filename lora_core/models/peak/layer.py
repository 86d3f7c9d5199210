"""One layer as the steps that transformers and PEFT take in it: what each saves, and needs on its way back.

The bytes are those of 16-bit computing in torch 2.13 with norms and softmax in fp32; d hidden, q and k widths
of queries and keys, f of the MLP, s the length. Every number is held to an oracle (tests/kit/peak_oracle.py).
"""

from collections.abc import Mapping

from lora_core.models.peak.kinds import Layer, Linear, Sizes
from lora_core.models.peak.tape import Tape
from lora_core.models.peak.training import Training

ADAPTED = {"fp32": 4, "autocast": 2, "bf16": 2}
"""Bytes of a number in an adapter's inputs."""


class LayerTape(Tape):
    """The steps of one layer; `ranks` are those of the adapters by path, None in full fine-tuning.

    `fed` is whether the layer's input needs a gradient: under LoRA the first one's does not.
    """

    def __init__(
        self, layer: Layer, sizes: Sizes, training: Training, ranks: Mapping[str, int] | None, *, fed: bool
    ) -> None:
        # RMSNorm takes a copy in fp32 in any case; LayerNorm keeps the stream itself.
        stream = (training.stream if layer.norm == "layer" else 2) * sizes.d
        super().__init__(**({"x": stream} if fed else {}))
        self.sizes["x"] = self.stream = stream
        self.layer, self.s, self.training = layer, sizes, training
        self.full, self.ranks = ranks is None, ranks or {}
        self.matrices = dict(sizes.matrices)
        self.held |= set(layer.held)
        self._storage: dict[str, str] = {}  # of tensors that are views of others
        self.build()

    def build(self) -> None:
        """Record the steps, in the order in which the type has them."""
        ORDERS[self.layer.order](self)

    def saved(self, name: str) -> dict[str, int]:
        """The storage behind a tensor, as a step saves it."""
        owner = self._storage.get(name, name)
        return {owner: self.sizes[owner]}

    def linear(self, word: str, x: str, out: str) -> str:
        """The matrix `word` with the adapter beside it."""
        one = self.matrices[word]
        rank = self.ranks.get(one.path, 0)
        made = {f"{out}.base" if rank else out: 2 * one.outputs}
        self.add(
            made, [x], self.saved(x) if self.full else {}, trains=self.full, view=True, before=True,
            weights=2 * one.inputs * one.outputs if self.full else 0,
        )  # fmt: skip
        if rank:
            self._adapter(one, rank, x, out)
        return out

    def _adapter(self, one: Linear, rank: int, x: str, out: str) -> None:
        """A and B, computed from a copy of x in fp32 by PEFT's default; the sum with the frozen matrix."""
        number, own = ADAPTED[self.training.computing], self.training.computing != "bf16"
        size, dropped = number * one.inputs, self.training.dropout
        saves = {f"{out}.down": number * rank}
        saves |= {f"{out}.copy": size} if own or dropped else self.saved(x)
        saves |= {f"{out}.mask": one.inputs} if dropped else {}
        wide = number * one.outputs
        self.add(
            {f"{out}.lora": wide}, [x], saves, trains=True, view=not own and not dropped,
            extra=max(wide, size - wide, 2 * one.inputs), forward=wide, before=True,
        )  # fmt: skip
        both = [f"{out}.base", f"{out}.lora"]
        if number == 4:
            self.add({out: 2 * one.outputs}, both, extra=4 * one.outputs)
        else:
            self.add({out: 2 * one.outputs}, both, shared=True)

    def norm(self, x: str, out: str, *, width: int = 0, groups: int = 1) -> str:
        """A norm over `width` (the hidden size for 0), once for each of `groups` heads."""
        d = width or self.s.d
        if self.layer.norm == "layer":
            self.add(
                {out: 2 * d}, [x], {**self.saved(x), f"{out}.stats": 8}, trains=self.full,
                weights=4 * d if self.full else 0,
            )  # fmt: skip
            return out
        normed = (4 if self.layer.norm == "gemma" else 2) * d if self.full else 0
        saves = {f"{out}.fp32": 4 * d, f"{out}.root": 4 * groups}
        saves |= {f"{out}.normed": normed} if self.full else {}
        self.add({out: 2 * d}, [x], saves, trains=self.full, extra=20 * d - normed, early=True, forward=4 * d)
        return out

    def dropout(self, x: str, out: str) -> str:
        """Dropout of the model itself, where the type has it."""
        if not self.layer.dropout:
            return x
        self.add({out: self.sizes[x]}, [x], {f"{out}.mask": self.sizes[x] // 2})
        return out

    def sum(self, x: str, branch: str, out: str) -> str:
        """The residual stream and what a branch adds to it."""
        self.add({out: self.stream}, [x, branch], shared=True)
        return out

    def attended(self, x: str) -> str:
        """Attention, and dropout behind it."""
        mixed = self.attention(x, "attention")
        return self.dropout(mixed, "attention.dropped") if self.layer.attention_dropout else mixed

    def attention(self, x: str, out: str) -> str:
        """Queries, keys and values, the kernel, and the output matrix."""
        s = self.s
        if "qkv" in self.matrices:
            self.linear("qkv", x, "qkv")
            self.add({"q": 2 * s.q, "k": 2 * s.k, "v": 2 * s.k}, ["qkv"])
            self._storage |= {"q": "qkv", "k": "qkv", "v": "qkv"}
        else:
            for word in ("q", "k", "v"):
                self.linear(word, x, word)
        q, k = "q", "k"
        if self.layer.qk_norm:
            heads = (s.heads, s.kv_heads) if self.layer.qk_norm == "heads" else (1, 1)
            q = self.norm(q, "q.norm", width=s.q, groups=heads[0])
            k = self.norm(k, "k.norm", width=s.k, groups=heads[1])
        if self.layer.rope:
            self.add({"q.rope": 2 * s.q}, [q], extra=6 * s.q)
            self.add({"k.rope": 2 * s.k}, [k], extra=6 * s.k)
            q, k = "q.rope", "k.rope"
        self._eager(q, k) if self.training.attention == "eager" else self._kernel(q, k)
        return self.linear("o", "mixed", out)

    def _kernel(self, q: str, k: str) -> None:
        """Flash attention, or the efficient kernel, which with a mask takes keys once for each query head."""
        s, v = self.s, "v"
        share, masked = s.heads > s.kv_heads, self.training.attention == "sdpa" and not self.layer.pictures
        if masked and share and s.kv_heads > 1:
            k, v = self._repeated(k), self._repeated(v)
        saves = self.saved(q) | self.saved(k) | self.saved(v) | {"mixed": 2 * s.q, "sums": 4 * s.heads}
        saves |= {"mask": 2 * self.training.length} if masked else {}
        summed = share and self.sizes[k] < 2 * s.q  # fp32 sums for dq; dk and dv once for each query head
        self.add({"mixed": 2 * s.q}, [q, k, v], saves, extra=8 * s.q + (4 * s.k if summed else 2 * s.q))

    def _repeated(self, name: str) -> str:
        """Keys or values once for each query head."""
        self.add({f"{name}.repeated": 2 * self.s.q}, [name])
        return f"{name}.repeated"

    def _eager(self, q: str, k: str) -> None:
        """Scores of all pairs, their softmax in fp32, the weights in 16 bits."""
        s, v, table = self.s, "v", 2 * self.s.heads * self.training.length
        if s.heads > s.kv_heads:
            k, v = self._repeated(k), self._repeated(v)
        copies = {
            f"{name}.flat": self.sizes[name] for name, other in ((q, k), (k, q)) if other in self.wanted
        }
        self.add({"scores": table}, [q, k], copies)
        self.add({"scaled": table}, ["scores"])
        if self.layer.scores_cap:
            self.add({"capped": table}, ["scaled"], {"capped.tanh": table})
        scores = "capped" if self.layer.scores_cap else "scaled"
        if self.layer.softmax_fp32:
            self.add({"weights.fp32": 2 * table}, [scores], {"weights.fp32": 2 * table})
            self.add({"weights": table}, ["weights.fp32"])
        else:
            self.add({"weights": table}, [scores], {"weights": table})
        weights = self.dropout("weights", "weights.dropped")
        saves = {weights: table} if "v" in self.wanted else {}
        saves |= {"v.flat": self.sizes[v]} if weights in self.wanted else {}
        self.add({"mixed.heads": 2 * s.q}, [weights, v], saves)
        self.add({"mixed": 2 * s.q}, ["mixed.heads"])

    def mlp(self, x: str, out: str) -> str:
        """The MLP, gated or plain."""
        f2 = 2 * self.s.f
        self.linear("gate", x, "gate")
        if not self.layer.gated:
            self._activation("gate", "inner")
            return self.linear("down", "inner", out)
        gate, up = "gate", "up"
        if "up" not in self.matrices:
            self.add({"gate.half": f2, "up": f2}, ["gate"])
            self._storage |= {"gate.half": "gate", "up": "gate"}
            gate = "gate.half"
        # The up projection comes after the activation, so that its way back comes first.
        self._activation(gate, "act")
        if "up" in self.matrices:
            self.linear("up", x, "up")
        self.add({"inner": f2}, ["act", up], {"act": f2} | self.saved(up))
        return self.linear("down", "inner", out)

    def _activation(self, x: str, out: str) -> None:
        f2, saves, extra = 2 * self.s.f, self.saved(x), 0
        if self.layer.activation == "gelu_new":  # written out in transformers: five tensors of its size
            saves |= {f"{out}.{name}": f2 for name in ("half", "tanh", "one")}
            extra = 2 * f2
        elif self.layer.activation == "relu":
            saves = {out: f2}
        self.add({out: f2}, [x], saves, extra=extra, before=self.layer.activation != "relu")


def pre(tape: LayerTape) -> None:
    """Norm, attention, sum; norm, MLP, sum."""
    mixed = tape.attended(tape.norm("x", "n1"))
    middle = tape.sum("x", mixed, "middle")
    tape.sum(middle, tape.dropout(tape.mlp(tape.norm(middle, "n2"), "mlp"), "mlp.dropped"), "out")


def sandwich(tape: LayerTape) -> None:
    """As pre, with a norm behind attention and MLP too."""
    mixed = tape.norm(tape.attention(tape.norm("x", "n1"), "attention"), "n2")
    middle = tape.sum("x", mixed, "middle")
    tape.sum(middle, tape.norm(tape.mlp(tape.norm(middle, "n3"), "mlp"), "n4"), "out")


def after(tape: LayerTape) -> None:
    """Norms behind attention and MLP alone."""
    middle = tape.sum("x", tape.norm(tape.attention("x", "attention"), "n1"), "middle")
    tape.sum(middle, tape.norm(tape.mlp(middle, "mlp"), "n2"), "out")


def post(tape: LayerTape) -> None:
    """Attention, sum, norm; MLP, sum, norm."""
    mixed = tape.attended("x")
    middle = tape.norm(tape.sum("x", mixed, "sum1"), "n1")
    tape.norm(tape.sum(middle, tape.dropout(tape.mlp(middle, "mlp"), "mlp.dropped"), "sum2"), "out")


def parallel(tape: LayerTape) -> None:
    """Attention and MLP side by side on one norm."""
    normed = tape.norm("x", "n1")
    mixed = tape.attended(normed)
    inner = tape.dropout(tape.mlp(normed, "mlp"), "mlp.dropped")
    tape.sum(tape.sum(mixed, inner, "both"), "x", "out")


ORDERS = {"pre": pre, "sandwich": sandwich, "after": after, "post": post, "parallel": parallel}
