"""What each term of the lexicon earns: the alerts that it raises, and what would be lost without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.baselines import Lexicon
from evaluation.metrics import Interval, Predictions, TestSet, wilson
from evaluation.workload import alerts, measurable


@dataclass(frozen=True, slots=True)
class Term:
    """One written term; a hit is an alert on a message that is truly not benign, of whatever class."""

    label: str
    term: str
    alerts: int
    hits: int
    precision: Interval
    alone: int  # hits that no other term finds
    only_here: int  # hits that neither another term nor the challenger finds


def measure_terms(
    lexicon: Lexicon | None,
    test: TestSet,
    texts: Sequence[str],
    challenger: Predictions,
    benign: Sequence[str],
    *,
    confidence: float = 0.95,
) -> tuple[Term, ...]:
    """Measure the terms that raise an alert, the worst first: by the highest precision that they may have.

    Nothing for an induced lexicon: its terms are words of the archive, which no report may show.
    """
    if lexicon is None or lexicon.induced or not measurable(test, benign):
        return ()
    raised = lexicon.raised(texts)
    names = list(raised)
    matrix = np.array([raised[name] for name in names]).reshape(len(names), len(test))
    wanted = alerts(test, test.truth, benign)
    alone = matrix & (matrix.sum(axis=0) == 1) & wanted
    missed = alone & ~alerts(test, challenger.predicted, benign)
    terms = [
        Term(
            *name,
            int(row.sum()),
            int((row & wanted).sum()),
            wilson(int((row & wanted).sum()), int(row.sum()), confidence),
            int(alone[place].sum()),
            int(missed[place].sum()),
        )
        for place, (name, row) in enumerate(zip(names, matrix, strict=True))
        if row.any()
    ]
    return tuple(sorted(terms, key=lambda found: (found.precision.high, -found.alerts, found.term)))
