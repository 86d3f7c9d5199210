"""QR code of the scene on the stage, generated on the server, with an address that phones can reach.

The code names the scene and little else, so that its squares are large enough for the back row. Before the
reveal a phone can guess; after it, it opens the revealed scene with the rank on the stage.
"""

import os
import socket
from functools import lru_cache
from io import BytesIO
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import segno
import streamlit as st

from lora_core.talk.scenes import own_talk
from pages.runtime.callbacks import run_to_completion
from pages.runtime.from_browser import from_this_machine, page_address
from pages.stage.opened_talks import TALK, name_of_talk
from pages.stage.state import Stage, current
from pages.ui.text import harmless

_ADDRESS = "stage address"
_STAGE_PAGE = "On_stage"


_NO_WAY_IN = (
    "No address for phones is known: this one means the machine that asks. Set one below the stage, under "
    "Phones in the room."
)


class Join(NamedTuple):
    """A link and its QR code as rows of 0 and 1; without rows, a note why phones cannot open it."""

    link: str
    rows: tuple[str, ...]
    note: str


def join(stage: Stage) -> Join:
    """Link and code of what the stage shows now."""
    base = phones_address(stage)
    fields = {"scene": stage.words(stage.name, guessed=False)}  # a phone makes a guess of its own
    if stage.talk is not own_talk():
        fields[TALK] = name_of_talk(stage.talk)
    link = f"{base}/{_STAGE_PAGE}?{urlencode(fields)}"
    return Join(link, (), _NO_WAY_IN) if is_local(base) else Join(link, code_rows(link), "")


def notes_link(stage: Stage, base: str) -> str:
    """Link to the speaker's notes of this stage; it lets its holder drive the talk."""
    return f"{base}/{_STAGE_PAGE}?{urlencode({'notes': stage.token})}"


def browser_address() -> str:
    """Address of the playground in this browser: scheme, host, port and base path, without a page."""
    parts = page_address()
    path = parts.path.rstrip("/").removesuffix(_STAGE_PAGE).rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def phones_address(stage: Stage) -> str:
    """The address for phones: the one that was set, else the browser's, else this machine's in the room."""
    base = stage.address or browser_address()
    return (network_address() or base) if is_local(base) else base


def network_address() -> str | None:
    """The browser's address with the server's network address in place of localhost.

    None if the server has none, listens to its own machine only (``server.address``), or if the browser runs
    elsewhere: nobody outside is told this address, unless one is set in ``LORA_ADDRESS``.
    """
    if ADDRESS:
        return ADDRESS
    if not from_this_machine() or is_local(f"http://{st.get_option('server.address') or '0.0.0.0'}"):
        return None
    parts = urlsplit(browser_address())
    own = _own_ip()
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{own}{port}{parts.path}" if own else None


def draw_address(stage: Stage) -> None:
    """Show the address in the QR code, and a field for another one."""
    base = phones_address(stage)
    st.markdown(f"The code (key **Q**) gives phones the address `{base}`.")
    if is_local(base):
        st.warning(
            "Phones cannot reach this address: it means the machine that asks. They need one on the network "
            "that they share with this machine.", icon=":material/wifi_off:",
        )  # fmt: skip
    elif not stage.address and is_local(browser_address()):
        st.caption("It is this machine's on its network; this browser has the one that only it can use.")
    st.text_input(
        "Address for phones", stage.address, key=_ADDRESS, on_change=_take_address,
        placeholder="http://192.168.1.20:8501",
        help="Where phones find the playground. Empty: the address of this browser, or of this machine.",
    )  # fmt: skip
    if stage.trouble_address:
        st.error(stage.trouble_address, icon=":material/error:")


def draw_notes(stage: Stage) -> None:
    """Show the way to the speaker's notes, for a second window and for the speaker's phone."""
    st.markdown(
        "Clock, notes, the answer before the room sees it, and buttons that drive the talk: in a second "
        "window (key **W**), or on the phone in your hand. Whoever has this link can drive the talk."
    )
    st.button(
        "Notes for a phone", key="stage notes", icon=":material/qr_code:", on_click=_follow, args=(stage,)
    )
    base = phones_address(stage)
    if not stage.followed:
        return
    st.code(notes_link(stage, base), language=None)
    if is_local(base):
        st.caption(_NO_WAY_IN)
    else:
        st.image(_picture_of(notes_link(stage, base)), width=220)


@run_to_completion
def _follow(stage: Stage) -> None:
    stage.followed = stage.acted = True


def read_address(text: str) -> str:
    """Complete an address that was typed: add a scheme, drop query and trailing slash.

    :raises ValueError: the text is no web address.
    """
    text = text.strip()
    complete = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(complete)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or len(complete) > 200 or not complete.isprintable() or " " in complete:
        raise ValueError(
            f"Address for phones is `{harmless(text)}`: it must be a web address, as in http://192.168.1.20:8501."
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


ADDRESS = read_address(os.environ["LORA_ADDRESS"]) if os.environ.get("LORA_ADDRESS") else ""
"""Address for phones that the server's environment sets, for every browser that has only a local one."""


def is_local(base: str) -> bool:
    """Whether an address is a loopback address, which means the machine that uses it."""
    host = urlsplit(base).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@run_to_completion
def _take_address() -> None:
    stage, text = current(), st.session_state.get(_ADDRESS) or ""
    stage.trouble_address = ""
    try:
        stage.address = read_address(text) if text.strip() else ""
    except ValueError as error:
        stage.trouble_address = str(error)


@lru_cache(maxsize=64)
def code_rows(link: str) -> tuple[str, ...]:
    """The QR code of a link, rows of 0 and 1."""
    matrix = segno.make_qr(link, error="l").matrix
    return tuple("".join("1" if cell else "0" for cell in row) for row in matrix)


@lru_cache(maxsize=16)
def _picture_of(link: str) -> bytes:
    """The QR code of a link as a PNG."""
    file = BytesIO()
    segno.make_qr(link, error="l").save(file, kind="png", scale=8)
    return file.getvalue()


def _own_ip() -> str | None:
    """The server's address on its network: the source address of a UDP socket. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address set aside for documentation (RFC 5737)
        except OSError:
            return None
        found = str(probe.getsockname()[0])
    return None if ip_address(found).is_loopback or ip_address(found).is_unspecified else found
