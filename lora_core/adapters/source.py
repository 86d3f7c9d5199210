"""Where do an adapter's bytes come from? A file on disk, an upload in memory, a zip of either.

A `Source` gives any stretch of its bytes without holding the rest, so that an adapter larger than the memory
can be opened module by module. Nothing that is read here is executed: PyTorch's pickles are recognised by
their first bytes and refused.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from lora_core.adapters.words import named
from lora_core.formatting import bytes_text

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
"""The two files of an adapter as PEFT saves it."""
MOST_CONFIG_BYTES = 1_000_000
MOST_ZIP_BYTES = 1_000_000_000
"""What a zip may unpack to: it is unpacked in memory."""

_ZIP = b"PK\x03\x04"
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError)
"""Damaged, encrypted, compressed in another way, cut short."""
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


class Source(Protocol):
    """Bytes that are read in pieces: `name` for sentences, `size` in bytes, `read(start, stop)`."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    def read(self, start: int, stop: int) -> bytes | memoryview: ...


@dataclass(frozen=True, eq=False)
class Memory:
    """A source whose bytes are all in memory; nothing is copied."""

    name: str
    content: bytes | memoryview

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.content)

    def read(self, start: int, stop: int) -> memoryview:
        """The bytes from `start` up to `stop`, as a view."""
        return memoryview(self.content)[start:stop]


@dataclass(frozen=True)
class Disk:
    """A source on disk, opened for each read, so that it holds no file open."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.name

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.path.stat().st_size

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)


@dataclass(frozen=True, eq=False)
class Parts:
    """What was found of an adapter: its weights, the bytes of its config, or one of the two."""

    weights: Source | None = None
    config: bytes | None = None

    def __or__(self, other: "Parts") -> "Parts":
        """`other`, and from this what `other` does not have."""
        return Parts(
            self.weights if other.weights is None else other.weights,
            self.config if other.config is None else other.config,
        )


def find_on_disk(path: str | Path) -> Parts:
    """The adapter in a folder, in a zip, or in a .safetensors file with its config beside it.

    :raises ValueError: nothing there, or nothing that is an adapter.
    """
    path = Path(path)
    try:
        if path.is_dir() or path.name == CONFIG:
            return _in_folder(path if path.is_dir() else path.parent)
        if Disk(path).read(0, 4) == _ZIP:
            with path.open("rb") as file:
                return _unpacked(path.name, file, MOST_ZIP_BYTES)
        beside = path.parent / CONFIG
        _check_first_bytes(path.name, Disk(path).read(0, 9))
        return Parts(Disk(path), _small(beside) if beside.is_file() else None)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from error


def parts_of(name: str, content: bytes | memoryview, most: int = MOST_ZIP_BYTES) -> Parts:
    """The parts of an adapter in one uploaded file: weights, a config, or a zip with one or both.

    :raises ValueError: a file that is none of these; a zip that unpacks to more than `most` bytes.
    """
    if bytes(content[:4]) == _ZIP:
        return _unpacked(name, io.BytesIO(content), most)
    if Path(name).suffix.lower() == ".json":
        if len(content) > MOST_CONFIG_BYTES:
            raise ValueError(_too_long(name, len(content)))
        return Parts(config=bytes(content))
    _check_first_bytes(name, bytes(content[:9]))
    return Parts(Memory(name, content))


def _in_folder(folder: Path) -> Parts:
    files = {file.name: file for file in folder.iterdir() if file.is_file()}
    weights = _one_weights(str(folder), list(files))
    config = files.get(CONFIG)
    _check_first_bytes(weights, Disk(files[weights]).read(0, 9))
    return Parts(Disk(files[weights]), None if config is None else _small(config))


def _small(path: Path) -> bytes:
    if path.stat().st_size > MOST_CONFIG_BYTES:
        raise ValueError(_too_long(path.name, path.stat().st_size))
    return path.read_bytes()


def _too_long(name: str, size: int) -> str:
    most = bytes_text(MOST_CONFIG_BYTES)
    return f"{named(name)} is {bytes_text(size)} long: a config must be at most {most}."


def _one_weights(place: str, names: list[str]) -> str:
    """The name of the one weights file among `names`."""
    if WEIGHTS in names:
        return WEIGHTS
    found = [name for name in names if name.endswith(".safetensors")]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{named(place)} holds {len(found)} .safetensors files: name the one to open.")
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if pickles:
        raise ValueError(_pickle(pickles[0]))
    raise ValueError(f"{named(place)} holds no {WEIGHTS}.")


def _unpacked(name: str, content: IO[bytes], most: int) -> Parts:
    """Weights and config of a zip, unpacked in memory up to a limit that holds for what really comes out."""
    try:
        with zipfile.ZipFile(content) as archive:
            members = {Path(info.filename).name: info for info in archive.infolist() if not info.is_dir()}
            if "data.pkl" in members:
                raise ValueError(_pickle(name))
            config = members.get(CONFIG)
            if config is not None and not any(each.endswith((".safetensors", *_PICKLES)) for each in members):
                return Parts(config=_member(archive, config, MOST_CONFIG_BYTES))
            weights = _one_weights(name, list(members))
            found = Memory(weights, _member(archive, members[weights], most))
            _check_first_bytes(weights, bytes(found.read(0, 9)))
            return Parts(found, None if config is None else _member(archive, config, MOST_CONFIG_BYTES))
    except _BAD_ZIP as error:
        raise ValueError(f"{named(name)} cannot be unpacked: {named(error)}.") from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    if info.file_size > most:
        raise ValueError(
            f"{named(info.filename)} unpacks to {bytes_text(info.file_size)}: it must be at most "
            f"{bytes_text(most)}."
        )
    # zipfile gives no more than the size that the archive names, and compares the checksum at the end.
    with archive.open(info) as member:
        return member.read()


def _check_first_bytes(name: str, first: bytes) -> None:
    """Refuse a pickle, by its first nine bytes or its name.

    A safetensors file may start like one, as it starts with the length of its header; but then the ninth byte
    opens that header.
    """
    pickled = first[:1] == b"\x80" and first[1:2] in b"\x02\x03\x04\x05" and first[8:9] != b"{"
    if pickled or Path(name).suffix.lower() in _PICKLES:
        raise ValueError(_pickle(name))


def _pickle(name: str) -> str:
    return (
        f"{named(name)} is a pickle as torch.save writes it, which can run code when it is opened: it must "
        "be saved as safetensors."
    )


def uploaded(files: Mapping[str, bytes | memoryview], most: int = MOST_ZIP_BYTES) -> Parts:
    """The parts in several uploaded files together.

    :raises ValueError: as `parts_of`, or more than one file of weights.
    """
    parts = Parts()
    for name, content in files.items():
        found = parts_of(name, content, most)
        if found.weights is not None and parts.weights is not None:
            raise ValueError(f"{named(parts.weights.name)} and {named(name)} are both weights: give one.")
        parts |= found
    return parts
