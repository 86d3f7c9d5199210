"""What are the data of this experiment, in lines of a script? The numbers that ``lora_core.data`` draws.

The lines draw from generators of the same seeds in the same order, so a script has the same X, Y and base
as the playground's run; ``tests/test_export.py`` runs them and compares the losses.
"""

from lora_core.data import SWAPPED_PAIRS
from lora_core.experiment import Experiment, Shift, Task


def data_lines(experiment: Experiment) -> list[str]:
    """Lines that make X (n, in), Y (n, out) and the base's ``weight`` (out, in) and ``bias`` (out)."""
    return [
        f"draw = torch.Generator().manual_seed({experiment.seed})",
        *(_digits(experiment) if experiment.task is Task.DIGITS else _drawn(experiment)),
    ]


def _drawn(experiment: Experiment) -> list[str]:
    noise = experiment.task is Task.NOISE
    return [
        "X = torch.randn(SAMPLES, IN, generator=draw).double()",
        f"{'Y' if noise else 'noise'} = torch.randn(SAMPLES, OUT, generator=draw).double()",
        "weight = torch.empty(OUT, IN).uniform_(-(IN**-0.5), IN**-0.5, generator=draw).double()",
        "bias = torch.empty(OUT).uniform_(-(IN**-0.5), IN**-0.5, generator=draw).double()",
        *([] if noise else _taught(experiment)),
    ]


def _taught(experiment: Experiment) -> list[str]:
    """Lines that make Y from a change of the weight, with singular values ``strength``."""
    strength = f"(torch.arange(1, size + 1) <= {experiment.shift_rank}).double()"
    if experiment.shift_rank is None:
        strength = f"torch.arange(1, size + 1).double() ** -{experiment.decay!r}"
    return [
        "# What there is to learn: a change of the weight with these singular values.",
        f"truth = torch.Generator().manual_seed(({experiment.seed} * 2654435761 + 2 * 0x9E3779B9) % 2**32)",
        "size = min(IN, OUT)",
        "left = torch.linalg.qr(torch.randn(IN, size, generator=truth).double())[0]",
        "right = torch.linalg.qr(torch.randn(OUT, size, generator=truth).double())[0]",
        f"strength = {strength}",
        "strength *= (OUT / strength.square().sum()).sqrt()",
        f"Y = X @ (weight.T + left * strength @ right.T) + bias + {experiment.noise!r} * noise",
    ]


def _digits(experiment: Experiment) -> list[str]:
    """Lines that make X and Y of the handwritten digits, and fit the base before they are shifted."""
    pairs = ", ".join(map(str, SWAPPED_PAIRS[: experiment.true_rank]))
    shifted = {
        Shift.SWAP: [
            f"for one, other in [{pairs}]:  # these labels trade names",
            "    Y[:, [one, other]] = Y[:, [other, one]]",
        ],
        Shift.TURN: ["X = X.view(-1, 8, 8).rot90(1, (1, 2)).reshape(-1, 64)  # on their side"],
        Shift.INVERT: ["X = 1 - X  # light on dark"],
    }[experiment.shift]
    return [
        "pixels, labels = (torch.from_numpy(each) for each in load_digits(return_X_y=True))",
        "order = torch.randperm(len(labels), generator=draw)[:SAMPLES]",
        "X, Y = pixels[order] / 16, nn.functional.one_hot(labels[order], 10).double()",
        "# The base layer: ridge regression on the digits as they are; then they change.",
        "centred, ridge = X - X.mean(0), 1e-3 * SAMPLES * torch.eye(IN, dtype=torch.float64)",
        "weight = torch.linalg.solve(centred.T @ centred + ridge, centred.T @ (Y - Y.mean(0))).T",
        "bias = Y.mean(0) - weight @ X.mean(0)",
        *shifted,
    ]
