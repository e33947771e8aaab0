"""What reviewers said of messages: a signed, hash-chained record that can forget a message.

The chain (``feedback/ledger.jsonl``) holds who, when and a salted SHA-256 of every record; the records
themselves (message id, label, what a model had said; never text) lie beside it, one file a batch.
Erasing a message removes its records with their salts: the chain still verifies, says that so many
went, and what they were can no longer be guessed from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from data import ledger
from data.redact import redact
from data.workspace import UserError, home, write_atomically

LONGEST_REASON = 200
UNFINISHED_S = 3_600.0  # no write takes so long
SIGNERS_OF_OURS = ("gate", "gateway", "governance", "pipeline")
Rule = Literal["", "random", "uncertain"]


@dataclass(frozen=True, slots=True)
class Said:
    """What a model had said of a message when it was proposed or judged; empty where none was asked."""

    model: str = ""
    label: str = ""
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A message that a reviewer was asked to label, and by which rule it was chosen."""

    message_id: str
    rule: Rule
    said: Said = Said()


@dataclass(frozen=True, slots=True)
class Label:
    """What a reviewer calls a message; the rule is that of the proposal, empty where nobody proposed it."""

    message_id: str
    label: str
    rule: Rule = ""
    reason: str = ""
    said: Said = Said()


@dataclass(frozen=True, slots=True)
class Event:
    """A label or a proposal with who and when, as the chain vouches for it."""

    reviewer: str
    time: str
    record: Label | Proposal


@dataclass(frozen=True, slots=True)
class History:
    """Everything that is still known, oldest first; ``erased`` counts records that are not."""

    events: tuple[Event, ...] = ()
    erased: int = 0

    @property
    def labels(self) -> tuple[tuple[Event, Label], ...]:
        return tuple((each, each.record) for each in self.events if isinstance(each.record, Label))

    @property
    def proposals(self) -> tuple[tuple[Event, Proposal], ...]:
        return tuple((each, each.record) for each in self.events if isinstance(each.record, Proposal))


def folder() -> Path:
    return home() / "feedback"


def ledger_path() -> Path:
    return folder() / "ledger.jsonl"


def add(records: Sequence[Label] | Sequence[Proposal], *, reviewer: str) -> None:
    """Sign a batch of labels, or of proposals, by one reviewer; all of it is kept or nothing.

    Raises:
        UserError: the reviewer has no usable name, a reason holds personal data or is too long, or the
            ledger does not verify.
    """
    if not records:
        return
    name = reviewer.strip().casefold()  # Ann and ann are one person: two of them would be no double review
    if name in SIGNERS_OF_OURS:
        raise UserError(f"{reviewer!r} signs for the pipeline; give the reviewer's own name")
    for record in records:
        if isinstance(record, Label):
            refuse_telling_reason(record.reason)
    signer = ledger.signer(name)
    lines = [_line(record) for record in records]
    batch = secrets.token_hex(16)
    kind = "labels" if isinstance(records[0], Label) else "proposals"
    with ledger.turn(ledger_path()):  # or an erasure would find records that the chain does not name yet
        _write_batch(_batch_path(batch), b"".join(line + b"\n" for line in lines))
        _append({"kind": kind, "batch": batch, "records": [_digest(line) for line in lines]}, signer)


def as_proposed(labels: Sequence[tuple[str, str, str]], history: History) -> list[Label]:
    """Return labels, each (message id, label, reason), with what was proposed of their messages."""
    said = {each.message_id: each.said for _, each in history.proposals if each.said.model}
    rules = {each.message_id: each.rule for _, each in history.proposals}
    rules |= {each.message_id: "random" for _, each in history.proposals if each.rule == "random"}
    return [
        Label(message_id, label, rules.get(message_id, ""), reason, said.get(message_id, Said()))
        for message_id, label, reason in labels
    ]


def read() -> History:
    """Return what reviewers said, after checking the chain and every record against it.

    Raises:
        UserError: ledger or records are not as they were written.
    """
    return OpenRecord().history()


