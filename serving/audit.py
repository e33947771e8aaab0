"""Who read or wrote what: one line per request, chained with a key, in the log before the answer leaves.

The system has the line then; the disk has it within a second: only a power cut can take that second's.

``audit.jsonl`` is the segment that is written. When it has its size it becomes ``audit-000001.jsonl`` and
so on, and the chain goes on in the next one, which says at its beginning which one it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from data.ledger import HASH
from data.workspace import UserError, home, keys, secret, state, write_atomically

BEGINNING = "0" * 64
FIELDS = {"sequence", "time", "event", "previous", "hash"}
SEGMENT_BYTES = 64_000_000  # some five seconds of checking, which is what a start waits for
SEGMENT = "segment"  # the event that begins every segment but the first
HEAD_S = 1.0  # at most so long the head beside the keys lies behind the log


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the log, in which segment and in which line of it."""

    segment: Path
    line: int
    words: str

    def __str__(self) -> str:
        return f"{self.segment.name}, line {self.line:,}: {self.words}"


@dataclass(frozen=True, slots=True)
class _End:
    """Where a chain stands: how many lines it has from the first of all, and what the next one follows."""

    lines: int = 0
    previous: str = BEGINNING


def audit_path() -> Path:
    """Return where the log lies."""
    return home() / "audit.jsonl"


class AuditLog:
    """The open log of one gateway; ``write`` is safe from any thread."""

    def __init__(self, path: Path, end: _End, number: int, segment_bytes: int) -> None:
        self.path = path
        self._sequence, self._previous = end.lines, end.previous
        self._number = number
        self._segment_bytes = segment_bytes
        self._key = secret("audit")
        self._lock = threading.Lock()
        self._unsaved = False
        if number > 1 and not (path.exists() and path.stat().st_size):
            self._begin()  # whoever wrote the segment before it came no further
        self._descriptor = _opened(path)

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one event.

        Raises:
            OSError: it cannot be written; whoever asked gets no answer then.
        """
        with self._lock:
            line, digest = self._line(event)
            self._append(line)
            self._sequence, self._previous, self._unsaved = self._sequence + 1, digest, True

    def close(self) -> None:
        """Save what is left, and end."""
        try:
            self.save()
        finally:
            os.close(self._descriptor)

    def _line(self, event: Mapping[str, Any]) -> tuple[bytes, str]:
        """Return the next line and its hash."""
        line: dict[str, Any] = {
            "sequence": self._sequence,
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "event": event,
            "previous": self._previous,
        }
        line["hash"] = _hash(self._key, line)
        return _canonical(line) + b"\n", line["hash"]

    def _begin(self) -> None:
        """Make the next segment with the line that says its number; it never stands there without."""
        line, digest = self._line({"event": SEGMENT, "number": self._number})
        with write_atomically(self.path) as unfinished:
            unfinished.touch(mode=0o600)
            unfinished.write_bytes(line)
        self._sequence, self._previous, self._unsaved = self._sequence + 1, digest, True

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

    def rotate(self) -> None:
        """Put the segment aside under its number once it has its size, and go on in the next.

        Raises:
            OSError: it cannot be done; this segment goes on.
        """
        with self._lock:
            if os.lseek(self._descriptor, 0, os.SEEK_END) < self._segment_bytes:
                return
            os.fdatasync(self._descriptor)  # or the next segment could be on the disk without its end
            aside = _numbered(self.path, f"{self._number:06}")
            if aside.exists():
                raise FileExistsError(f"{aside} is in the way of the next segment; move it away")
            before = self._number, self._sequence, self._previous
            os.rename(self.path, aside)
            self._number += 1
            try:
                self._begin()
                descriptor = _opened(self.path)
            except OSError:
                self._number, self._sequence, self._previous = before
                os.rename(aside, self.path)  # in place of what was begun
                raise
            full, self._descriptor = self._descriptor, descriptor
            os.close(full)

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
def open_audit(path: Path | None = None, *, segment_bytes: int = SEGMENT_BYTES) -> Iterator[AuditLog]:
    """Open the log for one gateway, following on its last line; it is saved every second and at the end.

    What is checked before is the last segment alone: ``verify_audit`` checks all of them.

    Raises:
        UserError: another gateway has it open, or its end is not what was written.
    """
    chosen = path or audit_path()
    chosen.parent.mkdir(parents=True, exist_ok=True)
    with open(chosen.with_name(f".{chosen.name}.lock"), "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another gateway writes {chosen}; stop it, or set MAILROOM_HOME to another workspace"
            ) from None
        number, end, problem = _last_segment(chosen)
        if problem:
            raise UserError(
                f"the audit log {chosen} is not what was written: {problem}; keep it as evidence and move it "
                f"aside with its numbered segments and {_head_path(chosen)}"
            )
        log = AuditLog(chosen, end, number, segment_bytes)
        done = threading.Event()
        saver = threading.Thread(target=_save_until, args=(log, done), name="audit", daemon=True)
        saver.start()
        try:
            yield log
        finally:
            done.set()
            saver.join()
            log.close()


def verify_audit(path: Path | None = None, *, first: int = 1) -> tuple[int, Problem | None]:
    """Return how many lines hold, and what is wrong with the first that does not.

    ``first`` is the number of the first segment that there should be: those before it were deleted. A
    gateway may go on writing meanwhile.
    """
    chosen = path or audit_path()
    head, end, checked = _head(chosen), None, 0  # first of all: more lines are remembered meanwhile
    for wanted, (segment, lines) in enumerate(_segments(chosen), start=first):
        number = _beginning(lines)[0]
        if number != wanted:
            words = f"it begins segment {number} where segment {wanted} belongs"
            if wanted == first and number > first:
                words += f"; if those before it were deleted on purpose, say --from {number}"
            return checked, Problem(segment, 1, words)
        held, end, problem = _walk(segment, lines, end, head)
        checked += held
        if problem:
            return checked, problem
    return checked, _cut_off(chosen, end or _End(), head)


def _last_segment(path: Path) -> tuple[int, _End, Problem | None]:
    """Return the number of the segment to write, where the chain stands, and what is wrong with its end."""
    head, aside = _head(path), _aside(path)
    is_begun = path.exists() and path.stat().st_size > 0
    if not is_begun and not aside:
        return 1, _End(), _cut_off(path, _End(), head)
    last = path if is_begun else aside[-1]
    with open(last, "rb") as lines:
        number = _beginning(lines)[0]
        _, end, problem = _walk(last, lines, None, head)
    # where the one that is written is missing or empty, the machine stopped while it was begun
    return number if is_begun else number + 1, end, problem or _cut_off(path, end, head)


def _segments(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Yield the segments in the order of their names, opened; they may be put aside meanwhile."""
    with ExitStack() as stack:
        try:
            written = stack.enter_context(open(path, "rb"))
        except FileNotFoundError:
            written = None
        status = os.fstat(written.fileno()) if written else None
        for each in _aside(path):
            with open(each, "rb") as lines:
                # the one that is written may have been put aside since it was opened
                if status and os.path.samestat(os.fstat(lines.fileno()), status):
                    break
                yield each, lines
        if written and status and status.st_size:
            yield path, written


