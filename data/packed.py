"""Compressed files, zip and tar archives: read as a stream, never unpacked onto disk, safe from bombs."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import itertools
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from data.tar import MAGIC as TAR
from data.tar import MAGIC_AT, TarMember, tar_members

if TYPE_CHECKING:
    from typing_extensions import Buffer

Packing = Literal["", "gzip", "bzip2", "xz", "zstd", "zip", "tar"]
ARCHIVES: tuple[Packing, ...] = ("zip", "tar")
MAGIC: dict[bytes, Packing] = {
    b"\x1f\x8b\x08": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
SUFFIXES = frozenset({".gz", ".bz2", ".xz", ".zst"})
MOST_TIMES_LARGER = 1000  # mail shrinks to a tenth, identical newsletters to a hundredth; a bomb to nothing
ALWAYS_ALLOWED = 1 << 20
MOST_MEMBERS = 1_000_000
BUFFER_BYTES = 64 << 10


class PackedError(OSError):
    """A packed file that is damaged, encrypted, or unpacks to absurdly more than it is."""


def packing_of(start: bytes) -> Packing:
    """Return how a file with these first bytes is packed, or nothing."""
    if start.startswith(TAR, MAGIC_AT):
        return "tar"
    return next((packing for magic, packing in MAGIC.items() if start.startswith(magic)), "")


@dataclass(frozen=True, slots=True)
class Member:
    """What a zip or a tar holds: its place in the directory, its name, its packed size.

    A broken one cannot be read; without a name it stands for the rest of a damaged archive.
    """

    number: int
    name: str
    size: int
    is_folder: bool = False
    is_broken: bool = False


def members(path: Path, packing: Packing) -> list[Member]:
    """Return what a zip or a tar holds.

    Raises:
        OSError: it cannot be read, or is an archive without a readable directory, with too many members,
            or with more in its members than in itself.
    """
    if packing == "tar":
        return [
            Member(number, each.name, each.size, each.kind == "folder", each.kind == "broken")
            for number, each in enumerate(_tar(path))
        ]
    entries = _zip(path).infolist()
    if len(entries) > MOST_MEMBERS:
        raise PackedError(f"more than {MOST_MEMBERS:,} members")
    if sum(each.compress_size for each in entries) > path.stat().st_size:
        raise PackedError("members that overlap")
    return [
        Member(number, each.filename, each.compress_size, each.filename.endswith("/"))  # "" has no end
        for number, each in enumerate(entries)
    ]


@contextmanager
def unpacked(path: Path, packing: Packing, member: int = 0) -> Iterator[io.BufferedReader]:
    """Open a packed file, or the ``member``-th of an archive, for reading.

    What comes before damage is given out before the damage is raised, if it is read with ``read1``.

    Raises:
        OSError: at once or while reading: damaged, encrypted, or far larger than what it was packed into.
    """
    with ExitStack() as opened:
        with _as_packed_error():
            if packing == "zip":
                archive = _zip(path)
                entry = archive.infolist()[member]
                size = entry.compress_size
                inner = cast(io.BufferedReader, opened.enter_context(archive.open(entry)))
            elif packing == "tar":
                found = _tar(path)[member]
                size = found.size
                file = opened.enter_context(open(path, "rb"))
                file.seek(found.start)
                inner = cast(io.BufferedReader, _Stretch(file, size))
            else:
                file = opened.enter_context(open(path, "rb"))
                size = os.fstat(file.fileno()).st_size
                inner = opened.enter_context(_decompressor(file, packing))
        yield io.BufferedReader(_Bounded(inner, size), BUFFER_BYTES)


def _zip(path: Path) -> zipfile.ZipFile:
    status = path.stat()
    with _as_packed_error():
        return _directory(os.fspath(path), status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=4)
def _directory(path: str, size: int, changed: int, inode: int) -> zipfile.ZipFile:
    """Read a zip's directory once for all of its members, as long as it stays the same file.

    The inode tells apart what a stream brings: every file has the same path, and a clock may stand still.
    """
    del size, changed, inode
    return zipfile.ZipFile(path)


def _tar(path: Path) -> tuple[TarMember, ...]:
    status = path.stat()
    return _tar_directory(path, status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=4)
def _tar_directory(path: Path, size: int, changed: int, inode: int) -> tuple[TarMember, ...]:
    """Walk through a tar's headers once for all of its members, as long as it stays the same file."""
    del size, changed, inode
    found = tuple(itertools.islice(tar_members(path), MOST_MEMBERS + 1))
    if len(found) > MOST_MEMBERS:
        raise PackedError(f"more than {MOST_MEMBERS:,} members")
    return found


class _Stretch:
    """Reads ``size`` bytes of a file from where it stands, and complains if there are fewer."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file, self._left = file, size

    def read1(self, wanted: int) -> bytes:
        content = self._file.read1(min(wanted, self._left))
        if self._left and not content:
            raise EOFError
        self._left -= len(content)
        return content


def _decompressor(file: BinaryIO, packing: Packing) -> io.BufferedReader:
    if packing == "zstd":
        import zstandard

        return cast(
            io.BufferedReader, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        )
    opened: dict[str, Callable[..., object]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    return cast(io.BufferedReader, opened[packing](file, "rb"))


class _Bounded(io.RawIOBase):
    """Reads on while what comes out stays in proportion to what went in."""

    def __init__(self, inner: io.BufferedReader, packed_size: int) -> None:
        self._inner = inner
        self._left = max(ALWAYS_ALLOWED, packed_size * MOST_TIMES_LARGER)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        with _as_packed_error():
            content = self._inner.read1(len(view))
        self._left -= len(content)
        if self._left < 0:
            raise PackedError(f"unpacks to more than {MOST_TIMES_LARGER} times its size")
        view[: len(content)] = content
        return len(content)


@contextmanager
def _as_packed_error() -> Iterator[None]:
    """Give what five libraries raise for damaged or encrypted files one name."""
    import zstandard

    try:
        yield
    except (
        EOFError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        zstandard.ZstdError,
        ValueError,
    ) as error:
        raise PackedError(f"damaged: {type(error).__name__}") from None
    except OSError as error:
        if error.errno is not None or isinstance(error, PackedError):
            raise
        raise PackedError(f"damaged: {type(error).__name__}") from None  # the decompressor's, not the disk's
    except (
        RuntimeError,
        NotImplementedError,
        KeyError,
        IndexError,
    ) as error:  # zipfile: a password, a method
        raise PackedError(f"cannot be unpacked: {type(error).__name__}") from None
