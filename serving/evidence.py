"""The sentences of retrieved chunks that speak of what a question asks, nearest first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import ceil

from data.language import language_of
from data.redact import model_view
from serving.embed import Vectors, question_input
from serving.index import Hit
from serving.sentences import Sentence, content_words, sentences_of

RETRIEVED = 8  # chunks that a question looks at
CANDIDATES = 32  # sentences that are compared with a question
FEWEST_WORDS = 2
ECHO = 3  # words in a row, from the question's first on, that count as repeating it
ECHOED = 0.75  # share of its words in a row that do so from anywhere
_WORD = re.compile(r"\w+")
_ASKS = re.compile(r"[?？؟]\W*$")  # whatever signs follow
_NAME = re.compile(r"(?<=\s)[A-ZÀ-Þ][\w'’-]+")

Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence, and how near what it says lies to what is asked (cosine), the names of both left out."""

    sentence: Sentence
    similarity: float


def evidence_for(question: str, hits: Sequence[Hit], embed: Embed) -> list[Evidence]:
    """Return the sentences that may answer the question, nearest first.

    A chunk that does not name what the question names speaks of something else, however near it
    lies: embeddings confuse one project with another. Within such chunks names tell nothing more:
    they would draw everything said about a project near to every question about it. A question is
    no answer, and neither are a question's own words: whoever repeats one in a mail is not quoted for it.
    """
    names = names_in(question)
    said = [
        (sentence, text)
        for hit in hits
        if names <= content_words(f"{hit.subject} {hit.text}")
        for sentence in sentences_of(hit)
        if (text := _statement(sentence.text, question)) and len(content_words(text)) >= FEWEST_WORDS
    ][:CANDIDATES]
    if not said:
        return []
    texts = [without(names, model_view(text)) for _, text in said]
    vectors = embed([question_input(without(names, model_view(question))), *texts])
    similarities = vectors[1:] @ vectors[0]
    best_first = sorted(range(len(said)), key=lambda place: (-similarities[place], place))
    return [Evidence(said[place][0], float(similarities[place])) for place in best_first]


def _statement(sentence: str, question: str) -> str:
    """Return what a sentence says by itself: nothing where it asks, and nothing that repeats the question."""
    return "" if _ASKS.search(sentence) else without_echo(sentence, question)


def without_echo(text: str, question: str) -> str:
    """Return a text without the places where it repeats the question.

    These are its first words, three or more of them in a row, or three quarters of all from any place on.
    A statement seldom has so many of them in a row: it puts the verb elsewhere.
    """
    asked = [word.casefold() for word in _WORD.findall(question)]
    words = list(_WORD.finditer(text))
    said = [word[0].casefold() for word in words]
    most = max(ECHO, ceil(ECHOED * len(asked)))
    openings = {tuple(asked[start : start + ECHO]): start for start in range(len(asked) - most, -1, -1)}
    kept, begun, place = [], 0, 0
    while place + ECHO <= len(words):
        start = openings.get(tuple(said[place : place + ECHO]))
        pairs = zip(said[place:], asked[start:] if start is not None else (), strict=False)
        length = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if length < (most if start else ECHO):
            place += 1
            continue
        kept.append(text[begun : words[place].start()])
        begun, place = words[place + length - 1].end(), place + length
    return "".join([*kept, text[begun:]])


def without(names: frozenset[str], text: str) -> str:
    """Return a text without these words."""
    return " ".join(_WORD.sub(lambda word: "" if word[0].casefold() in names else word[0], text).split())


def names_in(question: str) -> frozenset[str]:
    """Return the names in a question: words with a capital letter that no sentence begins with.

    German writes every noun so; there the rule would ask for words and not for names, and none is found.
    """
    shown = model_view(question)
    if language_of(shown) == "de":
        return frozenset()
    return content_words(" ".join(re.sub(r"['’]s?$", "", name) for name in _NAME.findall(shown)))
