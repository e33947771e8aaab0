"""Answers as a language model judges them: Ragas over vLLM's JSON schema, and how often the judge failed.

A judge that says nothing usable raises in some metrics and returns a silent NaN in others (Ragas 0.4.3,
after up to 40 calls); of two ratings of which one failed, Ragas returns the other. Each row is caught
and counted: a mean over the rows that a weak judge happened to manage looks like any other mean.
The judge reads questions, answers and passages, all redacted; it is asked only where somebody has
named its address.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from data.workspace import UserError
from evaluation.agreement import coefficient, cohen_kappa
from evaluation.metrics import Floats, Interval, interval, resample

MOST = 50  # questions; a metric costs two calls each and more
AT_ONCE = 4
SECONDS = 120.0  # for one metric of one question, with its retries
ANSWER_TOKENS = 1024
RIGHT = 0.5  # of Ragas' accuracy: partly the same as the reference, or more
URL, MODEL, KEY = "MAILROOM_JUDGE_URL", "MAILROOM_JUDGE_MODEL", "MAILROOM_JUDGE_KEY"


@dataclass(frozen=True, slots=True)
class Judge:
    """An OpenAI-compatible server, such as vLLM's, and the model that judges there."""

    url: str
    model: str
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """A question, what was answered, what should have been, and the passages at hand; never shown."""

    question: str
    response: str
    reference: str
    passages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JudgedMetric:
    """One metric's mean over the questions that the judge scored, and what became of the others."""

    name: str
    mean: Interval
    scored: int
    silent: int  # NaN without an error
    raised: int


@dataclass(frozen=True, slots=True)
class KnownAnswers:
    """How far the judge's accuracy, right from one half on, agrees with the answers that people gave.

    By them a response is right that has the known answer's words. Kappa is Cohen's (1960): 0 is what
    chance would give, NaN where all responses are right, or all wrong.
    """

    kappa: Interval
    compared: int
    alike: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge made of the answers to so many questions."""

    model: str
    questions: int
    metrics: tuple[JudgedMetric, ...]
    known: KnownAnswers | None = None  # None where the judge rated no response

    @property
    def scored_share(self) -> float:
        """The smallest share of questions that any metric scored; NaN without a question."""
        if not self.questions or not self.metrics:
            return math.nan
        return min(metric.scored for metric in self.metrics) / self.questions


def configured_judge(environment: Mapping[str, str]) -> Judge | None:
    """Return the judge that the environment names, or None.

    Raises:
        UserError: an address without a model, or a model without an address.
    """
    url, model = environment.get(URL, ""), environment.get(MODEL, "")
    if not url and not model:
        return None
    if not url.startswith(("http://", "https://")) or not model:
        raise UserError(
            f"a judge needs both: {URL}=http://host:port/v1 and {MODEL}=name; unset both for none"
        )
    return Judge(url, model, environment.get(KEY, ""))


def judge_answers(
    judge: Judge,
    asked: Sequence[Asked],
    *,
    seed: int = 7,
    draws: int = 2000,
    confidence: float = 0.95,
) -> Judged:
    """Let the judge score at most 50 answers, drawn by ``seed``; a failure is counted, never raised.

    Faithfulness: share of the answer's statements that the passages bear out. Accuracy: the answer
    beside the reference, asked in both orders. Context relevance: whether the passages help at all.
    """
    drawn = Random(seed).sample(list(asked), min(MOST, len(asked)))  # noqa: S311 (an order, not a secret)
    with ThreadPoolExecutor(max_workers=1) as thread:  # a notebook's own thread runs an event loop already
        scores = thread.submit(asyncio.run, _judged(judge, drawn)).result()
    metrics = tuple(
        _metric(name, [row[name] for row in scores], draws=draws, seed=seed, confidence=confidence)
        for name in ("faithfulness", "accuracy", "context relevance")
    )
    known = _known_answers(drawn, scores, draws=draws, seed=seed, confidence=confidence)
    return Judged(judge.model, len(drawn), metrics, known)


def has_the_answer(response: str, reference: str) -> bool:
    """Whether a response has the known answer's words, in their order."""
    words = [" ".join(re.findall(r"\w+", text.casefold())) for text in (reference, response)]
    return bool(words[0]) and f" {words[0]} " in f" {words[1]} "


