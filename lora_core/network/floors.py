"""What is exactly true of networks of more than one layer: two floors.

A deep *linear* network x W1 W2 ... Wd under squared error, its layers square and invertible: adapters of
ranks r1 ... rd change the product by a matrix of rank at most r1 + ... + rd, and come as near as one likes
to any such matrix, so the floor is that of one layer at the sum of the ranks. And the head alone on frozen
features: its loss is convex in its weight, so no adapter of the head goes below what L-BFGS finds there on
the same rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lora_core.network.data import Rows, WordTask, task_of
from lora_core.network.experiment import NetworkExperiment
from lora_core.network.model import Decoder, load_network
from lora_core.reproducible import one_thread
from lora_core.theory import floors

SIZE, DEPTH, SAMPLES = 8, 3, 64
SPLITS = (
    (0, 0, 0),
    (1, 0, 0),
    (0, 0, 1),
    (1, 1, 0),
    (0, 2, 0),
    (1, 1, 1),
    (3, 0, 0),
    (2, 1, 1),
    (2, 2, 1),
    (3, 3, 0),
)
"""Ranks of the layers that are tried, few numbers first."""


@dataclass(frozen=True, eq=False)
class DeepLinear:
    """A deep linear problem: inputs X (n, size), targets Y, frozen layers; all float64."""

    X: Tensor
    Y: Tensor
    layers: tuple[Tensor, ...]

    def floors(self) -> np.ndarray:
        """The least mean squared error by the sum of the layers' ranks."""
        return floors(self.X, self.Y - self.X @ torch.linalg.multi_dot(self.layers))


@dataclass(frozen=True, eq=False)
class DeepLinearFound:
    """Mean squared errors that were reached by splits of ranks; it grows split by split."""

    floors: np.ndarray
    splits: tuple[tuple[int, ...], ...]
    reached: np.ndarray
    complete: bool


def deep_linear_problem(seed: int = 0) -> DeepLinear:
    """Three invertible layers of 8 x 8, and targets of another such product with a little noise."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    X = normal(SAMPLES, SIZE)
    layers = tuple(torch.linalg.qr(normal(SIZE, SIZE)).Q for _ in range(DEPTH))
    strengths = 2.0 ** -torch.arange(SIZE, dtype=torch.float64)
    change = torch.linalg.qr(normal(SIZE, SIZE)).Q * strengths @ torch.linalg.qr(normal(SIZE, SIZE)).Q
    Y = X @ (torch.linalg.multi_dot(layers) + change) + 0.05 * normal(SAMPLES, SIZE)
    return DeepLinear(X, Y, layers)


@one_thread()
def train_deep_linear(problem: DeepLinear, ranks: Sequence[int], seed: int = 0) -> float:
    """The least mean squared error that L-BFGS finds with adapters of these ranks, one a layer.

    :raises ValueError: another number of ranks than layers, or a negative one.
    """
    if len(ranks) != len(problem.layers) or min(ranks) < 0:
        raise ValueError(f"ranks is {tuple(ranks)}: it must be {len(problem.layers)} ranks of at least 0.")
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> nn.Parameter:
        return nn.Parameter(0.3 * torch.randn(*shape, generator=generator, dtype=torch.float64))

    A, B = [drawn(SIZE, rank) for rank in ranks], [drawn(rank, SIZE) for rank in ranks]

    def loss() -> Tensor:
        product = problem.X
        for weight, a, b in zip(problem.layers, A, B, strict=True):
            product = product @ (weight + a @ b)
        return functional.mse_loss(product, problem.Y)

    return minimise(loss, [each for each in (*A, *B) if each.numel()])


def trained_deep_linear(seed: int = 0) -> Iterator[DeepLinearFound]:
    """All of ``SPLITS``, one after the other."""
    problem = deep_linear_problem(seed)
    known, reached = problem.floors(), np.full(len(SPLITS), np.nan)
    for i, ranks in enumerate(SPLITS):
        reached[i] = train_deep_linear(problem, ranks)
        yield DeepLinearFound(known, SPLITS, reached.copy(), i == len(SPLITS) - 1)


def minimise(loss: Callable[[], Tensor], parameters: list[nn.Parameter], iterations: int = 500) -> float:
    """The value at which L-BFGS with a strong Wolfe line search comes to rest."""
    if not parameters:
        return float(loss().detach())
    search = torch.optim.LBFGS(
        parameters, max_iter=iterations, max_eval=2 * iterations, history_size=30,
        tolerance_grad=1e-11, tolerance_change=1e-16, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        search.zero_grad()
        value: Tensor = loss()
        value.backward()
        return value

    search.step(closure)
    return float(loss().detach())


@torch.no_grad()
def head_features(model: Decoder, rows: Rows) -> tuple[Tensor, Tensor]:
    """What the head reads, (places, width) in float64, and the sign that should follow each place."""
    x = model.embed_tokens(rows.inputs) + model.embed_positions.weight[: rows.inputs.shape[1]]
    for block in model.layers:
        x = block(x)
    features: Tensor = model.norm(x)[:, -rows.targets.shape[1] :]
    return features.flatten(0, 1).double(), rows.targets.flatten()


@one_thread()
def head_floor(experiment: NetworkExperiment, iterations: int = 300) -> float:
    """The least training loss of any head on the frozen features of all training windows, nats per sign.

    Found by L-BFGS from the shipped head, so it is right to about 1e-3 from above: a letter that hardly
    occurs draws its weights ever further out and wins ever less.

    :raises ValueError: the copier, which draws its questions anew and so has no rows to count.
    """
    task = task_of(experiment.network, experiment.task)
    if not isinstance(task, WordTask):
        raise ValueError("network is 'copier': it must be words, which has a list of rows to learn from.")
    model = load_network(experiment.network)
    features, targets = head_features(model, task.train)
    head = nn.Parameter(model.lm_head.weight.detach().double())
    return minimise(lambda: functional.cross_entropy(features @ head.T, targets), [head], iterations)
