"""Many adaptations of one network trained as one: each product of the forward pass serves a whole stack.

Of every lane the weights are merged, W = W0 + scaling * A B (in, out), so that one batched product does the
work of base and adapter; autograd and one Adam over all numbers do the rest. The steps are those of ``adapt``
with torch's optimizer, up to rounding. Ranks are padded with zero columns and rows, which no gradient moves.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lora_core.network.adapting import adapter_stream, draw_A
from lora_core.network.data import Rows
from lora_core.network.experiment import NetworkExperiment
from lora_core.network.model import EPS
from lora_core.network.shape import Shape, path_of
from lora_core.training.engine import FlatParameters, optimizer_of

Weights = Mapping[str, Tensor]
"""Path of a module -> its weight (in, out), or (lanes, in, out) where the lanes differ."""


class Base:
    """A network's frozen numbers: ``weights`` of its linear layers, (in, out), and the rest."""

    def __init__(self, model: nn.Module, shape: Shape, dtype: torch.dtype = torch.float32) -> None:
        self.shape = shape
        state = {path: value.detach().to(dtype) for path, value in model.state_dict().items()}
        self.signs, self.places = state["embed_tokens.weight"], state["embed_positions.weight"]
        self.weights = {path: state[f"{path}.weight"].T.contiguous() for path in shape.modules()}
        self.norms = {path[:-7]: value for path, value in state.items() if "norm" in path}


def decode(base: Base, weights: Weights, inputs: Tensor, last: int | None = None) -> Tensor:
    """Logits (lanes, n, m, vocabulary) after the last m places (default all) of inputs (lanes or 1, n, t).

    ``weights`` replace those of the base; the lanes are theirs, or those of the inputs.
    """
    shape, (_, n, t) = base.shape, inputs.shape
    last = t if last is None else last
    lanes = max([len(inputs), *(len(each) for each in weights.values() if each.ndim == 3)])
    d, heads = shape.width, shape.heads
    x = base.signs[inputs] + base.places[:t]
    x = x.reshape(len(inputs), n * t, d).expand(lanes, n * t, d)

    def linear(values: Tensor, path: str) -> Tensor:
        return values @ weights.get(path, base.weights[path])

    def norm(values: Tensor, path: str) -> Tensor:
        return functional.rms_norm(values, (d,), base.norms[path], EPS)

    for layer in range(shape.layers):
        block = f"layers.{layer}"
        seen = norm(x, f"{block}.input_layernorm")
        q, k, v = (
            linear(seen, f"{block}.self_attn.{part}_proj")
            .view(lanes * n, t, heads, d // heads)
            .transpose(1, 2)
            for part in "qkv"
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        mixed = mixed.transpose(1, 2).reshape(lanes, n * t, d)
        x = x + linear(mixed, f"{block}.self_attn.o_proj")
        seen = norm(x, f"{block}.post_attention_layernorm")
        x = x + linear(functional.silu(linear(seen, f"{block}.mlp.up_proj")), f"{block}.mlp.down_proj")
    x = x.view(lanes, n, t, d)[:, :, t - last :]
    return linear(norm(x, "norm").reshape(lanes, n * last, d), "lm_head").view(lanes, n, last, -1)


def losses_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropies (lanes,), nats per sign, of logits (lanes, n, m, signs) and targets (n, m)."""
    lanes = len(logits)
    wanted = targets.expand(lanes, *targets.shape).reshape(-1)
    each = functional.cross_entropy(logits.reshape(len(wanted), -1), wanted, reduction="none")
    return each.view(lanes, -1).mean(1)


class Stack:
    """Lanes of LoRA, or of full fine-tuning, of one network; ``weights()`` are what they have become.

    All lanes share network, data, batches and optimizer; ranks, targets, rates, alphas are each lane's own.
    """

    def __init__(self, base: Base, lanes: Sequence[NetworkExperiment], full: bool = False) -> None:
        self.base, self.lanes, self.full = base, tuple(lanes), full
        sizes = base.shape.modules()
        dtype = base.signs.dtype
        named = [lane.trained_fully() if full else tuple(lane.module_ranks()) for lane in lanes]
        self.modules = tuple(path_of(each) for each in dict.fromkeys(m for names in named for m in names))
        self.ranks = [{path_of(m): rank for m, rank in lane.module_ranks().items()} for lane in lanes]
        widest = {path: max(ranks.get(path, 0) for ranks in self.ranks) for path in self.modules}
        shapes: list[tuple[int, ...]] = []
        for path in self.modules:
            inputs, outputs = sizes[path]
            if full:
                shapes.append((len(lanes), inputs, outputs))
            else:
                shapes += [(len(lanes), inputs, widest[path]), (len(lanes), widest[path], outputs)]
        self.flat = FlatParameters(shapes, dtype)
        self.scales = {
            path: torch.tensor(
                [lane.scaling_of(ranks.get(path, 1)) for lane, ranks in zip(lanes, self.ranks, strict=True)],
                dtype=dtype,
            )[:, None, None]
            for path in self.modules
        }
        if full:
            self._place_full()
        else:
            self._place_adapters()
        self.values = [value.detach().requires_grad_() for value in self.flat.values]
        for value, gradient in zip(self.values, self.flat.gradients, strict=True):
            value.grad = gradient
        self.optimizer = optimizer_of(self.lanes[0].optimizer, self.flat)

    def _place_full(self) -> None:
        for path, value, rate in zip(self.modules, self.flat.values, self.flat.rates, strict=True):
            value.copy_(self.base.weights[path])
            for i, lane in enumerate(self.lanes):
                if path in map(path_of, lane.trained_fully()):
                    rate[i] = lane.full_learning_rate

    def _place_adapters(self) -> None:
        sizes = self.base.shape.modules()
        pairs = list(zip(self.flat.values, self.flat.rates, strict=True))
        for place, path in enumerate(self.modules):
            (A, rate_A), (_, rate_B) = pairs[2 * place : 2 * place + 2]
            for i, (lane, ranks) in enumerate(zip(self.lanes, self.ranks, strict=True)):
                rank = ranks.get(path, 0)
                A[i, :, :rank] = draw_A(sizes[path][0], rank, adapter_stream(lane.seed, path))
                rate_A[i, :, :rank] = lane.learning_rate
                rate_B[i, :rank] = lane.learning_rate * lane.lr_ratio

    def weights(self) -> dict[str, Tensor]:
        """Path of each trained module -> the lanes' merged weights (lanes, in, out)."""
        if self.full:
            return dict(zip(self.modules, self.values, strict=True))
        return {
            path: torch.baddbmm(
                self.base.weights[path].expand(len(self.lanes), -1, -1),
                self.values[2 * place] * self.scales[path],
                self.values[2 * place + 1],
            )
            for place, path in enumerate(self.modules)
        }

    def step(self, rows: Rows) -> Tensor:
        """One update on a batch; returns the losses (lanes,) before it."""
        self.flat.gradient.zero_()
        logits = decode(self.base, self.weights(), rows.inputs[None], rows.targets.shape[1])
        losses = losses_of(logits.expand(len(self.lanes), *logits.shape[1:]), rows.targets)
        if self.modules:
            losses.sum().backward()
            self.optimizer.step()
        return losses.detach()

    @torch.no_grad()
    def losses(self, rows: Rows) -> Tensor:
        """Losses (lanes,) on held-out rows."""
        logits = decode(self.base, self.weights(), rows.inputs[None], rows.targets.shape[1])
        return losses_of(logits.expand(len(self.lanes), *logits.shape[1:]), rows.targets)
