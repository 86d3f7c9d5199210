"""The controls of the page of real models: which model, which matrices, what is trained beside them.

Rank, alpha, scaling and bias are the sidebar's; what is chosen here has keys that begin with `model_`, so
that no link takes it for a field of the experiment. Whatever cannot be counted is told in a sentence, and
the last choice that could stays.
"""

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lora_core.experiment import LIMITS, Experiment, ScalingRule
from lora_core.fields import IntRange
from lora_core.models import (
    CATALOGUE,
    TARGET_PRESETS,
    Adapter,
    Bias,
    Family,
    Head,
    ModelShape,
    family_ranks,
    head_names,
    target_names,
)
from pages.models.config import OWN, Model, draw_config, offered_heads, read_model, write_link
from pages.ui.choice import choose_one
from pages.ui.text import harmless

DEFAULT_MODEL = "Llama 3.1 8B"
USUAL_HEAD = "as in its config.json"
HEADS = {
    Head.LM: "language model",
    Head.CLASSIFICATION: "classification",
    Head.TOKENS: "token classification",
    Head.ANSWERS: "question answering",
    Head.NONE: "none",
}
TARGETS = {words: preset for preset, words in TARGET_PRESETS.items()}
RANKED = {
    Family.ATTENTION: "Attention",
    Family.MLP: "MLP",
    Family.OTHER: "Other",
    Family.HEAD: "Head",
}
_LAST, _COMPLAINTS = "last real model", "complaints of the real models"


class Chosen(NamedTuple):
    """The model and the adapter that the controls describe."""

    model: Model
    adapter: Adapter


class Places(NamedTuple):
    """Containers of the groups of controls, in their order on the page; they are drawn in another."""

    model: DeltaGenerator
    head: DeltaGenerator
    targets: DeltaGenerator
    config: DeltaGenerator
    folded: DeltaGenerator
    switches: DeltaGenerator


def choose(experiment: Experiment) -> Chosen:
    """Draw the controls where one stands; what cannot be counted leaves the last choice as it was."""
    places, last = _places(), st.session_state.get(_LAST)
    model = _choose_model(places, last.model if last else read_model(DEFAULT_MODEL))
    try:
        choice = Chosen(model, _choose_adapter(places, model.shape, experiment))
        model.shape.count(choice.adapter)
    except ValueError as error:
        choice = last or Chosen(model, Adapter(experiment.rank))
        complain(f"The picture is still the last one: `{harmless(str(error), 300)}`.")
    st.session_state[_LAST] = choice
    return choice


def complain(sentence: str) -> None:
    """Note what is wrong; `complaints` tells it where the page has room for it."""
    st.session_state.setdefault(_COMPLAINTS, []).append(sentence)


def complaints() -> list[str]:
    """Complaints of this script run, each told once."""
    return list(st.session_state.pop(_COMPLAINTS, []))


def pick(label: str, options: Sequence[str], default: str, key: str, **more: Any) -> str:
    """A selectbox bound to the link; a value of the link that is not among the options is told."""
    _check_link(key, label, options, default)
    index = options.index(default)
    return choose_one(label, options, index, key=key, bind="query-params", **more)


def _check_link(
    key: str, label: str, allowed: Container[str], default: str, rule: str = "one of the choices below"
) -> None:
    """Tell what a link says wrongly about a control that is about to be drawn for the first time."""
    if key in st.session_state:
        return
    for raw in st.query_params.get_all(key):
        if raw not in allowed:
            complain(f"{label} in the link is `{harmless(raw)}`: it must be {rule}. It is {default} now.")


def _places() -> Places:
    row = st.container(horizontal=True, vertical_alignment="bottom")
    model, head, targets = (row.container(width=170) for _ in range(3))
    config, folded = (row.container(width="content") for _ in range(2))
    return Places(model, head, targets, config, folded, st.container(horizontal=True))


def _choose_model(places: Places, last: Model) -> Model:
    with places.model:
        name = pick(
            "Model", (*CATALOGUE, OWN), DEFAULT_MODEL, "model_name",
            help="An architecture of the catalogue, or any dense transformer by its config.json.",
        )  # fmt: skip
    with places.config:
        draw_config()
    try:
        model = read_model(name)
    except ValueError as error:
        model = _still(last, error)
    heads = {USUAL_HEAD: None, **{HEADS[head]: head for head in offered_heads(model)}}
    with places.head:
        head = pick(
            "Head", tuple(heads), USUAL_HEAD, "model_head",
            help="What the model's class puts on top of the network. It counts, and may be trained in full.",
        )  # fmt: skip
    try:
        model = model._replace(shape=ModelShape.from_config(model.config, heads[head]))
    except ValueError as error:
        model = _still(last, error)
    return model._replace(remark=write_link(name, model))


