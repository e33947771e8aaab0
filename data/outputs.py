"""The small tables of a prepared dataset and its manifest, whose counts must balance."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from data.assign import Assignment, Index
from data.dataset import MANIFEST
from data.intake import read
from data.labels import FEEDBACK, FILE, Question
from data.normalise import clean
from data.record import Record
from data.redact import redact, shown
from data.review import NOTHING_SETTLED, Settled
from data.schema import DUPLICATES, PARSER, QUESTIONS, REJECTS, Counts, LabelSource, Manifest, top_of
from data.sources import Item
from data.unsaid import unsaid
from data.workspace import UserError, write_atomically


def write_duplicates(folder: Path, index: Index, assigned: Assignment) -> None:
    """Write which messages were left out as copies, and of which."""
    copies = sorted(
        assigned.copies.values(), key=lambda copy: (index.sources[copy.rank], index.locators[copy.rank])
    )
    columns = {
        "message_id": [index.message_ids[copy.rank] for copy in copies],
        "duplicate_of": [index.message_ids[copy.kept] for copy in copies],
        "kind": [copy.kind for copy in copies],
        "similarity": [copy.similarity for copy in copies],
        "source": [index.sources[copy.rank] for copy in copies],
        "locator": [index.locators[copy.rank] for copy in copies],
    }
    _write(folder, pa.table(columns, schema=DUPLICATES))


def write_rejects(folder: Path, taken: Path) -> None:
    """Write which entries were rejected, and why."""
    table = ds.dataset(taken, format="parquet").to_table(
        columns=REJECTS.names, filter=pc.field("outcome") == "reject"
    )
    _write(folder, table.cast(REJECTS).sort_by([("source", "ascending"), ("locator", "ascending")]))


def write_questions(
    folder: Path,
    questions: Sequence[Question],
    items: Sequence[Item],
    index: Index,
    assigned: Assignment,
    *,
    key: bytes,
) -> None:
    """Write the questions, redacted, with the kept messages that answer them.

    The people in a question are known from the messages that answer it, which are read once more
    for their names: no name was written anywhere on the way.
    """
    rank_of = {each: rank for rank, each in enumerate(index.references)}
    names, reached = _names(items, {source for question in questions for source in question.sources})
    rows = []
    for question in questions:
        if not reached.issuperset(each for each in question.sources if each in rank_of):
            continue  # whom it may name is not known
        ranks = [assigned.kept(rank_of[source]) for source in question.sources if source in rank_of]
        answerable = question.answerable and bool(ranks)
        rows.append(
            {
                "question": redact(clean(question.question), key=key, names=names).text,
                "answer": redact(clean(question.answer), key=key, names=names).text if answerable else "",
                "message_ids": list(dict.fromkeys(index.message_ids[rank] for rank in ranks))
                if answerable
                else [],
                "answerable": answerable,
            }
        )
    _write(folder, pa.Table.from_pylist(rows, schema=QUESTIONS))


def _names(items: Sequence[Item], references: set[str]) -> tuple[frozenset[str], set[str]]:
    """Return the people known to the referenced messages, and which of these could be read."""
    sources = {each.rpartition("#")[0] for each in references}
    found, reached = set[str](), set[str]()
    for item in items:
        if item.source in sources:
            with suppress(OSError), unsaid(f"reading {item.source}"):  # what has gone is a reject by now
                for entry in read(item):
                    reference = f"{item.source}#{entry.locator}"
                    if isinstance(entry, Record) and reference in references:
                        found.update(entry.names, entry.strangers)
                        reached.add(reference)
    return frozenset(found), reached


def manifest_of(
    part: Path,
    taken: Path,
    assigned: Assignment,
    labels: Mapping[str, str],
    *,
    seed: int,
    reviewed: Settled = NOTHING_SETTLED,
) -> Manifest:
    """Count what was written against what was read.

    Raises:
        RuntimeError: entries of a source were lost or doubled.
        UserError: there are labels, and not one belongs to an entry of the archive.
    """
    tallies = ds.dataset(taken, format="parquet").to_table(
        columns=["source", "entries"], filter=pc.field("outcome") == "tally"
    )
    read_entries: Counter[str] = Counter()
    for row in tallies.to_pylist():
        read_entries[row["source"]] += row["entries"]
    columns = [*("message_id", "source", "locator", "split", "label", "label_source", "channel", "language")]
    messages = pq.read_table(part / "messages", columns=columns)
    copies = pq.read_table(part / "duplicates", columns=["message_id", "source", "locator"])
    rejects = pq.read_table(part / "rejects", columns=["source", "locator", "reason"])
    known = {each for table in (messages, copies, rejects) for each in _references(table)}
    unmatched = sum(source not in known for source in labels)
    if labels and unmatched == len(labels):
        raise UserError(
            f"none of the {len(labels):,} labels names a message of the archive (the first: "
            f"{shown(next(iter(labels)))!r}); write sources as relative/path or relative/path#number"
        )
    kept_ranks = frozenset(assigned.kept_ranks)
    by_source = _balanced(read_entries, *(_counted(table, "source") for table in (messages, copies, rejects)))
    return Manifest(
        parser=PARSER,
        seed=seed,
        counts=_total(by_source.values()),
        by_source=by_source,
        reasons=_sorted(_counted(rejects, "reason")),
        splits=_sorted(_counted(messages, "split")),
        labels=_sorted(_counted(messages, "label")),
        channels=_sorted(_counted(messages, "channel")),
        languages=_sorted(_counted(messages, "language")),
        chunks=ds.dataset(part / "chunks", format="parquet").count_rows(),
        digest=hashlib.sha256(
            "\n".join(each.hex() for each in sorted(assigned.digests)).encode()
        ).hexdigest(),
        labelled=sum(_counted(messages, "label").values()),
        unmatched_labels=unmatched,
        label_sources=_label_sources(labels, reviewed, messages, copies, unmatched),
        label_conflicts=len(assigned.labelling.conflicts & kept_ranks),
        feedback_left_out=len(assigned.labelling.left_out & kept_ranks),
    )


def _label_sources(
    labels: Mapping[str, str], reviewed: Settled, messages: pa.Table, copies: pa.Table, unmatched: int
) -> tuple[LabelSource, ...]:
    counts, found = _counted(messages, "label_source"), []
    if labels:
        said = json.dumps(sorted(labels.items())).encode()
        found.append(LabelSource(FILE, hashlib.sha256(said).hexdigest(), counts[FILE], unmatched))
    if reviewed.labels:
        known = {each for table in (messages, copies) for each in table.column("message_id").to_pylist()}
        lost = len(reviewed.labels.keys() - known)
        found.append(LabelSource(FEEDBACK, reviewed.digest, counts[FEEDBACK], lost))
    return tuple(found)


def write_manifest(part: Path, manifest: Manifest) -> None:
    with write_atomically(part / MANIFEST) as temporary:
        temporary.write_text(manifest.to_json(), encoding="utf-8")


def _balanced(
    read_entries: Counter[str], kept: Counter[str], duplicates: Counter[str], rejects: Counter[str]
) -> dict[str, Counts]:
    """Return the counts by top-level source, after every single file was seen to balance."""
    by_top: dict[str, list[Counts]] = {}
    for source in sorted({*read_entries, *kept, *duplicates, *rejects}):
        counts = Counts(read_entries[source], kept[source], duplicates[source], rejects[source])
        if not counts.balance:
            raise RuntimeError(
                f"{source} does not balance: {counts.read} entries read, but {counts.kept} kept + "
                f"{counts.duplicates} duplicates + {counts.rejects} rejects; nothing was written"
            )
        by_top.setdefault(top_of(source), []).append(counts)
    return {top: _total(counts) for top, counts in by_top.items()}


def _total(counts: Iterable[Counts]) -> Counts:
    each = list(counts)
    return Counts(
        sum(of.read for of in each),
        sum(of.kept for of in each),
        sum(of.duplicates for of in each),
        sum(of.rejects for of in each),
    )


def _counted(table: pa.Table, column: str) -> Counter[str]:
    return Counter(value for value in table.column(column).to_pylist() if value is not None)


def _references(table: pa.Table) -> list[str]:
    sources, locators = (table.column(name).to_pylist() for name in ("source", "locator"))
    return [f"{source}#{locator}" for source, locator in zip(sources, locators, strict=True)]


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))


def _write(folder: Path, table: pa.Table) -> None:
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "part-0.parquet", compression="zstd")
