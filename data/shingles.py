"""Whose words a text repeats: every run of forty letters and digits, known by its hash alone.

Rolling polynomial hashes modulo 2^64, after Karp and Rabin (1987), over whole arrays: text is looked
through at tens of megabytes a second, and nothing that was erased is held in clear.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.recognisers.found import lowered

WIDTH = 40
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse
MASKED = ord("·")

Hashes = npt.NDArray[np.uint64]
NONE: Hashes = np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """The shingles of some texts, sorted; shorter texts than a shingle leave none."""

    hashes: Hashes

    @staticmethod
    def of(texts: Iterable[str]) -> Traces:
        return Traces(np.unique(np.concatenate([NONE, *(_windows(_signs(text)[0]) for text in texts)])))

    def joined(self, others: Traces) -> Traces:
        return Traces(np.union1d(self.hashes, others.hashes))

    def without(self, texts: Iterable[str]) -> Traces:
        """Leave out what other texts say too: a phrase that others wrote themselves tells nobody apart."""
        if not len(self.hashes):
            return self
        common = [
            NONE,
            *(found[self._among(found)] for found in (_windows(_signs(text)[0]) for text in texts)),
        ]
        return Traces(np.setdiff1d(self.hashes, np.concatenate(common)))

    def found_in(self, text: str) -> bool:
        return bool(len(self.hashes)) and bool(self._among(_windows(_signs(text)[0])).any())

    def masked(self, text: str) -> str:
        """Return the text with the repeated words masked, sign by sign: every offset stays what it was."""
        if not len(self.hashes) or len(text) < WIDTH:
            return text
        signs, places = _signs(text)
        hits = np.flatnonzero(self._among(_windows(signs)))
        if not len(hits):
            return text
        steps = np.zeros(len(signs) + 1, np.int64)
        np.add.at(steps, hits, 1)
        np.add.at(steps, hits + WIDTH, -1)
        codes = _codes(text).copy()
        codes[places[np.cumsum(steps[:-1]) > 0]] = MASKED
        return codes.tobytes().decode("utf-32-le")

    def _among(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        if not len(self.hashes):
            return np.zeros(len(hashes), np.bool_)
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.asarray(self.hashes[places] == hashes)


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)


def _signs(text: str) -> tuple[Hashes, npt.NDArray[Any]]:
    """Return letters and digits in lower case, and where they stand: however a quote is wrapped."""
    codes = _codes(lowered(text))
    is_letter = (codes >= 97) & (codes <= 122) | (codes >= 48) & (codes <= 57)
    places = np.flatnonzero(is_letter | ((codes >= 0xC0) & (codes != 0xFFFD)))
    return codes[places].astype(np.uint64), places


def _windows(signs: Hashes) -> Hashes:
    count = len(signs) - WIDTH + 1
    if count <= 0:
        return NONE
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(signs * _powers(BASE, len(signs)))])
    return np.asarray((sums[WIDTH:] - sums[:-WIDTH]) * _powers(pow(BASE, -1, 2**64), count))


def _powers(base: int, count: int) -> Hashes:
    powers = np.full(count, base, np.uint64)
    powers[0] = 1
    return np.cumprod(powers)
