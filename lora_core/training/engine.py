"""Full-batch training without the batch: the same steps, from a small reduction of the sample.

Squared error sees a sample only through a small triangle. With X = Q S (QR) and T = Q^T R,

    ||X delta - R||_F^2 = ||S delta - T||_F^2 + rest,        rest = ||R - Q T||_F^2

so a step costs O(in^2 r) whatever n is, and is the same step as autograd's on the batch. A trained bias is
one more input, constant 1: its row of delta is the change of the bias. Of an adapter the engine keeps
``down`` = A^T (r, in) and ``up`` = scaling * B (r, out), so that delta = down^T up.
All parameters lie in one vector, so that an optimizer step is a handful of operations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from lora_core.experiment import Optimizer

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
"""Adam's constants, torch's defaults (Kingma & Ba, 2015, algorithm 1)."""


@dataclass(frozen=True, eq=False)
class ReducedSample:
    """A sample reduced to the quantities that squared error depends on.

    ``root`` S (m, in) and ``target`` T (m, out) with m <= in, the squared ``rest`` that no delta moves, and
    ``size`` = n * out, which a mean squared error is divided by. With a trained bias in counts one more.
    """

    root: Tensor
    target: Tensor
    rest: float
    size: int


def reduce_sample(X: Tensor, R: Tensor, train_bias: bool = False) -> ReducedSample:
    """The ``ReducedSample`` of inputs X (n, in) and residuals R (n, out), float64.

    :raises ValueError: X and R of different length.
    """
    if X.ndim != 2 or R.ndim != 2 or len(X) != len(R):
        raise ValueError(
            f"X is {tuple(X.shape)} and R is {tuple(R.shape)}: they must be (n, in) and (n, out)."
        )
    if train_bias:
        X = torch.cat([X, X.new_ones(len(X), 1)], dim=1)
    if len(X) <= X.shape[1]:
        return ReducedSample(X, R, 0.0, R.numel())
    packed, reflections = torch.geqrf(X)
    rotated = torch.ormqr(packed, reflections, R, left=True, transpose=True)
    m = X.shape[1]
    # LAPACK returns column-major tensors; the engine's products are several times faster on row-major ones.
    target = rotated[:m].clone(memory_format=torch.contiguous_format)
    return ReducedSample(packed[:m].triu(), target, float(rotated[m:].square().sum()), R.numel())


class FlatParameters:
    """Tensors in one vector: ``value``, ``gradient``, ``rate``, ``eps``, each with its views in a list."""

    def __init__(self, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype) -> None:
        self.shapes, sizes = shapes, [prod(shape) for shape in shapes]
        self.value = torch.zeros(sum(sizes), dtype=dtype)
        self.gradient = torch.zeros_like(self.value)
        self.rate = torch.zeros_like(self.value)
        self.eps = torch.full_like(self.value, EPS)
        self.values = self._views(self.value, shapes, sizes)
        self.gradients = self._views(self.gradient, shapes, sizes)
        self.rates = self._views(self.rate, shapes, sizes)
        self.epses = self._views(self.eps, shapes, sizes)

    def views(self, vector: Tensor) -> list[Tensor]:
        """A vector of this length, in the shapes of the tensors."""
        return self._views(vector, self.shapes, [prod(shape) for shape in self.shapes])

    @staticmethod
    def _views(vector: Tensor, shapes: Sequence[tuple[int, ...]], sizes: list[int]) -> list[Tensor]:
        return [part.view(shape) for part, shape in zip(vector.split(sizes), shapes, strict=True)]


class Sgd:
    """Gradient descent, value -= rate * gradient, with a rate for each entry; a rate of 0 freezes it."""

    def __init__(self, flat: FlatParameters) -> None:
        self.flat = flat

    def step(self) -> None:
        self.flat.value.addcmul_(self.flat.gradient, self.flat.rate, value=-1)


class Adam:
    """Adam with a rate and an eps for each entry; a rate of 0 freezes it.

    value -= rate * m / (sqrt(v) + eps), with m and v divided by 1 - beta^t. ``square`` is v / beta2^t.
    All entries have taken the same number of steps, unless ``split`` says otherwise.
    """

    def __init__(self, flat: FlatParameters) -> None:
        self.flat = flat
        self.mean, self.square = torch.zeros_like(flat.value), torch.zeros_like(flat.value)
        self.scratch = torch.empty_like(flat.value)
        moving = flat.rate > 0
        self.inverse_rate = torch.where(moving, 1 / flat.rate, 0.0)
        self.eps_over_rate = torch.where(moving, flat.eps / flat.rate, torch.inf)
        self.parts = [_AdamPart(self, slice(None), 0)]

    @property
    def ages(self) -> tuple[int, int]:
        """Steps taken by the first entries and by the last ones."""
        return self.parts[0].updates, self.parts[-1].updates

    def split(self, count: int, ages: tuple[int, int]) -> None:
        """Let the first ``count`` entries have taken ``ages[0]`` steps and the others ``ages[1]``."""
        places = (slice(None, count), slice(count, None))
        self.parts = (
            [_AdamPart(self, slice(None), ages[0])]
            if ages[0] == ages[1]
            else [_AdamPart(self, place, age) for place, age in zip(places, ages, strict=True)]
        )

    def step(self) -> None:
        for part in self.parts:
            part.step()


class _AdamPart:
    """Entries of an `Adam` that have taken the same number of steps, ``updates``.

    The update is written as a division by (sqrt(v) + eps) / rate, which is infinite where the rate is 0.
    ``square`` is v / beta2^t, so that its decay is a factor of the step's own instead of a pass over all
    entries; it grows e-fold in 1,000 updates.
    """

    def __init__(self, adam: Adam, place: slice, updates: int) -> None:
        self.updates = updates
        self.value, self.gradient = adam.flat.value[place], adam.flat.gradient[place]
        self.mean, self.square, self.scratch = adam.mean[place], adam.square[place], adam.scratch[place]
        self.inverse_rate, self.eps_over_rate = adam.inverse_rate[place], adam.eps_over_rate[place]

    def step(self) -> None:
        self.updates += 1
        gradient, scratch = self.gradient, self.scratch
        self.mean.lerp_(gradient, 1 - BETA1)
        decay = BETA2**self.updates
        self.square.addcmul_(gradient, gradient, value=(1 - BETA2) / decay)
        torch.sqrt(self.square, out=scratch)
        spread = (decay / (1 - decay)) ** 0.5
        torch.addcmul(self.eps_over_rate, scratch, self.inverse_rate, value=spread, out=scratch)
        self.value.addcdiv_(self.mean, scratch, value=-1 / (1 - BETA1**self.updates))


def optimizer_of(kind: Optimizer, flat: FlatParameters) -> Adam | Sgd:
    """The optimizer for the rates and epses that ``flat`` holds at this moment."""
    return Adam(flat) if kind is Optimizer.ADAM else Sgd(flat)


@dataclass(frozen=True, eq=False)
class AdapterStart:
    """Initial factors A (in, r) and B (r, out) of an adapter, its scaling and its learning rates.

    ``rate`` is the learning rate of A and of a trained bias, ``rate * lr_ratio`` that of B (LoRA+).
    """

    A: Tensor
    B: Tensor
    scaling: float
    rate: float
    lr_ratio: float = 1.0
    train_bias: bool = False

    @property
    def rank(self) -> int:
        return self.A.shape[1]

    def place(self, optimizer: Optimizer, down: Tensor, up: Tensor, rates: list[Tensor], eps: Tensor) -> None:
        """Write it into ``down`` (r', in'), ``up`` (r', out) and the rates; r' >= r, in' with the bias."""
        r, in_features = self.rank, len(self.A)
        down[:r, :in_features] = self.A.T
        up[:r] = self.scaling * self.B
        rates[0][:r, :in_features] = self.rate
        # up = s B, so B's gradient is s times up's: SGD moves ``up`` at s^2 times the rate, Adam, which does
        # not depend on the size of a gradient, at s times; its eps stands beside B's gradient, not up's.
        power = 1 if optimizer is Optimizer.ADAM else 2
        rates[1][:r] = self.rate * self.lr_ratio * self.scaling**power
        eps[:r] = EPS / self.scaling
        if self.train_bias:
            down[-1, in_features] = 1.0
            rates[1][-1] = self.rate
            eps[-1] = EPS

    def read(self, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """A (in, r), B (r, out) and the bias's change (out) or None, copied out of ``down`` and ``up``."""
        r, in_features = self.rank, len(self.A)
        bias = up[-1].clone() if self.train_bias else None
        return down[:r, :in_features].T.clone(), up[:r] / self.scaling, bias


class PairedStepper:
    """One adapter and full fine-tuning trained side by side on one sample, in float64.

    Needs only G = S^T S and C = S^T T. ``change`` (in, out) is full fine-tuning's delta weight. The adapter's
    own delta weight, in x out numbers, is formed only if the rank is so large that this takes less work.
    """

    def __init__(
        self,
        sample: ReducedSample,
        start: AdapterStart,
        optimizer: Optimizer,
        products: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """Place an adapter; ``products`` are ``gram`` and ``cross`` of another stepper on the sample."""
        inputs, out_features = sample.root.shape[1], sample.target.shape[1]
        rows = start.rank + start.train_bias
        flat = FlatParameters([(rows, inputs), (rows, out_features), (inputs, out_features)], torch.float64)
        self.down, self.up, self.change = flat.values
        self.down_gradient, self.up_gradient, self.change_gradient = flat.gradients
        start.place(optimizer, self.down, self.up, flat.rates[:2], flat.epses[1])
        flat.rates[2].fill_(start.rate)
        self.optimizer = optimizer_of(optimizer, flat)
        # Scaled by 2 / (n out), so that the products below are the gradients themselves.
        self.gram, self.cross = products or (
            sample.root.T @ sample.root * (2 / sample.size),
            sample.root.T @ sample.target * (2 / sample.size),
        )
        self.constant = (float(sample.target.square().sum()) + sample.rest) / sample.size
        new = flat.value.new_empty
        by_factors = rows * (inputs * (inputs + 2 * out_features) + 2 * rows * (inputs + out_features))
        self.few_rows = by_factors <= inputs * out_features * (3 * rows + inputs)
        if self.few_rows:
            self.down_gram, self.up_cross = new(rows, inputs), new(rows, inputs)
            self.down_cross = new(rows, out_features)
            self.down_inner, self.up_inner = new(rows, rows), new(rows, rows)
            self.transposed = self.down.T, self.up.T, self.cross.T
            pairs = (self.down_inner, self.up_inner), (self.down_cross, self.up)
        else:
            self.delta, self.slope = new(inputs, out_features), new(inputs, out_features)
            pairs = (self.delta, self.slope), (self.delta, self.cross / 2)
        full = (self.change, self.change_gradient), (self.change, self.cross)
        self.pairs = [(x.view(-1), y.view(-1)) for x, y in (*pairs, *full)]

    def gradients(self) -> list[Tensor]:
        """Compute the gradients of both losses; returns four inner products, the terms of ``losses``."""
        if self.few_rows:
            down_t, up_t, cross_t = self.transposed
            torch.mm(self.down, self.gram, out=self.down_gram)
            torch.mm(self.down_gram, down_t, out=self.down_inner)
            torch.mm(self.down, self.cross, out=self.down_cross)
            torch.mm(self.up, up_t, out=self.up_inner)
            torch.mm(self.up, cross_t, out=self.up_cross)
            torch.addmm(self.down_cross, self.down_inner, self.up, beta=-1, out=self.up_gradient)
            torch.addmm(self.up_cross, self.up_inner, self.down_gram, beta=-1, out=self.down_gradient)
        else:
            torch.mm(self.down.T, self.up, out=self.delta)
            torch.addmm(self.cross, self.gram, self.delta, beta=-1, out=self.slope)
            torch.mm(self.down, self.slope, out=self.up_gradient)
            torch.mm(self.up, self.slope.T, out=self.down_gradient)
        torch.addmm(self.cross, self.gram, self.change, beta=-1, out=self.change_gradient)
        return [torch.dot(x, y) for x, y in self.pairs]

    def losses(self, terms: Tensor) -> tuple[Tensor, Tensor]:
        """Losses (k,) of adapter and full fine-tuning from k rows of ``terms`` (k, 4).

        Accurate to 1e-15 of the base loss; clamped, because rounding could make a small one negative.
        """
        lora = self.constant + terms[:, 0] / 2 - terms[:, 1]
        full = self.constant + (terms[:, 2] - terms[:, 3]) / 2
        return lora.clamp(min=0), full.clamp(min=0)


def held_out_losses(sample: ReducedSample, down: Tensor, up: Tensor) -> Tensor:
    """Mean squared errors (k,) of k adapters, ``down`` (k, r, in) and ``up`` (k, r, out), on a sample.

    Computed by r x r products, or from the delta weights if these are smaller. Accurate to rounding of the
    base loss, as the losses of ``PairedStepper``.
    """
    k, rows, inputs = down.shape
    if rows > min(inputs, up.shape[2]):
        return held_out_losses_full(sample, torch.bmm(down.transpose(1, 2), up).transpose(0, 1))
    hidden = down.reshape(k * rows, inputs) @ sample.root.T
    seen = (hidden @ sample.target).view(k, -1)
    hidden = hidden.view(k, rows, -1)
    inner = torch.bmm(hidden, hidden.transpose(1, 2)).view(k, -1)
    outer = torch.bmm(up, up.transpose(1, 2)).view(k, -1)
    moved = (inner * outer).sum(1) - 2 * (seen * up.reshape(k, -1)).sum(1)
    return ((moved + float(sample.target.square().sum()) + sample.rest) / sample.size).clamp(min=0)


def held_out_losses_full(sample: ReducedSample, change: Tensor) -> Tensor:
    """Mean squared errors (k,) of k changes (in, k, out), laid side by side, on a sample."""
    inputs, k, out_features = change.shape
    error = (sample.root @ change.reshape(inputs, -1)).view(-1, k, out_features)
    error -= sample.target[:, None]
    return (torch.linalg.vector_norm(error, dim=(0, 2)).square() + sample.rest) / sample.size
