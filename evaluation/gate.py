"""May the challenger replace the champion? Declared rules, measured figures, one verdict with reasons.

A paired difference has three outcomes: shown not worse (passes), shown worse (rejects), and not
decided by so few messages (holds for a reviewer). What could not be measured never passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from evaluation.findings import Findings
from evaluation.metrics import Interval
from evaluation.rules import Rules

Effect = Literal["reject", "hold", "note"]
Outcome = Literal["promote", "hold", "reject"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the gate table; ``effect`` is what a failure does."""

    name: str
    measured: float | None
    interval: tuple[float, float] | None
    rule: str
    passed: bool
    effect: Effect
    detail: str = ""  # half a line of explanation


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a challenger may replace the champion, and why."""

    outcome: Outcome
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]


def at_most(name: str, value: float | Interval | None, limit: float, effect: Effect, detail: str = "") -> Check:
    """Pass when the measured figure is finite and no larger than the limit."""
    return _bounded(name, value, f"≤ {limit:g}", effect, detail, lambda number: number <= limit)


def at_least(name: str, value: float | Interval | None, limit: float, effect: Effect, detail: str = "") -> Check:
    """Pass when the measured figure is finite and no smaller than the limit."""
    return _bounded(name, value, f"≥ {limit:g}", effect, detail, lambda number: number >= limit)


def exactly(name: str, value: float | None, wanted: float, effect: Effect, detail: str = "") -> Check:
    """Pass when the measured figure is the wanted one."""
    return _bounded(name, value, f"= {wanted:g}", effect, detail, lambda number: number == wanted)


def _bounded(name: str, value: float | Interval | None, rule: str, effect: Effect, detail: str, holds) -> Check:  # type: ignore[no-untyped-def]
    number = value.value if isinstance(value, Interval) else value
    if number is None or not math.isfinite(number):
        return missing(name, rule, detail)
    bounds = (value.low, value.high) if isinstance(value, Interval) and value.known else None
    return Check(name, number, bounds, rule, bool(holds(number)), effect, detail)


def missing(name: str, rule: str, detail: str = "") -> Check:
    """Return the failed check of something that was not measured, or came out as no number."""
    return Check(name, None, None, rule, False, "reject", detail)


def not_worse(name: str, difference: Interval | None, margin: float, detail: str = "") -> Check:
    """Pass when the whole interval lies above −margin; reject when it lies below; otherwise hold."""
    rule = f"interval above −{margin:g}"
    if difference is None or not difference.known:
        return missing(name, rule, detail)
    bounds = (difference.low, difference.high)
    effect: Effect = "reject" if difference.high < -margin else "hold"
    return Check(name, difference.value, bounds, rule, difference.low >= -margin, effect, detail)


def better(name: str, difference: Interval | None, detail: str = "") -> Check:
    """Pass when the whole interval lies above zero; reject when it lies below; otherwise hold."""
    if difference is None or not difference.known:
        return missing(name, "interval above 0", detail)
    effect: Effect = "reject" if difference.high < 0 else "hold"
    return Check(
        name,
        difference.value,
        (difference.low, difference.high),
        "interval above 0",
        difference.low > 0,
        effect,
        detail,
    )


def judge(findings: Findings, rules: Rules) -> Verdict:
    """Apply every rule to the findings."""
    return decide((
        *integrity_checks(findings, rules),
        *quality_checks(findings, rules),
        *critical_checks(findings, rules),
        *slice_checks(findings, rules),
        *search_checks(findings, rules),
        *drift_checks(findings, rules),
    ))


def decide(checks: tuple[Check, ...]) -> Verdict:
    """Return the verdict of the checks: the worst effect among those that failed."""
    failed = [check for check in checks if not check.passed]
    effects = {check.effect for check in failed}
    outcome: Outcome = "reject" if "reject" in effects or not checks else "hold" if "hold" in effects else "promote"
    reasons = [_reason(check) for check in sorted(failed, key=lambda check: _ORDER[check.effect])]
    return Verdict(outcome, tuple(reasons or ["every declared check passed"]), checks)


_ORDER = {"reject": 0, "hold": 1, "note": 2}


def _reason(check: Check) -> str:
    if check.measured is None:
        return f"{check.effect}: {check.name} was not measured (rule: {check.rule})"
    bounds = f" [{check.interval[0]:.3f}, {check.interval[1]:.3f}]" if check.interval else ""
    return f"{check.effect}: {check.name} is {check.measured:.4g}{bounds} (rule: {check.rule})"


def integrity_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check that the figures mean what they say: all messages, one dataset, no leak, the same model."""
    limits, provenance = rules.limits, findings.provenance
    others = [part for part, digest in provenance.parts.items() if digest != provenance.dataset]
    checks = [
        exactly(
            "test messages without an answer",
            findings.messages - findings.scored if findings.messages else None,
            0,
            "reject",
            "every test message must get a whole answer",
        ),
        exactly(
            "parts made of another dataset",
            len(others) if provenance.parts and provenance.dataset else None,
            0,
            "reject",
            f"differs: {', '.join(others)}" if others else "models, index and test come from one dataset",
        ),
        exactly(
            "leaks from test to training",
            findings.leakage.total if findings.leakage else None,
            0,
            "reject",
            "identical texts, near copies and threads on both sides",
        ),
    ]
    for name in ("classifier", "embedder"):
        trip = next((found for found in findings.round_trips if found.model == name), None)
        same = trip.same_labels if trip else None
        checks += [
            at_least(f"{name}: messages in the round trip", trip and float(trip.messages),
                     min(limits.round_trip_messages, findings.messages), "reject",
                     "the registered copy is loaded again and asked the same"),
            at_most(f"{name}: largest score difference", trip and trip.largest_difference,
                    limits.round_trip_score, "reject", "registered copy against the model on disk"),
        ]
        if name == "classifier":
            checks.append(exactly(f"{name}: same labels", same, 1, "reject", "share of equal labels"))
    checks.append(
        at_most("adapter size in MB", findings.adapter_megabytes, limits.adapter_megabytes, "hold", "what is stored per model")
    )
    return tuple(checks)


