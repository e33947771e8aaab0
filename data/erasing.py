"""What an erasure does to one message: out with it, out of it, or held as it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from data.governance import neutral
from data.retention import Orders
from data.shingles import Traces
from data.tables import write_rows

Fate = Literal["kept", "held", "erased", "expired"]
Row = dict[str, Any]
BATCH_ROWS = 2_000
SIGN = re.compile(r"\w")
WORDS = ("text", "full_text")
CUE = r"^(?:{}): ((?:.|\n(?!\[\w+\]: ))*)"  # of a transcript: up to where somebody else speaks
NEEDED = (
    *("message_id", "channel", "source", "sent_at", "sender", "recipients", "subject", "text", "full_text"),
    *("attachments", "zones"),
)


@dataclass(frozen=True, slots=True)
class Eraser:
    """Who is erased, and by which words their messages are known where others quote them.

    ``held`` are messages that a hold keeps whatever their own row says, and its name: a copy is held.
    """

    orders: Orders
    traces: Traces
    held: Mapping[str, str] = field(default_factory=dict)
    pattern: re.Pattern[str] = field(init=False)
    said: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        people = "|".join(map(re.escape, sorted(self.orders.suppressed))) or r"(?!)"
        object.__setattr__(self, "pattern", re.compile(people))
        object.__setattr__(self, "said", re.compile(CUE.format(people), re.M))

    def fate(self, row: Mapping[str, Any]) -> tuple[Fate, str]:
        """Return what becomes of a message, and the hold that keeps it."""
        wanted: Fate = "kept"
        if row["sender"] in self.orders.suppressed:
            wanted = "erased"
        elif self.orders.is_expired(row):
            wanted = "expired"
        hold = self.held_by(row)
        if hold and (wanted != "kept" or self.touches(row)):
            return "held", hold
        return wanted, ""

    def held_by(self, row: Mapping[str, Any]) -> str:
        """Return the name of a hold on a message or on a copy of it, or nothing."""
        return self.orders.held_by(row) or self.held.get(row["message_id"], "")

    def touches(self, row: Mapping[str, Any]) -> bool:
        """Say whether somebody else's message names or repeats an erased person."""
        return bool(self.orders.suppressed) and self.cleaned(row) != row

    def cleaned(self, row: Mapping[str, Any]) -> Row:
        """Return a row in which no erased person is told apart; every text keeps its length."""
        if row.get("channel") == "transcript":
            row = {**row, **{name: self._silenced(row[name]) for name in WORDS if row.get(name)}}
        return {name: self.clean(value) for name, value in row.items()}

    def clean(self, value: Any) -> Any:
        """Return a value, however nested, with neutral placeholders and masked words."""
        if isinstance(value, str):
            return self.traces.masked(self.pattern.sub(_neutral, value))
        if isinstance(value, list):
            return [self.clean(each) for each in value]
        if isinstance(value, dict):
            return {name: self.clean(each) for name, each in value.items()}
        return value

    def own_words(self, row: Mapping[str, Any]) -> str:
        """Return what the sender wrote, neither quoted nor said by an erased person, as a trace is taken."""
        text = row["full_text"] or ""
        body = "\n".join(
            text[zone["start"] : zone["end"]] for zone in row["zones"] or () if zone["kind"] == "body"
        )
        if row["channel"] == "transcript" and row["sender"] not in self.orders.suppressed:
            body = self._silenced(body)
        return self.pattern.sub(_neutral, body)

    def erased_words(self, row: Mapping[str, Any]) -> list[str]:
        """Return what an erased person wrote, or said in a conversation, unless it is held."""
        is_own = row["sender"] in self.orders.suppressed
        if not (is_own or row["channel"] == "transcript") or self.held_by(row):
            return []
        if is_own:
            return [self.own_words(row)]
        return [self.pattern.sub(_neutral, said[1]) for said in self.said.finditer(row["full_text"] or "")]

    def _silenced(self, text: str) -> str:
        """Mask the cues of an erased person in a conversation with others."""
        return self.said.sub(
            lambda match: match[0][: match.start(1) - match.start()] + SIGN.sub("·", match[1]), text
        )


