"""Right-to-left pages: Streamlit has no option for text direction (streamlit issue 552, seen in 1.67.0).

A component without a face sets `dir` and `lang` on the container it stands in, which turns text, columns and
tables round as a browser does for any such page, and takes them off again when it goes. Code, formulas and
charts stay left to right.
"""

from functools import lru_cache
from typing import Any

import streamlit as st

RIGHT_TO_LEFT = ("ar",)

_JS = """export default ({ data, parentElement }) => {
  const area = parentElement.closest(`.st-key-${data.area}`);
  area.dir = data.dir;
  area.lang = data.lang;
  return () => {
    area.removeAttribute("dir");
    area.removeAttribute("lang");
  };
};"""

_CSS = """
[dir="rtl"] :is(pre, code, .katex, [role="radiogroup"], [data-testid="steady-chart"]) {
  direction: ltr;
  unicode-bidi: isolate;
}
[dir="rtl"] pre {
  text-align: left;
}
[dir="rtl"] :is([data-testid="stMarkdownContainer"], [data-testid="stCaptionContainer"]) {
  text-align: start;
}
"""


def direct(area: str, lang: str) -> None:
    """Give the container with the key `area`, which this is called in, a language and its direction."""
    direction = "rtl" if lang in RIGHT_TO_LEFT else "ltr"
    _component()(key=f"{area}_direction", data={"area": area, "dir": direction, "lang": lang})


def isolated(text: str, lang: str) -> str:
    """Numbers and names as they are read, also within right-to-left text: 306 / 946 is not turned round."""
    return f"\u2066{text}\u2069" if lang in RIGHT_TO_LEFT else text


@lru_cache
def _component() -> Any:
    return st.components.v2.component("direction", css=_CSS, js=_JS, isolate_styles=False)
