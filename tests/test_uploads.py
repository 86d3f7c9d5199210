"""What visitors may upload: so much for each, so much for all, told in a sentence."""

from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from pages.runtime import uploads

HERE = {"one", "two", "three", "four"}


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> MemoryUploadedFileManager:
    """Streamlit's own, with room for 2 MB of a visitor and 5 MB of all."""
    monkeypatch.setattr(uploads, "VISITOR_MEGABYTES", 2)
    monkeypatch.setattr(uploads, "UPLOADED_MEGABYTES", 5)
    found = MemoryUploadedFileManager("/upload")
    uploads.bound(found, HERE.__contains__)
    uploads.bound(found, HERE.__contains__)  # of a second page, without effect
    return found


def put(manager: MemoryUploadedFileManager, visitor: str, name: str, megabytes: float) -> Any:
    """Upload a file; returns what the page then gets of it."""
    data = bytes(int(megabytes * 1_000_000))
    manager.add_file(visitor, UploadedFileRec(name, name, "text/plain", data))
    (found,) = manager.get_files(visitor, [name])
    return SimpleNamespace(type=found.type, getvalue=lambda: found.data)


def held(manager: MemoryUploadedFileManager) -> int:
    return sum(len(file.data) for files in manager.file_storage.values() for file in files.values())


def test_a_visitor_has_so_many_megabytes_and_more_once_a_file_is_removed(manager: Any) -> None:
    assert len(uploads.content(put(manager, "one", "a", 1.5))) == 1_500_000
    with pytest.raises(ValueError, match=r"a visitor's files may have \d+ MB together: remove one first"):
        uploads.content(put(manager, "one", "b", 1))
    assert held(manager) == 1_500_000
    manager.remove_file("one", "a")
    assert uploads.content(put(manager, "one", "c", 1))


def test_all_together_have_so_many_and_room_again_when_one_leaves(manager: Any) -> None:
    for visitor in ("one", "two"):
        assert uploads.content(put(manager, visitor, "a", 2))
    with pytest.raises(ValueError, match=r"the server holds \d+ MB of files of all visitors"):
        uploads.content(put(manager, "three", "a", 1.5))
    assert held(manager) == 4_000_000
    manager.remove_session_files("one")
    assert uploads.content(put(manager, "three", "b", 1.5))


def test_a_visitor_has_so_many_files_and_nothing_grows_beyond_them(manager: Any) -> None:
    for number in range(uploads.MOST_FILES):
        put(manager, "one", f"{number}", 0.001)
    with pytest.raises(ValueError, match="more than 50 files were uploaded"):
        uploads.content(put(manager, "one", "one more", 0.001))
    for number in range(300):
        manager.add_file("one", UploadedFileRec(f"more {number}", "", "", b"abc"))
    assert len(manager.file_storage["one"]) == 2 * uploads.MOST_FILES


def test_what_arrives_after_its_visitor_has_left_is_dropped(manager: Any) -> None:
    manager.add_file("gone", UploadedFileRec("a", "a", "", b"abc"))
    assert held(manager) == 0
    assert "gone" not in manager.file_storage