def _neutral(match: re.Match[str]) -> str:
    return neutral(match[0])


def eraser_of(
    orders: Orders,
    files: Sequence[Path],
    *,
    held: Mapping[str, str] | None = None,
    known: Traces | None = None,
) -> Eraser:
    """Return the eraser that knows the words of everybody's erased messages in files of messages.

    ``known`` are words whose messages an interrupted erasure has taken out already.
    """
    plain = Eraser(orders, Traces.of(()), held or {})
    if not orders.suppressed:
        return plain
    columns = list(NEEDED)
    traces = Traces.of(words for row in messages_of(files, columns) for words in plain.erased_words(row))
    traces = traces.joined(known) if known else traces
    for file in files:
        others = (
            plain.own_words(row)
            for row in messages_of([file], columns)
            if row["sender"] not in orders.suppressed or plain.held_by(row)
        )
        traces = traces.without(others)
    return Eraser(orders, traces, plain.held)


def is_of_messages(file: Path) -> bool:
    """Say whether a Parquet file holds whole messages: of a dataset, of an intake, of a stream."""
    needed = {"sender", "full_text", "zones", "message_id"}
    return needed <= set(pq.read_schema(file).names)


@dataclass(slots=True)
class Tally:
    """What became of the rows: by fate, by hold, and how many had no date."""

    fates: Counter[str] = field(default_factory=Counter)
    holds: Counter[str] = field(default_factory=Counter)
    undated: int = 0
    cleaned: int = 0
    message_ids: set[str] = field(default_factory=set)
    held_ids: set[str] = field(default_factory=set)
    changed: dict[str, tuple[str, str]] = field(default_factory=dict)  # subject and text, by message

    def add(self, eraser: Eraser, row: Mapping[str, Any]) -> None:
        """Note what will become of a message, before anything is written."""
        fate, hold = eraser.fate(row)
        if fate == "held" and row["message_id"] not in self.held_ids:
            self.held_ids.add(row["message_id"])
            self.holds[hold] += 1
        elif fate == "erased":
            self.message_ids.add(row["message_id"])
        elif fate == "kept" and (cleaned := eraser.cleaned(row)) != row:
            self.changed[row["message_id"]] = (cleaned["subject"] or "", cleaned["text"] or "")


def rows_of(files: Iterable[Path], columns: list[str] | None = None) -> Iterator[Row]:
    for file in files:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(BATCH_ROWS, columns=columns):
                yield from batch.to_pylist()


def rewrite(file: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    """Replace a Parquet file; the checksum that Spark keeps beside it would refuse the new one."""
    write_rows(file, schema, batches)
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)


def clean_table(folder: Path, eraser: Eraser) -> None:
    """Clean every row of a small table."""
    if not eraser.orders.suppressed:
        return
    for file in sorted(folder.glob("*.parquet")):
        table = pq.read_table(file)
        cleaned = pa.Table.from_pylist(
            [eraser.cleaned(row) for row in table.to_pylist()], schema=table.schema
        )
        rewrite(file, cleaned.to_batches(), table.schema)


def foreseen(files: Sequence[Path], eraser: Eraser) -> Tally:
    """Return what an erasure would do to files of messages."""
    tally = Tally()
    for row in messages_of(files, list(NEEDED)):
        tally.add(eraser, row)
    return tally


def messages_of(files: Iterable[Path], columns: list[str]) -> Iterator[Row]:
    """Yield the messages of files, without what was counted or rejected there."""
    for file in files:
        has_outcome = "outcome" in pq.read_schema(file).names
        wanted = [*columns, "outcome"] if has_outcome else columns
        yield from (row for row in rows_of([file], wanted) if row.get("outcome", "message") == "message")
