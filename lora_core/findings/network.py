"""What did this network run show? A headline and a sentence, computed from its numbers.

Nothing here says that LoRA forgets less, or is faster: measured on these networks, neither is true.
"""

import math
from typing import NamedTuple

from lora_core.formatting import loss_text, percent_text
from lora_core.network.data import letter_tables
from lora_core.network.experiment import NetworkExperiment, Rewrite
from lora_core.network.run import NetworkLane, NetworkRun
from lora_core.network.shape import Network

LEARNT, HARDLY = 0.95, 0.3
"""Shares of right letters from which a rule of answering is learnt, and below which hardly anything is."""
TOO_LONG = 0.01
"""A held-out loss this share above its least one has been better before."""
TASKS = {
    Rewrite.BACKWARDS: "writes backwards",
    Rewrite.NEXT_LETTER: "writes the next letters",
    Rewrite.BOTH: "writes the next letters backwards",
}


class Finding(NamedTuple):
    """``kind`` names the corner, ``headline`` says it, ``beside`` compares with full fine-tuning."""

    kind: str
    headline: str
    beside: str


def finding(run: NetworkRun) -> Finding:
    """What to say of a run, complete or still growing."""
    kind, headline = _headline(run.experiment, run.lora)
    return Finding(kind, headline, _beside(run))


def _headline(e: NetworkExperiment, lane: NetworkLane) -> tuple[str, str]:
    if not lane.complete:
        return "training", f"Training: {int(lane.updates[-1]):,} of {e.updates:,} updates done."
    if lane.diverged_at is not None:
        rate = f"{e.learning_rate:g}"
        return (
            "diverged",
            f"Learning rate {rate} is too high here: LoRA diverged at update {lane.diverged_at}.",
        )
    if not lane.trained:
        return "nothing", "No module is trained: give one a rank."
    return _words_headline(e, lane) if e.network is Network.WORDS else _copier_headline(e, lane)


def _words_headline(e: NetworkExperiment, lane: NetworkLane) -> tuple[str, str]:
    language, last = e.language.capitalize(), float(lane.test_loss[-1])
    pairs = letter_tables(e.language).pairs
    if last >= pairs:
        return "short", (
            f"Not yet {language}: {_nats(last)} on new names, and a table of letter pairs has "
            f"{loss_text(pairs)}."
        )
    best = int(lane.test_loss.argmin())
    if last > (1 + TOO_LONG) * float(lane.test_loss[best]):
        return "long", (
            f"Trained too long: {_nats(float(lane.test_loss[best]))} on new names after "
            f"{int(lane.updates[best])} updates, {loss_text(last)} in the end."
        )
    return "learnt", (
        f"{language} it is: {loss_text(float(lane.test_loss[0]))} → {_nats(last)} on new names; a table of "
        f"letter pairs has {loss_text(pairs)}."
    )


def _copier_headline(e: NetworkExperiment, lane: NetworkLane) -> tuple[str, str]:
    right, does = float(lane.accuracy[-1]), TASKS[e.rewrite]
    if right >= LEARNT:
        return "learnt", f"It {does}: {percent_text(right)} of the letters are right on new questions."
    if right < HARDLY:
        never = does.replace("writes", "does not write")
        return "short", f"It {never}: {percent_text(right)} of the letters are right, and guessing has 10 %."
    return "half", f"It half {does}: {percent_text(right)} of the letters are right on new questions."


def _beside(run: NetworkRun) -> str:
    """Numbers trained and, once both are done, where full fine-tuning ends and what both forgot."""
    e, lora, full = run.experiment, run.lora, run.full
    share = percent_text(lora.trained / full.trained)
    counts = f"LoRA trains {lora.trained:,} numbers, {share} of full fine-tuning's {full.trained:,}"
    if not (lora.complete and full.complete):
        return counts + "."
    if full.diverged_at is not None:
        return f"{counts}. Full fine-tuning diverged at update {full.diverged_at}."
    if e.network is Network.WORDS:
        ends = f"which end at {loss_text(float(full.test_loss[-1]))}"
        old = [loss_text(float(each)) for each in (lora.old_loss[0], lora.old_loss[-1], full.old_loss[-1])]
        forgot = f"English goes from {old[0]} to {old[1]} with LoRA and to {old[2]} in full. " + _in_letters(
            float(lora.test_loss[-1]), float(lora.test_loss[0])
        )
    else:
        ends = f"which get {percent_text(float(full.accuracy[-1]))} right"
        old = [percent_text(float(lane.old_accuracy[-1])) for lane in (lora, full)]
        forgot = (
            f"Asked to repeat, as before, {old[0]} of the letters are right with LoRA and {old[1]} in full."
        )
    return f"{counts}, {ends}. {forgot}"


def _in_letters(now: float, before: float) -> str:
    """What nats a letter mean: as hard a guess as among so many equally likely letters."""
    last, first = (f"{loss_text(error)} {{}} one of {math.exp(error):.2g}" for error in (now, before))
    return f"At {last.format('a letter is as hard to guess as')} alike, at {first.format('as')}."


def _nats(value: float) -> str:
    return f"{loss_text(value)} nats a letter"
