"""Which sentences say what most of a text says: LexRank, on TF-IDF vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from serving.sentences import content_words

Matrix = NDArray[np.float64]
DAMPING = 0.15  # the chance to go on anywhere, as Erkan and Radev set it
STEPS = 100
CLOSE_ENOUGH = 1e-6
REPEATED = 0.5  # cosine above which one sentence says again what another says


def most_central(sentences: Sequence[str], count: int) -> list[int]:
    """Return the places of up to ``count`` sentences, most central first, none saying another's again.

    Continuous LexRank: the stationary distribution of a random walk between sentences, whose steps
    are as probable as the sentences are alike (Erkan and Radev, "LexRank: Graph-based Lexical
    Centrality as Salience in Text Summarization", JAIR 22, 2004). Repetitions are passed over as in
    their section 5.2. Every sentence has at least one word that carries meaning.
    """
    if not sentences:
        return []
    alike = _similarities(sentences)
    scores = _stationary(alike)
    chosen: list[int] = []
    for place in sorted(range(len(sentences)), key=lambda place: (-round(float(scores[place]), 9), place)):
        if len(chosen) == count:
            break
        if not chosen or alike[place, chosen].max() <= REPEATED:
            chosen.append(place)
    return chosen


def _similarities(sentences: Sequence[str]) -> Matrix:
    """Return the cosines of the sentences, of shape (sentences, sentences)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(analyzer=content_words).fit_transform(sentences)
    return np.asarray((vectors @ vectors.T).toarray(), np.float64)


def _stationary(alike: Matrix) -> NDArray[np.float64]:
    """Return how often the walk is at each sentence, by the power method."""
    steps = alike / alike.sum(axis=1, keepdims=True)
    scores = np.full(len(alike), 1 / len(alike))
    for _ in range(STEPS):
        after = DAMPING / len(alike) + (1 - DAMPING) * (scores @ steps)
        if np.abs(after - scores).sum() < CLOSE_ENOUGH:
            break
        scores = after
    return scores
