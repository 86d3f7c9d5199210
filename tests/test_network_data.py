"""What the small networks read and write: lists, windows, questions, tables of letters, luck, checkpoints."""

from collections import Counter
from itertools import pairwise
from math import log

import numpy as np
import pytest
import torch

from lora_core.network import NetworkExperiment, load_network
from lora_core.network.data import BAR, letter_tables, old_task, spell, task_of
from lora_core.network.experiment import Language, Rewrite
from lora_core.network.pretrain import EVERY, TRACE, held_out_loss, pretrain
from lora_core.network.run import base_of
from lora_core.network.word_lists import fold, word_list
from lora_core.network.writing import (
    WITHHELD,
    WORDS,
    is_rude,
    luck,
    questions_shown,
    write_answers,
    write_words,
)

LANGUAGES = ("english", *Language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_both_trained_on_and_held_out(language: str) -> None:
    words = word_list(language)
    assert len(words.train) > 3 * len(words.held_out) > 450
    assert not set(words.train) & set(words.held_out)
    assert all(word.isascii() and word.isalpha() and word.islower() for part in words for word in part)


def test_names_are_folded_to_plain_letters() -> None:
    assert [fold(name) for name in ("Wiśniewski", "Yıldırım", "Łuczak", "Hämäläinen")] == [
        "wisniewski", "yildirim", "luczak", "hamalainen",
    ]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_windows_hold_every_training_word_once(language: str) -> None:
    task = task_of("words", language)
    text = "".join("." if sign == 0 else chr(96 + sign) for sign in task.row.tolist())
    assert sorted(text.strip(".").split(".")) == sorted(word_list(language).train)
    rows = task.batch(5, torch.Generator().manual_seed(0))
    assert torch.equal(rows.inputs[:, 1:], rows.targets[:, :-1])
    assert torch.equal(task.held_out.inputs[1:, 0], task.held_out.targets[:-1, -1])


@pytest.mark.parametrize(
    ("rewrite", "answer"),
    [("repeat", "abcdej"), ("backwards", "jedcba"), ("next-letter", "bcdefa"), ("both", "afedcb")],
)
def test_questions_and_answers(rewrite: str, answer: str) -> None:
    rows = task_of("copier", rewrite).rows(torch.tensor([[0, 1, 2, 3, 4, 9]]))
    assert rows.inputs.tolist() == [[0, 1, 2, 3, 4, 9, BAR, *(ord(letter) - 97 for letter in answer[:-1])]]
    assert rows.targets.tolist() == [[ord(letter) - 97 for letter in answer]]


@pytest.mark.parametrize("rewrite", ["repeat", *Rewrite])
def test_no_question_held_out_is_trained_on(rewrite: str) -> None:
    task = task_of("copier", rewrite)
    held_out = {tuple(row) for row in task.held_out.inputs[:, :6].tolist()}
    assert len(held_out) == 128
    # 128 of a million are held out: two of these draws would be among them.
    drawn = task.batch(20_000, torch.Generator().manual_seed(0)).inputs[:, :6].tolist()
    assert not held_out & {tuple(row) for row in drawn}


def test_the_table_of_letter_pairs_is_counted_on_the_training_names() -> None:
    task = task_of("words", "italian")
    row = task.row.tolist()
    pairs, before = Counter(pairwise(row)), Counter(row[:-1])
    inputs, targets = (part.flatten().tolist() for part in task.held_out)
    own = [-log((pairs[a, b] + 1) / (before[a] + 27)) for a, b in zip(inputs, targets, strict=True)]
    tables = letter_tables("italian")
    assert tables.pairs == pytest.approx(np.mean(own), abs=1e-12)
    assert tables.pairs < tables.single < log(27)


def test_the_shipped_networks_are_as_good_as_it_is_said() -> None:
    words, copier = load_network("words"), load_network("copier")
    assert sum(each.numel() for each in words.parameters()) == 58_896
    assert sum(each.numel() for each in copier.parameters()) == 25_824
    assert held_out_loss(words, old_task("words").held_out) == pytest.approx(1.9754, abs=2e-3)
    rows = old_task("copier").held_out
    assert bool((copier(rows.inputs)[:, -6:].argmax(-1) == rows.targets).all())
    with pytest.raises(ValueError, match="network is 'reader': it must be one of words, copier"):
        load_network("reader")


def test_the_copier_is_what_its_script_makes() -> None:
    made, _ = pretrain("copier")
    rows = old_task("copier").held_out
    assert held_out_loss(made, rows) == pytest.approx(held_out_loss(load_network("copier"), rows), abs=2e-3)


def test_the_words_are_on_the_way_of_their_script() -> None:
    _, trace = pretrain("words", updates=2 * EVERY)
    assert trace == pytest.approx(TRACE[:2], abs=2e-3)


def test_one_luck_writes_one_word() -> None:
    base = base_of("words")
    words = write_words(base, {}, luck(1, 27))
    assert words == write_words(base, {}, luck(1, 27))
    assert words != write_words(base, {}, luck(2, 27))
    assert len(words) == WORDS
    assert all(0 < len(word) <= 15 for word in words)
    assert [word for word in words if word in word_list("english").train] != words


def test_a_word_is_drawn_letter_by_letter_from_the_model_itself() -> None:
    model, draws = load_network("words"), luck(3, 27)
    words = write_words(base_of("words"), {}, draws)
    for word, own in zip(words, draws, strict=True):
        if word != WITHHELD:
            signs = [0, *spell(word)][:16]
            logits = model(torch.tensor([signs[:-1]]))[0] / 0.8 + own[: len(signs) - 1]
            logits[0, 0] = -torch.inf
            assert logits.argmax(-1).tolist() == signs[1:]


def test_answers_are_the_likeliest_letters() -> None:
    questions, asked, right = questions_shown(1, task_of("copier", "backwards"))
    assert write_answers(base_of("copier"), {}, questions) == asked
    assert right == [question[::-1] for question in asked]


def test_rude_words_are_withheld_and_the_default_has_none() -> None:
    assert is_rude("".join(map(chr, (102, 117, 99, 107, 101, 114))))
    assert not any(is_rude(word) for word in ("bassi", "cantari", "canal", "scasso", "pacassi", "cockpit"))
    shown = [word for seed in range(1, 21) for word in write_words(base_of("words"), {}, luck(seed, 27))]
    assert shown.count(WITHHELD) <= 4
    assert WITHHELD not in write_words(base_of("words"), {}, luck(NetworkExperiment().seed, 27))
