"""Modules of the browser, served as the files that they are."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from streamlit.components.v1 import declare_component

_LOADER = """let loaded;
const load = (path) => {
  const app = document.querySelector('script[src*="static/js/"]').src;
  return import(new URL("../../component/" + path, app).href);
};
const all = () => (loaded ??= Promise.all(%s.map(load)).catch((error) => {
  loaded = undefined;
  throw error;
}));
export default async (component) => {
  const [{ patient }, ...modules] = await all();
  return (%s)(patient(component), ...modules);
};"""

_ADDRESS = Path(__file__).parent / "address" / "assets"


def served_folder(name: str, folder: Path) -> str:
    """Serve a folder of modules; returns its name there.

    The name carries a hash of the files: a browser that cached the modules of an older version asks for the
    new ones.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.read_bytes())
    return declare_component(f"{name}_{digest.hexdigest()[:12]}", path=str(folder)).name


def loader(paths: Sequence[str], act: str) -> str:
    """JavaScript of a component: at every call, ``act`` (a function) on the component and the loaded modules.

    ``act`` may load one more: ``load(path)``.

    It rides in every message, so it only knows where the modules lie: ``paths`` from beside Streamlit's own
    scripts, which is right on any page, below any base path and behind any proxy. All calls wait for one
    promise and so go on in their order; imports of their own do not, and an older run was drawn over a newer.
    What a component tells the server goes through `leaving.js`.
    """
    leaving = served_folder("address", _ADDRESS) + "/leaving.js"
    return _LOADER % (json.dumps([leaving, *paths]), act)
