"""The LoRA layer: a frozen linear layer and a trainable change of low rank beside it.

    y = linear(x) + scaling * x @ lora_A @ lora_B,    delta = scaling * lora_A @ lora_B  (in, out)

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), section 4.1. The layer *holds* its
``linear``; nothing is merged unless ``merge`` is called. ``lora_core.training`` trains it.
"""

import math

import torch
from torch import Tensor, nn

from lora_core.experiment import LIMITS, Init, ScalingRule, scaling
from lora_core.geometry import truncate_factors


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """(trainable, total) numbers in a module, trainable by ``requires_grad``."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def initialise(
    in_features: int,
    out_features: int,
    rank: int,
    init: Init | str = Init.KAIMING,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """The factors A (in, rank) and B (rank, out) that training starts from, float32.

    ``kaiming`` (PEFT's default): A uniform within 1/sqrt(in), B zero. ``gaussian`` (PEFT): A normal with
    standard deviation 1/rank, B zero. ``original``: both standard normal. ``zero``: both zero, and then no
    gradient ever moves either of them. A is drawn first, so that B does not change it.

    :raises ValueError: an unknown ``init``, a size or a rank outside its limit.
    """
    checked = LIMITS["init"].read("init", init)
    for name, value in (("in_features", in_features), ("out_features", out_features), ("rank", rank)):
        LIMITS[name].read(name, value)
    A, B = torch.zeros(in_features, rank), torch.zeros(rank, out_features)
    if checked is Init.KAIMING:
        # On the transpose: torch reads the fan-in from the last dimension, which of A is the rank.
        nn.init.kaiming_uniform_(A.T, a=math.sqrt(5), generator=generator)
    elif checked is Init.GAUSSIAN:
        nn.init.normal_(A, std=1 / rank, generator=generator)
    elif checked is Init.ORIGINAL:
        nn.init.normal_(A, generator=generator)
        nn.init.normal_(B, generator=generator)
    return A, B


def draw_linear(
    in_features: int, out_features: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias (out), float32, as ``nn.Linear`` draws them, in its order."""
    bound = 1 / math.sqrt(in_features)
    weight, bias = torch.empty(out_features, in_features), torch.empty(out_features)
    nn.init.uniform_(weight, -bound, bound, generator=generator)
    nn.init.uniform_(bias, -bound, bound, generator=generator)
    return weight, bias


def change_factors(
    A: Tensor,
    B: Tensor,
    rank: int,
    init: Init | str = Init.KAIMING,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Factors A' (in, rank) and B' (rank, out) of another rank, from A (in, r) and B (r, out).

    Growing adds columns to A as ``init`` draws them and zero rows to B, so that the product stays as it is;
    the same rank returns the factors themselves. Shrinking gives the best approximation of the product
    (Eckart-Young), split by square roots. What the scaling does to B is the caller's.

    :raises ValueError: a rank outside its limit, factors to cut that are not finite.
    """
    LIMITS["rank"].read("rank", rank)
    old = A.shape[1]
    if rank < old:
        A, B = (cut.to(A) for cut in truncate_factors(A, B, rank))
    elif rank > old:
        columns = initialise(len(A), B.shape[1], rank, init, generator)[0][:, old:].to(A)
        A = torch.cat([A, columns], dim=1)
        B = torch.cat([B, B.new_zeros(rank - old, B.shape[1])])
    return A, B


class LoRALayer(nn.Module):
    """A frozen ``nn.Linear`` with a low-rank adapter: maps (..., in) to (..., out).

    ``lora_A`` (in, rank), ``lora_B`` (rank, out), ``scaling``: a number, 1.0 when ``alpha`` is None. With
    ``train_bias`` the bias of ``linear`` is trained too; its weight never is. A rank above min(in, out) is
    allowed: the change cannot have a higher rank than that, so it only stores more numbers.

    :raises ValueError: a size, rank, alpha, rule or init outside its limit; later on, saving a layer that is
        merged or loading into one.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rank: int = 4,
        alpha: float | None = None,
        scaling_rule: ScalingRule | str = ScalingRule.STANDARD,
        init: Init | str = Init.KAIMING,
        train_bias: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("in_features", in_features), ("out_features", out_features), ("rank", rank)):
            LIMITS[name].read(name, value)
        train_bias = LIMITS["train_bias"].read("train_bias", train_bias)
        weight, bias = draw_linear(in_features, out_features, generator)
        linear = nn.utils.skip_init(nn.Linear, in_features, out_features)
        linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
        self._hold(linear, rank, alpha, scaling_rule, init, train_bias, generator)

    @classmethod
    def around(
        cls,
        linear: nn.Linear,
        rank: int = 4,
        alpha: float | None = None,
        scaling_rule: ScalingRule | str = ScalingRule.STANDARD,
        init: Init | str = Init.KAIMING,
        train_bias: bool = False,
        generator: torch.Generator | None = None,
    ) -> "LoRALayer":
        """The layer that holds a given ``linear`` (in -> out), which it freezes; its bias may be absent.

        :raises ValueError: a size, rank, alpha, rule or init outside its limit, or a bias to train where
            there is none.
        """
        train_bias = LIMITS["train_bias"].read("train_bias", train_bias)
        if train_bias and linear.bias is None:
            raise ValueError("train_bias is True: it must be false, as the linear layer has no bias.")
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._hold(linear, rank, alpha, scaling_rule, init, train_bias, generator)
        return layer

    def _hold(
        self,
        linear: nn.Linear,
        rank: int,
        alpha: float | None,
        scaling_rule: ScalingRule | str,
        init: Init | str,
        train_bias: bool,
        generator: torch.Generator | None,
    ) -> None:
        """Freeze ``linear`` and put a fresh adapter beside it, of its dtype."""
        self.alpha: float | None = None if alpha is None else LIMITS["alpha"].read("alpha", alpha)
        self.scaling_rule: ScalingRule = LIMITS["scaling_rule"].read("scaling_rule", scaling_rule)
        self.init: Init = LIMITS["init"].read("init", init)
        self.linear = linear
        linear.weight.requires_grad_(False)
        if linear.bias is not None:
            linear.bias.requires_grad_(train_bias)
        A, B = initialise(linear.in_features, linear.out_features, rank, init, generator)
        self.lora_A, self.lora_B = nn.Parameter(A.to(linear.weight)), nn.Parameter(B.to(linear.weight))
        self.scaling = scaling(self.alpha, rank, self.scaling_rule)
        self._base_weight: Tensor | None = None
        self.register_state_dict_pre_hook(_refuse_to_save)
        self.register_load_state_dict_pre_hook(_refuse_to_load)

    @property
    def rank(self) -> int:
        """The number of columns of ``lora_A``."""
        return self.lora_A.shape[1]

    @property
    def merged(self) -> bool:
        """Whether ``linear`` carries the change at the moment."""
        return self._base_weight is not None

    def forward(self, x: Tensor) -> Tensor:
        """y (..., out) of x (..., in)."""
        y = self.linear(x)
        return y if self.merged else y + self.scaling * (x @ self.lora_A @ self.lora_B)

    def delta(self) -> Tensor:
        """The change of the weight, scaling * A @ B (in, out); ``linear.weight`` takes its transpose."""
        return self.scaling * (self.lora_A @ self.lora_B)

    def trainable_parameters(self) -> list[nn.Parameter]:
        """What training moves: A, B and, where it is trained, the bias."""
        bias = self.linear.bias
        return [self.lora_A, self.lora_B, *([bias] if bias is not None and bias.requires_grad else [])]

    @torch.no_grad()
    def merge(self) -> None:
        """Add the change to ``linear.weight``, so that inference costs what the base costs; once is enough.

        The base weight is kept beside it, so that ``unmerge`` gives it back to the bit, even where A and B
        were trained in between.
        """
        if self._base_weight is None:
            self._base_weight = self.linear.weight.clone()
            self.linear.weight += self.delta().T

    @torch.no_grad()
    def unmerge(self) -> None:
        """Undo ``merge``; does nothing on a layer that is not merged."""
        if self._base_weight is not None:
            self.linear.weight.copy_(self._base_weight)
            self._base_weight = None

    @torch.no_grad()
    def change_rank(self, rank: int, generator: torch.Generator | None = None) -> None:
        """Give the adapter another rank; A and B become new parameters, for a new optimizer.

        Growing adds columns to A, drawn as the layer's ``init`` draws them, and zero rows to B: the change,
        and so the loss, stays as it is; B is rescaled, because the scaling follows the rank. Shrinking keeps
        the best approximation of the change (Eckart-Young): it moves by the discarded singular values.

        :raises ValueError: a rank outside its limit, or a merged layer.
        """
        LIMITS["rank"].read("rank", rank)
        if self.merged:
            raise ValueError("the layer is merged: unmerge it before its rank is changed.")
        new_scaling = scaling(self.alpha, rank, self.scaling_rule)
        A, B = change_factors(
            self.lora_A.clone(), self.lora_B * (self.scaling / new_scaling), rank, self.init, generator
        )
        self.lora_A, self.lora_B, self.scaling = nn.Parameter(A), nn.Parameter(B), new_scaling

    def extra_repr(self) -> str:
        return f"rank={self.rank}, scaling={self.scaling:g}, merged={self.merged}"


# A merged weight beside A and B would be read back as an unmerged one: the change would count twice.
def _refuse_to_save(layer: nn.Module, *_: object) -> None:
    if getattr(layer, "merged", False):
        raise ValueError("the layer is merged: unmerge it before it is saved.")


def _refuse_to_load(layer: nn.Module, *_: object) -> None:
    if getattr(layer, "merged", False):
        raise ValueError("the layer is merged: unmerge it before it is loaded into.")
