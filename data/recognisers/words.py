"""The capitalised words of a text, looked up once: most names of most lists stand in none of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

CAPITALISED = re.compile(r"[^\W\d_a-z][^\W\d_]{2,}")
CAPITALISED_ASCII = re.compile(r"[A-Z][A-Za-z]{2,}")
WORD = re.compile(r"[^\W\d_]+")
FEW = 12
"""As many searches for one word take about as long as one for all words."""


def capitalised_words(text: str) -> frozenset[str]:
    """Return every word of three letters and more that begins with no small Latin letter.

    Of a word like "iPhone" it holds the part from the capital on.
    """
    return frozenset(_capitalised(text).findall(text))


def may_stand(name: str, words: Collection[str]) -> bool:
    """Return whether ``name`` may be a whole word of a text with these capitalised words."""
    return name in words or not name.isalpha() or "a" <= name[0] <= "z"


def places_of(text: str, words: Collection[str], *, are_capitalised: bool = False) -> list[tuple[int, str]]:
    """Return where the words stand whole, in order: searched one by one if few, else all at once.

    ``are_capitalised``: all of them are among the ``capitalised_words`` of the text.
    """
    if len(words) > FEW:
        pattern = _capitalised(text) if are_capitalised else WORD
        return [
            (match.start(), match[0])
            for match in pattern.finditer(text)
            if match[0] in words and is_whole(text, *match.span())
        ]
    return sorted((start, word) for word in words for start in whole_words(text, word))


def _capitalised(text: str) -> re.Pattern[str]:
    return CAPITALISED_ASCII if text.isascii() else CAPITALISED


def whole_words(text: str, word: str) -> Iterator[int]:
    """Yield the places where ``word`` stands with neither letter nor digit beside it."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if is_whole(text, start, end):
            yield start
        start = text.find(word, end)


def is_whole(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (before.isalnum() or after.isalnum() or before == "_" or after == "_")
