"""What sits on top of a model: the output that a class of transformers adds to the bare network.

`config.json` names that class in `architectures`; its ending says which head there is. A head changes the
total, and it is what people train in full beside an adapter (PEFT's `modules_to_save`).
"""

from dataclasses import replace
from enum import StrEnum

from lora_core.fields import quoted
from lora_core.models.config import Fields
from lora_core.models.parts import Family, Part, linear


class Head(StrEnum):
    """The task a model's class is made for."""

    LM = "lm"
    CLASSIFICATION = "classification"
    TOKENS = "token-classification"
    ANSWERS = "question-answering"
    NONE = "none"


# Endings of class names in transformers, longest first where one ends another.
ENDINGS: dict[str, Head] = {
    "ForCausalLM": Head.LM,
    "LMHeadModel": Head.LM,
    "ForMaskedLM": Head.LM,
    "ForConditionalGeneration": Head.LM,
    "ForSequenceClassification": Head.CLASSIFICATION,
    "ForImageClassification": Head.CLASSIFICATION,
    "ForTokenClassification": Head.TOKENS,
    "ForQuestionAnswering": Head.ANSWERS,
    "Model": Head.NONE,
}


def read_head(fields: Fields, head: str | None, offered: tuple[Head, ...]) -> Head:
    """The head asked for, else the one `architectures` names, else the first that is offered.

    Raises ValueError naming the head or the class, and what this family offers.
    """
    known = ", ".join(offered)
    if head is not None:
        if head not in offered:
            raise ValueError(f"head: {quoted(head)}, expected one of {known} for this family")
        return Head(head)
    classes = fields.get("architectures")
    if classes is None or classes == []:
        return offered[0]
    if not isinstance(classes, list) or not isinstance(classes[0], str):
        raise ValueError(f"architectures: {quoted(classes)}, expected a list of class names")
    found = next((kind for ending, kind in ENDINGS.items() if classes[0].endswith(ending)), None)
    if found is None or found not in offered:
        raise ValueError(f"architectures: {quoted(classes[0])}, expected a class with a head of {known}")
    return found


def decoder_head(
    fields: Fields, head: Head, hidden: int, vocabulary: int, *, tied: bool, bias: bool = False
) -> list[Part]:
    """The heads of decoder-only families: `lm_head`, `score` or `qa_outputs` on the last hidden state."""
    if head is Head.LM:
        part = linear("lm_head", hidden, vocabulary, 1, Family.HEAD, bias=bias)
        return [replace(part, tied=tied)]
    return top(fields, head, hidden, tokens="score", sequence_bias=False, sequence="score")


def top(
    fields: Fields, head: Head, hidden: int, *, sequence: str, tokens: str, sequence_bias: bool
) -> list[Part]:
    """One linear layer from the hidden state to the classes; nothing for a bare model."""
    if head is Head.CLASSIFICATION:
        return [linear(sequence, hidden, fields.labels(), 1, Family.HEAD, bias=sequence_bias)]
    if head is Head.TOKENS:
        return [linear(tokens, hidden, fields.labels(), 1, Family.HEAD, bias=True)]
    if head is Head.ANSWERS:
        return [linear("qa_outputs", hidden, 2, 1, Family.HEAD, bias=True)]
    return []