def _known_answers(
    asked: Sequence[Asked],
    scores: Sequence[Mapping[str, float | None]],
    *,
    draws: int,
    seed: int,
    confidence: float,
) -> KnownAnswers | None:
    pairs = [
        (str(score >= RIGHT), str(has_the_answer(one.response, one.reference)))
        for one, row in zip(asked, scores, strict=True)
        if one.response and (score := row["accuracy"]) is not None and math.isfinite(score)
    ]
    if not pairs:
        return None
    kappa = coefficient(cohen_kappa, pairs, draws=draws, seed=seed, confidence=confidence)
    return KnownAnswers(kappa, len(pairs), sum(judge == people for judge, people in pairs))


async def _judged(judge: Judge, asked: Sequence[Asked]) -> list[dict[str, float | None]]:
    os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # otherwise it posts to its makers
    import instructor
    from openai import AsyncOpenAI
    from ragas.llms.base import InstructorLLM, InstructorModelArgs
    from ragas.metrics.collections import AnswerAccuracy, ContextRelevance, Faithfulness

    gate = asyncio.Semaphore(AT_ONCE)
    async with AsyncOpenAI(
        base_url=judge.url, api_key=judge.key or "none", timeout=SECONDS, max_retries=0
    ) as client:
        llm = InstructorLLM(
            client=instructor.from_openai(client, mode=instructor.Mode.JSON_SCHEMA),
            model=judge.model,
            provider="openai",
            model_args=InstructorModelArgs(temperature=0.01, max_tokens=ANSWER_TOKENS),
        )
        faithful, accurate, relevant = (
            Faithfulness(llm=llm),
            AnswerAccuracy(llm=llm),
            ContextRelevance(llm=llm),
        )
        for metric in (accurate, relevant):
            metric._average_scores = _both  # Ragas' own lets one rating stand for two

        async def row(one: Asked) -> dict[str, float | None]:
            passages = list(one.passages)
            return {
                "faithfulness": await _value(
                    gate,
                    lambda: faithful.ascore(
                        user_input=one.question, response=one.response, retrieved_contexts=passages
                    ),
                    is_answered=bool(one.response and passages),
                ),
                "accuracy": await _value(
                    gate,
                    lambda: accurate.ascore(
                        user_input=one.question, response=one.response, reference=one.reference
                    ),
                    is_answered=bool(one.response),
                ),
                "context relevance": await _value(
                    gate,
                    lambda: relevant.ascore(user_input=one.question, retrieved_contexts=passages),
                    is_answered=bool(passages),
                ),
            }

        return list(await asyncio.gather(*map(row, asked)))


async def _value(
    gate: asyncio.Semaphore, ask: Callable[[], Awaitable[Any]], *, is_answered: bool
) -> float | None:
    """Return the score, NaN where the judge gave none in silence, None where it failed aloud."""
    if not is_answered:
        return 0.0  # no answer found is a bad answer, not a missing one
    async with gate:
        try:
            return float((await asyncio.wait_for(ask(), SECONDS)).value)
        except Exception:  # counted: fewer than 95 % scored fails the gate
            return None


def _both(one: float, other: float) -> float:
    return (one + other) / 2


def _metric(
    name: str, values: Sequence[float | None], *, draws: int, seed: int, confidence: float
) -> JudgedMetric:
    spoken: Floats = np.array([value for value in values if value is not None], dtype=np.float64)
    whole = spoken[np.isfinite(spoken)]
    mean = Interval(math.nan, math.nan, math.nan)
    if len(whole):
        drawn = resample(np.column_stack([np.ones(len(whole)), whole]), draws=draws, seed=seed)
        mean = interval(float(whole.mean()), drawn[:, 1] / drawn[:, 0], confidence)
    return JudgedMetric(name, mean, len(whole), len(spoken) - len(whole), len(values) - len(spoken))
