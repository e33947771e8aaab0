"""Copies: exact ones by a hash of the text, near ones by MinHash candidates that are then verified.

Locality-sensitive hashing as in Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets",
chapter 3: 20 bands of 6 rows find 99.8 % of the pairs at a Jaccard similarity of 0.8.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from data.normalise import Normal, without_digits

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SIMILAR = 0.8
SHINGLE_WORDS = 5
FEWEST_WORDS = 20
FEWEST_CHARACTERS = 40
BANDS, ROWS = 20, 6
COMPARED_PER_BUCKET = 8
SEED = 20

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What two copies share. ``view`` is the text as models see it, without pseudonym digits."""

    content: str
    attached: str
    view: str
    bands: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """Two messages, by rank, that are alike: in full, and as models see them."""

    earlier: int
    later: int
    similarity: float
    view_similarity: float


@dataclass(frozen=True, slots=True)
class Copy:
    """A message that is left out because ``kept``, an earlier one, says the same."""

    rank: int
    kept: int
    kind: str
    similarity: float


def fingerprints(messages: Sequence[Normal]) -> list[Fingerprint]:
    """Return the fingerprints of a batch of messages.

    Candidates are found on the models' view and decided on the full text: two invoices for
    different customers stay two messages, but never stand on both sides of a split.
    """
    from rensa import RMinHash

    views = [_canonical(without_digits(message.text)) for message in messages]
    sets = [sorted(shingles(view)) if len(view) >= FEWEST_CHARACTERS else [] for view in views]
    long_enough = [number for number, words in enumerate(sets) if words]
    bands: dict[int, tuple[int, ...]] = {}
    if long_enough:
        digests = RMinHash.digests_from_token_sets(
            [sets[number] for number in long_enough], BANDS * ROWS, SEED
        )
        hashes = band_hashes(np.asarray(digests, dtype=np.uint64))
        bands = {number: tuple(row.tolist()) for number, row in zip(long_enough, hashes, strict=True)}
    return [
        Fingerprint(
            _content_hash(message),
            _attached_hash(message),
            _sha(view) if len(view) >= FEWEST_CHARACTERS else "",
            bands.get(number, ()),
        )
        for number, (message, view) in enumerate(zip(messages, views, strict=True))
    ]


def shingles(text: str) -> set[str]:
    """Return the runs of five words of a text, or nothing for one under twenty words."""
    words = _WORD.findall(text.casefold())
    if len(words) < FEWEST_WORDS:
        return set()
    return {" ".join(words[start : start + SHINGLE_WORDS]) for start in range(len(words) - SHINGLE_WORDS + 1)}


def jaccard(one: set[str], other: set[str]) -> float:
    union = len(one | other)
    return len(one & other) / union if union else 0.0


def band_hashes(digests: np.ndarray) -> np.ndarray:
    """Return one signed 64-bit number per document and band (n × 20) from MinHash digests (n × 120)."""
    rows = digests.reshape(len(digests), BANDS, ROWS)
    mixed = np.broadcast_to(np.arange(1, BANDS + 1, dtype=np.uint64), rows.shape[:2]) * np.uint64(
        0x9E3779B97F4A7C15
    )
    for row in range(ROWS):
        mixed = (mixed ^ rows[:, :, row]) * np.uint64(0x100000001B3)
        mixed ^= mixed >> np.uint64(29)
    return mixed.view(np.int64)


def exact_copies(contents: Iterable[int]) -> list[Copy]:
    """Return the copies among messages given in rank order: the earliest of each content is kept."""
    first: dict[int, int] = {}
    copies = []
    for rank, content in enumerate(contents):
        kept = first.setdefault(content, rank)
        if kept != rank:
            copies.append(Copy(rank, kept, "exact", 1.0))
    return copies


