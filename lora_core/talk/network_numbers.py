"""The numbers that a scene of the small network can name, computed from its run: the view ``words``.

Losses are nats a letter, held out. Nothing here needs torch before a run is there.
"""

from typing import TYPE_CHECKING

import numpy as np

from lora_core.talk.numbers import Number, Unit, ratio

if TYPE_CHECKING:
    from lora_core.network.run import NetworkRun


def _percent(curve: np.ndarray) -> float:
    return 100 * float(curve[-1])


def _pairs(run: "NetworkRun") -> float:
    from lora_core.network.data import letter_tables  # late: it loads torch

    return letter_tables(run.experiment.language).pairs


def _gained(run: "NetworkRun") -> float:
    """What LoRA gains of what full fine-tuning gains, in percent of the held-out loss."""
    start = float(run.lora.test_loss[0])
    return 100 * ratio(start - float(run.lora.test_loss[-1]), start - float(run.full.test_loss[-1]))


NETWORK_NUMBERS: dict[str, Number] = {
    "rank": Number(Unit.RANK, "rank of modules without one of their own", lambda run: run.experiment.rank),
    "updates": Number(Unit.COUNT, "updates", lambda run: run.experiment.updates),
    "trained": Number(Unit.COUNT, "numbers that LoRA trains", lambda run: run.experiment.trainable()),
    "full_trained": Number(
        Unit.COUNT, "numbers that full fine-tuning trains", lambda run: run.experiment.trainable_full()
    ),
    "share": Number(
        Unit.PERCENT, "LoRA's numbers of full fine-tuning's",
        lambda run: 100 * run.experiment.trainable() / run.experiment.trainable_full(),
    ),
    "start_loss": Number(Unit.LOSS, "held-out loss before", lambda run: float(run.lora.test_loss[0])),
    "final_loss": Number(Unit.LOSS, "LoRA's last held-out loss", lambda run: float(run.lora.test_loss[-1])),
    "full_loss": Number(
        Unit.LOSS, "full fine-tuning's last held-out loss", lambda run: float(run.full.test_loss[-1])
    ),
    "pairs_loss": Number(Unit.LOSS, "held-out loss of a table of letter pairs", _pairs),
    "gained": Number(Unit.PERCENT, "LoRA's gain of full fine-tuning's", _gained),
    "right": Number(
        Unit.PERCENT, "letters that LoRA gets right", lambda run: _percent(run.lora.accuracy)
    ),
    "full_right": Number(
        Unit.PERCENT, "letters that full fine-tuning gets right",
        lambda run: _percent(run.full.accuracy),
    ),
    "old_loss": Number(
        Unit.LOSS, "LoRA's last loss on what the network could before",
        lambda run: float(run.lora.old_loss[-1]),
    ),
    "full_old_loss": Number(
        Unit.LOSS, "full fine-tuning's last loss on it", lambda run: float(run.full.old_loss[-1])
    ),
}  # fmt: skip
"""Name -> number; a name that ``NUMBERS`` has too has the same unit there."""
