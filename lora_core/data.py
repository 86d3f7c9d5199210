"""The tasks: what the layer is given, what it should answer, and the base layer it starts from.

    low-rank, power-law   Y = X (W0^T + delta*) + b0 + noise,  ||delta*||_F^2 = out: the base loss is about 1
    noise                 X and Y independent standard normals, as in the original script: nothing to learn
    digits                real 8x8 handwritten digits, a ridge regression as the base, then a shift

Data, base layer and adapter come, in this order, from one stream (the original script's: seed 42 gives its
tensors to the bit), the held-out sample and delta* from streams of their own. So no field of the adapter or
of its training moves the data, and a change of true rank moves neither inputs nor base.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lora_core import theory
from lora_core.experiment import DIGITS_PAIRS, Experiment, Shift, Task
from lora_core.layer import draw_linear
from lora_core.reproducible import computed_once, one_thread

HELD_OUT = 512
"""Held-out samples drawn for each task but digits, which holds out the 500 it does not train on."""

SWAPPED_PAIRS = ((3, 8), (4, 9), (1, 7), (5, 6), (0, 2))
"""The pairs of labels that ``shift="swap"`` exchanges, the first ``true_rank`` of them."""

_RIDGE = 1e-3
"""Ridge penalty of the digits' base layer, times the number of samples."""

_HELD_OUT_STREAM, _TRUTH_STREAM = 1, 2


@dataclass(frozen=True, eq=False)
class Problem:
    """A training sample, a held-out sample and a base layer, all float64.

    ``X`` (n, in), ``Y`` (n, out), ``X_test``, ``Y_test`` alike; ``base`` a frozen ``nn.Linear``. ``labels``
    and ``labels_test`` (n,) are the digits', else None; ``true_delta`` (in, out) is the change that made the
    targets, where the task has one. ``train_bias`` is the experiment's bias policy, for the floors;
    ``adapter_stream`` the state of the random stream from which the adapter is drawn.

    :raises ValueError: samples of different length, sizes that do not fit the base, numbers that are not
        float64 or not finite.
    """

    X: Tensor
    Y: Tensor
    X_test: Tensor
    Y_test: Tensor
    base: nn.Linear
    train_bias: bool = False
    labels: Tensor | None = None
    labels_test: Tensor | None = None
    true_delta: Tensor | None = None
    adapter_stream: Tensor | None = None

    def __post_init__(self) -> None:
        sizes = (self.base.in_features, self.base.out_features)
        for x, y, X, Y in (("X", "Y", self.X, self.Y), ("X_test", "Y_test", self.X_test, self.Y_test)):
            fitting = X.ndim == Y.ndim == 2 and (X.shape[1], Y.shape[1]) == sizes
            if not fitting or len(X) != len(Y) or len(X) == 0:
                raise ValueError(
                    f"{x} is {tuple(X.shape)} and {y} is {tuple(Y.shape)}: "
                    f"they must be (n, {sizes[0]}) and (n, {sizes[1]}) with the same n, at least 1."
                )
            for name, tensor in ((x, X), (y, Y)):
                if tensor.dtype != torch.float64:
                    raise ValueError(f"{name} holds {tensor.dtype}: it must be torch.float64.")
                if not bool(torch.isfinite(tensor).all()):
                    raise ValueError(f"{name} holds numbers that are not finite: all must be.")

    def residual(self) -> Tensor:
        """What the base still gets wrong, R = Y - X W0^T - b0 (n, out)."""
        return self._residual

    def residual_test(self) -> Tensor:
        """The same on the held-out sample."""
        return self._residual_test

    @computed_once
    @one_thread()
    @torch.no_grad()
    def _residual(self) -> Tensor:
        return self.Y - self.base(self.X)

    @computed_once
    @one_thread()
    @torch.no_grad()
    def _residual_test(self) -> Tensor:
        return self.Y_test - self.base(self.X_test)

    def floors(self) -> np.ndarray:
        """The best training loss of every rank 0..min(in, out), float64: see ``theory.floors``."""
        return self._floors

    @property
    def floors_known(self) -> bool:
        """Whether the floors are computed already."""
        return "_floors" in self.__dict__

    @computed_once
    @one_thread()
    def _floors(self) -> np.ndarray:
        found = theory.floors(self.X, self.residual(), self.train_bias)
        found.flags.writeable = False
        return found

    def adapter_generator(self) -> torch.Generator:
        """A generator at the place in the stream where the adapter is drawn; the same at every call."""
        generator = torch.Generator()
        if self.adapter_stream is not None:
            generator.set_state(self.adapter_stream)
        return generator


