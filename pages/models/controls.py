"""The controls of the page of real models: rank and alpha, the model, its matrices, what else is trained.

Their keys begin with `model_`, so that no link takes them for a field of the playground's experiment. What
cannot be counted is told in a sentence, and the last choice that could stays.
"""

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lora_core.models import (
    CATALOGUE,
    TARGET_PRESETS,
    Adapter,
    Bias,
    Family,
    ModelShape,
    UnknownClassError,
    family_ranks,
    head_names,
    target_names,
)
from pages.models.config import OWN, Model, draw_config, read_model, with_head, write_link
from pages.runtime.callbacks import run_to_completion
from pages.ui.choice import choose_one
from pages.ui.link import Link
from pages.ui.text import harmless

DEFAULT_MODEL = "Llama 3.1 8B"
USUAL_HEAD = "as in its config.json"
HEADS = {"lm": "language model", "none": "none"}
TARGETS = {words: preset for preset, words in TARGET_PRESETS.items()}
RANKED = {
    Family.ATTENTION: "Attention",
    Family.MLP: "MLP",
    Family.OTHER: "Other",
    Family.HEAD: "Head",
}
RANKS, DEFAULT_RANK = ("8", "16", "32", "64"), "16"
ALPHAS = {"= r": 1, "= 2 r": 2}
DEFAULT_ALPHA = "= 2 r"
TEXT_ONLY, WHOLE = "its text model", "the whole model"
MOST_RANK = 1024
_DEFAULTS: dict[str, Any] = {}
"""What every control of the page has held first, by its key: what a reset puts back."""
_LAST, _COMPLAINTS = "last real model", "complaints of the real models"


class Scale(NamedTuple):
    """Rank, alpha and what goes with them: the sidebar of this page."""

    rank: int
    alpha: float
    rslora: bool = False


class ModelControls:
    """The page's own sidebar, with the methods that ``begin_apart`` calls."""

    def read(self) -> Link:
        """The page's own parameters of the link; each control tells what is wrong with its own."""
        return Link({key: st.query_params[key] for key in _own_parameters()}, {}, [])

    def draw(self, linked: dict[str, Any]) -> Scale:
        """Draw rank and alpha, and return them."""
        rank = choose_segment(
            "Rank", RANKS, DEFAULT_RANK, "model_rank", "Columns of A and rows of B, everywhere."
        )
        alpha = choose_segment(
            "Alpha", tuple(ALPHAS), DEFAULT_ALPHA, "model_alpha",
            "The factor of A B is alpha / r: 1 or 2 here, whatever the rank.",
        )  # fmt: skip
        _check_link("model_rslora", "rsLoRA", ("true", "false"), "false", "true or false")
        rslora = st.toggle(
            "rsLoRA", key="model_rslora", bind="query-params",
            help="Divides alpha by the square root of r (Kalajdzievski, 2023).",
        )  # fmt: skip
        return Scale(int(rank), float(ALPHAS[alpha] * int(rank)), rslora)

    def words(self) -> dict[str, Any]:
        """What a link to this page says of its controls."""
        return {
            key: values if len(values) > 1 else values[0]
            for key in _own_parameters()
            if (values := st.query_params.get_all(key))
        }

    @staticmethod
    @run_to_completion
    def reset() -> None:
        """Put the defaults into them; a callback."""
        for key, default in _DEFAULTS.items():
            if key in st.session_state:
                st.session_state[key] = default
        st.session_state.pop(_LAST, None)


MODEL_CONTROLS = ModelControls()


def _own_parameters() -> list[str]:
    return [key for key in st.query_params if key.startswith("model_")]


def choose_segment(label: str, options: Sequence[str], default: str, key: str, words: str) -> str:
    """Buttons of which one is down, bound to the link; a value of the link that is none of them is told."""
    _check_link(key, label, options, default, "one of " + ", ".join(options))
    chosen = st.segmented_control(
        label, options, default=default, required=True, key=key, bind="query-params", help=words
    )
    return str(chosen or default)


class Chosen(NamedTuple):
    """The model and the adapter that the controls describe."""

    model: Model
    adapter: Adapter


class Places(NamedTuple):
    """Containers of the groups of controls, in their order on the page; they are drawn in another."""

    model: DeltaGenerator
    head: DeltaGenerator
    scope: DeltaGenerator
    targets: DeltaGenerator
    config: DeltaGenerator
    folded: DeltaGenerator
    switches: DeltaGenerator


def choose(scale: Scale) -> Chosen:
    """Draw the controls where one stands; what cannot be counted leaves the last choice as it was."""
    places, last = _places(), st.session_state.get(_LAST)
    model = _choose_model(places, last.model if last else read_model(DEFAULT_MODEL))
    try:
        choice = Chosen(model, _choose_adapter(places, model.shape, scale))
        model.shape.count(choice.adapter)
    except ValueError as error:
        choice = last or Chosen(model, _plain_adapter(model.shape, scale))
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
    _DEFAULTS.setdefault(
        key, {"false": False, "true": True, "empty": None, "left out": []}.get(default, default)
    )
    if key in st.session_state:
        return
    for raw in st.query_params.get_all(key):
        if raw not in allowed:
            complain(f"{label} in the link is `{harmless(raw)}`: it must be {rule}. It is {default} now.")


def _places() -> Places:
    row = st.container(horizontal=True, vertical_alignment="bottom")
    model, head, scope, targets = (row.container(width=width) for width in (190, 170, "content", 170))
    config, folded = (row.container(width="content") for _ in range(2))
    return Places(model, head, scope, targets, config, folded, st.container(horizontal=True))