def candidate_pairs(ranks: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """Return the pairs of ranks (m × 2, the earlier one first, no pair twice) that share a band.

    ``ranks`` (n) ascend, ``bands`` (n × 20) belong to them. In a bucket every message meets the earliest
    eight only: a template sent ten thousand times costs eighty thousand comparisons, not fifty million.
    """
    size = int(ranks[-1]) + 1 if len(ranks) else 0
    found = np.empty(0, np.int64)
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        sorted_band = band[order]
        begins = np.flatnonzero(np.diff(sorted_band, prepend=~sorted_band[:1]))
        begin = np.repeat(begins, np.diff(begins, append=len(order)))
        place = np.arange(len(order)) - begin  # within its bucket
        pairs = [found]
        for number in range(COMPARED_PER_BUCKET):
            later = np.flatnonzero(place > number)
            pairs.append(ranks[order[begin[later] + number]] * size + ranks[order[later]])
        found = np.unique(np.concatenate(pairs))
    return np.stack([found // size, found % size], axis=1) if size else np.empty((0, 2), np.int64)


def verified_links(pairs: DataFrame, texts: DataFrame) -> list[Link]:
    """Return the links among pairs (columns earlier, later) whose texts (rank, text, attached) are alike."""
    from pyspark.sql import functions as sql

    left = texts.select(*(sql.col(name).alias(f"earlier_{name}") for name in texts.columns))
    right = texts.select(*(sql.col(name).alias(f"later_{name}") for name in texts.columns))
    verified = (
        pairs.join(left, sql.col("earlier") == sql.col("earlier_rank"))
        .join(right, sql.col("later") == sql.col("later_rank"))
        .select("earlier", "later", "earlier_text", "later_text", "earlier_attached", "later_attached")
        .repartition(2 * pairs.sparkSession.sparkContext.defaultParallelism)
        .mapInArrow(verify, "earlier long, later long, similarity double, view_similarity double")
        .toArrow()
    )
    return sorted((Link(**row) for row in verified.to_pylist()), key=lambda link: (link.later, link.earlier))


def verify(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Keep the candidate pairs that are alike: batches with both texts in, with both similarities out.

    Messages that differ in what is attached are no copies, whatever they say: their similarity is 0.
    """
    for batch in batches:
        found: list[Link] = []
        for row in batch.to_pylist():
            one, other = row["earlier_text"], row["later_text"]
            alike = row["earlier_attached"] == row["later_attached"]
            similarity = jaccard(shingles(one), shingles(other)) if alike else 0.0
            view = jaccard(shingles(without_digits(one)), shingles(without_digits(other)))
            if max(similarity, view) >= SIMILAR:
                found.append(Link(row["earlier"], row["later"], similarity, view))
        yield pa.RecordBatch.from_pydict(
            {
                "earlier": pa.array([link.earlier for link in found], pa.int64()),
                "later": pa.array([link.later for link in found], pa.int64()),
                "similarity": pa.array([link.similarity for link in found], pa.float64()),
                "view_similarity": pa.array([link.view_similarity for link in found], pa.float64()),
            }
        )


def near_copies(links: Iterable[Link]) -> list[Copy]:
    """Return the near copies: a message alike to an earlier one that is itself kept.

    Likeness is not transitive, so a copy of a copy counts only if it is alike to what was kept.
    """
    dropped: set[int] = set()
    copies = []
    for link in sorted(links, key=lambda link: (link.later, link.earlier)):
        if link.similarity >= SIMILAR and link.later not in dropped and link.earlier not in dropped:
            dropped.add(link.later)
            copies.append(Copy(link.later, link.earlier, "near", link.similarity))
    return copies


def _canonical(text: str) -> str:
    return " ".join(text.casefold().split())


def _content_hash(message: Normal) -> str:
    """Hash a text and what is attached; of a short one ("Thanks!") the sender and the time too."""
    text, attached = _canonical(message.text), _attached_hash(message)
    if len(text) >= FEWEST_CHARACTERS:
        return _sha(f"{text}\0{attached}")
    if message.sent_at is None or not message.sender:
        return _sha(f"{text}\0{message.message_id}")
    return _sha(f"{text}\0{attached}\0{message.sender}\0{message.sent_at.isoformat()}")


def _attached_hash(message: Normal) -> str:
    """Hash what is attached, in whatever order; nothing where nothing is."""
    attached = sorted(each.sha256 or f"{each.name} {each.size}" for each in message.attachments)
    return _sha("\0".join(attached)) if attached else ""


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
