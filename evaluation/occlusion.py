"""Which words of a message an answer rests on: leave them out and see how much its probability falls.

Occlusion (Zeiler & Fergus 2014; erasure of words: Li, Monroe & Jurafsky 2016) asks the model alone and
needs no gradients. It shows what this answer needs, not why the model learned it; where two sentences
say the same, leaving out one of them changes little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data.redact import PLACEHOLDER
from serving.sentences import sentence_spans
from training.scores import Scores

MOST_SENTENCES = 40  # a classifier reads 256 tokens: what stands behind them changes nothing
MOST_WORDS = 80
SHOWN_WORDS = 5
_WORD = re.compile(rf"{PLACEHOLDER.pattern}|\w+(?:['’-]\w+)*")

Score = Callable[[Sequence[str]], Scores]


@dataclass(frozen=True, slots=True)
class Fall:
    """A piece of a text, and by how much the probability of the answer falls without it."""

    start: int
    end: int
    fall: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the answer to one text is, and what its most probable label rests on, if any sentence matters."""

    answer: str
    probability: float
    sentence: Fall | None
    words: tuple[Fall, ...]  # within the sentence, the strongest ones, in reading order


@dataclass(frozen=True, slots=True)
class Occluded:
    """A text without one piece of it."""

    row: int
    start: int
    end: int


def evidence_of(texts: Sequence[tuple[str, str]], score: Score) -> tuple[Evidence, ...]:
    """Return the evidence for the most probable label of every subject and text, redacted ones.

    Offsets count in ``f"{subject}\\n{text}"``, as the classifier reads it. The model is asked three
    times, in batches: whole texts, texts without a sentence, texts without a word of the best one.
    """
    whole = [f"{subject}\n{text}" for subject, text in texts]
    said = score(whole)
    columns = said.probabilities.argmax(axis=1)
    stated = said.probabilities[np.arange(len(whole)), columns]
    without_sentence = [
        Occluded(row, start, end)
        for row, (subject, text) in enumerate(texts)
        for start, end in list(_sentences(subject, text))[:MOST_SENTENCES]
    ]
    best: dict[int, Fall] = {}
    for piece, fall in _falls(whole, without_sentence, columns, stated, score):
        if fall > max(0.0, best[piece.row].fall if piece.row in best else 0.0):
            best[piece.row] = Fall(piece.start, piece.end, fall)
    without_word = [
        Occluded(row, match.start(), match.end())
        for row, sentence in best.items()
        for match in list(_WORD.finditer(whole[row], sentence.start, sentence.end))[:MOST_WORDS]
    ]
    words: dict[int, list[Fall]] = {row: [] for row in best}
    for piece, fall in _falls(whole, without_word, columns, stated, score):
        if fall > 0:
            words[piece.row].append(Fall(piece.start, piece.end, fall))
    return tuple(
        Evidence(answer, float(stated[row]), best.get(row), _strongest(words.get(row, [])))
        for row, answer in enumerate(said.best())
    )


def _sentences(subject: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where sentences begin and end; the subject is one by itself, however long its line."""
    for start, sentence in sentence_spans(subject):
        yield start, start + len(sentence)
    for start, sentence in sentence_spans(text):
        begun = len(subject) + 1 + start
        yield begun, begun + len(sentence)


def _falls(
    whole: Sequence[str],
    pieces: Sequence[Occluded],
    columns: np.ndarray,
    stated: np.ndarray,
    score: Score,
) -> Iterator[tuple[Occluded, float]]:
    if not pieces:
        return
    left = score([whole[each.row][: each.start] + whole[each.row][each.end :] for each in pieces])
    for piece, probabilities in zip(pieces, left.probabilities, strict=True):
        yield piece, float(stated[piece.row] - probabilities[columns[piece.row]])


def _strongest(words: Sequence[Fall]) -> tuple[Fall, ...]:
    chosen = sorted(words, key=lambda word: -word.fall)[:SHOWN_WORDS]
    return tuple(sorted(chosen, key=lambda word: word.start))