@one_thread()
def make_problem(experiment: Experiment) -> Problem:
    """Data and base layer of an experiment; only its ``DATA_FIELDS`` and ``train_bias`` matter."""
    generator = torch.Generator().manual_seed(experiment.seed)
    if experiment.task is Task.DIGITS:
        return _digits_problem(experiment, generator)
    n, in_features, out_features = experiment.samples, experiment.in_features, experiment.out_features
    held_out = stream(experiment.seed, _HELD_OUT_STREAM)
    X, noise = _normal(generator, n, in_features), _normal(generator, n, out_features)
    X_test, noise_test = _normal(held_out, HELD_OUT, in_features), _normal(held_out, HELD_OUT, out_features)
    base = _frozen(*draw_linear(in_features, out_features, generator))
    true_delta = None
    if experiment.task is Task.NOISE:
        Y, Y_test = noise, noise_test
    else:
        true_delta = _true_delta(experiment)
        with torch.no_grad():
            Y = base(X) + X @ true_delta + experiment.noise * noise
            Y_test = base(X_test) + X_test @ true_delta + experiment.noise * noise_test
    return Problem(
        X, Y, X_test, Y_test, base, experiment.train_bias, None, None, true_delta, generator.get_state()
    )


def stream(seed: int, purpose: int) -> torch.Generator:
    """A generator for one purpose. Seeds of 32 bits are all that torch's CPU generator tells apart, so they
    are scattered by a multiplicative hash, lest the streams of neighbouring seeds coincide."""
    return torch.Generator().manual_seed((seed * 2654435761 + purpose * 0x9E3779B9) % 2**32)


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    # Drawn in float32, as the original script draws: the float64 stream is another one.
    return torch.randn(*shape, generator=generator).double()


def _frozen(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], dtype=torch.float64)
    linear.weight = nn.Parameter(weight.double(), requires_grad=False)
    linear.bias = nn.Parameter(bias.double(), requires_grad=False)
    return linear


def _true_delta(experiment: Experiment) -> Tensor:
    """delta* (in, out) with ||delta*||_F^2 = out, from singular vectors that the rank does not move."""
    size, in_features, out_features = experiment.full_rank, experiment.in_features, experiment.out_features
    generator = stream(experiment.seed, _TRUTH_STREAM)
    left, right = _normal(generator, in_features, size), _normal(generator, out_features, size)
    rank = experiment.shift_rank or size
    strength = torch.ones(rank, dtype=torch.float64)
    if experiment.task is Task.POWER_LAW:
        strength = torch.arange(1, rank + 1, dtype=torch.float64) ** -experiment.decay
    strength *= (out_features / strength.square().sum()).sqrt()
    left, right = torch.linalg.qr(left[:, :rank])[0], torch.linalg.qr(right[:, :rank])[0]
    return left @ (strength[:, None] * right.T)


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (1797, 64) of 0..16, row by row, and labels (1797,), both uint8.

    The test part of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak (1998), UCI
    Machine Learning Repository, doi 10.24432/C50P49, CC BY 4.0.
    """
    with np.load(Path(__file__).with_name("digits.npz")) as file:
        return file["pixels"], file["labels"]


def _digits_problem(experiment: Experiment, generator: torch.Generator) -> Problem:
    raw_pixels, raw_labels = read_digits()
    order = torch.randperm(len(raw_labels), generator=generator)
    pixels = (torch.from_numpy(raw_pixels).double() / 16)[order]
    labels = torch.from_numpy(raw_labels).long()[order]
    n = experiment.samples
    base = _ridge(pixels[:n], _one_hot(labels[:n]))
    if experiment.shift is Shift.SWAP:
        renamed = torch.arange(10)
        for one, other in SWAPPED_PAIRS[: min(experiment.true_rank, DIGITS_PAIRS)]:
            renamed[one], renamed[other] = other, one
        labels = renamed[labels]
    elif experiment.shift is Shift.TURN:
        pixels = pixels.view(-1, 8, 8).rot90(1, (1, 2)).reshape(-1, 64)
    else:
        pixels = 1 - pixels
    targets = _one_hot(labels)
    return Problem(
        pixels[:n], targets[:n], pixels[n:], targets[n:], base, experiment.train_bias,
        labels[:n], labels[n:], None, generator.get_state(),
    )  # fmt: skip


def _one_hot(labels: Tensor) -> Tensor:
    return nn.functional.one_hot(labels, 10).double()


def _ridge(X: Tensor, Y: Tensor) -> nn.Linear:
    """The base layer of the digits: ridge regression on centred pixels and targets."""
    middle, mean = X.mean(0), Y.mean(0)
    centred = X - middle
    penalty = _RIDGE * len(X) * torch.eye(X.shape[1], dtype=X.dtype)
    weight = torch.linalg.solve(centred.T @ centred + penalty, centred.T @ (Y - mean))
    return _frozen(weight.T, mean - middle @ weight)
