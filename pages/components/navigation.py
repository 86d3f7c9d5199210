"""One entry of the browser's history for a page, so that Back leads to the page before.

On a change of page Streamlit 1.67 empties the address, fills it again and then turns to the new page, each
an entry of its own. An invisible component replaces `history.pushState` so that only the last of them is one.
Its script travels in the message itself and waits for no module. Still Streamlit draws the links a moment
before it starts the component: a link clicked within that moment leaves two more entries, all of the page
before, so that Back leads there all the same.
"""

import re
from functools import lru_cache
from typing import Any

from pages.components.serving import WEB, component


def one_entry_a_page() -> None:
    """Draw it, last in the sidebar: it takes no room there."""
    _component()(key="address")


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    guard = re.sub(r"/\*\*.*?\*/\n", "", (WEB / "navigation/address.js").read_text(), flags=re.DOTALL)
    return component("address", "navigation/leaving.js", first=guard)
