"""Texts that lie near an anchor and do not belong to it: what a batch's strangers are too easy to teach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.encode import cut
from training.pairs import Pair

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
TOO_ALIKE = 0.95  # of the partner's similarity: what is nearer is as likely a partner as not
MOST_CANDIDATES = 20_000
ANCHORS_AT_ONCE = 1024


def mine_negatives(encode: Encode, pairs: Sequence[Pair], count: int) -> Mapping[Pair, tuple[str, ...]]:
    """Return for every pair the ``count`` texts of other threads that lie nearest to its anchor.

    ``encode`` gives normalised vectors, one row a text. A text nearer than ``TOO_ALIKE`` of what the
    partner reaches is passed over: it may well be an answer that nobody marked (TopK-PercPos of Moreira
    et al. 2024, NV-Retriever). Where too few are left, the farthest of these fill up. A pair with fewer
    strangers than ``count`` is missing.
    """
    unique = list(dict.fromkeys(pairs))
    candidates = unique[:MOST_CANDIDATES]
    texts = encode([pair.positive for pair in candidates])
    numbers: dict[str, int] = {}
    threads, words = (
        np.array([numbers.setdefault(name, len(numbers)) for name in names])
        for names in (
            [f"thread {pair.thread_id}" for pair in candidates],
            [pair.positive for pair in candidates],
        )
    )
    found: dict[Pair, tuple[str, ...]] = {}
    for rows in cut(list(range(len(unique))), ANCHORS_AT_ONCE):
        part = [unique[row] for row in rows]
        anchors = encode([pair.anchor for pair in part])
        partners = encode([pair.positive for pair in part])
        own = (anchors * partners).sum(axis=1)
        for pair, near, reached in zip(part, anchors @ texts.T, own, strict=True):
            related = [numbers.get(each, -1) for each in (pair.anchor, pair.positive)]
            is_strange = (threads != numbers.get(f"thread {pair.thread_id}", -1)) & ~np.isin(words, related)
            strangers = np.flatnonzero(is_strange)
            chosen = _chosen(near[strangers], float(reached), count)
            if len(chosen) == count:
                found[pair] = tuple(candidates[strangers[place]].positive for place in chosen)
    return found


def _chosen(similarity: NDArray[np.float32], reached: float, count: int) -> list[int]:
    """Return the places of the nearest texts below the bound, then of the farthest above it."""
    order = np.argsort(-similarity, kind="stable")
    below = similarity[order] <= TOO_ALIKE * reached
    return [int(place) for place in (*order[below], *order[~below][::-1])[:count]]
