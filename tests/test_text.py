"""Text of others: shown as it is, with nothing in it live."""

import re

import pytest

from lora_core.figures.axes import literal
from pages.ui.text import harmless, plain

LIVE = (
    re.compile(r"(https?://|www(?=\.))([-.\w]+)([^ \t\r\n]*)", re.IGNORECASE),
    re.compile(r"(?:^|[\s\W_])([-.\w+]+)@([-\w]+(?:\.[-\w]+)+)"),
    re.compile(r"(mailto|xmpp):[\w@]", re.IGNORECASE),
)
"""What GitHub's markdown makes a link, in the letters that are left when the backslashes are read
(mdast-util-gfm-autolink-literal, as Streamlit 1.67.0 has it)."""


def read(markdown: str) -> str:
    """The letters that markdown shows of an escaped text."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown)


@pytest.mark.parametrize(
    "text",
    [
        "see www.example.org", "WWW.EXAMPLE.ORG/x", "http://example.org", "a(https://example.org/b?c=d)",
        "mail me@example.org", "x+y@sub.example.org, please", "mailto:me@example.org", "xmpp:a@b.cd",
        "http://www.example.org/me@example.org", "hTTp://10.0.0.1:8501",
    ],
)  # fmt: skip
def test_no_address_in_a_text_becomes_a_link(text: str) -> None:
    assert any(each.search(text) for each in LIVE)
    shown = read(plain(text))
    assert not any(each.search(shown) for each in LIVE)
    assert shown.replace("\u2060", "") == text


@pytest.mark.parametrize(
    "text", ["**bold** [a](http://b.c)", "$x^2$ :red[x] :material/home: &lt; ~~a~~ <b>c</b>", "# a\n- b | c"]
)
def test_every_mark_is_escaped(text: str) -> None:
    found = plain(text)
    assert not re.search(r"(?<!\\)[`*_\[\]#|<>$:~&^=]", found)
    assert read(found).replace("\u2060", "") == text


def test_nothing_turns_the_direction_or_ends_a_line_of_code() -> None:
    assert plain("a\u202egpj.exe\x07") == "a gpj.exe "
    assert harmless("a`b\nc\u202ed") == "abcd"


def test_plotly_reads_no_tags_in_a_name() -> None:
    assert literal('<a href="http://b.c">x</a> & &lt;') == '&lt;a href="http://b.c">x&lt;/a> &amp; &amp;lt;'
