"""Sentences of a chunk with their place in the message, and the words of them that carry meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from data.redact import model_view
from serving.index import Hit

_LINE = re.compile(r"[^\n]+")
_SENTENCE = re.compile(r"\S.*?(?:(?<![.!?])[.!?]++(?=\s|$)|$)", re.DOTALL)  # each run of signs is tried once
_WORD = re.compile(r"\w+")
LONGEST = 600  # characters; a "sentence" beyond it is a table or a log
WRAPPED = 50  # a line this long goes on in the next one: mail programs wrap at 72
FILLERS = frozenset(
    {
        *("a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "he", "her", "his"),
        *("i", "in", "is", "it", "its", "of", "on", "or", "our", "she", "that", "the", "their", "they"),
        *("this", "to", "was", "we", "were", "will", "with", "you", "your"),
    }
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words of a message and where they stand in its text."""

    message_id: str
    start: int
    end: int
    text: str
    chunk_id: str = ""

    @property
    def words(self) -> frozenset[str]:
        return content_words(self.text)


def sentences_of(hit: Hit) -> list[Sentence]:
    """Return the sentences of a chunk, with offsets into the message's text."""
    return [
        Sentence(hit.message_id, hit.start + start, hit.start + start + len(text), text, hit.chunk_id)
        for start, text in sentence_spans(hit.text)
    ]


def sentences_in(text: str) -> list[str]:
    """Return the sentences of any text, whole: no sign of it stands in none of them."""
    return [match[0].strip() for match in _sentences(text)]


def sentence_spans(text: str) -> Iterator[tuple[int, str]]:
    """Yield where each sentence of a text begins, and the sentence, as far as a sentence is read."""
    for match in _sentences(text):
        sentence = match[0].strip()[:LONGEST].strip()
        if _WORD.search(sentence):
            yield match.start(), sentence


def _sentences(text: str) -> Iterator[re.Match[str]]:
    for first, last in _paragraphs(text):
        yield from _SENTENCE.finditer(text, first, last)


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Yield where lines that belong together begin and end: a wrapped sentence is one sentence."""
    begun = -1
    for line in _LINE.finditer(text):
        begun = line.start() if begun < 0 else begun
        next_is_blank = text[line.end() : line.end() + 2] in ("\n\n", "\n", "")
        if next_is_blank or len(line[0]) < WRAPPED:
            yield begun, line.end()
            begun = -1


def content_words(text: str) -> frozenset[str]:
    """Return the words that carry meaning, as models see them: lower case, placeholders as words."""
    return frozenset(_WORD.findall(model_view(text).casefold())) - FILLERS
