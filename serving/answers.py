"""Answers out of the archive: retrieved, quoted, and never without the place they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data.prompts import Prompts, conversation
from serving.bundle import Thresholds
from serving.client import EngineClient
from serving.embed import question_input
from serving.evidence import RETRIEVED, Embed, Evidence, evidence_for
from serving.index import OpenIndex
from serving.reranking import RERANKING_S, Reranker, Reranking, search_best
from serving.scope import EVERYTHING
from serving.sentences import Sentence, content_words, sentences_in
from serving.traces import asked
from serving.verbatim import stands_on

SHOWN = 3  # sentences that the generator sees at most
MARGIN = 0.05  # and no farther than this behind the nearest: 135 million parameters choose badly
ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Citation:
    """The words that an answer stands on: offsets into a message's text, and the chunk they were found by."""

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


@dataclass(frozen=True, slots=True)
class Found:
    """What retrieval brought for a question: sentences, nearest first, none when nothing is near enough."""

    question: str
    evidence: tuple[Evidence, ...]
    similarity: float
    reranking: Reranking = "off"

    @property
    def shown(self) -> tuple[Sentence, ...]:
        """The sentences that the generator sees."""
        near = [each for each in self.evidence[:SHOWN] if each.similarity >= self.similarity - MARGIN]
        return tuple(each.sentence for each in near)


def answer(
    question: str,
    *,
    index: OpenIndex,
    client: EngineClient,
    prompts: Prompts,
    thresholds: Thresholds,
    reranker: Reranker | None = None,
) -> Answer:
    """Answer a question (redacted) from the archive: ``find``, then ``compose``."""
    found = find(question, index=index, embed=client.embed, thresholds=thresholds, reranker=reranker)
    return compose(found, client=client, prompts=prompts)


def find(
    question: str,
    *,
    index: OpenIndex,
    embed: Embed,
    thresholds: Thresholds,
    within: str = EVERYTHING,
    reranker: Reranker | None = None,
    seconds: float = RERANKING_S,
) -> Found:
    """Retrieve the sentences that speak of what the question asks, from messages that meet a condition.

    ``within`` is the condition of ``serving.scope``: what it leaves out never reaches a prompt.
    """
    asked(question)
    vector = embed([question_input(question)])
    ranked = search_best(
        question, vector, index=index, k=RETRIEVED, reranker=reranker, seconds=seconds, within=within
    )
    evidence = evidence_for(question, ranked.hits, embed)
    nearest = evidence[0].similarity if evidence else 0.0
    near_enough = tuple(evidence) if nearest >= thresholds.similarity else ()
    return Found(question, near_enough, nearest, ranked.reranking)


def compose(found: Found, *, client: EngineClient, prompts: Prompts) -> Answer:
    """Say what was found.

    The generator's sentences count only when one of the sentences it was shown has their words in their
    order (``serving.verbatim``); otherwise the nearest one is quoted as it stands. What a message asks for
    is never done: the generator can say nothing that no message says, and nothing follows from what it says.
    """
    if not found.evidence:
        return Answer(prompts.refusal, (), False, "refused", found.similarity)
    written = client.chat(chat_turns(found.question, found.shown, prompts), max_tokens=ANSWER_TOKENS)
    if written.finish_reason == "stop" and (citations := cite(written.text, found.shown, found.question)):
        return Answer(written.text.strip().strip('"'), citations, True, "generated", found.similarity)
    return _quote(found.evidence[0])


def chat_turns(question: str, shown: Sequence[Sentence], prompts: Prompts) -> list[dict[str, str]]:
    """Return the conversation for the generator: sentences as quoted material, then the question."""
    return conversation(question, [sentence.text for sentence in shown], prompts)


def cite(text: str, sources: Sequence[Sentence], question: str) -> tuple[Citation, ...]:
    """Return one citation per sentence of the text, or none when a single sentence has no source.

    A sentence that only repeats the question has nothing to say and counts as unsupported.
    """
    asked = content_words(question)
    found: list[Citation] = []
    for claim in sentences_in(text):
        source = next((each for each in sources if stands_on(claim, each.text)), None)
        if source is None or not content_words(claim) - asked:
            return ()
        found.append(citation_of(source))
    return tuple(dict.fromkeys(found))


def citation_of(sentence: Sentence) -> Citation:
    """Return the place that a sentence stands at."""
    return Citation(sentence.message_id, sentence.start, sentence.end, sentence.chunk_id)


def _quote(best: Evidence) -> Answer:
    return Answer(best.sentence.text, (citation_of(best.sentence),), True, "extracted", best.similarity)
