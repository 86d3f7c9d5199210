"""Pre-training of the two shipped networks from nothing: ``python -m lora_core.network.pretrain [NETWORK]``.

Adam with the rate falling along a half cosine. One core takes about two minutes for ``words`` and a few
seconds for ``copier``. The checkpoints are written beside this module in float16; ``--check`` trains and
compares, and writes nothing.
"""

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from lora_core.network.data import Rows, old_task
from lora_core.network.model import Decoder, load_network
from lora_core.network.shape import SHAPES, Network
from lora_core.reproducible import one_thread


class Recipe(NamedTuple):
    """Updates, rows in a batch, the highest learning rate and the seed of a pre-training."""

    updates: int
    batch: int
    learning_rate: float
    seed: int


RECIPES = {
    Network.WORDS: Recipe(14_000, 32, 4e-3, 0),
    Network.COPIER: Recipe(500, 32, 3e-3, 0),
}
EVERY = 50
"""Updates from one number of a trace to the next."""
TRACE = (3.0994, 2.6765, 2.5217)
"""The first numbers of the trace of the shipped ``words``."""


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy, nats per sign, of the last m places of logits (n, t, signs); targets (n, m)."""
    return functional.cross_entropy(logits[:, -targets.shape[1] :].flatten(0, 1), targets.flatten())


@torch.no_grad()
def held_out_loss(model: nn.Module, rows: Rows) -> float:
    """The same on held-out rows."""
    return float(loss_of(model(rows.inputs), rows.targets))


@one_thread()
def pretrain(network: Network, updates: int | None = None) -> tuple[Decoder, list[float]]:
    """A network trained from nothing, and its mean training loss over every ``EVERY`` updates.

    ``updates`` ends it early, on the way that the whole recipe takes.
    """
    recipe, task = RECIPES[network], old_task(network)
    generator = torch.Generator().manual_seed(recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = Decoder(SHAPES[network])
        for name, weight in model.named_parameters():
            if name.startswith("embed"):
                nn.init.normal_(weight, std=0.3)
    adam = torch.optim.Adam(model.parameters(), recipe.learning_rate)
    losses, count = [], recipe.updates if updates is None else updates
    for update in tqdm(range(count), disable=None):
        adam.param_groups[0]["lr"] = recipe.learning_rate * rate_at(update / recipe.updates)
        adam.zero_grad()
        rows = task.batch(recipe.batch, generator)
        loss = loss_of(model(rows.inputs), rows.targets)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return model, np.reshape(losses[: count // EVERY * EVERY], (-1, EVERY)).mean(1).tolist()


def rate_at(share: float) -> float:
    """Share of the highest rate after a share of the updates: up for a fiftieth, then down a half cosine."""
    return min(1.0, share * 50 + 1e-3) * (1 + math.cos(math.pi * share)) / 2


def write(model: Decoder, network: Network) -> None:
    """Write the network's checkpoint, float16, beside this module."""
    arrays = {path: weight.numpy().astype(np.float16) for path, weight in model.state_dict().items()}
    np.savez_compressed(Path(__file__).parent / f"{network}.npz", **arrays)


def main() -> None:
    """Train what is named, print what it reaches on held-out rows, and write it unless it is a check."""
    parser = argparse.ArgumentParser(prog="python -m lora_core.network.pretrain", description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(Network), metavar="NETWORK")
    parser.add_argument("--check", action="store_true", help="compare with the shipped ones, write nothing")
    options = parser.parse_args()
    for network in map(Network, options.networks):
        model, trace = pretrain(network)
        rows = old_task(network).held_out
        print(f"{network}: held-out loss {held_out_loss(model, rows):.5f}", [round(x, 4) for x in trace[:4]])
        if not options.check:
            write(model, network)
        print(f"shipped: {held_out_loss(load_network(network), rows):.5f}")


if __name__ == "__main__":
    main()
