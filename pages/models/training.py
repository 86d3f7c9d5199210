"""The controls of training on the page of real models: batch, length, precision, the card."""

import streamlit as st

from lora_core.models import CARDS, OPTIMIZERS, PRECISIONS, ModelShape, Training, fixed_tokens
from lora_core.models.peak import ATTENTION, COMPUTING, LOSSES
from pages.models.controls import pick, toggle

BATCHES = ("1", "2", "4", "8", "16", "32")
LENGTHS = ("256", "512", "1024", "2048", "4096", "8192", "16384", "32768", "65536", "131072")
DEFAULT_CARD = "24 GB"


def choose_training(shape: ModelShape) -> tuple[Training, int]:
    """Draw the controls; the way of training and the card in GB that they describe.

    A model whose sequences are all equally long has no control of the length.
    """
    row = st.container(horizontal=True, vertical_alignment="bottom")
    with row:
        card = pick(
            "Card", tuple(f"{card} GB" for card in CARDS), DEFAULT_CARD, "model_card", width=110,
            help="Memory of the card that it has to fit on.",
        )  # fmt: skip
        precision = _word("Frozen weights in", PRECISIONS, "bf16", "model_precision", 190,
                          "What LoRA freezes; full fine-tuning takes bf16 for quantised ones.")  # fmt: skip
        batch = pick("Batch", BATCHES, "1", "model_batch", width=90, help="Sequences in a step.")
        length = "2048" if fixed_tokens(shape) else pick(
            "Longest sequence", LENGTHS, "2048", "model_length", width=150,
            help="In tokens, after padding: the longest one decides the peak.",
        )  # fmt: skip
        checkpointing = toggle(
            "Checkpointing", "model_checkpointing", "Activations are computed twice, not kept.", True
        )
        more = st.popover("More", icon=":material/memory:", key="model_more")
    with more:
        optimizer = _word("Optimizer of the model", OPTIMIZERS, "adamw", "model_optimizer", "stretch",
                          "The state it keeps for every trained number.")  # fmt: skip
        attention = _word("Attention", ATTENTION, "flash", "model_attention", "stretch",
                          "Eager keeps all scores, SDPA with a mask keys for each query head.")  # fmt: skip
        computing = _word("Adapters compute in", COMPUTING, "fp32", "model_computing", "stretch",
                          "fp32 keeps a copy of the input of every adapted matrix.")  # fmt: skip
        loss = _word("Loss", LOSSES, "whole", "model_loss", "stretch",
                     "In chunks, the logits of 512 tokens are held at a time.")  # fmt: skip
        prepared = toggle(
            "prepare_model_for_kbit_training", "model_prepared",
            "Holds what is not quantised in fp32: embedding, norms, head.", True,
        )  # fmt: skip
        double = toggle("Double quantisation", "model_double", "NF4's scales are quantised too.", True)
    training = Training(
        int(batch),
        int(length),
        checkpointing,
        attention,
        computing,
        loss,
        precision,
        optimizer,
        prepared,
        double,
    )
    return training, int(card.split()[0])


def _word(label: str, words: dict[str, str], default: str, key: str, width: int | str, help_: str) -> str:
    """The name behind the words that are chosen."""
    names = {text: name for name, text in words.items()}
    return names[pick(label, tuple(names), words[default], key, width=width, help=help_)]
