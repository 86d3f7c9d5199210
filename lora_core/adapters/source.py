"""Where do an adapter's bytes come from? A file on disk, an upload in memory, a zip of either.

A `Source` gives any stretch of its bytes without holding the rest, so that an adapter larger than the memory
can be opened module by module. Nothing that is read here is executed: PyTorch's pickles are recognised by
their first bytes and refused.
"""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from lora_core.adapters.words import listed, named
from lora_core.formatting import bytes_text

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
"""The two files of an adapter as PEFT saves it."""
MOST_CONFIG_BYTES = 1_000_000
MOST_ZIP_BYTES = 1_000_000_000
"""What a zip may unpack to: it is unpacked in memory."""

_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip starts; the second one, a zip of nothing."""
_BAD_ZIP = (
    RuntimeError, NotImplementedError, EOFError, OSError, OverflowError, ValueError, zlib.error, struct.error,
    lzma.LZMAError,
)  # fmt: skip
"""What Python's reader of zips raises over a damaged one, besides its own error."""
_METHODS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA"}
_PIECE = 1 << 20
_FIRST_BYTES = 64
_POINTER = b"version https://git-lfs"
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
    if "\0" in str(path):
        raise ValueError(f"{named(path)} cannot be read: no file has a name with a zero byte.")
    try:
        if path.is_dir() or path.name == CONFIG:
            return _in_folder(path if path.is_dir() else path.parent)
        first = Disk(path).read(0, _FIRST_BYTES)
        if first.startswith(_ZIPS):
            with path.open("rb") as file:
                return _unpacked(path.name, file, MOST_ZIP_BYTES)
        beside = path.parent / CONFIG
        _check_first_bytes(path.name, first)
        return Parts(Disk(path), _small(beside) if beside.is_file() else None)
    except OSError as error:
        raise ValueError(f"{named(path, 200)} cannot be read: {error.strerror or named(error)}.") from error


def parts_of(name: str, content: bytes | memoryview, most: int = MOST_ZIP_BYTES) -> Parts:
    """The parts of an adapter in one uploaded file: weights, a config, or a zip with one or both.

    :raises ValueError: a file that is none of these; a zip that unpacks to more than `most` bytes.
    """
    if bytes(content[:4]) in _ZIPS:
        return _unpacked(name, io.BytesIO(content), most)
    if Path(name).suffix.lower() == ".json":
        if len(content) > MOST_CONFIG_BYTES:
            raise ValueError(_too_long(name, len(content)))
        return Parts(config=bytes(content))
    _check_first_bytes(name, bytes(content[:_FIRST_BYTES]))
    return Parts(Memory(name, content))


def _in_folder(folder: Path) -> Parts:
    files = {file.name: file for file in folder.iterdir() if file.is_file() and not _of_macos(file.name)}
    weights = _one_weights(str(folder), list(files))
    config = files.get(CONFIG)
    _check_first_bytes(weights, Disk(files[weights]).read(0, _FIRST_BYTES))
    return Parts(Disk(files[weights]), None if config is None else _small(config))


def _small(path: Path) -> bytes:
    if path.stat().st_size > MOST_CONFIG_BYTES:
        raise ValueError(_too_long(path.name, path.stat().st_size))
    return path.read_bytes()


def _too_long(name: str, size: int) -> str:
    most = bytes_text(MOST_CONFIG_BYTES)
    return f"{named(name)} is {bytes_text(size)} long: a config must be at most {most}."


def _one_weights(place: str, paths: Sequence[str]) -> str:
    """The one file of weights among `paths`."""
    files = [path for path in paths if path.endswith(".safetensors")]
    found = [path for path in files if PurePosixPath(path).name == WEIGHTS] or files
    if len(found) == 1:
        return found[0]
    if found:
        names = listed(sorted(found))
        raise ValueError(f"{named(place)} holds {len(found)} .safetensors files, {names}: give one of them.")
    pickles = [path for path in paths if path.endswith(_PICKLES)]
    if pickles:
        raise ValueError(_pickle(pickles[0]))
    raise ValueError(f"{named(place)} holds no {WEIGHTS}.")


def _of_macos(path: str) -> bool:
    """Whether a file is what macOS puts beside every file on a foreign disk or in a zip."""
    return path.startswith("__MACOSX/") or PurePosixPath(path).name.startswith("._")


