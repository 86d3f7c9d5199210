"""What does an adapter train, store and keep in memory beside full fine-tuning of the same layer?

Numbers trained, gradients, optimizer state and file, each as a share of full fine-tuning's, in a table.
"""

from dataclasses import dataclass

from lora_core.accounting import full_cost, lora_cost
from lora_core.experiment import Experiment
from lora_core.formatting import bytes_text, count_text, percent_text


@dataclass(frozen=True)
class Quantity:
    """One quantity of the adapter and of full fine-tuning, with the words for it."""

    label: str
    lora: int
    full: int
    unit: str = "B"

    @property
    def share(self) -> float:
        """The adapter's as a share of full fine-tuning's; 0 if neither has any."""
        return self.lora / self.full if self.full else 0.0

    def text(self, value: int) -> str:
        return bytes_text(value) if self.unit == "B" else count_text(value)


def quantities(experiment: Experiment) -> tuple[Quantity, ...]:
    """Count an experiment's adapter and full fine-tuning under the same bias policy, in float32."""
    sizes, bias = (experiment.in_features, experiment.out_features), experiment.train_bias
    lora = lora_cost(*sizes, experiment.rank, bias, optimizer=experiment.optimizer)
    full = full_cost(*sizes, bias, optimizer=experiment.optimizer)
    return (
        Quantity("Numbers trained", lora.trainable, full.trainable, ""),
        Quantity("Gradients", lora.gradient_bytes, full.gradient_bytes),
        Quantity("Optimizer state", lora.optimizer_bytes, full.optimizer_bytes),
        Quantity("File to keep", lora.file_bytes, full.file_bytes),
    )


def table(experiment: Experiment) -> dict[str, list[str]]:
    """The quantities as columns of words."""
    rows = quantities(experiment)
    return {
        "": [row.label for row in rows],
        f"LoRA, rank {experiment.rank}": [row.text(row.lora) for row in rows],
        "Full fine-tuning": [row.text(row.full) for row in rows],
        "LoRA / full": [percent_text(row.share) if row.full else "–" for row in rows],
    }
