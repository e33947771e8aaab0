"""Answers out of the archive: retrieved, quoted, and never without the place they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data.redact import model_view
from serving.bundle import Prompts, Thresholds
from serving.client import EngineClient
from serving.embed import question_input
from serving.evidence import RETRIEVED, Evidence, evidence_for
from serving.index import OpenIndex
from serving.sentences import Sentence, content_words, sentences_in, support

SHOWN = 3  # sentences that the generator sees at most
MARGIN = 0.05  # and no farther than this behind the nearest: 135 million parameters choose badly
SUPPORTED = 0.9  # share of a sentence's words that its source must have
ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Citation:
    """The words that an answer stands on: offsets into the text of a message, and the chunk it was found by."""

    message_id: str
    start: int
    end: int
    chunk_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A text of which every sentence is cited, or the statement that the archive does not say."""

    text: str
    citations: tuple[Citation, ...]
    supported: bool
    origin: Literal["generated", "extracted", "refused"]
    similarity: float  # of the nearest sentence


def answer(
    question: str,
    *,
    index: OpenIndex,
    client: EngineClient,
    prompts: Prompts,
    thresholds: Thresholds,
) -> Answer:
    """Answer a question (redacted) from the archive.

    The generator's sentences count only when one of the sentences it was shown has their words;
    otherwise the nearest one is quoted as it stands. What a message asks for is never done: the
    generator can say nothing that no message says, and nothing follows from what it says.
    """
    vector = client.embed([question_input(question)])
    hits = index.search([question], vector, k=RETRIEVED)[0]
    evidence = evidence_for(question, vector[0], hits, client.embed)
    nearest = evidence[0].similarity if evidence else 0.0
    if not evidence or nearest < thresholds.similarity:
        return Answer(prompts.refusal, (), False, "refused", nearest)
    shown = [each.sentence for each in evidence[:SHOWN] if each.similarity >= nearest - MARGIN]
    written = client.chat(chat_turns(question, shown, prompts), max_tokens=ANSWER_TOKENS)
    if written.finish_reason == "stop" and (citations := cite(written.text, shown, question)):
        return Answer(written.text.strip().strip('"'), citations, True, "generated", nearest)
    return _quote(evidence[0])


def chat_turns(question: str, shown: Sequence[Sentence], prompts: Prompts) -> list[dict[str, str]]:
    """Return the conversation for the generator: sentences as quoted material, then the question."""
    excerpts = "\n".join(f'"{_one_line(sentence.text)}"' for sentence in shown)
    asked = prompts.question.replace("{question}", _one_line(question)).replace("{excerpts}", excerpts)
    return [{"role": "system", "content": prompts.system}, {"role": "user", "content": asked}]


def cite(text: str, sources: Sequence[Sentence], question: str) -> tuple[Citation, ...]:
    """Return one citation per sentence of the text, or none when a single sentence has no source.

    A sentence that only repeats the question has nothing to say and counts as unsupported.
    """
    asked = content_words(question)
    found: list[Citation] = []
    for claim in sentences_in(text):
        words = content_words(claim)
        best = max(sources, key=lambda source: support(words, source.words), default=None)
        if best is None or not words - asked or support(words, best.words) < SUPPORTED:
            return ()
        found.append(Citation(best.message_id, best.start, best.end, best.chunk_id))
    return tuple(dict.fromkeys(found))


def _quote(best: Evidence) -> Answer:
    sentence = best.sentence
    citation = Citation(sentence.message_id, sentence.start, sentence.end, sentence.chunk_id)
    return Answer(sentence.text, (citation,), True, "extracted", best.similarity)


def _one_line(text: str) -> str:
    return " ".join(model_view(text).split()).replace('"', "'")