@contextmanager
def _unpacking(name: str) -> Iterator[None]:
    """Whatever Python's reader of zips raises, as one sentence."""
    try:
        yield
    except zipfile.BadZipFile as error:
        raise ValueError(f"{named(name)} cannot be unpacked: {named(error)}.") from error
    except _BAD_ZIP as error:
        raise ValueError(f"{named(name)} cannot be unpacked: it is damaged.") from error


def _unpacked(name: str, content: IO[bytes], most: int) -> Parts:
    """Weights and config of a zip, unpacked in memory up to a limit that holds for what really comes out.

    The config is the one in the folder of the weights: another one is another adapter's.
    """
    with _unpacking(name):
        archive = zipfile.ZipFile(content)
    infos = [info for info in archive.infolist() if not info.is_dir() and not _of_macos(info.filename)]
    paths = [info.filename for info in infos]
    if any(PurePosixPath(path).name == "data.pkl" for path in paths):
        raise ValueError(_pickle(name))
    if any(path.endswith((".safetensors", *_PICKLES)) for path in paths):
        weights = _one_weights(name, paths)
        place = PurePosixPath(weights).parent
        found = Memory(PurePosixPath(weights).name, _member(archive, infos[paths.index(weights)], most))
        _check_first_bytes(found.name, bytes(found.read(0, _FIRST_BYTES)))
    else:
        found, place = None, None
    configs = [
        info
        for info in infos
        if PurePosixPath(info.filename).name == CONFIG
        and (place is None or PurePosixPath(info.filename).parent == place)
    ]
    if len(configs) > 1:
        raise ValueError(f"{named(name)} holds {len(configs)} files {CONFIG}: give one of them.")
    if found is None and not configs:
        raise ValueError(f"{named(name)} holds no {WEIGHTS}.")
    return Parts(found, _member(archive, configs[0], MOST_CONFIG_BYTES) if configs else None)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """The bytes of a file in a zip, in pieces: what the directory says of its size may be a lie."""
    name = named(info.filename)
    if info.flag_bits & 1:
        raise ValueError(f"{name} is encrypted: it must be unpacked first.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        raise ValueError(f"{name} is compressed with {method}: only stored and deflated files are unpacked.")
    if info.file_size > most:
        raise ValueError(
            f"{name} unpacks to {bytes_text(info.file_size)}: it must be at most {bytes_text(most)}."
        )
    found = bytearray()
    with _unpacking(info.filename), archive.open(info) as member:
        while piece := member.read(_PIECE):
            found += piece
    return bytes(found)


def _check_first_bytes(name: str, first: bytes) -> None:
    """Refuse a pickle, by its first bytes or its name, and what git-lfs leaves in the place of a file.

    A safetensors file may start like one, as it starts with the length of its header; but then the ninth byte
    opens that header.
    """
    pickled = first[:1] == b"\x80" and first[1:2] in b"\x02\x03\x04\x05" and first[8:9] != b"{"
    if pickled or Path(name).suffix.lower() in _PICKLES:
        raise ValueError(_pickle(name))
    if first.startswith(_POINTER):
        raise ValueError(f"{named(name)} is a pointer of git-lfs, not the file: fetch it with git lfs pull.")


def _pickle(name: str) -> str:
    return (
        f"{named(name)} is a pickle as torch.save writes it, which can run code when it is opened: it must "
        "be saved as safetensors."
    )


def uploaded(
    files: Mapping[str, bytes | memoryview] | Iterable[tuple[str, bytes | memoryview]],
    most: int = MOST_ZIP_BYTES,
) -> Parts:
    """The parts in several uploaded files together, by name or as pairs, as two may have one name.

    :raises ValueError: as `parts_of`, or more than one file of weights, or more than one config.
    """
    parts, last = Parts(), ""
    for name, content in files.items() if isinstance(files, Mapping) else files:
        found = parts_of(name, content, most)
        if found.weights is not None and parts.weights is not None:
            raise ValueError(f"{named(parts.weights.name)} and {named(name)} are both weights: give one.")
        if found.config is not None and parts.config is not None:
            raise ValueError(f"{named(last)} and {named(name)} both hold a config: give one.")
        last = last if found.config is None else name
        parts |= found
    return parts
