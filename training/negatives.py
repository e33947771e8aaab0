"""Texts that a search finds for an anchor and that are no answer: strangers of a batch are too easy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.encode import cut
from training.pairs import Pair
from training.wording import wording_of

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
TOO_ALIKE = 0.95  # of the partner's similarity: what is nearer is as likely a partner as not
NEAR_COPY = 0.95  # cosine to the anchor or its partner: the same in other words
MOST_CANDIDATES = 20_000
ANCHORS_AT_ONCE = 256
DEPTH = 100  # results of either search
FLATTENED = 60  # of reciprocal rank fusion, as Cormack et al. (2009) have it


@dataclass(frozen=True, slots=True)
class Negative:
    """A text that a pair's anchor must not find, and the thread that it belongs to."""

    thread_id: str
    text: str


Negatives = Mapping[Pair, tuple[Negative, ...]]


def mine_negatives(encode: Encode, pairs: Sequence[Pair], count: int) -> Negatives:
    """Return for every pair up to ``count`` texts of other threads that a search by its anchor finds first.

    The search is the one that is served: by meaning and by wording (BM25), fused by rank, among the pairs'
    positives. ``encode`` gives normalised vectors, one row a text. Passed over is what lies nearer to the
    anchor than ``TOO_ALIKE`` of what the partner reaches, since it may well be an answer that nobody
    marked (TopK-PercPos of Moreira et al. 2024, NV-Retriever), and near copies of either text.
    """
    unique = list(dict.fromkeys(pairs))
    answers = answers_of(unique)
    candidates = unique[:MOST_CANDIDATES]
    texts = [pair.positive for pair in candidates]
    vectors, wording = encode(texts), wording_of(texts)
    numbers: dict[str, int] = {}
    threads = np.array([numbers.setdefault(pair.thread_id, len(numbers)) for pair in candidates])
    found: dict[Pair, tuple[Negative, ...]] = {}
    for rows in cut(list(range(len(unique))), ANCHORS_AT_ONCE):
        part = [unique[row] for row in rows]
        anchors = encode([pair.anchor for pair in part])
        is_known = rows[-1] < len(candidates)
        partners = vectors[rows] if is_known else encode([pair.positive for pair in part])
        bounds = TOO_ALIKE * (anchors * partners).sum(axis=1)
        near, alike = anchors @ vectors.T, partners @ vectors.T
        worded = wording.scores([pair.anchor for pair in part])
        for row, pair in enumerate(part):
            is_strange = threads != numbers.get(pair.thread_id, -1)
            serves = is_strange & (near[row] <= bounds[row]) & (np.maximum(near[row], alike[row]) < NEAR_COPY)
            ranked = _fused(np.where(is_strange, near[row], -np.inf), np.where(is_strange, worded[row], 0))
            first: dict[str, Negative] = {}
            for place in ranked:
                if serves[place] and len(first) < count and not answers.hold(pair, texts[place]):
                    first.setdefault(texts[place], Negative(candidates[place].thread_id, texts[place]))
            if first:
                found[pair] = tuple(first.values())
    return found


@dataclass(frozen=True, slots=True)
class Answers:
    """Which texts belong to an anchor: those of its thread, and the partners of its like in other threads."""

    by_thread: Mapping[str, Collection[str]]
    by_anchor: Mapping[str, Collection[str]]

    def hold(self, pair: Pair, text: str) -> bool:
        """Say whether the text is no stranger to the pair."""
        return text in self.by_thread.get(pair.thread_id, ()) or text in self.by_anchor.get(pair.anchor, ())


def answers_of(pairs: Iterable[Pair]) -> Answers:
    """Return which texts belong to which anchor: one subject may be used in many threads."""
    by_thread: defaultdict[str, set[str]] = defaultdict(set)
    by_anchor: defaultdict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        by_thread[pair.thread_id] |= {pair.anchor, pair.positive}
        by_anchor[pair.anchor].add(pair.positive)
    return Answers(by_thread, by_anchor)


def related(pairs: Sequence[Pair], negatives: Sequence[Negative], answers: Answers) -> list[list[bool]]:
    """Say of every pair and every negative of a batch whether the two belong together after all.

    What was mined for one pair may be of the thread of another, or an answer to it.
    """
    return [
        [each.thread_id == pair.thread_id or answers.hold(pair, each.text) for each in negatives]
        for pair in pairs
    ]


def _fused(near: NDArray[np.float32], worded: NDArray[np.float32]) -> list[int]:
    """Return the places that either search found, best first by reciprocal rank fusion."""
    weights: dict[int, float] = {}
    for scores, least in ((near, -np.inf), (worded, 0.0)):
        places = np.argpartition(-scores, min(DEPTH, len(scores)) - 1)[:DEPTH]
        order = places[np.lexsort((places, -scores[places]))]
        for rank, place in enumerate(order[scores[order] > least].tolist(), start=1):
            weights[place] = weights.get(place, 0.0) + 1 / (FLATTENED + rank)
    return sorted(weights, key=lambda place: (-weights[place], place))