class OpenRecord:
    """The record as a process keeps it open: checked whole at first, from then on only what was added.

    Safe from any thread. What is changed in lines or records that were checked before is not noticed
    here; ``read`` notices it, and with it every command and the next process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def history(self) -> History:
        """Return everything that is known.

        Raises:
            UserError: ledger or records are not as they were written.
        """
        with self._lock:
            self._catch_up()
            return History(tuple(self._events.values()), len(self._erased))

    def history_of(self, message_id: str) -> History:
        """Return what is known of one message; it costs what was added since the last time.

        Raises:
            UserError: ledger or records are not as they were written.
        """
        with self._lock:
            self._catch_up()
            return History(tuple(self._of_message.get(message_id, {}).values()))

    def _forget(self) -> None:
        self._last: ledger.Place | None = None
        self._events: dict[str, Event] = {}  # by the digest of the record
        self._of_message: dict[str, dict[str, Event]] = {}
        self._erased: set[str] = set()
        self._missing: set[str] = set()

    def _catch_up(self) -> None:
        try:
            self._take_what_is_new()
            if self._missing:  # an erasure tells the chain before records go: it may have, meanwhile
                self._take_what_is_new()
            if self._missing:
                raise UserError(
                    f"{len(self._missing):,} records of {folder()} were changed or removed without an "
                    "erasure; restore the folder from a backup"
                )
        except BaseException:
            self._forget()
            raise

    def _take_what_is_new(self) -> None:
        with _told_of_damage():
            verified = ledger.verify_since(ledger_path(), self._last)
        if verified.is_whole:
            self._forget()
        self._last = verified.last
        erased = _told(verified.entries)
        self._erased |= erased
        for digest in erased & self._events.keys():
            message_id = self._events.pop(digest).record.message_id
            del self._of_message[message_id][digest]
        self._missing -= erased
        for entry in verified.entries:
            if entry.event["kind"] != "erased":
                self._take(entry)

    def _take(self, entry: ledger.Entry) -> None:
        known = {_digest(line): line for line in _lines(entry.event["batch"])}
        for digest in entry.event["records"]:
            if digest in self._erased:
                continue
            if digest not in known:
                self._missing.add(digest)
                continue
            event = Event(entry.signer, entry.time, _record(entry.event["kind"], known[digest]))
            self._events[digest] = event
            self._of_message.setdefault(event.record.message_id, {})[digest] = event


def erase(message_ids: Collection[str]) -> int:
    """Forget whatever was said of messages; return how many records went.

    The chain is told before the records go: interrupted between the two, the next call removes them.
    """
    if not ledger_path().exists():
        return 0
    with ledger.turn(ledger_path()):
        return _erase(frozenset(message_ids))


def _erase(wanted: frozenset[str]) -> int:
    entries = _verified()
    told = _told(entries)
    known = {digest for each in entries if "batch" in each.event for digest in each.event["records"]}
    batches = {path: path.read_bytes().splitlines() for path in (folder() / "records").glob("*.jsonl")}
    gone = told | {
        _digest(line)
        for lines in batches.values()
        for line in lines
        if json.loads(line)["record"]["message_id"] in wanted
    }
    if new := sorted((gone & known) - told):  # what an interrupted write has left was never said
        _append({"kind": "erased", "records": new}, ledger.signer("governance"))
    for left in (folder() / "records").glob("*.part"):  # by a write that was killed: nobody vouches for it
        if time.time() - left.stat().st_mtime > UNFINISHED_S:
            left.unlink(missing_ok=True)
    for path, lines in batches.items():
        staying = [line for line in lines if _digest(line) not in gone]
        if staying != lines:
            with write_atomically(path) as part:
                part.write_bytes(b"".join(line + b"\n" for line in staying))
    return len(new)


def _told(entries: Sequence[ledger.Entry]) -> set[str]:
    """Return the records of which the chain says that they were erased."""
    erased = (each.event["records"] for each in entries if each.event["kind"] == "erased")
    return {digest for records in erased for digest in records}


def refuse_telling_reason(reason: str) -> None:
    """Refuse a reason that quotes or names: it is written as it stands, and is no place for a message.

    Raises:
        UserError: it holds personal data, or is too long.
    """
    if len(reason) > LONGEST_REASON or redact(reason, key=b"").spans:
        raise UserError(
            f"a reason has at most {LONGEST_REASON} characters and holds no name, address or number; "
            "say why the label fits without quoting the message"
        )


def _batch_path(batch: str) -> Path:
    return folder() / "records" / f"{batch}.jsonl"


def _write_batch(path: Path, lines: bytes) -> None:
    """Write a batch that nobody knows yet: whole or not at all.

    Its name is new, so nothing can be left of it; ``write_atomically`` would look for that among all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        with part.open("xb") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _lines(batch: str) -> list[bytes]:
    try:
        return _batch_path(batch).read_bytes().splitlines()
    except FileNotFoundError:
        return []


def _line(record: Label | Proposal) -> bytes:
    document = {"salt": secrets.token_hex(16), "record": asdict(record)}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _record(kind: str, line: bytes) -> Label | Proposal:
    stated: dict[str, Any] = json.loads(line)["record"]
    stated["said"] = Said(**stated["said"])
    return Label(**stated) if kind == "labels" else Proposal(**stated)


def _append(event: Mapping[str, object], signer: ledger.Signer) -> None:
    with _told_of_damage():
        ledger.append(ledger_path(), event, signer=signer)


def _verified() -> tuple[ledger.Entry, ...]:
    with _told_of_damage():
        return ledger.verify(ledger_path())


@contextmanager
def _told_of_damage() -> Iterator[None]:
    try:
        yield
    except ledger.LedgerError as error:
        raise UserError(f"the ledger {ledger_path()} is damaged: {error}; restore it from a backup") from None
