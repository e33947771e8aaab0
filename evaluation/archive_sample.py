"""Which messages tell of the archive's recall: those that training has not used, and their strata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data.dataset import read_messages
from data.model_input import classifier_input
from evaluation.archive_recall import (
    STRATA,
    ArchiveRecall,
    Stratum,
    design_effect,
    estimate_recall,
    strata_of,
)
from evaluation.case import Case
from evaluation.metrics import Floats, Integers, Predictions
from evaluation.paired import holm
from evaluation.workload import alerts, measurable

SCORED = 10_000  # unlabelled messages to score at most: minutes on a processor
UNLIKE = 0.001  # p-value, corrected; threads make it smaller than it is


def measure_archive(
    prepared: str | Path,
    case: Case,
    said: Predictions,
    ask: Callable[[Sequence[str]], Predictions],
    benign: Sequence[str],
    *,
    confidence: float = 0.95,
    seed: int = 7,
) -> ArchiveRecall | None:
    """Estimate the classifier's recall over all messages but those whose labels training has used.

    ``said`` are its answers to the labelled test messages, ``ask`` gets them for others. None when
    every message is labelled, or when the test has nothing benign or nothing else.
    """
    texts, unlabelled = unlabelled_texts(prepared, seed=seed)
    if not texts or not measurable(case.test, benign):
        return None
    answers = ask(texts)
    flagged = [alerts(case.test, found.predicted, benign) for found in (said, answers)]
    scores = [_scores(found) for found in (said, answers)]
    places = strata_of(np.concatenate(flagged), np.concatenate(scores))
    labelled, others = places[: len(case.test)], places[len(case.test) :]
    wanted = alerts(case.test, case.test.truth, benign).astype(np.float64)
    strata = tuple(
        _stratum(name, labelled == place, wanted, case.test.threads, _expanded(others == place, unlabelled))
        for place, name in enumerate(STRATA)
    )
    estimate = estimate_recall(strata, scored=len(texts), confidence=confidence, seed=seed)
    return replace(estimate, doubts=unlike(labelled, scores[0], others, scores[1]))


def unlabelled_texts(prepared: str | Path, *, seed: int = 7, most: int = SCORED) -> tuple[list[str], int]:
    """Return at most ``most`` unlabelled messages as the classifier reads them, and how many there are."""
    table = read_messages(prepared, columns=("subject", "text", "label"))
    rows = np.flatnonzero(np.asarray(table["label"].is_null()))
    chosen = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
    drawn = table.take(chosen).to_pylist()
    return [classifier_input(row["subject"] or "", row["text"] or "") for row in drawn], len(rows)


def unlike(labelled: Integers, scores: Floats, others: Integers, other_scores: Floats) -> tuple[str, ...]:
    """Return the strata whose labelled messages do not score like the others (Kolmogorov-Smirnov, Holm).

    It shows only one way of not being a random sample: labels may be chosen by what no score tells.
    """
    from scipy.stats import ks_2samp

    pairs = [(scores[labelled == place], other_scores[others == place]) for place in range(len(STRATA))]
    known = [place for place, pair in enumerate(pairs) if min(map(len, pair)) > 0]
    corrected = holm([float(ks_2samp(*pairs[place]).pvalue) for place in known])
    return tuple(STRATA[place] for place, p in zip(known, corrected, strict=True) if p < UNLIKE)


def _scores(said: Predictions) -> Floats:
    if said.alert_score is None:
        raise ValueError(f"{said.name} gives no score to form strata by")
    return said.alert_score


def _expanded(members: np.ndarray, unlabelled: int) -> int:
    return round(members.mean() * unlabelled)


def _stratum(name: str, members: np.ndarray, wanted: Floats, threads: Integers, others: int) -> Stratum:
    hits = wanted[members]
    effect = design_effect(hits, threads[members]) if len(hits) else 1.0
    return Stratum(name, len(hits) + others, len(hits), int(hits.sum()), effect)
