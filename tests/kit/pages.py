"""A page without a browser: opened by a link, run, read."""

import json
import re
from collections import Counter
from pathlib import Path

from streamlit.testing.v1 import AppTest

from lora_core import Experiment
from pages.ui.controls import CONTROLS

APP = Path(__file__).parents[2] / "app.py"


def at_link(page: str = "app.py", **link: str) -> AppTest:
    """A session at a page's script and a link, in which nothing has run yet."""
    app = AppTest.from_file(APP, default_timeout=60)
    for name, value in link.items():
        app.query_params[name] = value
    return app if page == "app.py" else app.switch_page(page)


def open_page(page: str = "app.py", **link: str) -> AppTest:
    """The page as a link opens it."""
    app = checked(at_link(page, **link).run())
    # AppTest binds the link in its second run on a page only; inside the layer the first draws just the maps.
    return app if page == "app.py" else checked(app.run())


def checked(app: AppTest) -> AppTest:
    """The same session, in whose last run nothing was raised."""
    assert not app.exception, app.exception[0].message
    return app


def shown(app: AppTest) -> Experiment:
    """The experiment that the controls hold."""
    return Experiment.from_dict({name: app.session_state[name] for name in CONTROLS})


def components(app: AppTest) -> Counter[str]:
    """How often the page has placed each component of the browser, by its name."""
    return Counter(each.proto.component_name for each in app.get("bidi_component"))


def said(app: AppTest) -> str:
    """The sentence that the page says in large letters."""
    large = next(each.value for each in app.markdown if re.match("##? ", each.value))
    return large.lstrip("# ").replace("\n\n", " ")


def five_numbers(app: AppTest) -> dict[str, list[str]]:
    """The playground's numbers by their names, value and note each."""
    (line,) = (
        each.proto for each in app.get("bidi_component") if each.proto.component_name == "five_numbers"
    )
    data = json.loads(line.json)
    return dict(zip(data["names"], data["numbers"], strict=True))
