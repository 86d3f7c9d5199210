"""Experiments worth seeing, each with the sentence that says why: name -> (experiment, story).

A story opens with a title, up to its colon. The first preset is the original script's experiment, where
``python -m lora_core`` starts; the second is the playground's default. Presets are data only: their fields
are the keys of the controls, and ``tests/test_presets.py`` holds each sentence against the trained run.
"""

from typing import NamedTuple

from lora_core.course import Change, Course
from lora_core.experiment import Experiment, Init, Optimizer, ScalingRule, Shift, Task


class Preset(NamedTuple):
    """An experiment and its story: a title, a colon, and one sentence."""

    experiment: Experiment
    story: str

    @property
    def title(self) -> str:
        return self.story.partition(": ")[0]

    @property
    def changes(self) -> tuple[Change, ...]:
        """What changes on the way, nothing as a rule: see ``ON_THE_WAY``."""
        return ON_THE_WAY.get(self.title, ())

    @property
    def course(self) -> Course:
        return Course(self.experiment, self.changes)

    @property
    def sentence(self) -> str:
        return self.story.partition(": ")[2]


PRESETS: dict[str, Preset] = {
    "original": Preset(
        Experiment(
            task=Task.NOISE,
            out_features=10,
            samples=1000,
            rank=4,
            alpha=1.0,
            scaling_rule=ScalingRule.CONSTANT,
            init=Init.ORIGINAL,
            train_bias=True,
            epochs=10,
        ),
        "As the original script: both factors start random, about 180 times above their own base, and the "
        "targets are noise, so there is nothing to learn.",
    ),
    "one-short": Preset(
        Experiment(),
        "One rank short: the change has rank 4 and the adapter 3, and the last step of the slider divides "
        "the floor by about twenty.",
    ),
    "knee": Preset(
        Experiment(rank=4),
        "At the knee: the adapter has the rank of the change, and any more rank buys almost nothing.",
    ),
    "too-much": Preset(
        Experiment(rank=48),
        "More than full: past the break-even rank the adapter trains more numbers than full fine-tuning and "
        "its floor is no lower.",
    ),
    "power-law": Preset(
        Experiment(task=Task.POWER_LAW, rank=4),
        "No knee: each rank buys a little less than the one before, and none is the right one.",
    ),
    "swapped-digits": Preset(
        Experiment(task=Task.DIGITS, true_rank=1, rank=1),
        "Two labels swapped: real digits whose 3 and 8 trade names, a change of rank 1, so one rank brings "
        "the accuracy back.",
    ),
    "four-swaps": Preset(
        Experiment(task=Task.DIGITS, true_rank=4, rank=4),
        "Four pairs swapped: eight of ten labels are wrong, and four ranks put them right.",
    ),
    "turned-digits": Preset(
        Experiment(task=Task.DIGITS, shift=Shift.TURN, rank=5),
        "Digits on their side: turned by 90 degrees they need many ranks, and rank 5 already trains more "
        "than half the numbers of full fine-tuning.",
    ),
    "few-samples": Preset(
        Experiment(samples=80, noise=0.5, rank=4),
        "Few samples: full fine-tuning fits the noise and fails on new data; the adapter "
        "cannot, and does better.",
    ),
    "dead": Preset(
        Experiment(init=Init.ZERO),
        "A dead start: with both factors zero no gradient ever moves either of them.",
    ),
    "too-fast": Preset(
        Experiment(optimizer=Optimizer.SGD, learning_rate=1.0, alpha=64.0),
        "Too fast: at this scaling plain gradient descent blows up, while full fine-tuning at the same rate "
        "does not.",
    ),
    "one-more": Preset(
        Experiment(epochs=300),
        "One rank more on the way: stuck on the floor of rank 3 the adapter is given a fourth rank at update "
        "100, and the curve falls through its floor.",
    ),
    "cut-down": Preset(
        Experiment(rank=16, noise=0.5, epochs=300),
        "Cut down: trained at rank 16 and cut to 4 at update 150, the adapter loses on its training sample, "
        "regains a little, and does better on new data.",
    ),
    "large": Preset(
        Experiment(in_features=1024, out_features=1024, samples=2000, rank=4, epochs=100),
        "A large layer: full fine-tuning trains a million numbers, so the curve is drawn as it grows.",
    ),
}

ON_THE_WAY: dict[str, tuple[Change, ...]] = {
    "One rank more on the way": (Change(100, "rank", 4),),
    "Cut down": (Change(150, "rank", 4),),
}
"""Title of a preset -> what changes in the middle of its run."""
