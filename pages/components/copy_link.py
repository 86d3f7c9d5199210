"""A button that copies the page's link, and says that it did.

A page has a right to the clipboard on https and on the machine itself; elsewhere, as on a phone in the room,
a field opens to copy from by hand.
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