def _aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob(_numbered(path, "[0-9]" * 6).name))


def _numbered(path: Path, number: str) -> Path:
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def _beginning(segment: IO[bytes]) -> tuple[int, _End]:
    """Return which segment the first line begins, and where it says that the chain stood by then.

    The line says it, and not the file's name, which anybody can change.
    """
    raw = segment.readline()
    segment.seek(0)
    try:
        line = json.loads(raw)
        if line["event"].get("event") == SEGMENT:
            return int(line["event"]["number"]), _End(int(line["sequence"]), str(line["previous"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # whatever is wrong with it is named where it is checked
    return 1, _End()


def _walk(
    segment: Path, lines: IO[bytes], start: _End | None, head: tuple[int, str] | None
) -> tuple[int, _End, Problem | None]:
    """Return how many lines of a segment hold, where the chain stands then, and what is wrong with the next.

    Without ``start``, which is the end of the segment before, its first line is believed what it follows:
    it is hashed with the key.
    """
    key, number, end = secret("audit"), 0, start or _beginning(lines)[1]
    for number, raw in enumerate(lines, start=1):
        line = _read(raw)
        problem = _wrong(line, end, key)
        if problem or not line:
            return number - 1, end, Problem(segment, number, problem)
        end = _End(end.lines + 1, line["hash"])
        if head and head[0] == end.lines - 1 and head[1] != end.previous:
            words = "it is not the one that was written here"
            return number - 1, end, Problem(segment, number, words)
    return number, end, None


def _cut_off(path: Path, end: _End, head: tuple[int, str] | None) -> Problem | None:
    """Return what is wrong when a line that is remembered no longer stands there."""
    if not head or head[0] < end.lines:
        return None
    written = f"{head[0] + 1:,} lines were written here"
    if not path.exists():
        return Problem(path, 1, f"it is gone, and {written}")
    with open(path, "rb") as handle:
        return Problem(path, sum(1 for _ in handle) + 1, f"it is missing; {written}")


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)


def _read(raw: bytes) -> dict[str, Any] | None:
    """Return a line that is byte for byte as it is written, else None.

    With two equal keys, of which a reader may take the first, it would say what the hash does not cover.
    """
    try:
        line: dict[str, Any] = json.loads(raw)
        if raw == _canonical(line) + b"\n" and line.keys() == FIELDS and HASH.fullmatch(line["hash"]):
            return line
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    return None


def _wrong(line: Mapping[str, Any] | None, end: _End, key: bytes) -> str:
    """Return why a line is not the next after ``end``, or nothing."""
    if line is None:
        return "it is no line of an audit log; it is cut off or was changed"
    said = {name: value for name, value in line.items() if name != "hash"}
    if not hmac.compare_digest(line["hash"], _hash(key, said)):
        return "its content does not match its hash; it was changed after it was written"
    if line["sequence"] != end.lines or line["previous"] != end.previous:
        return "it does not follow from the line before; lines were removed, added or exchanged"
    return ""


def _save_until(log: AuditLog, done: threading.Event) -> None:
    while not done.wait(HEAD_S):
        try:
            log.save()
            log.rotate()
        except OSError as error:  # the next second tries again; what was answered stands in the log
            print(
                f"mailroom: the audit's head or next segment cannot be written: {error}",
                file=sys.stderr,
                flush=True,
            )


def _head_path(path: Path, folder: Path | None = None) -> Path:
    place = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
    return (folder or state()) / "heads" / f"audit-{place[:32]}"


def _head(path: Path) -> tuple[int, str] | None:
    """Return what is remembered, beside the keys until something is in the place that was chosen since.

    Raises:
        UserError: it is damaged.
    """
    for kept in (_head_path(path), _head_path(path, keys())):
        if kept.exists():
            try:
                sequence, digest = kept.read_text(encoding="utf-8").split()
                return int(sequence), digest
            except ValueError:
                raise UserError(
                    f"{kept} no longer says which line came last; restore it from your backup"
                ) from None
    return None


def _hash(key: bytes, line: Mapping[str, Any]) -> str:
    return hmac.new(key, _canonical(line), hashlib.sha256).hexdigest()


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode("utf-8", "surrogatepass")
