"""Who read or wrote what: one line per request, chained with a key, on the disk before the answer leaves."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.ledger import HASH
from data.workspace import UserError, home, keys, secret, state, write_atomically

BEGINNING = "0" * 64
FIELDS = {"sequence", "time", "event", "previous", "hash"}
HEAD_S = 1.0  # at most so long the head beside the keys lies behind the log


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the log, and in which line."""

    line: int
    words: str

    def __str__(self) -> str:
        return f"line {self.line:,}: {self.words}"


def audit_path() -> Path:
    """Return where the log lies."""
    return home() / "audit.jsonl"


class AuditLog:
    """The open log of one gateway; ``write`` is safe from any thread."""

    def __init__(self, path: Path, descriptor: int, sequence: int, previous: str) -> None:
        self.path = path
        self._descriptor = descriptor
        self._sequence = sequence
        self._previous = previous
        self._key = secret("audit")
        self._lock = threading.Lock()
        self._unsaved = False

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one event.

        Raises:
            OSError: it cannot be written; whoever asked gets no answer then.
        """
        with self._lock:
            line: dict[str, Any] = {
                "sequence": self._sequence,
                "time": datetime.now(UTC).isoformat(timespec="microseconds"),
                "event": event,
                "previous": self._previous,
            }
            line["hash"] = _hash(self._key, line)
            self._append(_canonical(line) + b"\n")
            self._sequence, self._previous, self._unsaved = self._sequence + 1, line["hash"], True

    def save(self) -> None:
        """Force the lines to the disk, and remember the last one beside the keys."""
        with self._lock:
            if not self._unsaved:
                return
            head = f"{self._sequence - 1} {self._previous}\n"
            self._unsaved = False
        try:
            os.fdatasync(self._descriptor)
            with write_atomically(_head_path(self.path)) as unfinished:
                unfinished.write_text(head)
        except OSError:
            self._unsaved = True
            raise

    def _append(self, line: bytes) -> None:
        size = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            written = os.write(self._descriptor, line)
        except OSError:
            os.ftruncate(self._descriptor, size)
            raise
        if written != len(line):  # a full disk: half a line would break the chain
            os.ftruncate(self._descriptor, size)
            raise OSError(f"the audit log {self.path} cannot be written: the disk is full")


@contextmanager
def open_audit(path: Path | None = None) -> Iterator[AuditLog]:
    """Open the log for one gateway, following on its last line; it is saved every second and at the end.

    Raises:
        UserError: another gateway has it open, or its end is not what was written.
    """
    chosen = path or audit_path()
    chosen.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(chosen, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another gateway writes {chosen}; stop it, or set MAILROOM_HOME to another workspace"
            ) from None
        sequence, previous, problem = _walk(chosen)
        if problem:
            raise UserError(
                f"the audit log {chosen} is not what was written: {problem}; keep it as evidence and move it "
                f"aside with {_head_path(chosen)}"
            )
        log = AuditLog(chosen, descriptor, sequence, previous)
        done = threading.Event()
        saver = threading.Thread(target=_save_until, args=(log, done), name="audit", daemon=True)
        saver.start()
        try:
            yield log
        finally:
            done.set()
            saver.join()
            log.save()
    finally:
        os.close(descriptor)


def verify_audit(path: Path | None = None) -> tuple[int, Problem | None]:
    """Return how many lines hold, and what is wrong with the first that does not."""
    lines, _, problem = _walk(path or audit_path())
    return lines, problem


def _walk(path: Path) -> tuple[int, str, Problem | None]:
    """Return how many lines hold, the hash that the next one follows, and what is wrong with it."""
    key, previous, number = secret("audit"), BEGINNING, 0
    head = _head(path)
    if not path.exists():
        return 0, previous, Problem(1, f"{path} is gone, and lines were written here") if head else None
    with open(path, "rb") as handle:
        for number, raw in enumerate(handle, start=1):
            problem = _wrong(raw, number, previous, key)
            if problem:
                return number - 1, previous, Problem(number, problem)
            previous = json.loads(raw)["hash"]
            if head and head[0] == number - 1 and head[1] != previous:
                return number - 1, previous, Problem(number, "it is not the one that was written here")
    if head and head[0] >= number:
        missing = Problem(number + 1, f"it is missing; {head[0] + 1:,} lines were written here")
        return number, previous, missing
    return number, previous, None


def _wrong(raw: bytes, number: int, previous: str, key: bytes) -> str:
    """Return what is wrong with a line, or nothing."""
    try:
        line = json.loads(raw)
        # with two equal keys, of which a reader may take the first, it would say what the hash does not cover
        is_ours = raw == _canonical(line) + b"\n" and line.keys() == FIELDS and HASH.fullmatch(line["hash"])
        matches = is_ours and hmac.compare_digest(line.pop("hash"), _hash(key, line))
    except (ValueError, TypeError, AttributeError, RecursionError):
        is_ours = matches = None
    if not is_ours:
        return "it is no line of an audit log; it is cut off or was changed"
    if not matches:
        return "its content does not match its hash; it was changed after it was written"
    if line["sequence"] != number - 1 or line["previous"] != previous:
        return "it does not follow from the line before; lines were removed, added or exchanged"
    return ""


def _save_until(log: AuditLog, done: threading.Event) -> None:
    while not done.wait(HEAD_S):
        try:
            log.save()
        except OSError as error:  # the next second tries again; what was answered stands in the log
            print(f"mailroom: the audit's head cannot be written: {error}", file=sys.stderr, flush=True)


def _head_path(path: Path, folder: Path | None = None) -> Path:
    place = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
    return (folder or state()) / "heads" / f"audit-{place[:32]}"


def _head(path: Path) -> tuple[int, str] | None:
    """Return what is remembered, beside the keys until something is in the place that was chosen since."""
    for kept in (_head_path(path), _head_path(path, keys())):
        if kept.exists():
            sequence, digest = kept.read_text().split()
            return int(sequence), digest
    return None


def _hash(key: bytes, line: Mapping[str, Any]) -> str:
    return hmac.new(key, _canonical(line), hashlib.sha256).hexdigest()


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode("utf-8", "surrogatepass")
