"""Whether the search finds the messages that answer a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.metrics import Floats, Interval, interval, resample
from serving.reranker_proof import Change, Rankings

Mode = Literal["dense", "bm25", "hybrid"]
CUTOFF = 10
MEASURES = {"nDCG@10": 4, "MRR@10": 3, "recall@10": 2}  # by their places among rank_scores
MODES: tuple[Mode, ...] = ("dense", "bm25", "hybrid")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What one way of searching found; all figures are means over the answerable questions."""

    mode: str
    recall_at_1: Interval
    recall_at_5: Interval
    recall_at_10: Interval
    reciprocal_rank: Interval  # MRR@10
    ndcg: Interval  # nDCG@10


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Every way of searching on the same questions."""

    questions: int  # answerable ones
    answered: int  # those that the search by meaning gave any result for
    results: tuple[SearchResult, ...]
    hybrid_minus_bm25: Interval | None  # recall@10, paired over the questions


def rank_scores(found: Sequence[str], wanted: Sequence[str]) -> Floats:
    """Return recall@1, @5, @10, reciprocal rank and nDCG@10 of one ranking of message ids.

    Several chunks of one message count once, at the best rank.
    """
    ranking = list(dict.fromkeys(found))[:CUTOFF]
    relevant = set(wanted)
    gains = np.array([message in relevant for message in ranking] + [False] * (CUTOFF - len(ranking)))
    discounts = 1 / np.log2(np.arange(2, CUTOFF + 2))
    best = discounts[: min(len(relevant), CUTOFF)].sum()
    first = np.flatnonzero(gains)
    return np.array(
        [
            gains[:1].sum() / len(relevant),
            gains[:5].sum() / len(relevant),
            gains.sum() / len(relevant),
            1 / (first[0] + 1) if len(first) else 0.0,
            (gains * discounts).sum() / best,
        ]
    )


def compare_orders(
    before: Rankings,
    after: Rankings,
    wanted: Rankings,
    *,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 7,
) -> tuple[Change, ...]:
    """Return what another order of the same findings changes, paired over the questions (at least one).

    All three have one list of message ids a question.
    """
    one, other = (
        np.array([rank_scores(found, relevant) for found, relevant in zip(each, wanted, strict=True)])
        for each in (before, after)
    )
    weights = resample(np.eye(len(wanted)), draws=draws, seed=seed) / len(wanted)
    changes = []
    for measure, place in MEASURES.items():
        gains = other[:, place] - one[:, place]
        gain = interval(float(gains.mean()), weights @ gains, confidence)
        means = float(one[:, place].mean()), float(other[:, place].mean())
        changes.append(Change(measure, *means, gain.value, gain.low, gain.high))
    return tuple(changes)


def measure_retrieval(
    rankings: Mapping[Mode, Sequence[Sequence[str]]],
    wanted: Sequence[Sequence[str]],
    *,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 7,
) -> Retrieval | None:
    """Score the rankings (mode → one list of message ids a question, empty where the search failed)."""
    if not wanted:
        return None
    scores: dict[Mode, Floats] = {}
    failed = np.zeros(len(wanted), dtype=bool)
    for mode, per_question in rankings.items():
        if (
            mode != "bm25"
        ):  # a question may share no word with the archive; its vector is always near something
            failed |= np.array([not found for found in per_question])
        scores[mode] = np.array(
            [rank_scores(found, relevant) for found, relevant in zip(per_question, wanted, strict=True)]
        )
    weights = resample(np.eye(len(wanted)), draws=draws, seed=seed) / len(wanted)
    results = []
    for mode, table in scores.items():
        means, drawn = table.mean(axis=0), weights @ table
        figures = [interval(float(means[column]), drawn[:, column], confidence) for column in range(5)]
        results.append(SearchResult(mode, *figures))
    gain = None
    if {"hybrid", "bm25"} <= scores.keys():
        difference = scores["hybrid"][:, 2] - scores["bm25"][:, 2]
        gain = interval(float(difference.mean()), weights @ difference, confidence)
    return Retrieval(len(wanted), int((~failed).sum()), tuple(results), gain)
