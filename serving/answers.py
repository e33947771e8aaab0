"""Answers out of the archive: retrieved, quoted, and never without the place they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data.redact import model_view
from serving.bundle import Prompts, Thresholds
from serving.client import EngineClient
from serving.embed import question_input
from serving.index import Hit, OpenIndex
from serving.sentences import Sentence, content_words, sentences_of, support

RETRIEVED = 8
READ = 3  # chunks that the generator sees: it has 2,048 tokens and little patience
EXCERPT = 700  # characters of each
SUPPORTED = 0.8  # share of a sentence's words that its source must have
ANSWER_TOKENS = 64
CANDIDATES = 24


@dataclass(frozen=True, slots=True)
class Citation:
    """The words that an answer stands on: offsets into the text of a message."""

    message_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A text of which every sentence is cited, or the statement that the archive does not say."""

    text: str
    citations: tuple[Citation, ...]
    supported: bool
    origin: Literal["generated", "extracted", "refused"]
    similarity: float


def answer(
    question: str,
    *,
    index: OpenIndex,
    client: EngineClient,
    prompts: Prompts,
    thresholds: Thresholds,
) -> Answer:
    """Answer a question (redacted) from the archive.

    The generator's sentences count only when a retrieved sentence has their words; otherwise the
    nearest sentence is quoted as it stands. What a message asks for is never done: the generator
    can say nothing that no message says, and nothing else follows from what it says.
    """
    vector = client.embed([question_input(question)])
    hits = index.search([question], vector, k=RETRIEVED)[0]
    nearest = max((hit.similarity for hit in hits if hit.similarity == hit.similarity), default=0.0)
    if not hits or nearest < thresholds.similarity:
        return Answer(prompts.refusal, (), False, "refused", nearest)
    sources = [sentence for hit in hits[:READ] for sentence in sentences_of(hit)]
    written = client.chat(chat_turns(question, hits, prompts), max_tokens=ANSWER_TOKENS)
    if written.finish_reason == "stop" and (citations := cite(written.text, sources, question)):
        return Answer(written.text.strip(), citations, True, "generated", nearest)
    best = nearest_sentence(vector[0], sources[:CANDIDATES], client)
    if best is None:
        return Answer(prompts.refusal, (), False, "refused", nearest)
    return Answer(best.text, (Citation(best.message_id, best.start, best.end),), True, "extracted", nearest)


def chat_turns(question: str, hits: Sequence[Hit], prompts: Prompts) -> list[dict[str, str]]:
    """Return the conversation for the generator: excerpts as quoted material, then the question."""
    excerpts = "\n".join(f'"{_one_line(hit.text)[:EXCERPT]}"' for hit in hits[:READ])
    asked = prompts.question.replace("{question}", _one_line(question)).replace("{excerpts}", excerpts)
    return [{"role": "system", "content": prompts.system}, {"role": "user", "content": asked}]


def cite(text: str, sources: Sequence[Sentence], question: str) -> tuple[Citation, ...]:
    """Return one citation per sentence of the text, or none when a single sentence has no source.

    A sentence that only repeats the question has nothing to say and counts as unsupported.
    """
    asked = content_words(question)
    stand_in = Hit("", "", "", 0, len(text), 0.0, 0.0, text, "", "", "")
    found: list[Citation] = []
    for sentence in sentences_of(stand_in):
        best = max(sources, key=lambda source: support(sentence.words, source.words), default=None)
        is_news = bool(sentence.words - asked)
        if best is None or not is_news or support(sentence.words, best.words) < SUPPORTED:
            return ()
        found.append(Citation(best.message_id, best.start, best.end))
    return tuple(dict.fromkeys(found))


def nearest_sentence(
    question_vector: Sequence[float], sources: Sequence[Sentence], client: EngineClient
) -> Sentence | None:
    """Return the sentence whose meaning is nearest to the question."""
    if not sources:
        return None
    vectors = client.embed([model_view(source.text) for source in sources])
    return sources[int((vectors @ question_vector).argmax())]


def _one_line(text: str) -> str:
    return " ".join(model_view(text).split()).replace('"', "'")
