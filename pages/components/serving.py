"""Serving of the browser's modules as plain files: `web/`, and plotly.js in `vendor/`."""

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v1 import declare_component

WEB = Path(__file__).parent / "web"
VENDOR = Path(__file__).parent / "vendor"

_LOADER = """let loaded;
const at = (path) => {
  const app = document.querySelector('script[src*="static/js/"]').src;
  return new URL("../../component/" + path, app).href;
};
const load = (path) => import(at(path));
const all = () => (loaded ??= Promise.all(%s.map(load)).catch((error) => {
  loaded = undefined;
  throw error;
}));
export default async (component) => {
  const [{ patient }, { default: draw }] = await all();
  return component.data && draw(patient(component), window.Plotly);
};"""
_EARLY = (
    _LOADER.replace("window.Plotly", "plotly").replace(
        "let loaded;",
        """let loaded, starting;
const plotly = () => (starting ??= load("%s").then(() => window.Plotly, (error) => {
  starting = undefined;
  throw error;
}));""",
    )
    + """
const link = { rel: "modulepreload", href: at("%s") };
document.head.append(Object.assign(document.createElement("link"), link));"""
)
"""Loader of a component that draws before plotly.js is started: it is given a function that starts it.

plotly.js is fetched and compiled in the background; to start it blocks the page for half a second.
"""


def component(name: str, module: str, *, plotly: bool = False, early: bool = False, first: str = "") -> Any:
    """Register a component, inside a script run and once a process.

    The default export of ``module``, a path in `web/`, is called at every call of the component that carries
    data, with the component and ``window.Plotly``, which is plotly.js if ``plotly`` asks for it. An ``early``
    one gets a function that starts plotly.js instead. ``first`` is JavaScript that runs at once,
    before anything is fetched.
    """
    paths = [f"{_served(WEB)}/{path}" for path in ("navigation/leaving.js", module)]
    library = f"{_served(VENDOR)}/plotly-cartesian.min.js"
    if plotly and not early:
        paths.append(library)
    loader = _EARLY % (library, json.dumps(paths), library) if early else _loader(paths)
    return st.components.v2.component(name, js=first + loader, isolate_styles=False)


@lru_cache
def _served(folder: Path) -> str:
    """Serve a folder; returns its name in the URL.

    The name carries a hash of the files: a browser that cached the modules of an older version asks for the
    new ones.
    """
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        digest.update(path.read_bytes())
    return declare_component(f"{folder.name}_{digest.hexdigest()[:12]}", path=str(folder)).name


def _loader(paths: Sequence[str]) -> str:
    """JavaScript of a component: at every call, the drawing function of its module on the component.

    It is part of every message, so it holds only the addresses of the modules: ``paths`` relative to
    Streamlit's own scripts, which is right on any page, below any base path and behind any proxy (seen in
    1.67.0, whose components v2 take files only from an installed package). All calls wait for one promise and
    so continue in order; with an import each they do not, and an older run was drawn over a newer one. All
    that a component sends to the server goes through `leaving.js`, the first of the paths.
    """
    return _LOADER % json.dumps(paths)
