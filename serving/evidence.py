"""The sentences of retrieved chunks that speak of what a question asks, nearest first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data.language import language_of
from data.redact import model_view
from serving.embed import Vectors
from serving.index import Hit
from serving.sentences import Sentence, content_words, sentences_of

RETRIEVED = 8  # chunks that a question looks at
CANDIDATES = 32  # sentences that are compared with a question
FEWEST_WORDS = 2
_NAME = re.compile(r"(?<=\s)[A-ZÀ-Þ][\w'-]+")

Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence and its cosine to the question."""

    sentence: Sentence
    similarity: float


def evidence_for(question: str, vector: Vectors, hits: Sequence[Hit], embed: Embed) -> list[Evidence]:
    """Return the sentences that may answer the question, nearest first.

    A chunk that does not name what the question names speaks of something else, however near it
    lies: embeddings confuse one project with another. ``vector`` is the question's, of shape (dimension,).
    """
    names = names_in(question)
    sentences = [
        sentence
        for hit in hits
        if names <= content_words(f"{hit.subject} {hit.text}")
        for sentence in sentences_of(hit)
        if len(sentence.words) >= FEWEST_WORDS
    ][:CANDIDATES]
    if not sentences:
        return []
    similarities = embed([model_view(sentence.text) for sentence in sentences]) @ vector
    best_first = sorted(range(len(sentences)), key=lambda place: (-similarities[place], place))
    return [Evidence(sentences[place], float(similarities[place])) for place in best_first]


def names_in(question: str) -> frozenset[str]:
    """Return the names in a question: words with a capital letter that no sentence begins with.

    German writes every noun so; there the rule would ask for words and not for names, and none is found.
    """
    shown = model_view(question)
    if language_of(shown) == "de":
        return frozenset()
    return content_words(" ".join(_NAME.findall(shown)))
