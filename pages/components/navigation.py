"""One entry of the browser's history for each page, so that Back leads to the previous page.

On a change of page Streamlit clears the query string, writes it again and then opens the new page, each with
an entry of its own (seen in 1.67.0; streamlit PR 16831, merged in 2026-09, leaves out only entries whose
query string is unchanged). An invisible component replaces `history.pushState` so that only a change of path
adds an entry. Its script is part of the message and waits for no module. Streamlit draws the links shortly
before it starts the component: a link clicked in between adds two more entries, both of the previous page,
and Back still leads there. With it comes the stylesheet of every page.
"""

import re
from functools import lru_cache
from typing import Any

from pages.components.serving import WEB, component


def one_entry_a_page() -> None:
    """Mount the component, last in the sidebar; it occupies no space there."""
    _component()(key="address")


@lru_cache(maxsize=1)
def _component() -> Any:
    """Register the component, once a process and inside its first script run."""
    guard = re.sub(r"/\*\*.*?\*/", "", (WEB / "navigation/address.js").read_text(), flags=re.DOTALL)
    return component("address", "navigation/page.js", first=guard)
