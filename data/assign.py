"""What is decided over all messages at once, on keyed names and hashes: threads, copies, splits, labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data.dedupe import BANDS, SIMILAR, Copy, Link, exact_copies, near_copies
from data.labels import FEEDBACK, Labelling, joined_labels, labels_by_rank
from data.review import SettledLabel
from data.splits import splits
from data.threads import Ties, threads

_COLUMNS = (
    *("message_id", "sent_at", "source", "locator", "content_hash", "view_hash", "content_digest"),
    *("key", "parents", "topic", "is_reply"),
)


@dataclass(frozen=True, slots=True)
class Index:
    """The messages that were taken in, in rank order: by time, undated ones last, then source and locator.

    Ranks decide which of two copies is kept and what names a thread, so nothing depends on the
    order in which files were read. What a million messages have to be held for is held small: equal
    ``contents`` and ``views`` have equal numbers, and a text too short for a view has one of its own.
    """

    rows: np.ndarray
    """Of each rank, its place among the messages in the order of the files."""
    message_ids: Sequence[str]
    sources: Sequence[str]
    locators: Sequence[int]
    contents: np.ndarray
    views: np.ndarray
    content_digests: pa.ChunkedArray
    ties: Sequence[Ties]

    @property
    def references(self) -> list[str]:
        return [f"{source}#{locator}" for source, locator in zip(self.sources, self.locators, strict=True)]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What every rank is assigned; ``copies`` is by rank of the copy."""

    thread_ids: Sequence[str]
    splits: Sequence[str]
    labelling: Labelling
    copies: Mapping[int, Copy]
    digests: Sequence[bytes]

    def kept(self, rank: int) -> int:
        """Return the rank of the message that stands for this one."""
        return self.copies[rank].kept if rank in self.copies else rank

    @property
    def kept_ranks(self) -> list[int]:
        return [rank for rank in range(len(self.thread_ids)) if rank not in self.copies]


def read_index(taken_in: Path) -> Index:
    """Read the narrow columns of what was taken in; no text among them."""
    dataset = ds.dataset(taken_in, format="parquet")
    table = dataset.to_table(columns=list(_COLUMNS), filter=pc.field("outcome") == "message")
    order = pc.sort_indices(
        table.select(["sent_at", "source", "locator"]),
        sort_keys=[(name, "ascending", "at_end") for name in ("sent_at", "source", "locator")],
    )
    table = table.drop_columns("sent_at").take(order)
    names: dict[str, str] = {}  # a thread's name is the key of one message and a parent of others
    return Index(
        rows=order.to_numpy(),
        message_ids=table["message_id"].to_pylist(),
        sources=_shared(table["source"]),
        locators=table["locator"].to_numpy(),
        contents=_numbered(table["content_hash"]),
        views=_numbered(table["view_hash"]),
        content_digests=table["content_digest"],
        ties=[
            Ties(
                names.setdefault(key, key),
                tuple(names.setdefault(each, each) for each in parents),
                topic,
                is_reply,
            )
            for batch in table.select(["key", "parents", "topic", "is_reply"]).to_batches(50_000)
            for key, parents, topic, is_reply in zip(*map(pa.Array.to_pylist, batch.columns), strict=True)
        ],
    )


def _shared(column: pa.ChunkedArray) -> list[str]:
    """Return the values, equal ones as one object."""
    encoded = column.combine_chunks().dictionary_encode()
    known = encoded.dictionary.to_pylist()
    return [known[number] for number in encoded.indices.to_numpy()]


def _numbered(column: pa.ChunkedArray) -> np.ndarray:
    """Return a number for every value, the same for equal ones; nothing is equal to an empty one."""
    encoded = column.combine_chunks().dictionary_encode()
    numbers = encoded.indices.to_numpy().astype(np.int64)
    empty = pc.index(encoded.dictionary, "").as_py()
    return np.where(numbers == empty, -1 - np.arange(len(numbers)), numbers)


def read_bands(taken_in: Path, index: Index) -> tuple[np.ndarray, np.ndarray]:
    """Return rank and bands (n, n × 20) of what near copies are sought among, in the order of ranks.

    Exact copies of an earlier message and texts too short for a fingerprint are not.
    """
    ranks = np.empty(len(index.rows), np.int64)
    ranks[index.rows] = np.arange(len(index.rows))
    is_copy = np.zeros(len(index.rows), bool)
    is_copy[[copy.rank for copy in exact_copies(index.contents.tolist())]] = True
    row, kept_ranks, kept_bands = 0, [np.empty(0, np.int64)], [np.empty((0, BANDS), np.int64)]
    dataset = ds.dataset(taken_in, format="parquet")
    for batch in dataset.to_batches(columns=["bands"], filter=pc.field("outcome") == "message"):
        column = batch["bands"]
        its_ranks = ranks[row : row + len(column)]
        row += len(column)
        is_sought = (pc.list_value_length(column).to_numpy(zero_copy_only=False) == BANDS) & ~is_copy[
            its_ranks
        ]
        kept_ranks.append(its_ranks[is_sought])
        bands = column.filter(pa.array(is_sought)).flatten().to_numpy()
        kept_bands.append(bands.reshape(-1, BANDS))
    found_ranks, found_bands = np.concatenate(kept_ranks), np.concatenate(kept_bands)
    order = np.argsort(found_ranks)
    return found_ranks[order], found_bands[order]


def assign(
    index: Index,
    links: Sequence[Link],
    labels: Mapping[str, str],
    *,
    seed: int,
    reviewed: Mapping[str, SettledLabel] = MappingProxyType({}),
) -> Assignment:
    """Decide threads, copies, splits and labels: ``labels`` by reference, ``reviewed`` by message id."""
    thread_ids, groups = threads(index.ties)
    threads_by_rank = [index.message_ids[groups.of(rank)] for rank in range(len(index.message_ids))]
    exact = {copy.rank: copy for copy in exact_copies(index.contents.tolist())}
    near = {copy.rank: copy for copy in near_copies(links)}
    settled = {
        rank: Copy(rank, near[copy.kept].kept, "near", near[copy.kept].similarity)
        if copy.kept in near
        else copy
        for rank, copy in exact.items()
    }
    copies = settled | near
    alike = [(copy.rank, copy.kept) for copy in copies.values()]
    alike += [(link.earlier, link.later) for link in links if link.view_similarity >= SIMILAR]
    alike += [(copy.rank, copy.kept) for copy in exact_copies(index.views.tolist())]
    sides, components = splits(index.message_ids, groups, alike, seed=seed)
    kept_by_copy = {rank: copy.kept for rank, copy in copies.items()}
    labelling = joined_labels(
        labels_by_rank(labels, index.references, kept_by_copy),
        labels_by_rank(reviewed, index.message_ids, kept_by_copy),
        sides,
    )
    contents = (each for chunk in index.content_digests.chunks for each in chunk.to_pylist())
    sources = ([FEEDBACK] if source == FEEDBACK else [] for source in labelling.sources)
    digests = [
        hashlib.sha256("\n".join([*each, label or "", *by_review]).encode()).digest()
        for *each, label, by_review in zip(
            contents, threads_by_rank, components, sides, labelling.labels, sources, strict=True
        )
    ]
    return Assignment(thread_ids, sides, labelling, copies, digests)