def _choose_model(places: Places, last: Model) -> Model:
    with places.model:
        name = pick(
            "Model", (*CATALOGUE, OWN), DEFAULT_MODEL, "model_name",
            help="A model of the catalogue, or any that transformers knows by its config.json.",
        )  # fmt: skip
    with places.config:
        draw_config()
    try:
        model = read_model(name)
        offered = model.shape.heads
    except UnknownClassError as error:  # a head that the user chooses says which class it is
        model, offered = last, error.heads
        if st.session_state.get("model_head", st.query_params.get("model_head", USUAL_HEAD)) == USUAL_HEAD:
            _still(last, ValueError(f"{error}. Choose one under Head"))
        else:
            model = Model(name, OWN, {}, last.shape)
    except ValueError as error:
        model = _still(last, error)
        offered = model.shape.heads
    heads = {USUAL_HEAD: None, **{HEADS.get(head, head.replace("-", " ")): head for head in offered}}
    with places.head:
        word = pick(
            "Head", tuple(heads), USUAL_HEAD, "model_head",
            help="What the model's class puts on top. It counts, and may be trained in full.",
        )  # fmt: skip
    if heads[word] is not None:
        try:
            model = with_head(model, heads[word])
        except ValueError as error:
            model = _still(last, error)
    return model._replace(remark=write_link(name, model))


def _still(last: Model, error: ValueError) -> Model:
    complain(f"The picture is still that of {last.name}: `{harmless(str(error), 300)}`.")
    return last


def _plain_adapter(shape: ModelShape, scale: Scale) -> Adapter:
    """The first preset that this model has modules for; ValueError where it has none at all."""
    trouble = ValueError("targets: this model has no linear layer")
    for preset in TARGET_PRESETS:
        adapter = Adapter(scale.rank, preset, scale.alpha)
        try:
            shape.count(adapter)
        except ValueError as error:
            trouble = error
        else:
            return adapter
    raise trouble


def _choose_adapter(places: Places, shape: ModelShape, scale: Scale) -> Adapter:
    """The adapter that the sidebar and these controls describe; ValueError where there is none."""
    text_only = _choose_scope(places, shape)
    folded = places.folded.popover("Modules", icon=":material/account_tree:", key="model_folded")
    modules = _choose_modules(folded, shape)
    with places.targets:
        preset = pick(
            "Target modules", tuple(TARGETS), TARGET_PRESETS["qv"], "model_targets", disabled=bool(modules),
            help="Modules chosen by name take its place." if modules else "The matrices that get an adapter.",
        )  # fmt: skip
    heads = head_names(shape.parts)
    with places.switches:
        train_head, adapt_head, dora, biases = _draw_switches(bool(heads), bool(modules))
    targets: str | tuple[str, ...] = tuple(modules) or TARGETS[preset]
    if adapt_head and isinstance(targets, str):
        targets = target_names(shape.parts, targets, head=True, within=shape.text if text_only else "")
    return Adapter(
        scale.rank,
        targets,
        alpha=scale.alpha,
        use_rslora=scale.rslora,
        rank_pattern=_choose_ranks(folded, shape, targets, scale.rank),
        use_dora=dora,
        bias=Bias.ADAPTED if biases else Bias.NONE,
        modules_to_save=heads if train_head else (),
        text_only=text_only,
    )


def _choose_scope(places: Places, shape: ModelShape) -> bool:
    """Whether the text model alone is adapted, of a model that also sees or hears."""
    if not shape.text:
        return False
    with places.scope:
        chosen = pick(
            "Adapt", (TEXT_ONLY, WHOLE), TEXT_ONLY, "model_scope",
            help="In the whole model the same names are adapted in the parts that see or hear too.",
        )  # fmt: skip
    return chosen == TEXT_ONLY


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
    allowed = {str(each) for each in range(1, MOST_RANK + 1)}
    ranks: dict[str, int] = {}
    place.caption(f"A rank of its own for each family, empty for the sidebar's {rank:,}:")
    for (family, word), column in zip(RANKED.items(), place.columns(len(RANKED)), strict=True):
        key = f"model_rank_{family}"
        _check_link(key, f"Rank, {word}", allowed, "empty", f"a whole number from 1 to {MOST_RANK:,}")
        absent = family not in present
        chosen = column.number_input(
            word, 1, MOST_RANK, None, key=key, bind="query-params", placeholder=str(rank),
            disabled=absent, help="None of the target modules is in this family." if absent else None,
        )  # fmt: skip
        if chosen is not None and chosen != rank and not absent:
            ranks[family] = chosen
    return tuple(pair for pair in family_ranks(shape.parts, ranks) if pair[0] in names)


def _draw_switches(head: bool, by_name: bool) -> tuple[bool, bool, bool, bool]:
    """Train the head in full, adapt it, DoRA, biases; where one cannot apply it is disabled and says why."""
    reason = "" if head else "This model has no head. "
    train = toggle("Train the head", "model_train_head", "The head itself, in full.", reason=reason)
    if train:
        reason = "The head is trained in full. "
    elif by_name:
        reason = "Modules are chosen by name. "
    adapt = toggle("Adapt the head", "model_adapt_head", "The head gets an adapter too.", reason=reason)
    words = "Trains a magnitude for each output as well (Liu et al., 2024)."
    dora = toggle("DoRA", "model_dora", words)
    biases = toggle("Train biases", "model_biases", "Biases of the adapted matrices, where they have any.")
    return train, adapt, dora, biases


def toggle(label: str, key: str, words: str, on: bool = False, reason: str = "") -> bool:
    """A switch bound to the link; with a `reason` it is disabled, off, and says why."""
    _check_link(key, label, ("true", "false"), str(on).lower(), "true or false")
    found = st.toggle(label, on, key=key, bind="query-params", help=reason + words, disabled=bool(reason))
    return found and not reason
