"""Pairs of texts that belong together, found in the archive itself: what the embedder learns from."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pyarrow as pa

from data.redact import model_view

COLUMNS = ("thread_id", "sent_at", "subject", "text", "source", "locator")
SHORTEST_TEXT = 20  # characters: below it a text says too little to be found by
SHORTEST_HALVED = 160
MOST_OPEN = 64  # batches filled side by side

REPLY_MARKS = re.compile(r"^\s*(?:(?:re|aw|fw|fwd|wg|sv|antw|tr|rv)\s*:\s*)+", re.IGNORECASE)
BREAK = re.compile(r"\n+|(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts of one thread: what is asked with, and what should be found."""

    kind: Literal["subject", "reply", "halves", "sentence"]
    thread_id: str
    anchor: str
    positive: str


@dataclass(frozen=True, slots=True)
class _Message:
    thread_id: str
    subject: str
    text: str


def training_pairs(messages: pa.Table, *, max_per_kind: int) -> tuple[Pair, ...]:
    """Return the pairs of a messages table, at most ``max_per_kind`` of each kind, chosen by hash.

    A subject belongs to its text, a message to the one it follows in its thread (mail or chat),
    and the second half of a long text to the first.
    """
    found: dict[str, list[Pair]] = {"subject": [], "reply": [], "halves": []}
    for thread in _threads(messages):
        for pair in (*_subject_pairs(thread), *_reply_pairs(thread), *_halves(thread)):
            found[pair.kind].append(pair)
    return tuple(pair for pairs in found.values() for pair in _chosen(pairs, max_per_kind))


def own_sentences(messages: pa.Table, *, most: int) -> tuple[Pair, ...]:
    """Return at most ``most`` pairs of one sentence and the whole text that it stands in, chosen by hash.

    Nothing is learned from them: they show whether a model still finds what it reads word for word,
    which is what most questions come down to.
    """
    pairs = [
        Pair("sentence", message.thread_id, max(later, key=len), message.text)
        for thread in _threads(messages)
        for message in thread
        if (later := [each for each in BREAK.split(message.text)[1:] if _says_enough(each)])
    ]
    return tuple(_chosen(pairs, most))


def batches_of_strangers(pairs: Sequence[Pair], batch_size: int, *, seed: int) -> list[list[Pair]]:
    """Return one epoch of batches in which no two pairs share a thread or a text.

    Within a batch every other positive serves as a negative: two messages of one thread, or one
    subject used in two threads, would be taught to lie apart. Incomplete batches are left out,
    unless that leaves none.
    """
    order = list(pairs)
    random.Random(seed).shuffle(order)  # noqa: S311 (an order, not a secret)
    open_batches: list[tuple[list[Pair], set[str]]] = []
    complete: list[list[Pair]] = []
    for pair in order:
        marks = {f"thread {pair.thread_id}", pair.anchor, pair.positive}
        place = next((each for each in open_batches if not each[1] & marks), None)
        if place is None and len(open_batches) == MOST_OPEN:
            continue  # one thread that outweighs the archive: the rest of it waits for another epoch
        if place is None:
            open_batches.append(place := ([], set()))
        place[0].append(pair)
        place[1].update(marks)
        if len(place[0]) == batch_size:
            complete.append(place[0])
            open_batches.remove(place)
    if complete:
        return complete
    return [max((batch for batch, _ in open_batches), key=len)] if open_batches else []


def _threads(messages: pa.Table) -> Iterator[list[_Message]]:
    order = ("thread_id", "sent_at", "source", "locator")
    rows = messages.select(list(COLUMNS)).sort_by([(column, "ascending") for column in order])
    thread: list[_Message] = []
    for row in rows.select(["thread_id", "subject", "text"]).to_pylist():
        subject, text = model_view(row["subject"] or "").strip(), model_view(row["text"] or "").strip()
        message = _Message(row["thread_id"], subject, text)
        if thread and thread[0].thread_id != message.thread_id:
            yield thread
            thread = []
        thread.append(message)
    if thread:
        yield thread


def _subject_pairs(thread: Sequence[_Message]) -> Iterator[Pair]:
    """A reply's subject is its thread's: it is paired with the first text only."""
    seen: set[str] = set()
    for message in thread:
        subject = REPLY_MARKS.sub("", message.subject)
        if subject and subject not in seen and _says_enough(message.text):
            seen.add(subject)
            yield Pair("subject", message.thread_id, subject, message.text)


def _reply_pairs(thread: Sequence[_Message]) -> Iterator[Pair]:
    for earlier, later in pairwise(thread):
        if _says_enough(earlier.text) and _says_enough(later.text) and earlier.text != later.text:
            yield Pair("reply", later.thread_id, later.text, earlier.text)


def _halves(thread: Sequence[_Message]) -> Iterator[Pair]:
    for message in thread:
        if len(message.text) < SHORTEST_HALVED:
            continue
        middle = len(message.text) / 2
        cuts = list(BREAK.finditer(message.text))
        if not cuts:
            continue
        cut = min(cuts, key=lambda match: abs(match.start() - middle))
        first, second = message.text[: cut.start()].strip(), message.text[cut.end() :].strip()
        if _says_enough(first) and _says_enough(second) and first != second:
            yield Pair("halves", message.thread_id, second, first)


def _says_enough(text: str) -> bool:
    return len(text) >= SHORTEST_TEXT


def _chosen(pairs: list[Pair], most: int) -> list[Pair]:
    """Keep the pairs with the smallest hashes, in their order: stable as an archive grows."""
    if len(pairs) <= most:
        return pairs

    def rank(pair: Pair) -> str:
        return hashlib.sha256(f"{pair.anchor}\0{pair.positive}".encode("utf-8", "surrogatepass")).hexdigest()

    last = sorted(map(rank, pairs))[most - 1]
    return [pair for pair in pairs if rank(pair) <= last][:most]
