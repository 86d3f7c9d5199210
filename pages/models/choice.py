"""The model that is chosen, and the adapter for it; what cannot be counted leaves the last choice."""

from typing import NamedTuple

import streamlit as st

from lora_core.models import CATALOGUE, TARGET_PRESETS, Adapter, ModelShape, UnknownClassError
from pages.models.chosen_adapter import choose_adapter
from pages.models.config import OWN, Model, draw_config, read_model, with_head, write_link
from pages.models.controls import complain, pick
from pages.models.places import Places, make_places
from pages.models.sidebar import LAST, Scale
from pages.ui.text import harmless

DEFAULT_MODEL = "Llama 3.1 8B"
USUAL_HEAD = "as in its config.json"
HEADS = {"lm": "language model", "none": "none"}


class Chosen(NamedTuple):
    """The model and the adapter that the controls describe."""

    model: Model
    adapter: Adapter


def choose(scale: Scale) -> Chosen:
    """Draw the controls where one stands; what cannot be counted leaves the last choice as it was."""
    places, last = make_places(), st.session_state.get(LAST)
    model = _choose_model(places, last.model if last else read_model(DEFAULT_MODEL))
    try:
        choice = Chosen(model, choose_adapter(places, model.shape, scale))
        model.shape.count(choice.adapter)
    except ValueError as error:
        choice = last or Chosen(model, _plain_adapter(model.shape, scale))
        complain(f"The picture is still the last one: `{harmless(str(error), 300)}`.")
    st.session_state[LAST] = choice
    return choice


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
