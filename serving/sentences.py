"""Sentences of a chunk with their place in the message, and how much one says what another says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from data.redact import model_view
from serving.index import Hit

_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+(?=\s|$)|[.!?](?=\S)[^.!?\n]*)*[.!?]*")
_WORD = re.compile(r"\w+")
LONGEST = 600  # characters; a "sentence" beyond it is a table or a log
FILLERS = frozenset(
    "a an and are as at be by for from has have he her his i in is it its of on or our she that the their "
    "they this to was we were will with you your".split()
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words of a message and where they stand in its text."""

    message_id: str
    start: int
    end: int
    text: str

    @property
    def words(self) -> frozenset[str]:
        return content_words(self.text)


def sentences_of(hit: Hit) -> list[Sentence]:
    """Return the sentences of a chunk, with offsets into the message's text."""
    found = []
    for match in _SENTENCE.finditer(hit.text):
        text = match[0].strip()
        if _WORD.search(text):
            start = hit.start + match.start() + match[0].index(text)
            end = min(start + len(text), start + LONGEST)
            found.append(Sentence(hit.message_id, start, end, text[:LONGEST]))
    return found


def content_words(text: str) -> frozenset[str]:
    """Return the words that carry meaning, as models see them: lower case, placeholders as words."""
    return frozenset(_WORD.findall(model_view(text).casefold())) - FILLERS


def support(claim: frozenset[str], source: frozenset[str]) -> float:
    """Return the share of the claim's words that the source has; a claim without words has none."""
    return len(claim & source) / len(claim) if claim else 0.0
