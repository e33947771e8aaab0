"""What the generator's adapter learns from: questions whose answer stands in the archive, word for word."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import pyarrow as pa

from data.label_sets import members
from data.labels import FEEDBACK
from data.prompts import one_line
from training.pairs import BREAK, REPLY_MARKS

COLUMNS = ("thread_id", "sent_at", "subject", "text", "source", "locator", "label", "label_source")
DISTRACTORS = 2
SHOWN_OF_A_THREAD = 6
FEWEST_WORDS, LONGEST = 4, 300  # words, characters of a sentence
SUMMARY = "What is this conversation about?"
_WORD = re.compile(r"\w{4,}")


@dataclass(frozen=True, slots=True)
class Grounded:
    """A question, the sentences that are shown, and the one of them that answers it."""

    kind: Literal["cited", "summary", "label"]
    thread_id: str
    question: str
    excerpts: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class _Thread:
    thread_id: str
    subject: str
    sentences: tuple[str, ...]
    reviewed: tuple[tuple[str, str], ...]  # label by reviewers, longest sentence of the message


def grounded_pairs(messages: pa.Table, *, most: int) -> tuple[Grounded, ...]:
    """Return the pairs of a messages table, at most ``most`` of each kind, chosen by hash.

    ``cited``: what a thread's subject is about, and the sentence of the thread with most of its words,
    among sentences of other threads. ``summary``: a thread, and the sentence that says most of what is
    said in it (SumBasic: Nenkova and Vanderwende 2005). ``label``: a message that reviewers gave a label,
    among messages that they gave others. Every answer is one of the sentences shown: nothing is taught
    that the archive does not say.
    """
    threads = list(_threads(messages))
    found: dict[str, list[Grounded]] = {"cited": [], "summary": [], "label": []}
    for thread in threads:
        for pair in (*_cited(thread, threads), *_summary(thread), *_labelled(thread, threads)):
            found[pair.kind].append(pair)
    return tuple(pair for pairs in found.values() for pair in sorted(pairs, key=_rank)[:most])


def _cited(thread: _Thread, threads: Sequence[_Thread]) -> Iterator[Grounded]:
    asked = _words(thread.subject)
    best = max(thread.sentences, key=lambda each: len(asked & _words(each)), default="")
    if not asked & _words(best):
        return
    chance = _chance(thread)
    others = []
    for _ in range(8 * DISTRACTORS):  # threads without a sentence, or with the subject's words, are passed
        other = threads[chance.randrange(len(threads))]
        if other.thread_id != thread.thread_id and other.sentences:
            sentence = chance.choice(other.sentences)
            if not asked & _words(sentence) and sentence not in others:
                others.append(sentence)
        if len(others) == DISTRACTORS:
            break
    question = f"What was said about {thread.subject}?"
    yield Grounded("cited", thread.thread_id, question, _shuffled([best, *others], chance), best)


def _summary(thread: _Thread) -> Iterator[Grounded]:
    shown = tuple(dict.fromkeys(thread.sentences))[:SHOWN_OF_A_THREAD]
    if len(shown) < 3:
        return
    counts = Counter(word for sentence in shown for word in _words(sentence))

    def weight(sentence: str) -> float:
        words = _words(sentence)
        return sum(counts[word] for word in words) / max(len(words), 1)

    yield Grounded("summary", thread.thread_id, SUMMARY, shown, max(shown, key=weight))


def _labelled(thread: _Thread, threads: Sequence[_Thread]) -> Iterator[Grounded]:
    for label, sentence in thread.reviewed:
        chance = _chance(thread)
        others = sorted(
            {
                said
                for other in threads
                for named, said in other.reviewed
                if not set(members(named)) & set(members(label)) and said != sentence
            }
        )
        if not others:
            continue
        shown = [sentence, *chance.sample(others, min(DISTRACTORS, len(others)))]
        question = f"Which message is a case of {' and '.join(members(label)).replace('_', ' ')}?"
        yield Grounded("label", thread.thread_id, question, _shuffled(shown, chance), sentence)


def _threads(messages: pa.Table) -> Iterator[_Thread]:
    order = ("thread_id", "sent_at", "source", "locator")
    table = messages.select(list(COLUMNS)).sort_by([(column, "ascending") for column in order])
    for thread_id, rows in groupby(table.to_pylist(), key=lambda row: row["thread_id"]):
        subject, sentences, reviewed = "", [], []
        for row in rows:
            subject = subject or REPLY_MARKS.sub("", one_line(row["subject"] or ""))
            said = _sentences(row["text"] or "")
            sentences += said
            if row["label_source"] == FEEDBACK and said:
                reviewed.append((str(row["label"]), max(said, key=len)))
        yield _Thread(thread_id, subject, tuple(sentences), tuple(reviewed))


def _sentences(text: str) -> list[str]:
    pieces = (one_line(each) for each in BREAK.split(text))
    return [each for each in pieces if len(each) <= LONGEST and len(each.split()) >= FEWEST_WORDS]


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _shuffled(sentences: list[str], chance: random.Random) -> tuple[str, ...]:
    chance.shuffle(sentences)
    return tuple(sentences)


def _chance(thread: _Thread) -> random.Random:
    """Return chance that follows from the thread: stable as an archive grows around it."""
    return random.Random(thread.thread_id)  # noqa: S311 (an order, not a secret)


def _rank(pair: Grounded) -> str:
    text = f"{pair.kind}\0{pair.thread_id}\0{pair.answer}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
