"""What the small networks read: signs to learn from, signs held out, and the order in which they come.

``words``: the words of a list, each followed by an end sign, in one long row that is cut into windows; every
letter is to be guessed from those before it in its window. ``copier``: six letters, a bar, and the answer, of
which only the answer is scored. The order of batches has a generator of its own: it moves with the seed and
with nothing else.
"""

import random
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from lora_core.network.shape import SHAPES, Network
from lora_core.network.word_lists import word_list

END = 0
"""The sign at the end of a word; the letters a to z are 1 to 26."""
LETTERS, BAR, LENGTH = 10, 10, 6
"""Of the copier: letters a to j are 0 to 9, the bar is 10, and a question has six letters."""
HELD_OUT_QUESTIONS = 128
_TASKS = {
    "repeat": lambda question: question,
    "backwards": lambda question: question.flip(1),
    "next-letter": lambda question: (question + 1) % LETTERS,
    "both": lambda question: (question.flip(1) + 1) % LETTERS,
}


class Rows(NamedTuple):
    """Signs that go in (n, t), and those that should come out after the last m of each row (n, m)."""

    inputs: Tensor
    targets: Tensor


def spell(word: str) -> list[int]:
    """The signs of a word with its end."""
    return [ord(letter) - 96 for letter in word] + [END]


def windows(words: tuple[str, ...], seed: int = 0) -> Tensor:
    """All words in one row, in an order drawn from the seed, as whole numbers; it begins with an end sign."""
    shuffled = random.Random(seed).sample(words, len(words))
    return torch.tensor([END, *(sign for word in shuffled for sign in spell(word))])


class WordTask:
    """Guessing letters of one language."""

    network = Network.WORDS

    def __init__(self, language: str) -> None:
        self.language = language
        words = word_list(language)
        self.context = SHAPES[Network.WORDS].context
        self.row = windows(words.train)
        self.held_out = self._every_window(windows(words.held_out))
        self.train = self._every_window(self.row)

    def _every_window(self, row: Tensor) -> Rows:
        """The row cut into windows without overlap; each begins with the sign that ends the one before."""
        count = (len(row) - 1) // self.context
        cut = row[: count * self.context + 1]
        return Rows(cut[:-1].view(count, -1), cut[1:].view(count, -1))

    def batch(self, size: int, generator: torch.Generator) -> Rows:
        """``size`` windows at random places of the row."""
        starts = torch.randint(len(self.row) - self.context, (size,), generator=generator)
        rows = self.row[starts[:, None] + torch.arange(self.context + 1)]
        return Rows(rows[:, :-1], rows[:, 1:])


class CopyTask:
    """Answering six letters: ``repeat``, ``backwards``, ``next-letter`` or ``both``."""

    network = Network.COPIER

    def __init__(self, rewrite: str) -> None:
        self.rewrite = rewrite
        self.held_out = self.rows(_held_out_questions())

    def rows(self, questions: Tensor) -> Rows:
        """Questions (n, 6) with their bar and answer, of which the last sign need not go in."""
        answers = _TASKS[self.rewrite](questions)
        bar = questions.new_full((len(questions), 1), BAR)
        return Rows(torch.cat([questions, bar, answers[:, :-1]], dim=1), answers)

    def batch(self, size: int, generator: torch.Generator) -> Rows:
        """``size`` questions drawn at random, none of them held out."""
        questions = torch.randint(LETTERS, (size, LENGTH), generator=generator)
        held_out, powers = _held_out_numbers()
        while bool((seen := torch.isin(questions @ powers, held_out)).any()):
            questions[seen, 0] = (questions[seen, 0] + 1) % LETTERS
        return self.rows(questions)


@lru_cache
def _held_out_questions() -> Tensor:
    """The same for all four rules and all seeds: the shipped copier has never seen them either."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(LETTERS, (2 * HELD_OUT_QUESTIONS, LENGTH), generator=generator)
    distinct = torch.unique(drawn, dim=0)
    return distinct[torch.randperm(len(distinct), generator=generator)[:HELD_OUT_QUESTIONS]]


@lru_cache
def _held_out_numbers() -> tuple[Tensor, Tensor]:
    powers = LETTERS ** torch.arange(LENGTH)
    return _held_out_questions() @ powers, powers


NetworkTask = WordTask | CopyTask


@lru_cache
def task_of(network: Network, name: str) -> NetworkTask:
    """The task of a network by its name: a language, or a rule of answering."""
    return WordTask(name) if network == Network.WORDS else CopyTask(name)


def old_task(network: Network) -> NetworkTask:
    """What the shipped network was trained on: English words, or repeating."""
    return task_of(network, "english" if network == Network.WORDS else "repeat")


class LetterTables(NamedTuple):
    """Held-out losses, nats per sign, of counting: single signs, and pairs of signs."""

    single: float
    pairs: float


@lru_cache
def letter_tables(language: str) -> LetterTables:
    """What tables of letters reach that were counted on the training words, one added to every count."""
    task = WordTask(language)
    signs = SHAPES[Network.WORDS].vocabulary
    before, after = task.row[:-1], task.row[1:]
    pairs = torch.ones(signs, signs, dtype=torch.float64)
    pairs.index_put_((before, after), torch.ones(len(after), dtype=torch.float64), accumulate=True)
    single = 1 + torch.bincount(after, minlength=signs).double()
    inputs, targets = (part.flatten() for part in task.held_out)
    by_pair = pairs[inputs, targets] / pairs[inputs].sum(1)
    return LetterTables(float(-(single[targets] / single.sum()).log().mean()), float(-by_pair.log().mean()))
