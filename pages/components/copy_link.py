"""Button that copies the page's link to the clipboard and confirms it.

Browsers grant clipboard access on https and on localhost only; elsewhere, as on a phone on the same network,
a text field opens from which the link can be copied.
"""

from functools import lru_cache
from typing import Any

from pages.components.serving import component


def copy_link(link: str, *, key: str) -> None:
    """Show the button; ``link`` is what it copies."""
    _component()(key=key, data={"link": link})


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("copy_link", "copy_link/copy_link.js")
