"""Whether a test message was already seen in training: as itself, as a near copy, or through its thread."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

NEAR_COPY = 0.95  # cosine of the word trigrams; well above what two messages of one template reach
WORDS_THAT_TELL = 20  # a shorter one ("FYI" under one subject) is like others without being a copy
_NOT_A_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Leakage:
    """Test messages with a counterpart in train or valid, by kind; the total must be zero.

    Short ones repeat by themselves ("Thanks, will do"): one that training has word for word is counted
    apart, and none is looked for among near copies.
    """

    identical: int
    near_copies: int
    shared_threads: int
    test_messages: int
    train_messages: int
    newest_train: str  # ISO dates: the reader sees how the splits lie in time
    oldest_test: str
    short: int  # test messages of fewer words than `WORDS_THAT_TELL`
    identical_short: int  # of these, whose words stand in training as they are; no part of the total

    @property
    def days_overlapping(self) -> float | None:
        """Days from the oldest test message to the newest of training; None when one has no date."""
        if not (self.newest_train and self.oldest_test):
            return None
        return float((date.fromisoformat(self.newest_train) - date.fromisoformat(self.oldest_test)).days)

    @property
    def total(self) -> int:
        """How many findings there are of any kind."""
        return self.identical + self.near_copies + self.shared_threads


def find_leakage(
    test_texts: Sequence[str],
    test_threads: Sequence[str],
    train_texts: Sequence[str],
    train_threads: Sequence[str],
    *,
    newest_train: str = "",
    oldest_test: str = "",
) -> Leakage:
    """Compare the test messages with everything that training may have seen."""
    test_words, train_words = [_words(text) for text in test_texts], [_words(text) for text in train_texts]
    train_hashes = {_hash(words) for words in train_words}
    seen = np.array([_hash(words) in train_hashes for words in test_words], dtype=bool)
    short = np.array([len(words) < WORDS_THAT_TELL for words in test_words], dtype=bool)
    near = _near_copies(test_words, train_words) if test_words and train_words else seen
    return Leakage(
        int((seen & ~short).sum()),
        int((near & ~seen).sum()),
        len(set(test_threads) & set(train_threads)),
        len(test_texts),
        len(train_texts),
        newest_train,
        oldest_test,
        int(short.sum()),
        int((seen & short).sum()),
    )


def _words(text: str) -> list[str]:
    return _NOT_A_WORD.sub(" ", text.casefold()).split()


def _hash(words: Sequence[str]) -> bytes:
    return hashlib.blake2b(" ".join(words).encode(), digest_size=16).digest()


def _near_copies(test_words: list[list[str]], train_words: list[list[str]]) -> np.ndarray:
    """Tell for every test message whether some training message has nearly all its word trigrams."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        analyzer=_trigrams, n_features=2**20, alternate_sign=False, norm="l2", binary=True, dtype=np.float32
    )
    train = vectorizer.transform(train_words).T.tocsr()
    found = np.zeros(len(test_words), dtype=bool)
    for start in range(0, len(test_words), 512):
        similarity = vectorizer.transform(test_words[start : start + 512]) @ train
        found[start : start + 512] = similarity.max(axis=1).toarray().ravel() >= NEAR_COPY
    return found


def _trigrams(words: list[str]) -> list[str]:
    if len(words) < WORDS_THAT_TELL:
        return []
    return [" ".join(words[place : place + 3]) for place in range(len(words) - 2)]
