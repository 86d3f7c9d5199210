"""The plain training loop of PyTorch's tutorial.

``train_model`` is the original script's: mean squared error, Adam on what requires grad, the loss printed
each epoch, *before* its step. ``lora_core.training.engine`` takes the same steps without the batch.
"""

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lora_core.experiment import LIMITS, Optimizer


def create_toy_dataset(
    n_samples: int = 1000,
    in_features: int = 64,
    out_features: int = 10,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """The original script's data: X (n, in) and y (n, out), independent standard normals, float32.

    :raises ValueError: a size outside its limit.
    """
    sizes = (("samples", n_samples), ("in_features", in_features), ("out_features", out_features))
    for name, value in sizes:
        LIMITS[name].read(name, value)
    X = torch.randn(n_samples, in_features, generator=generator)
    return X, torch.randn(n_samples, out_features, generator=generator)


def train_model(
    model: nn.Module,
    X: Tensor,
    y: Tensor,
    epochs: int = 10,
    lr: float = 0.01,
    *,
    optimizer: Optimizer | str = Optimizer.ADAM,
    lr_ratio: float = 1.0,
    verbose: bool = True,
) -> list[float]:
    """Train what requires grad on all of X (n, in), y (n, out) at once; returns and prints each epoch's loss.

    ``lr_ratio`` is the rate of ``lora_B`` over that of the rest (LoRA+). The engine takes the same steps. A
    long run in a terminal shows a progress bar under its lines.

    :raises ValueError: X and y of different length, numbers that are not finite, a value outside its limit.
    """
    epochs, lr = LIMITS["epochs"].read("epochs", epochs), LIMITS["learning_rate"].read("learning_rate", lr)
    kind = LIMITS["optimizer"].read("optimizer", optimizer)
    lr_ratio = LIMITS["lr_ratio"].read("lr_ratio", lr_ratio)
    if len(X) != len(y):
        raise ValueError(f"X is {tuple(X.shape)} and y is {tuple(y.shape)}: they must have the same length.")
    for name, tensor in (("X", X), ("y", y)):
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds numbers that are not finite: all must be.")

    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    ratios = [lr_ratio if name.rpartition(".")[2] == "lora_B" else 1.0 for name, _ in trained]
    groups = [{"params": [p], "lr": lr * ratio} for (_, p), ratio in zip(trained, ratios, strict=True)]
    stepper = torch.optim.Adam(groups) if kind is Optimizer.ADAM else torch.optim.SGD(groups)
    criterion = nn.MSELoss()
    losses = []
    for epoch in tqdm(range(1, epochs + 1), unit="epoch", leave=False, disable=None, delay=2):
        stepper.zero_grad()
        loss = criterion(model(X), y)
        loss.backward()
        stepper.step()
        losses.append(loss.item())
        if verbose:
            tqdm.write(f"Epoch {epoch}/{epochs}, Loss: {losses[-1]:.4f}")
    return losses