def _still(last: Model, error: ValueError) -> Model:
    complain(f"The picture is still that of {last.name}: `{harmless(str(error), 300)}`.")
    return last


def _choose_adapter(places: Places, shape: ModelShape, experiment: Experiment) -> Adapter:
    """The adapter that the sidebar and these controls describe; ValueError where there is none."""
    folded = places.folded.popover("Modules", icon=":material/account_tree:", key="model_folded")
    modules = _choose_modules(folded, shape)
    with places.targets:
        preset = pick(
            "Target modules", tuple(TARGETS), TARGET_PRESETS["qv"], "model_targets", disabled=bool(modules),
            help="Modules chosen by name take its place." if modules else "The matrices that get an adapter.",
        )  # fmt: skip
    heads = head_names(shape.parts)
    with places.switches:
        train_head, adapt_head, dora = _draw_switches(bool(heads), bool(modules))
    targets: str | tuple[str, ...] = tuple(modules) or TARGETS[preset]
    if adapt_head and isinstance(targets, str):
        targets = target_names(shape.parts, targets, head=True)
    return Adapter(
        experiment.rank,
        targets,
        alpha=experiment.alpha,
        use_rslora=experiment.scaling_rule is ScalingRule.RSLORA,
        rank_pattern=_choose_ranks(folded, shape, targets, experiment.rank),
        use_dora=dora,
        bias=Bias.ADAPTED if experiment.train_bias else Bias.NONE,
        modules_to_save=heads if train_head else (),
    )


def _choose_modules(place: DeltaGenerator, shape: ModelShape) -> list[str]:
    names = list(dict.fromkeys(module.name for module in shape.modules()))
    _check_link("model_modules", "A module", names, "left out", "a linear layer of this model")
    return place.multiselect(
        "Modules by name", names, key="model_modules", bind="query-params",
        placeholder="As Target modules says", help="As PEFT's target_modules takes them.",
    )  # fmt: skip


def _choose_ranks(
    place: DeltaGenerator, shape: ModelShape, targets: str | tuple[str, ...], rank: int
) -> tuple[tuple[str, int], ...]:
    """A rank for each family of the targeted modules, where it differs from the sidebar's."""
    names = target_names(shape.parts, targets) if isinstance(targets, str) else targets
    present = {part.family for part in shape.parts if part.name in names}
    limit = LIMITS["rank"]
    assert isinstance(limit, IntRange)
    allowed = {str(each) for each in range(limit.least, limit.greatest + 1)}
    ranks: dict[str, int] = {}
    place.caption(f"A rank of its own for each family, empty for the sidebar's {rank:,}:")
    for (family, word), column in zip(RANKED.items(), place.columns(len(RANKED)), strict=True):
        key = f"model_rank_{family}"
        _check_link(key, f"Rank, {word}", allowed, "empty", str(limit))
        absent = family not in present
        chosen = column.number_input(
            word, limit.least, limit.greatest, None, key=key, bind="query-params", placeholder=str(rank),
            disabled=absent, help="None of the target modules is in this family." if absent else None,
        )  # fmt: skip
        if chosen is not None and chosen != rank and not absent:
            ranks[family] = chosen
    return tuple(pair for pair in family_ranks(shape.parts, ranks) if pair[0] in names)


def _draw_switches(head: bool, by_name: bool) -> tuple[bool, bool, bool]:
    """Train the head in full, adapt it, DoRA; where one cannot apply it is disabled and says why."""
    reason = "" if head else "This model has no head. "
    train = _toggle("Train the head", "model_train_head", "The head itself, in full.", reason)
    if train:
        reason = "The head is trained in full. "
    elif by_name:
        reason = "Modules are chosen by name. "
    adapt = _toggle("Adapt the head", "model_adapt_head", "The head gets an adapter too.", reason)
    words = "Trains a magnitude for each output as well (Liu et al., 2024)."
    return train, adapt, _toggle("DoRA", "model_dora", words)


def _toggle(label: str, key: str, words: str, reason: str = "") -> bool:
    _check_link(key, label, ("true", "false"), "false", "true or false")
    on = st.toggle(label, key=key, bind="query-params", help=reason + words, disabled=bool(reason))
    return on and not reason
