"""What a reviewing department plans with: who finds how much in which hours, and what is still hidden."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.label_sets import classes_of
from evaluation.archive_recall import ArchiveRecall, MoreLabels, labels_for
from evaluation.archive_sample import measure_archive
from evaluation.baselines import read_lexicon
from evaluation.case import Case
from evaluation.equal_work import EqualWork, measure_equal_work, reranked, union_of
from evaluation.lexicon_terms import Term, measure_terms
from evaluation.metrics import Predictions
from evaluation.rules import Rules

WITHIN = 0.05  # the precision that the report's plan is for


@dataclass(frozen=True, slots=True)
class Planning:
    """Figures in alerts, hours and labels; None or nothing where they could not be measured."""

    equal_work: EqualWork | None
    terms: tuple[Term, ...]  # of a written lexicon, the worst first
    archive: ArchiveRecall | None
    within: float = WITHIN
    more_labels: tuple[MoreLabels, ...] = ()  # that bring the archive's recall to ± within


def measure_planning(
    prepared: Path,
    case: Case,
    models: tuple[Predictions, ...],
    rules: Rules,
    *,
    ask: Callable[[Sequence[str]], Predictions],
    seed: int,
) -> Planning:
    """Measure the challenger, the lexicon, both together, and the other models: given in this order.

    ``ask`` gets the challenger's answers to messages that nobody has labelled.
    """
    test, benign = case.test, rules.benign
    challenger, lexicon, *others = models
    archive = measure_archive(prepared, case, challenger, ask, benign, confidence=rules.confidence, seed=seed)
    labels = sorted(set(classes_of(str(label) for label in case.train.labels)) - set(benign))
    return Planning(
        measure_equal_work(
            test,
            (
                challenger,
                lexicon,
                union_of(test, challenger, lexicon, benign),
                reranked(test, challenger, lexicon, benign),
                *others,
            ),
            benign,
            minutes_per_alert=rules.minutes_per_alert,
            draws=rules.draws,
            confidence=rules.confidence,
            seed=seed,
        ),
        measure_terms(
            read_lexicon(labels),
            test,
            case.messages.texts,
            challenger,
            benign,
            confidence=rules.confidence,
        ),
        archive,
        more_labels=labels_for(archive, WITHIN) if archive else (),
    )
