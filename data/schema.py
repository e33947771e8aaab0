"""The columns of a prepared dataset: the contract between preparing, training, indexing and judging."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 1
PARSER = "mailroom-2"

SPLITS = ("train", "valid", "test")
CHANNELS = ("email", "chat", "transcript")

INSTANT = pa.timestamp("us", tz="UTC")
ZONE = pa.struct([("kind", pa.string()), ("start", pa.int32()), ("end", pa.int32())])
ATTACHMENT = pa.struct(
    [("name", pa.string()), ("content_type", pa.string()), ("size", pa.int64()), ("sha256", pa.string())]
)

MESSAGES = pa.schema(
    [
        ("message_id", pa.string()),
        ("thread_id", pa.string()),
        ("channel", pa.string()),
        ("sent_at", INSTANT),
        ("sender", pa.string()),
        ("sender_domain", pa.string()),
        ("recipients", pa.list_(pa.string())),
        ("subject", pa.string()),
        ("text", pa.string()),
        ("full_text", pa.string()),
        ("zones", pa.list_(ZONE)),
        ("language", pa.string()),
        ("attachments", pa.list_(ATTACHMENT)),
        ("label", pa.string()),
        ("label_source", pa.string()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("locator", pa.int32()),
        ("source_sha256", pa.string()),
        ("byte_start", pa.int64()),
        ("byte_end", pa.int64()),
        ("parser", pa.string()),
    ]
)
CHUNKS = pa.schema(
    [
        ("chunk_id", pa.string()),
        ("message_id", pa.string()),
        ("thread_id", pa.string()),
        ("ordinal", pa.int32()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("text", pa.string()),
        ("channel", pa.string()),
        ("sent_at", INSTANT),
        ("language", pa.string()),
        ("split", pa.string()),
        ("label", pa.string()),
        ("subject", pa.string()),
    ]
)
DUPLICATES = pa.schema(
    [
        ("message_id", pa.string()),
        ("duplicate_of", pa.string()),
        ("kind", pa.string()),
        ("similarity", pa.float64()),
        ("source", pa.string()),
        ("locator", pa.int32()),
    ]
)
REJECTS = pa.schema(
    [
        ("source", pa.string()),
        ("locator", pa.int32()),
        ("byte_start", pa.int64()),
        ("byte_end", pa.int64()),
        ("source_sha256", pa.string()),
        ("reason", pa.string()),
        ("stage", pa.string()),
    ]
)
QUESTIONS = pa.schema(
    [
        ("question", pa.string()),
        ("answer", pa.string()),
        ("message_ids", pa.list_(pa.string())),
        ("answerable", pa.bool_()),
    ]
)
TABLES = {
    "messages": MESSAGES,
    "chunks": CHUNKS,
    "duplicates": DUPLICATES,
    "rejects": REJECTS,
    "questions": QUESTIONS,
}

REASONS = {
    "altered_file": "a file that an event names has another SHA-256 than the event says",
    "archive_metadata_damaged": "an export's own index file cannot be read",
    "deleted_message": "deleted by its author or an administrator before the export",
    "empty_message": "no text, no subject and no attachment",
    "erased": "of a person who was erased: mailroom erase",
    "expired": "older than the retention policy allows",
    "forbidden_uri": "an event names a file outside the places that may be read",
    "invalid_cue": "a line of a transcript whose times cannot be read",
    "invalid_event": "an event that is no JSON, or without a file's name, hash or content",
    "invalid_json": "a line or a file that is not JSON",
    "invalid_message": "a message that no parser could read",
    "missing_columns": "a table without a text column",
    "not_a_message": "an entry that is no message",
    "superseded": "an earlier wording of a message that the same file holds edited",
    "system_message": "an entry written by the chat system: joins, topics, archiving",
    "too_large": "a message above the size limit",
    "unexpected_error": "a bug of ours: its place stands on stderr",
    "unreadable_file": "the file could not be opened, read or decoded",
    "unrecognised_format": "no reader knows this file",
    "vanished_file": "a file that an event names is not there, or cannot be read",
}


def top_of(source: str) -> str:
    """Return the top-level folder or file of an archive that a source lies in."""
    return source.partition("/")[0].partition("!")[0]


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the entries that were read."""

    read: int = 0
    kept: int = 0
    duplicates: int = 0
    rejects: int = 0

    @property
    def balance(self) -> bool:
        return self.read == self.kept + self.duplicates + self.rejects


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Where labels came from: the file ``labels.csv`` or ``feedback``, named by the digest of what it said.

    ``labels`` kept messages took theirs from it; of what it said, ``unmatched`` named no message.
    """

    name: str
    digest: str
    labels: int
    unmatched: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a prepared dataset holds; its digest names the content, whatever partitioning made it."""

    parser: str
    seed: int
    counts: Counts
    by_source: dict[str, Counts]
    reasons: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)
    languages: dict[str, int] = field(default_factory=dict)
    chunks: int = 0
    digest: str = ""
    labelled: int = 0
    unmatched_labels: int = 0
    label_sources: tuple[LabelSource, ...] = ()
    label_conflicts: int = 0  # kept messages whose label in the file feedback has overruled
    feedback_left_out: int = 0  # a model had chosen them for review, and they are not in train
    notes: tuple[str, ...] = ()
    former_digests: tuple[str, ...] = ()  # before erasures: models may have been trained on any of them
    schema_version: int = SCHEMA_VERSION

    @property
    def names(self) -> frozenset[str]:
        """The digest, and those from before erasures: what was made of the dataset goes by any of them."""
        return frozenset({self.digest, *self.former_digests})

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @staticmethod
    def from_json(document: str) -> Manifest:
        """Read a manifest back.

        Raises:
            ValueError: not a manifest of this schema version.
        """
        fields: dict[str, Any] = json.loads(document)
        if fields.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"schema version {fields.get('schema_version')!r} instead of {SCHEMA_VERSION}")
        counts = Counts(**fields.pop("counts"))
        by_source = {source: Counts(**each) for source, each in fields.pop("by_source").items()}
        for name in ("notes", "former_digests"):
            fields[name] = tuple(fields.get(name, ()))
        fields["label_sources"] = tuple(LabelSource(**each) for each in fields.get("label_sources", ()))
        return Manifest(counts=counts, by_source=by_source, **fields)

    def __str__(self) -> str:
        wide = max(len("source"), *(len(source) for source in [*self.by_source, "total"]))
        lines = [f"{'source':<{wide}} {'read':>9} {'kept':>9} {'duplicates':>11} {'rejects':>9}"]
        for source, of in self._rows():
            lines.append(
                f"{source:<{wide}} {of.read:>9,} {of.kept:>9,} {of.duplicates:>11,} {of.rejects:>9,}"
            )
        return "\n".join([*lines, *self._footnotes()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("source", "read", "kept", "duplicates", "rejects"))
        body = "".join(
            f"<tr><td>{escape(source)}</td><td>{counts.read:,}</td><td>{counts.kept:,}</td>"
            f"<td>{counts.duplicates:,}</td><td>{counts.rejects:,}</td></tr>"
            for source, counts in self._rows()
        )
        notes = "<br>".join(escape(note) for note in self._footnotes())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{notes}</p>"

    def _rows(self) -> list[tuple[str, Counts]]:
        return [*sorted(self.by_source.items()), ("total", self.counts)]

    def _footnotes(self) -> list[str]:
        def listed(numbers: dict[str, int]) -> str:
            return ", ".join(f"{name} {number:,}" for name, number in numbers.items()) or "none"

        return [
            f"rejects by reason: {listed(self.reasons)}",
            f"splits: {listed(self.splits)}; chunks {self.chunks:,}; labelled {self.labelled:,}; "
            f"labels without a message {self.unmatched_labels:,}",
            *(
                f"labels of {each.name} {each.digest[:16]}: {each.labels:,}; "
                f"without a message {each.unmatched:,}"
                for each in self.label_sources
            ),
            *(
                [
                    f"feedback overruled {self.label_conflicts:,} labels of the file; "
                    f"{self.feedback_left_out:,} were left out of valid and test"
                ]
                if self.label_conflicts or self.feedback_left_out
                else []
            ),
            f"digest {self.digest[:16]}",
            *self.notes,
        ]
