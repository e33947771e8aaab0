"""How near an extractive answer is to the reference, by Ragas' metrics that need no language model.

The answer under test is the sentence that lies nearest, as the gateway finds it: the floor that a
generated answer has to beat.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from evaluation.metrics import Floats, Interval, interval, resample

CHUNKS_READ = 3
METRICS = ("string similarity", "ROUGE-L", "quotes found in sources", "quoted from a message that answers")


@dataclass(frozen=True, slots=True)
class AnswerMetric:
    """One metric's mean over the rows it could score."""

    name: str
    mean: Interval
    scored: int


@dataclass(frozen=True, slots=True)
class Answers:
    """All metrics, and how many of the questions they scored."""

    questions: int
    metrics: tuple[AnswerMetric, ...]

    @property
    def scored_share(self) -> float:
        """The smallest share of rows that any metric scored; NaN without a question."""
        if not self.questions or not self.metrics:
            return float("nan")
        return min(metric.scored for metric in self.metrics) / self.questions


def measure_answers(
    responses: Sequence[str],
    references: Sequence[str],
    passages: Sequence[Sequence[str]],
    cited: Sequence[bool],
    *,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 7,
) -> Answers | None:
    """Score each answer against its reference, and its quotation against the passages it came from.

    ``cited`` says of each answer whether it was quoted from a message that answers the question.
    """
    if not references:
        return None
    os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # otherwise it posts to its makers
    from ragas.metrics.collections import NonLLMStringSimilarity, QuotedSpansAlignment, RougeScore

    rows = list(zip(responses, references, passages, strict=True))
    scoring = _score_all(rows, NonLLMStringSimilarity(), RougeScore(), QuotedSpansAlignment())
    with ThreadPoolExecutor(max_workers=1) as thread:  # a notebook's own thread runs an event loop already
        scores = np.column_stack([thread.submit(asyncio.run, scoring).result(), cited])
    metrics = []
    for name, column in zip(METRICS, scores.T, strict=True):
        whole = column[np.isfinite(column)]
        mean = Interval(math.nan, math.nan, math.nan)
        if len(whole):
            drawn = resample(np.column_stack([np.ones(len(whole)), whole]), draws=draws, seed=seed)
            mean = interval(float(whole.mean()), drawn[:, 1] / drawn[:, 0], confidence)
        metrics.append(AnswerMetric(name, mean, len(whole)))
    return Answers(len(rows), tuple(metrics))


async def _score_all(
    rows: list[tuple[str, str, Sequence[str]]], similarity: object, rouge: object, quotes: object
) -> Floats:
    return np.array(
        [
            [
                await _score(similarity, reference=reference, response=response),
                await _score(rouge, reference=reference, response=response),
                await _score(quotes, response=f'"{response}"', retrieved_contexts=list(found)),
            ]
            for response, reference, found in rows
        ]
    )


async def _score(metric: object, **row: object) -> float:
    """Return the metric's value, or NaN: a metric that raises on one row must not hide it."""
    if not row["response"] or row["response"] == '""':
        return 0.0  # no answer found is a bad answer, not a missing one
    try:
        return float((await metric.ascore(**row)).value)  # type: ignore[attr-defined]
    except Exception:  # counted: fewer than 95 % scored fails the gate
        return math.nan