def quality_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check the macro-F1 against the champion, or by the bootstrap rule when there is none."""
    lexicon, tfidf = findings.comparison("lexicon"), findings.comparison("TF-IDF")
    checks = [
        better("macro-F1 minus lexicon", lexicon and lexicon.macro_f1, "paired over the same threads"),
        not_worse(
            "macro-F1 minus TF-IDF",
            tfidf and tfidf.macro_f1,
            rules.margins.baseline_macro_f1,
            "paired over the same threads",
        ),
    ]
    if findings.has_champion:
        champion = findings.comparison("champion")
        checks.append(
            not_worse(
                "macro-F1 minus champion",
                champion and champion.macro_f1,
                rules.margins.champion_macro_f1,
                "paired over the same threads",
            )
        )
    checks.append(
        at_most(
            "calibration error",
            findings.calibration and findings.calibration.error,
            rules.limits.calibration_error,
            "hold",
            "stated confidence against how often it is right",
        )
    )
    return tuple(checks)


def critical_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check the recall of every critical class: its floor, and its drop against the reference.

    Against the champion a drop beyond the margin holds, and one that the test shows rejects.
    Against TF-IDF (first model) only a shown drop counts: a class of twenty messages decides nothing.
    """
    if findings.challenger is None:
        return (missing("recall of the critical classes", "measured"),)
    reference = findings.comparison("champion" if findings.has_champion else "TF-IDF")
    checks = []
    for result in findings.challenger.classes:
        if result.label not in rules.critical:
            continue
        checks.append(
            at_least(
                f"recall of {result.label}",
                result.recall,
                rules.limits.critical_recall_floor,
                "hold",
                f"{result.support} messages of this class",
            )
        )
        change = next((found for found in reference.recalls if found.label == result.label), None) if reference else None
        name, margin = f"{result.label}: recall minus {reference.other if reference else '?'}", rules.margins.critical_recall
        if change is None or not change.recall.known or not math.isfinite(change.p_holm):
            checks.append(missing(name, f"no drop beyond {margin:g}"))
            continue
        shown = change.p_holm < rules.significance and change.recall.value < -margin
        passed = not shown and (not findings.has_champion or change.recall.value >= -margin)
        rule = f"drop ≤ {margin:g}" if findings.has_champion else f"no shown drop beyond {margin:g}"
        checks.append(
            Check(name, change.recall.value, (change.recall.low, change.recall.high), rule, passed,
                  "reject" if shown else "hold", f"McNemar with Holm p = {change.p_holm:.3f}")
        )
    return tuple(checks)


def slice_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check that no slice is shown to be worse than the reference by more than the margin."""
    margin, checks = rules.margins.slice_accuracy, []
    rule = f"no shown drop beyond {margin:g}"
    for found in findings.slices:
        name = f"{found.kind} {found.value}: accuracy minus {findings.slice_reference}"
        if not found.difference.known or not math.isfinite(found.p_holm):
            checks.append(missing(name, rule))
            continue
        worse = found.p_holm < rules.significance and found.difference.value < -margin
        bounds = (found.difference.low, found.difference.high)
        detail = f"{found.messages} messages, McNemar with Holm p = {found.p_holm:.3f}"
        effect: Effect = "reject" if findings.has_champion else "hold"
        checks.append(Check(name, found.difference.value, bounds, rule, not worse, effect, detail))
    return tuple(checks)


def search_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check search and answers, when the archive has questions at all."""
    if not findings.questions:
        return ()
    retrieval, answers = findings.retrieval, findings.answers
    return (
        exactly(
            "questions without a search result",
            retrieval and float(findings.questions - retrieval.answered),
            0,
            "reject",
            "every answerable question must be searched",
        ),
        not_worse(
            "recall@10: hybrid minus BM25",
            retrieval and retrieval.hybrid_minus_bm25,
            rules.margins.retrieval_recall,
            "the embedder must not spoil plain word search",
        ),
        at_least(
            "answers scored",
            answers and answers.scored_share,
            rules.limits.answers_scored,
            "reject",
            "share of questions that every answer metric could score",
        ),
    )


def drift_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check how far the test lies from the training data: a note, as drift is no fault of a model."""
    drift = findings.drift
    return (
        at_most("drift of embeddings", drift and drift.embedding_auc, rules.limits.embedding_drift, "note",
                "how well a classifier tells both sides apart; .5 = not at all"),
        at_most("largest drift of a descriptor", drift and drift.largest, rules.limits.descriptor_drift, "note",
                "effect size; .1 small, .3 plain to see"),
    )
