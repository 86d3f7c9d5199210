"""Which type and class of transformers a config is for: those it names, or the class for a head asked for.

A head is a word for one of transformers' Auto classes. `lm` is the language model that the type is best known
by (transformers may map a type to several); the others are offered where the type has a class for them.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from lora_core.fields import quoted

LM, BARE = "lm", "none"
LANGUAGE = ("seq-to-seq-causal-lm", "image-text-to-text", "speech-seq-2-seq", "masked-lm", "causal-lm", "ctc")
"""Auto classes behind `lm`, in the order in which a type is looked up."""
CLASSIFIERS = ("sequence-classification", "image-classification", "audio-classification")
ALIASES = {"image": "image-encoder"}
TASKS = {  # PEFT's task types; those of classifiers always train the head
    "causal-lm": "CAUSAL_LM",
    "seq-to-seq-causal-lm": "SEQ_2_SEQ_LM",
    "sequence-classification": "SEQ_CLS",
    "token-classification": "TOKEN_CLS",
    "question-answering": "QUESTION_ANS",
}
HEAD_TASKS = ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS")
HINTS = {  # fields by which a file without a model_type is known
    ("n_embd", "n_layer"): "gpt2",
    ("d_kv", "d_ff"): "t5",
    ("type_vocab_size", "num_hidden_layers"): "bert",
    ("num_key_value_heads", "intermediate_size"): "llama",
}


class UnknownClassError(ValueError):
    """A config whose class transformers does not have; `heads` are those of its type, to choose from."""

    def __init__(self, message: str, heads: tuple[str, ...]) -> None:
        super().__init__(message)
        self.heads = heads


class Chosen(NamedTuple):
    """The class to build: its name, the head it is, the heads that its type offers, PEFT's task type."""

    class_name: str
    head: str
    heads: tuple[str, ...]
    task: str


@cache
def mappings() -> dict[str, Mapping[str, object]]:
    """transformers' Auto classes as word -> (model type -> class name or names)."""
    from transformers.models.auto import modeling_auto

    found: dict[str, Mapping[str, object]] = {}
    for name in dir(modeling_auto):
        if name.startswith("MODEL_FOR_") and name.endswith("_MAPPING_NAMES"):
            word = name.removeprefix("MODEL_FOR_").removesuffix("_MAPPING_NAMES").lower().replace("_", "-")
            found[ALIASES.get(word, word)] = getattr(modeling_auto, name)
    return {BARE: modeling_auto.MODEL_MAPPING_NAMES, **found}


def _classes(word: str, model_type: str) -> tuple[str, ...]:
    found = mappings()[word].get(model_type, ())
    return (found,) if isinstance(found, str) else tuple(found)  # type: ignore[arg-type]


def _offers(model_type: str) -> Iterator[tuple[str, str]]:
    """(head, mapping) of a type, the usual ones first; a class is offered under one word only."""
    for head, words in ((LM, LANGUAGE), ("classification", CLASSIFIERS)):
        word = next((word for word in words if _classes(word, model_type)), None)
        if word:
            yield head, word
    for word in ("token-classification", "question-answering", BARE, *sorted(mappings())):
        if _classes(word, model_type):
            yield word, word


def heads_of(model_type: str) -> dict[str, tuple[str, str]]:
    """head -> (class name, mapping) of a type."""
    found: dict[str, tuple[str, str]] = {}
    for head, word in _offers(model_type):
        name = _classes(word, model_type)[0]
        if head not in found and name not in {known for known, _ in found.values()}:
            found[head] = name, word
    return found


def types_of(class_name: str) -> list[str]:
    """The model types for which some Auto class maps to a class of this name."""
    return sorted(
        {kind for word in mappings() for kind in mappings()[word] if class_name in _classes(word, kind)}
    )


def type_of(config: Mapping[str, object]) -> tuple[str, tuple[str, ...]]:
    """The model type that the file or its class says, and a remark where it is the class.

    Raises ValueError for a type that transformers does not know.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    model_type = config.get("model_type")
    if model_type is None:
        return _type_by_class(config)
    if isinstance(model_type, str) and model_type in CONFIG_MAPPING_NAMES:
        return model_type, ()
    own = " and the file brings code of its own (auto_map), which is never run here"
    raise ValueError(
        f"model_type: {quoted(model_type)}, expected one of the {len(CONFIG_MAPPING_NAMES)} types that "
        f"transformers knows{own if config.get('auto_map') else ''}"
    )


def _type_by_class(config: Mapping[str, object]) -> tuple[str, tuple[str, ...]]:
    """The type that alone has the class which the file names; a ValueError guesses the type by its fields."""
    classes = config.get("architectures")
    name = classes[0] if isinstance(classes, list) and classes else None
    found = types_of(name) if isinstance(name, str) and name else []
    if len(found) == 1:
        return found[0], (f"The file has no model_type; {found[0]} is that of {name}.",)
    hint = next((kind for names, kind in HINTS.items() if all(one in config for one in names)), "")
    add = f'add "model_type": "{hint}", whose fields these are' if hint else 'add one such as "llama"'
    raise ValueError(f"model_type: missing, {add}")


def choose(model_type: str, architectures: object, head: str | None) -> Chosen:
    """The class of a config; the head that is asked for decides before `architectures` does.

    Raises ValueError naming the head or the class, and what this type offers.
    """
    offered = heads_of(model_type)
    heads = tuple(offered)
    if not offered:
        raise ValueError(f"model_type: {quoted(model_type)}, which transformers maps to no model")
    if head is not None:
        if head not in offered:
            raise ValueError(f"head: {quoted(head)}, expected one of {', '.join(heads)} for {model_type}")
        name, word = offered[head]
        return Chosen(name, head, heads, TASKS.get(word, ""))
    if architectures is None or architectures == []:
        first = heads[0] if LM in offered and offered[LM][1] != "masked-lm" else _bare(heads)
        return Chosen(offered[first][0], first, heads, TASKS.get(offered[first][1], ""))
    if not isinstance(architectures, list) or not isinstance(architectures[0], str):
        raise ValueError(f"architectures: {quoted(architectures)}, expected a list of class names")
    wanted = architectures[0]
    for word in (*LANGUAGE, *CLASSIFIERS, *mappings()):
        if wanted in _classes(word, model_type):
            known = next((head for head, (name, _) in offered.items() if name == wanted), word)
            return Chosen(wanted, known, heads, TASKS.get(word, ""))
    names = ", ".join(dict.fromkeys(name for name, _ in offered.values()))
    raise UnknownClassError(
        f"architectures: {quoted(wanted)}, which transformers does not have for {model_type}; "
        f"expected one of {names}"[:600],
        heads,
    )


def _bare(heads: tuple[str, ...]) -> str:
    return BARE if BARE in heads else heads[0]
