"""A visitor without a browser: one websocket that speaks Streamlit's own protocol.

It opens a link, reads what the page is sent, answers the page's timers and moves sliders, as a browser does;
of what arrives it keeps the live chart's header, the notices and the exceptions.
"""

import asyncio
import json
import time
import zlib
from collections.abc import Callable
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

CHARTS, AXIS = ("-loss", "-network"), "-ranks"
"""How the ids of live chart and axis of ranks end: with the keys that the pages give them."""


TRIGGER = "$$STREAMLIT_INTERNAL_KEY_"
"""What Streamlit puts before the id of a component whose triggers it takes."""


class Visitor:
    """One open page. Times are those of `time.monotonic`; ``async with`` opens and leaves it."""

    def __init__(self, address: str, page: str = "", **link: object) -> None:
        """``address`` is the server's, ``page`` the name of a page (the playground if empty)."""
        self.address = address.replace("http://", "ws://") + "/_stcore/stream"
        self.page, self.link = page, {name: str(value) for name, value in link.items()}
        self.run, self.streaming = "", False
        self.updates = 0
        self.ranks = ""
        self.charts, self.finished, self.bytes = 0, 0, 0
        self.notices: list[str] = []  # all that were ever shown
        self.errors: list[str] = []
        self.widgets: dict[str, tuple[str, str]] = {}  # id -> kind of element, and its fragment
        self._axis = ("", "")  # id of the component, and of the fragment that it stands in
        self._ids: dict[str, str] = {}
        self._moved: dict[str, str] = {}
        self._kept: dict[str, ForwardMsg] = {}
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    async def __aenter__(self) -> "Visitor":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def open(self) -> None:
        """Connect and ask for the page."""
        self._socket: ClientConnection = await connect(
            self.address, subprotocols=["streamlit"], max_size=None, open_timeout=30, ping_interval=None,
            compression=None, proxy=None,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read())
        await self._ask()

    async def leave(self) -> None:
        """Close the page as a browser does; a page that has vanished already may be left too."""
        self._stop_timers()
        self._reader.cancel()
        await self._socket.close()

    def vanish(self) -> None:
        """Cut the connection without a word."""
        self._stop_timers()
        self._reader.cancel()
        self._socket.transport.abort()

    async def move(self, **values: object) -> None:
        """Move sliders, by the names of their fields, and let go of them."""
        for name, value in values.items():
            self._moved[name] = self.link[name] = str(value)
        await self._ask()

    async def come_near(self) -> None:
        """Bring a hand near the rank control, which asks for every rank."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_name = urlencode(self.link), self.page
        state.cached_message_hashes.extend(self._kept)
        state.context_info.url, state.fragment_id = self.address, self._axis[1]
        for name, value in self._moved.items():
            state.widget_states.widgets.add(id=self._ids[name]).string_array_value.data.append(value)
        near = state.widget_states.widgets.add(id=f"{TRIGGER}{self._axis[0]}__events")
        near.json_trigger_value = json.dumps([{"event": "near", "value": "hand"}])
        await self._socket.send(message.SerializeToString())

    async def all_ranks(self, seconds: float = 60) -> float:
        """Bring a hand near until every rank is there; returns when it is.

        A page that is told to wait asks again by itself, which a visitor without a browser does here.
        """
        end = time.monotonic() + seconds
        while True:
            await self.come_near()
            try:
                return await self.until(lambda v: v.ranks == "trained", seconds=5)
            except TimeoutError:
                if time.monotonic() > end:
                    raise

    async def forge(self, message: BackMsg) -> None:
        """Send a message of one's own and wait until the page has been run for it.

        Streamlit answers nothing to a fragment that the page does not have.
        """
        before, fragment = self.finished, message.rerun_script.fragment_id
        message.rerun_script.cached_message_hashes.extend(self._kept)
        await self._socket.send(message.SerializeToString())
        if not fragment or fragment in {known for _, known in self.widgets.values()}:
            await self.until(lambda v: v.finished > before)

    async def until(self, met: Callable[["Visitor"], bool], seconds: float = 60) -> float:
        """Wait until something holds of this visitor; returns when it did.

        :raises TimeoutError: it did not within so many seconds; the message says what the visitor saw.
        """
        try:
            async with asyncio.timeout(seconds):
                while not met(self):
                    if self._reader.done():
                        self._reader.result()  # what went wrong in reading, if anything did
                        raise ConnectionError(f"the server closed the connection: {self.errors}")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(
                f"after {seconds} s: run {self.run!r}, {self.charts} charts, {self.updates} updates, "
                f"{self.finished} script runs, notices {self.notices}, errors {self.errors}"
            ) from None
        return time.monotonic()

    async def curve(self, fingerprint: str, seconds: float = 60) -> float:
        """Wait for the complete curve of a run; returns when it arrived."""
        return await self.until(lambda v: v.run == fingerprint and not v.streaming, seconds)

    async def _ask(self, fragment: str = "") -> None:
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_name = urlencode(self.link), self.page
        state.cached_message_hashes.extend(self._kept)
        state.context_info.url = self.address
        for name, value in self._moved.items():
            widget = state.widget_states.widgets.add(id=self._ids[name])
            widget.string_array_value.data.append(value)
        if fragment:
            state.fragment_id, state.is_auto_rerun = fragment, True
        await self._socket.send(message.SerializeToString())

    async def _read(self) -> None:
        try:
            async for frame in self._socket:
                self.bytes += len(frame)
                message = ForwardMsg.FromString(frame)
                if message.metadata.cacheable and message.hash:
                    self._kept[message.hash] = message
                elif message.ref_hash:
                    kept = self._kept.get(message.ref_hash)
                    if kept is None:
                        self.errors.append("a message was left out that this visitor does not hold")
                        continue
                    message = kept
                self._take(message)
                self._changed.set()
        except ConnectionClosed as closed:
            self.errors.append(f"closed: {closed}")
        finally:
            self._changed.set()

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            if not message.metadata.run.fragment_ids:
                self._stop_timers()
        elif kind == "script_finished":
            self.finished += 1
        elif kind == "auto_rerun":
            self._start_timer(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self._stop_timer(fragment)
        elif kind == "delta":
            self._take_delta(message.delta)

    def _take_delta(self, delta: Delta) -> None:
        element = delta.new_element
        kind = element.WhichOneof("type")
        shown = getattr(element, kind or "", None)
        if getattr(shown, "id", "") and kind is not None:
            self.widgets[shown.id] = kind, delta.fragment_id
        if kind == "exception":
            self.errors.append(f"{element.exception.type}: {element.exception.message}")
        elif kind == "alert":
            self.notices.append(element.alert.body)
        elif kind == "slider":
            self._ids[element.slider.query_param_key] = element.slider.id
        elif kind == "bidi_component" and element.bidi_component.id.endswith(CHARTS):
            header = header_of(element.bidi_component.bytes)
            if "epochs" in header:
                self.run, progress = header["run"], header["streaming"]
                self.streaming = progress is not None
                self.updates = progress[0] if progress else header["epochs"]
                self.charts += 1
        elif kind == "bidi_component" and element.bidi_component.id.endswith(AXIS):
            self.ranks = header_of(element.bidi_component.bytes).get("state", "")
            self._axis = element.bidi_component.id, delta.fragment_id

    def _start_timer(self, fragment: str, seconds: float) -> None:
        async def tick() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self._ask(fragment)

        self._stop_timer(fragment)
        self._timers[fragment] = asyncio.create_task(tick())

    def _stop_timer(self, fragment: str) -> None:
        timer = self._timers.pop(fragment, None)
        if timer is not None:
            timer.cancel()

    def _stop_timers(self) -> None:
        for fragment in list(self._timers):
            self._stop_timer(fragment)


def header_of(message: bytes) -> dict:
    """The JSON header of a chart's message: see `pages.components.message.encode`."""
    inflated = zlib.decompress(message)
    return json.loads(inflated[4 : 4 + int.from_bytes(inflated[:4], "little")])
