"""One entry of the browser's history for a page, so that Back leads to the page before.

On a change of page Streamlit empties the address, fills it again and then turns to the new page, each an
entry of its own. A Streamlit component without a picture sees to it that only the last of them is one.
"""

from functools import lru_cache
from typing import Any

from pages.components.serving import component


def one_entry_a_page() -> None:
    """Draw it, last in the sidebar: it takes no room there."""
    _component()(key="address")


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    return component("address", "navigation/address.js")
