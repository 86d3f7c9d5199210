"""A visitor whose browser says what no browser would: wrong types, sizes, order, addresses, fragments.

Drawn with a seed, for every widget and every component that a page has shown.
"""

import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

from tests.load.visitor import TRIGGER, Visitor

TEXTS = (
    "",
    "noise",
    "digits",
    "no such task",
    "9" * 5000,
    "1e999",
    "nan",
    "\x00",
    "[]",
    "`x` [a](http://b.c)",
)
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 3, 10**6, 10**30, 1.5, -0.0, 1e308, *TEXTS, [], [1], [[1, 2], [3]], [2, "x"],
    [1e9, -7], {}, {"first": 0}, {"first": "x", "acts": 3}, {"first": 0, "acts": ["up"] * 30_000},
    {"acts": [None, {}]}, {"first": -5, "acts": ["go nowhere", "choose \u0663", "next"]},
    {"first": 0, "acts": "next"}, "Infinity",
)  # fmt: skip
NAMES = ("rank", "near", "epoch", "module", "cell", "acts", "painted", "events", "no such name")
"""What the components report."""
ADDRESSES = ("http://[bad/", "http://x/" + "a" * 5000, "http://x:99999/", "nothing", "//", "http://a b/", "")
KINDS = {
    "slider": "string_array_value", "selectbox": "string_value", "checkbox": "bool_value",
    "number_input": "double_value", "text_input": "string_value", "text_area": "string_value",
    "button_group": "string_array_value", "button": "trigger_value",
}  # fmt: skip
"""Element -> the field in which Streamlit takes its value (seen in 1.67.0)."""
FIELDS = [field.name for field in WidgetState.DESCRIPTOR.fields if field.name != "id"]


def forged(visitor: Visitor, chance: random.Random, *, kinds: bool = True) -> BackMsg:
    """One message about a few of the page's widgets, whole page or fragment.

    With ``kinds`` a widget's value is in the field of its kind, as Streamlit itself raises for any other.
    """
    message = BackMsg()
    state = message.rerun_script
    state.query_string, state.page_name = urlencode(visitor.link), visitor.page
    state.context_info.url = chance.choice(ADDRESSES) if chance.random() < 0.2 else "http://localhost:8501"
    some = chance.sample(sorted(visitor.widgets), min(len(visitor.widgets), chance.randint(1, 4)))
    for each in some:
        kind, fragment = visitor.widgets[each]
        if kind == "bidi_component":
            _forge_component(state.widget_states.widgets, each, chance)
        else:
            field = KINDS.get(kind) if kinds else chance.choice(FIELDS)
            if field is not None:
                _forge_widget(state.widget_states.widgets.add(id=each), field, chance)
        if chance.random() < 0.3:
            state.fragment_id = chance.choice((fragment, "no such fragment"))
    if chance.random() < 0.1:
        state.query_string = urlencode({"scene": chance.choice(TEXTS), "rank": chance.choice(TEXTS)})
    return message


def forged_components(visitor: Visitor, chance: random.Random) -> BackMsg:
    """One message in which every component of the page reports something."""
    message = BackMsg()
    state = message.rerun_script
    state.query_string, state.page_name = urlencode(visitor.link), visitor.page
    for each, (kind, _) in sorted(visitor.widgets.items()):
        if kind == "bidi_component":
            _forge_component(state.widget_states.widgets, each, chance)
    return message


def _forge_widget(state: WidgetState, field: str, chance: random.Random) -> None:
    for value in chance.sample(list(_values(chance)), 12):
        holder = getattr(state, field)
        try:
            if hasattr(holder, "data") and not isinstance(holder, bytes):
                holder.data.append(value)
            else:
                setattr(state, field, value)
        except (TypeError, ValueError, AttributeError, OverflowError):
            continue
        return


def _values(chance: random.Random) -> Iterator[Any]:
    yield from (value for value in VALUES if not isinstance(value, list | dict))
    yield from (b"\xff\xfe", json.dumps(chance.choice(VALUES)))


def _forge_component(widgets: Any, name: str, chance: random.Random) -> None:
    values = {each: chance.choice(VALUES) for each in chance.sample(NAMES, 4)}
    # Streamlit reads a text once more, and itself raises for thousands of digits in it (seen in 1.67.0).
    whole = json.dumps(values if chance.random() < 0.8 else chance.choice(VALUES[:8]))
    widgets.add(id=name, json_value=whole)
    if chance.random() < 0.7:
        events = [{"event": event, "value": value} for event, value in values.items()]
        content = chance.choice((events, chance.choice(VALUES), [*events, 3, None]))
        widgets.add(id=f"{TRIGGER}{name}__events", json_trigger_value=json.dumps(content))
