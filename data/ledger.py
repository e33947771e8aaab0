"""A record that nobody can change unseen: signed, hash-chained lines of JSON, only ever appended to."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from data.workspace import UserError, home, keys, secret, state, write_atomically

BEGINNING = "0" * 64
HASH = re.compile("[0-9a-f]{64}")
SIGNATURE = re.compile("[0-9a-f]{128}")


class LedgerError(Exception):
    """The ledger is not what was written; the message names the line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it stands in the ledger; ``hash`` covers all but itself and the signature."""

    sequence: int
    time: str
    event: Mapping[str, Any]
    previous: str
    hash: str
    signer: str
    signature: str

    @property
    def unsigned(self) -> dict[str, Any]:
        """Return what the hash covers."""
        names = ("sequence", "time", "event", "previous", "signer")
        return {name: getattr(self, name) for name in names}

    @property
    def is_well_formed(self) -> bool:
        """Say whether every field has its type: a line may hold any JSON."""
        return (
            type(self.sequence) is int
            and isinstance(self.event, dict)
            and all(isinstance(text, str) for text in (self.time, self.previous, self.hash, self.signer))
            and isinstance(self.signature, str)
            and HASH.fullmatch(self.hash) is not None
            and SIGNATURE.fullmatch(self.signature) is not None
        )


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """Who signs, with the private key of this machine."""

    name: str
    key: Ed25519PrivateKey


def signer(name: str) -> Signer:
    """Return the signer of that name; its key is made, and trusted on this machine, at first use.

    Raises:
        UserError: the key exists but is not trusted, because somebody withdrew the trust; or there is
            none, and the folder of the keys or of the state is read-only.
    """
    if not name or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UserError(
            f"no signer can be called {name!r}; use letters, digits, dashes, dots and underscores"
        )
    with _state_lock("trusted.lock"):
        is_new = not (keys() / f"signer-{name}.key").exists()
        key = Ed25519PrivateKey.from_private_bytes(secret(f"signer-{name}"))
        public = key.public_key().public_bytes_raw().hex()
        known = trusted()
        if is_new and name not in known:
            with write_atomically(keys() / "trusted.json") as path:
                path.write_text(json.dumps({**known, name: public}, indent=1, sort_keys=True) + "\n")
        elif known.get(name) != public:
            raise UserError(
                f"the key of signer {name!r} is not trusted: add {public[:16]}… to {keys() / 'trusted.json'}"
            )
    return Signer(name, key)


@contextmanager
def _state_lock(name: str) -> Iterator[None]:
    try:
        state().mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = open(state() / name, "a")  # noqa: SIM115 - what is done under it may raise, too
    except OSError as error:
        raise UserError(
            f"{state()} cannot be written ({error.strerror}); set MAILROOM_STATE to a folder that can, "
            "outside the workspace"
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def trusted() -> dict[str, str]:
    """Return the public keys whose signatures count on this machine, by name, in hexadecimal."""
    path = keys() / "trusted.json"
    if not path.exists():
        return {}
    try:
        return {str(name): str(key) for name, key in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError):
        raise UserError(
            f"{path} is damaged: it must map names to public keys; restore it from your backup"
        ) from None


@contextmanager
def turn(path: str | Path) -> Iterator[None]:
    """Wait until nobody else is between reading a ledger and adding to it; the block is that turn.

    What is read in it is still all there is when a line is added, as long as all who add take turns.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(Path(path).with_name(f".{Path(path).name}.lock"), "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def append(path: str | Path, event: Mapping[str, Any], *, signer: Signer) -> Entry:
    """Add an event and return its entry, which is on the disk when this returns.

    Raises:
        LedgerError: the last line is damaged, or lines that were written here are missing; nothing is
            added to a broken ledger.
        OSError: it cannot be written; the ledger is as it was.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    _name_workspace(path)
    with _locked(path, "ab+", fcntl.LOCK_EX) as handle:
        last = _last_entry(handle)
        _require_head(path, handle, last)
        unsigned = {
            "sequence": last.sequence + 1 if last else 0,
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "event": event,
            "previous": last.hash if last else BEGINNING,
            "signer": signer.name,
        }
        digest = hashlib.sha256(_canonical(unsigned)).hexdigest()
        signature = signer.key.sign(digest.encode()).hex()
        line = _canonical({**unsigned, "hash": digest, "signature": signature})
        entry = _entry(line + b"\n", 0)
        with _remembered(path, _first_entry(handle) if last else entry, entry):
            append_whole(handle.fileno(), line + b"\n")
    return entry


def append_whole(descriptor: int, line: bytes) -> None:
    """Add a whole line to a locked file, and have it on the disk; or leave the file as it was.

    Raises:
        OSError: it cannot be written. On a full disk half a line would break the chain for ever.
    """
    size = os.lseek(descriptor, 0, os.SEEK_END)
    try:
        if os.write(descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def read(path: str | Path) -> tuple[Entry, ...]:
    """Return the entries as they stand, unverified; none if there is no ledger yet."""
    if not Path(path).exists():
        return ()
    with _locked(path, "rb", fcntl.LOCK_SH) as handle:
        return tuple(_entries(handle))


def verify(path: str | Path) -> tuple[Entry, ...]:
    """Return the entries after checking every hash, link, number and signature.

    Lines cut off at the end, and a ledger that is gone, are noticed on the machine that wrote them:
    it remembers the last entry beside its keys, or where MAILROOM_STATE says.

    Raises:
        LedgerError: the first line that is not as it was written, and what is wrong with it.
    """
    return verify_since(path, None).entries


@dataclass(frozen=True, slots=True)
class Place:
    """The last line that was verified, and the byte at which it begins."""

    start: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Verified:
    """Entries that were just checked, where the last of them stands, and whether these are all there are."""

    entries: tuple[Entry, ...]
    last: Place | None
    is_whole: bool


def verify_since(path: str | Path, last: Place | None) -> Verified:
    """Return what follows a line that was verified before, checked as ``verify`` checks it.

    Where that line no longer stands in its place, byte for byte, everything is checked, and is returned.
    What changes before it is not noticed here: whoever follows a ledger so has it verified whole at first,
    and ``mailroom review verify`` does again.

    Raises:
        LedgerError: the first line that is not as it was written, and what is wrong with it.
    """
    if not Path(path).exists():
        for head in _heads(path, None):
            _check_head(head, ())
        return Verified((), None, is_whole=True)
    with _locked(path, "rb", fcntl.LOCK_SH) as handle:
        heads = _heads(path, _first_entry(handle) if os.fstat(handle.fileno()).st_size else None)
        last = last if last and _stands(handle, last, heads) else None
        handle.seek(last.start if last else 0)
        lines = handle.readlines()
    # after the lines: whoever signs for the first time is named before their line is written
    known = {name: Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) for name, key in trusted().items()}
    first, previous = (last.entry.sequence, last.entry.previous) if last else (0, BEGINNING)
    entries: list[Entry] = []
    for number, line in enumerate(lines, start=first + 1):
        entry = _entry(line, number)
        _check(entry, number, previous, known)
        entries.append(entry)
        previous = entry.hash
    for head in heads:
        _check_head(head, entries, first=first)
    end = (last.start if last else 0) + sum(map(len, lines[:-1]))
    place = Place(end, entries[-1]) if entries else None
    return Verified(tuple(entries[1:] if last else entries), place, is_whole=last is None)


def _stands(handle: IO[bytes], last: Place, heads: tuple[_Head, ...]) -> bool:
    """Say whether a line is where it was, and what is remembered can be told from there on."""
    handle.seek(last.start)
    is_there = handle.readline() == _canonical(asdict(last.entry)) + b"\n"
    return is_there and all(head.sequence >= last.entry.sequence for head in heads)


def _check(entry: Entry, number: int, previous: str, known: Mapping[str, Ed25519PublicKey]) -> None:
    if entry.hash != hashlib.sha256(_canonical(entry.unsigned)).hexdigest():
        raise LedgerError(
            f"line {number}: the content does not match its hash; it was changed after it was written"
        )
    if entry.sequence != number - 1:
        raise LedgerError(f"line {number}: entry {entry.sequence} stands where entry {number - 1} belongs")
    if entry.previous != previous:
        raise LedgerError(
            f"line {number}: it does not follow from the line before; lines were exchanged or rewritten"
        )
    if entry.signer not in known:
        raise LedgerError(
            f"line {number}: signed by {entry.signer!r}, who is not in {keys() / 'trusted.json'}"
        )
    try:
        known[entry.signer].verify(bytes.fromhex(entry.signature), entry.hash.encode())
    except (InvalidSignature, ValueError):
        raise LedgerError(f"line {number}: the signature is not that of {entry.signer!r}") from None


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


@contextmanager
def _locked(path: str | Path, mode: str, lock: int) -> Iterator[IO[bytes]]:
    with open(path, mode) as handle:
        fcntl.flock(handle, lock)
        yield handle


def _entries(handle: IO[bytes]) -> Iterator[Entry]:
    for number, line in enumerate(handle, start=1):
        yield _entry(line, number)


def _entry(line: bytes, number: int) -> Entry:
    """Return the entry in a line; number 0 stands for the last one, whose number is not known.

    The line must be what `append` would write of it, byte for byte: with two equal keys, of which a reader
    may take the first, it would say something that the hash does not cover.
    """
    try:
        stated = json.loads(line)
        entry = Entry(**stated)
        if entry.is_well_formed and line == _canonical(stated) + b"\n":
            return entry
    except (ValueError, TypeError, RecursionError):
        pass  # told below like any other line that is none of ours
    place = f"line {number}" if number else "the last line"
    raise LedgerError(f"{place}: it is no entry of a ledger; it is cut off or was changed")


def _last_entry(handle: IO[bytes]) -> Entry | None:
    """Return the entry that the next one follows, reading back from the end only as far as it reaches."""
    size = handle.seek(0, os.SEEK_END)
    tail, start = b"", size
    while start and tail[:-1].count(b"\n") < 1:
        step = min(start, 65536)
        start -= step
        handle.seek(start)
        tail = handle.read(step) + tail
    if not size:
        return None
    line = tail[tail[:-1].rfind(b"\n") + 1 :]
    return _entry(line, 0)


@dataclass(frozen=True, slots=True)
class _Head:
    """The last entry that this machine wrote, and the file that remembers it."""

    kept: Path
    sequence: int
    hash: str


def _head_paths(folder: Path, path: str | Path, first: Entry | None) -> tuple[Path, ...]:
    """Return where the last entry is remembered: by the ledger's place, and by its first line.

    The place is known when the ledger is gone, the first line when its folder was moved.
    """
    place = folder / "heads" / _name_of_place(path)
    return (place, folder / "heads" / first.hash) if first else (place,)


def _name_of_place(path: str | Path) -> str:
    named = _workspace_file(path)
    workspace = named.read_text() if named.exists() else ""
    place = f"{os.path.realpath(path)}\0{workspace}".encode("utf-8", "surrogateescape")
    return f"place-{hashlib.sha256(place).hexdigest()}"


def _workspace_file(path: str | Path) -> Path:
    """Return the file that names the workspace: a ledger may be gone with all of it, but not alone."""
    is_within = Path(path).resolve().is_relative_to(home().resolve())
    return (home() if is_within else Path(path).parent) / "workspace.id"


def _name_workspace(path: str | Path) -> None:
    with suppress(FileExistsError), open(_workspace_file(path), "x") as file:
        file.write(f"{uuid.uuid4().hex}\n")


def _heads(path: str | Path, first: Entry | None) -> tuple[_Head, ...]:
    """Return what is remembered of a ledger that has this first entry, or none.

    What was remembered beside the keys counts until something is in the place that was chosen since.
    """
    for folder in (state(), keys()):
        found = [kept for kept in _head_paths(folder, path, first) if kept.exists()]
        if found:
            return tuple(_read_head(kept) for kept in found)
    return ()


def _read_head(kept: Path) -> _Head:
    try:
        sequence, digest = kept.read_text(encoding="utf-8").split()
        return _Head(kept, int(sequence), digest)
    except ValueError:
        raise LedgerError(
            f"{kept} no longer says which line came last; restore it from your backup"
        ) from None


@contextmanager
def _remembered(path: str | Path, first: Entry, entry: Entry) -> Iterator[None]:
    """Write down the head before its line, and put it in place after: no line stands unremembered.

    Somebody who is killed in between leaves a head that is behind, which the next entry mends.
    """
    with ExitStack() as heads:
        for kept in _head_paths(state(), path, first):
            unfinished = heads.enter_context(write_atomically(kept))
            unfinished.write_text(f"{entry.sequence} {entry.hash}\n")
        yield


def _first_entry(handle: IO[bytes]) -> Entry:
    handle.seek(0)
    return _entry(handle.readline(), 1)


def _require_head(path: str | Path, handle: IO[bytes], last: Entry | None) -> None:
    """Refuse to follow a last entry that is behind what was written: its head would be forgotten."""
    for head in _heads(path, _first_entry(handle) if last else None):
        if last is None or (last.sequence, last.hash) != (head.sequence, head.hash):
            handle.seek(0)
            _check_head(head, tuple(_entries(handle)))


def _check_head(head: _Head, entries: Sequence[Entry], *, first: int = 0) -> None:
    """Check what is remembered against the entries from number ``first`` to the last."""
    if not entries:
        raise LedgerError(
            f"it is gone or empty, and {head.sequence + 1} lines were written here; "
            f"only if you removed it on purpose, delete {head.kept}"
        )
    end = first + len(entries)
    if head.sequence >= end:
        raise LedgerError(f"line {end + 1}: it is missing; {head.sequence + 1} lines were written here")
    if entries[head.sequence - first].hash != head.hash:
        raise LedgerError(f"line {head.sequence + 1}: it is not the one that was written here")
