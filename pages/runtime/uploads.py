"""What visitors upload: bounded for each of them and for all, and read at one door.

Streamlit bounds the size of a file, but neither their number nor their sum, and a file that arrives while its
visitor leaves is kept for good (streamlit issues 3401 and 9218, seen in 1.67.0).
"""

from collections.abc import Callable
from typing import Any

from streamlit.runtime import Runtime
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from pages.runtime.queue import setting

VISITOR_MEGABYTES = setting("VISITOR_MEGABYTES", 250)
"""Of uploaded files that one visitor may have on the server."""
UPLOADED_MEGABYTES = setting("UPLOADED_MEGABYTES", 1000)
"""Of all visitors together."""
MOST_FILES = 50
"""Files that one visitor may have on the server."""

_REFUSED = "application/x-refused-"
_SENTENCES = {
    "number": f"more than {MOST_FILES} files were uploaded: remove one first.",
    "visitor": f"a visitor's files may have {VISITOR_MEGABYTES} MB together: remove one first.",
    "all": f"the server holds {UPLOADED_MEGABYTES} MB of files of all visitors and takes no more.",
}


def bound_uploads() -> None:
    """Bound what the running server takes; once a process, without effect where no server runs."""
    if Runtime.exists():
        bound(Runtime.instance().uploaded_file_mgr, Runtime.instance().is_active_session)


def bound(manager: Any, is_active: Callable[[str], bool]) -> None:
    """Let a manager of uploaded files take what is within the bounds.

    Of a refused file a record without content is kept, whose type says why: the page is told of it like of
    any other file, and `content` raises the sentence. All calls come from the server's event loop.
    """
    if hasattr(manager.add_file, "bounded"):
        return
    add = manager.add_file

    def add_bounded(session_id: str, file: UploadedFileRec) -> None:
        if not is_active(session_id):  # left while the file was on its way
            return
        held = {session: sum(len(each.data) for each in files.values())
                for session, files in list(manager.file_storage.items())}  # fmt: skip
        own, size = manager.file_storage.get(session_id, {}), len(file.data)
        reason = (
            "number" if len(own) >= MOST_FILES
            else "visitor" if held.get(session_id, 0) + size > VISITOR_MEGABYTES * 1_000_000
            else "all" if sum(held.values()) + size > UPLOADED_MEGABYTES * 1_000_000
            else ""
        )  # fmt: skip
        if not reason:
            add(session_id, file)
        elif len(own) < 2 * MOST_FILES:
            add(session_id, file._replace(type=_REFUSED + reason, data=b""))

    add_bounded.bounded = True  # type: ignore[attr-defined]
    manager.add_file = add_bounded


def content(file: Any) -> bytes:
    """The content of an uploaded file.

    :raises ValueError: the file was refused, as a visitor's or all files together are too large.
    """
    reason = str(file.type).removeprefix(_REFUSED)
    if reason in _SENTENCES:
        raise ValueError(_SENTENCES[reason])
    found: bytes = file.getvalue()
    return found
