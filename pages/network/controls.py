"""Sidebar of the page of the small network: every field of ``NetworkExperiment`` once, bound to the URL.

Keys begin with ``net_``, so that no link takes them for fields of the playground's experiment.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from lora_core.fields import Choice, IntRange
from lora_core.network.experiment import NETWORK_LIMITS, RANKS, ModuleRanks, NetworkExperiment
from lora_core.network.presets import NETWORK_PRESETS, usual
from lora_core.network.shape import Network, path_of
from pages.runtime.callbacks import run_to_completion
from pages.ui.controls import value_text
from pages.ui.link import Link, LinkedFields, read_link, words_of
from pages.ui.text import harmless

DEFAULT = NetworkExperiment()
_OFFERED = "offered values of the network"
_RATES = (*(float(f"{digit}e{power}") for power in range(-4, -1) for digit in (1, 2, 5)), 0.1, 0.2, 0.5)


class Control(NamedTuple):
    """A field's label, its help and, for a slider, its options."""

    label: str
    help: str
    options: Sequence[float] = ()


CONTROLS: dict[str, Control] = {
    "network": Control(
        "Network", "words writes English-like words, letter by letter. copier repeats six letters."
    ),
    "language": Control("Learn", "Names of this language, seen letter by letter."),
    "rewrite": Control("Learn", "How to answer six letters: backwards, with each next letter, or both."),
    "rank": Control(
        "Rank", "Columns of A and rows of B in every adapted module.",
        RANKS,
    ),
    "targets": Control(
        "Where",
        "The modules that get an adapter. all: every linear layer but the head. own: only those that have a "
        "rank of their own.",
    ),
    "learning_rate": Control("Learning rate", "Of LoRA.", _RATES),
    "full_learning_rate": Control(
        "Full fine-tuning's rate", "Its own: at one rate for both, one of them looks bad.", _RATES
    ),
    "seed": Control("Seed", "Another number draws other batches, another start and other luck in writing."),
    "ranks": Control(
        "Ranks of single modules",
        "Where they differ, like 0.q:8,1.up:0,head:4. Rank 0 leaves a module frozen. A click on a module of "
        "the drawing sets it too.",
    ),
    "alpha": Control(
        "Alpha", "How strongly the adapters act: see Scaling.",
        (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0),
    ),
    "scaling_rule": Control(
        "Scaling", "The factor of A B. standard: alpha / r. rslora: alpha / sqrt(r). constant: alpha."
    ),
    "optimizer": Control("Optimizer", "adam, or plain gradient descent (sgd)."),
    "lr_ratio": Control(
        "LoRA+ ratio", "Learning rate of B over that of A.", (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
    ),
    "updates": Control("Updates", "Each on one batch.", (20, 50, 100, 150, 200, 300, 400)),
    "batch": Control("Batch", "Windows of 16 letters, or questions, in an update.", (4, 8, 16, 32, 64)),
}  # fmt: skip
"""Every field of ``NetworkExperiment``, in the order of the sidebar."""

IN_SIGHT = ("network", "language", "rewrite", "rank", "targets", "learning_rate", "full_learning_rate")
GROUPS = {
    "Adapter": ("ranks", "alpha", "scaling_rule"),
    "Training": ("updates", "batch", "optimizer", "lr_ratio", "seed"),
}


def key_of(name: str) -> str:
    """The widget's key, which is the URL parameter, of a field."""
    return f"net_{name}"


class NetworkControls:
    """The page's own controls, with the methods that ``begin_apart`` calls."""

    def read(self) -> Link:
        """Read the network experiment from the link; a wrong value gives a complaint and its default."""
        return read_link(_linked())

    def draw(self, linked: dict[str, Any]) -> NetworkExperiment:
        """Draw the controls in the current container and return their experiment."""
        _drop_wrong_choices()
        fields = {
            name: st.session_state.get(key_of(name), linked.get(name, getattr(DEFAULT, name)))
            for name in CONTROLS
        }
        for name in IN_SIGHT:
            fields[name] = _draw(name, fields)
            if name == "targets":
                notes = st.container()  # also without a note, so that the next elements keep their state
        for title, names in GROUPS.items():
            with st.expander(title):
                for name in names:
                    fields[name] = _draw(name, fields)
        experiment = _checked(fields)
        for note in rank_notes(experiment):
            notes.caption(note)
        with st.expander("Presets", key="net_scenes", on_change="rerun") as folder:
            for name, preset in NETWORK_PRESETS.items() if folder.open else ():
                st.button(
                    preset.title, key=f"net scene {name}", on_click=set_network, args=(preset.experiment,),
                    width="stretch",
                )  # fmt: skip
                st.caption(preset.sentence)
        return experiment

    def words(self) -> dict[str, str]:
        """Values of the controls that differ from the default, formatted for a link."""
        kept = {name: st.session_state.get(key_of(name), getattr(DEFAULT, name)) for name in CONTROLS}
        return words_of(kept, _linked())

    def reset(self) -> None:
        """Set all controls to their defaults."""
        set_network(DEFAULT)


NETWORK_CONTROLS = NetworkControls()


@run_to_completion
def set_network(experiment: NetworkExperiment) -> None:
    """Set all controls to a network experiment; for callbacks, before they are drawn."""
    for name in CONTROLS:
        set_network_field(name, getattr(experiment, name))


def set_network_field(name: str, value: Any) -> None:
    """Set one field's control; for callbacks."""
    _offer(name, value)
    plain = isinstance(NETWORK_LIMITS[name], Choice)
    st.session_state[key_of(name)] = str(value) if plain else value


@run_to_completion
def _usual_rates() -> None:
    """Set the usual rates and updates of the network chosen, if the old network's usual ones are set."""
    _drop_wrong_choices()
    network = Network(st.session_state[key_of("network")])
    other = Network.COPIER if network is Network.WORDS else Network.WORDS
    for name in ("learning_rate", "full_learning_rate", "updates"):
        if st.session_state.get(key_of(name)) == getattr(usual(other), name):
            set_network_field(name, getattr(usual(network), name))


def _drop_wrong_choices() -> None:
    """Put the default into each list to which a browser has given a value that it does not have."""
    for name, limit in NETWORK_LIMITS.items():
        try:
            if isinstance(limit, Choice):
                limit.read(name, st.session_state.get(key_of(name), getattr(DEFAULT, name)))
        except ValueError:
            set_network_field(name, getattr(DEFAULT, name))


def rank_notes(experiment: NetworkExperiment) -> list[str]:
    """Notes on ranks above a module's full rank, and on an experiment that trains nothing."""
    sizes, ranks = experiment.shape.modules(), experiment.module_ranks()
    if not ranks:
        return ["No module has a rank: nothing is trained."]
    beyond = {
        module: min(sizes[path_of(module)]) for module in ranks if ranks[module] > min(sizes[path_of(module)])
    }
    if not beyond:
        return []
    most = ", ".join(f"{module} {least}" for module, least in list(beyond.items())[:3])
    more = f" and {len(beyond) - 3} more" if len(beyond) > 3 else ""
    return [f"More than a change can have ({most}{more}): it stores more numbers and reaches nothing more."]


def _checked(fields: dict[str, Any]) -> NetworkExperiment:
    """The experiment of these fields; ranks that cannot be read give a warning and are left out."""
    try:
        return NetworkExperiment(**fields)
    except ValueError as error:
        st.warning(f"{harmless(str(error), 300)} Until then all modules have the same rank.")
        return NetworkExperiment(**{**fields, "ranks": ""})


def _draw(name: str, fields: dict[str, Any]) -> Any:
    control, limit, default = CONTROLS[name], NETWORK_LIMITS[name], getattr(DEFAULT, name)
    common: dict[str, Any] = {"key": key_of(name), "bind": "query-params", "help": control.help}
    if name in ("language", "rewrite"):
        other = (name == "rewrite") == (fields["network"] == Network.WORDS)
        if other:
            return st.session_state.get(key_of(name), fields[name])
    if isinstance(limit, Choice):
        names = [str(each) for each in limit.kind]
        if name == "network":
            common |= {"on_change": _usual_rates}
        return st.selectbox(control.label, names, index=names.index(default), **common)
    if isinstance(limit, ModuleRanks):
        return st.text_input(control.label, default, max_chars=200, placeholder="none", **common)
    if not control.options:
        assert isinstance(limit, IntRange)
        return st.number_input(control.label, limit.least, limit.greatest, value=default, step=1, **common)
    options = sorted({*control.options, *st.session_state.get(_OFFERED, {}).get(name, ())})
    return st.select_slider(control.label, options, value=default, format_func=value_text, **common)


def _offer(name: str, value: Any) -> None:
    """Add a value to the options of its slider in this session."""
    if CONTROLS[name].options and value not in CONTROLS[name].options:
        offered = st.session_state.setdefault(_OFFERED, {})
        offered.setdefault(name, set()).add(value)


def _linked() -> LinkedFields:
    return LinkedFields(CONTROLS, NETWORK_LIMITS, DEFAULT, _offer, key_of(""))
