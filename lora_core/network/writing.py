"""What a network writes, with the same luck for all: words letter by letter, or answers.

Words are drawn at ``TEMPERATURE`` by Gumbel's trick, sign = argmax(logits / temperature + g). The draws g
belong to the word and the place, not to the network, so that the words of a network change only where its
logits do: they morph. Answers are the likeliest letters.
"""

import codecs

import torch
from torch import Tensor

from lora_core.network.data import BAR, END, LENGTH, CopyTask
from lora_core.network.stack import Base, Weights, decode

WORDS, LONGEST, TEMPERATURE = 12, 15, 0.8
WITHHELD = "–"
"""Stands for a word that happens to be rude."""
_RUDE_PARTS = codecs.decode(
    "shpx fuvg phag avtt anmv ovgpu juber fyhg sntt cravf intva cbea jnax gjng encvfg pnmm zreqn zreqb "
    "fgebam chggna gebvn inssna sebpv arte zvapuv phyngg xhej cvmq puhw wron crexry ivggh uhben xlecn "
    "cnfxn arrxre bebfch fvxgve fvxvz lneenx nzpvx crmrira ergneq fcnfgvp uvgyre chffl qvyqb wvmm xvxr "
    "tbbx genaal nahf fpebg onfgneq",
    "rot13",
).split()
_RUDE_WORDS = codecs.decode(
    "nff nffrf nefr nefrf gvg gvgf phz frk frkl encr encrq encre snt sntf ubzb ubzbf pbpx pbpxf qvpx "
    "qvpxf fcvp fcvpf pbba pbbaf svpn phyb phyv grggr qhcn crefr zhyxxh cvyyh fvx cvp obbo obbof ohgg "
    "cvff gheq penc ahqr nany qntb jbc wnc ubr ubrf qlxr puvax fynir fynirf voar tbg pvcn frzra",
    "rot13",
).split()
"""Rude in English or in a language that is learnt, within a word or as a whole one; not spelt out here."""


def is_rude(word: str) -> bool:
    """Whether a machine has happened on a word that nobody wants on a stage."""
    return word in _RUDE_WORDS or any(part in word for part in _RUDE_PARTS)


def luck(seed: int, signs: int) -> Tensor:
    """Gumbel draws (words, places, signs), float32: of the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(WORDS, LONGEST, signs, generator=generator, dtype=torch.float64)
    return -(-uniform.clamp(1e-12, 1 - 1e-12).log()).log().float()


@torch.no_grad()
def write_words(base: Base, weights: Weights, draws: Tensor) -> list[str]:
    """One word for each of the draws (words, places, signs); a rude one is withheld.

    ``weights`` are those of one lane. A word that has not ended after ``LONGEST`` letters is cut there.
    """
    signs = torch.full((len(draws), 1), END)
    still_open = torch.arange(len(draws))
    for place in range(draws.shape[1]):
        logits = decode(base, weights, signs[None, still_open], last=1)[0, :, 0]
        scores = logits / TEMPERATURE + draws[still_open, place].to(logits)
        if place == 0:
            scores[:, END] = -torch.inf  # no empty word
        chosen = signs.new_full((len(draws), 1), END)
        chosen[still_open, 0] = scores.argmax(-1)
        signs = torch.cat([signs, chosen], dim=1)
        still_open = still_open[chosen[still_open, 0] != END]
        if not len(still_open):
            break
    words = ["".join(chr(96 + sign) for sign in row if sign != END) for row in signs[:, 1:].tolist()]
    return [WITHHELD if is_rude(word) else word for word in words]


@torch.no_grad()
def write_answers(base: Base, weights: Weights, questions: Tensor) -> list[str]:
    """The likeliest answer to each question (n, 6), letter by letter, from the network's own letters."""
    signs = torch.cat([questions, questions.new_full((len(questions), 1), BAR)], dim=1)
    for _ in range(LENGTH):
        # The bar is no answer: a network that has lost its way still gives letters.
        letter = decode(base, weights, signs[None], last=1)[0, :, 0, :BAR].argmax(-1)
        signs = torch.cat([signs, letter[:, None]], dim=1)
    return spelt(signs[:, -LENGTH:])


def questions_shown(seed: int, task: CopyTask) -> tuple[Tensor, list[str], list[str]]:
    """Held-out questions (12, 6) to show, their letters, and the right answers."""
    held_out = task.held_out
    chosen = torch.randperm(len(held_out.inputs), generator=torch.Generator().manual_seed(seed))[:WORDS]
    questions, answers = held_out.inputs[chosen, :LENGTH], held_out.targets[chosen]
    return questions, spelt(questions), spelt(answers)


def spelt(signs: Tensor) -> list[str]:
    """The letters of the copier's signs, row by row."""
    return ["".join(chr(97 + sign) for sign in row) for row in signs.tolist()]
