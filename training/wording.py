"""Search by wording among texts held in memory: BM25 (Robertson and Zaragoza 2009)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SATURATION = 1.2  # k1: how soon one more occurrence of a word adds nothing
LENGTH = 0.75  # b: how much a long text's words count for less


@dataclass(frozen=True, slots=True)
class Wording:
    """Texts as words with weights."""

    vectorizer: Any
    weights: Any  # sparse, of shape (words, texts)

    def scores(self, questions: Sequence[str]) -> NDArray[np.float32]:
        """Return the weights, of shape (questions, texts); 0 where no word is shared."""
        asked = self.vectorizer.transform(questions)
        asked.data[:] = 1
        found: NDArray[np.float32] = (asked @ self.weights).toarray()
        return found


def wording_of(texts: Sequence[str]) -> Wording:
    """Count the words of the texts, of which at least one has a word."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(analyzer=_words, dtype=np.float32)
    counts = vectorizer.fit_transform(texts).tocoo()
    lengths = np.bincount(counts.row, weights=counts.data, minlength=len(texts))
    known = np.bincount(counts.col, minlength=counts.shape[1])
    rarity = np.log1p((len(texts) - known + 0.5) / (known + 0.5))
    spread = SATURATION * (1 - LENGTH + LENGTH * lengths[counts.row] / lengths.mean())
    counts.data = (rarity[counts.col] * counts.data * (SATURATION + 1) / (counts.data + spread)).astype(
        np.float32
    )
    return Wording(vectorizer, counts.T.tocsr())


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
