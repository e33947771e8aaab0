"""May the challenger replace the champion? Declared rules, measured figures, one verdict with reasons."""

from __future__ import annotations

import math
from dataclasses import replace

from evaluation.behaviour import Kind
from evaluation.findings import Findings
from evaluation.leakage import Leakage
from evaluation.paired import Comparison
from evaluation.rules import Rules
from evaluation.verdict import (
    Check,
    Effect,
    Verdict,
    at_least,
    at_most,
    better,
    decide,
    exactly,
    missing,
    not_worse,
)


def judge(findings: Findings, rules: Rules) -> Verdict:
    """Apply every rule to the findings."""
    groups = {
        "integrity": integrity_checks(findings, rules),
        "cost": cost_checks(findings, rules),
        "quality": quality_checks(findings, rules),
        "critical classes": critical_checks(findings, rules),
        "slices": slice_checks(findings, rules),
        "search": search_checks(findings, rules),
        "generator": generator_checks(findings, rules),
        "drift": drift_checks(findings, rules),
        "behaviour": behaviour_checks(findings, rules),
    }
    return decide(tuple(replace(check, group=group) for group, checks in groups.items() for check in checks))


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
            _compared(findings.leakage),
        ),
        exactly(
            "figures that are no number",
            not_numbers(findings),
            0,
            "reject",
            "among all that is measured of the challenger",
        ),
    ]
    if rules.split_by_time:
        checks.append(
            at_most(
                "days that training reaches into the test",
                findings.leakage.days_overlapping if findings.leakage else None,
                0,
                "reject",
                "the split is said to cut at a date",
            )
        )
    for name in ("classifier", "embedder"):
        trip = next((found for found in findings.round_trips if found.model == name), None)
        same = trip.same_labels if trip else None
        checks += [
            at_least(
                f"{name}: messages in the round trip",
                float(trip.messages) if trip else None,
                min(limits.round_trip_messages, findings.messages),
                "reject",
                "the registered copy is loaded again and asked the same",
            ),
            at_most(
                f"{name}: largest score difference",
                trip.largest_difference if trip else None,
                limits.round_trip_score,
                "reject",
                "registered copy against the model on disk",
            ),
        ]
        if name == "classifier":
            checks.append(exactly(f"{name}: same labels", same, 1, "reject", "share of equal labels"))
    return tuple(checks)


def _compared(leakage: Leakage | None) -> str:
    kinds = "identical texts, near copies and threads on both sides"
    if not leakage or not leakage.short:
        return kinds
    return (
        f"{kinds}; {leakage.short:,} of {leakage.test_messages:,} messages are too short to count as a copy"
    )


def cost_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check size and speed: a model that is too large or too slow is a reviewer's question."""
    limits, latency = rules.limits, findings.latency
    checks = [
        at_most(
            "adapter size in MB",
            findings.adapter_megabytes,
            limits.adapter_megabytes,
            "hold",
            "what is stored per model",
        ),
        at_most(
            "model size in MB",
            findings.model_megabytes,
            limits.model_megabytes,
            "hold",
            "what an engine loads",
        ),
        at_most(
            "milliseconds for one message",
            latency.challenger_ms if latency else None,
            limits.latency_ms,
            "hold",
            f"p95 of {latency.messages} messages, each alone" if latency else "",
        ),
    ]
    if findings.has_champion:
        ratio = latency.challenger_ms / latency.champion_ms if latency and latency.champion_ms else None
        checks.append(
            at_most(
                "time as a multiple of the champion's", ratio, limits.latency_ratio, "hold", "asked in turns"
            )
        )
    return tuple(checks)


def not_numbers(findings: Findings) -> float | None:
    """Count the figures of the challenger that are NaN or infinite; None when nothing was measured.

    A class that was never predicted has no precision: that one is left out.
    """
    model, retrieval = findings.challenger, findings.retrieval
    if model is None:
        return None
    figures = [model.macro_f1, model.accuracy, *(result.recall for result in model.classes)]
    figures += [result.f1 for result in model.classes]
    figures += [curve.average_precision for curve in findings.curves]
    figures += [pair.macro_f1 for pair in findings.comparisons]
    figures += [found.accuracy for found in findings.slices]
    for result in retrieval.results if retrieval else ():
        figures += [result.recall_at_1, result.recall_at_5, result.recall_at_10]
        figures += [result.reciprocal_rank, result.ndcg]
    figures += [metric.mean for metric in findings.answers.metrics] if findings.answers else []
    figures += [findings.answer_loss.saved] if findings.answer_loss else []
    return float(sum(not figure.known for figure in figures))


def quality_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check the macro-F1 against the lexicon, TF-IDF and, where there is one, the champion."""
    lexicon, tfidf = findings.comparison("lexicon"), findings.comparison("TF-IDF")
    checks = [
        better(
            "macro-F1 minus lexicon",
            lexicon.macro_f1 if lexicon else None,
            rules.margins.lexicon_macro_f1,
            "paired over the same threads",
        ),
        not_worse(
            "macro-F1 minus TF-IDF",
            tfidf.macro_f1 if tfidf else None,
            rules.margins.baseline_macro_f1,
            "paired over the same threads",
        ),
    ]
    if findings.has_champion:
        champion = findings.comparison("champion")
        checks.append(
            not_worse(
                "macro-F1 minus champion",
                champion.macro_f1 if champion else None,
                rules.margins.champion_macro_f1,
                "paired over the same threads",
            )
        )
    if findings.multi_label:
        checks += [
            not_worse(
                f"whole answers minus {name}",
                found.accuracy if found else None,
                margin,
                "share of messages with every label right and none too many, paired",
            )
            for name, found, margin in whole_answers(findings, rules)
        ]
    checks.append(
        at_most(
            "calibration error",
            findings.calibration.error if findings.calibration else None,
            rules.limits.calibration_error,
            "hold",
            "stated confidence against how often it is right",
        )
    )
    return tuple(checks)


def whole_answers(findings: Findings, rules: Rules) -> tuple[tuple[str, Comparison | None, float], ...]:
    """Return what a multi-label model's whole answers are held against.

    A label that no test message has costs no class its F1, however often it is given; it costs these.
    """
    against = [("TF-IDF", rules.margins.baseline_macro_f1)]
    if findings.has_champion:
        against.append(("champion", rules.margins.champion_macro_f1))
    return tuple((name, findings.comparison(name), margin) for name, margin in against)


def critical_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check the recall of every critical class: its floor, and its drop against the reference.

    Against the champion a drop beyond the margin holds, and one that the test shows rejects.
    Against TF-IDF (first model) only a shown drop counts: a class of twenty messages decides nothing.
    A critical class of the dataset that the test lacks holds, and so does a dataset that has none of the
    critical classes: nothing can be said about what matters most, so that a person decides.
    """
    if findings.challenger is None:
        return (missing("recall of the critical classes", "measured"),)
    reference = findings.comparison("champion" if findings.has_champion else "TF-IDF")
    checks = _untested(findings, rules)
    for result in findings.challenger.classes:
        if result.label in rules.critical:
            detail = f"{result.support} messages of this class"
            floor = rules.limits.critical_recall_floor
            checks.append(at_least(f"recall of {result.label}", result.recall, floor, "hold", detail))
            checks.append(_recall_drop(result.label, reference, rules, strict=findings.has_champion))
    return tuple(checks)


def _untested(findings: Findings, rules: Rules) -> list[Check]:
    if findings.dataset is None:
        return [missing("critical classes of the dataset", "≥ 1")]
    had = {label for label in rules.critical if findings.dataset.labels.get(label)}
    if rules.critical and not had:
        named = "none that the rules name occurs; declare those of your labels (--gate FILE)"
        return [at_least("critical classes of the dataset", 0, 1, "hold", named)]
    why = "the dataset has this critical class; label more messages, or let a reviewer decide"
    absent = sorted(had - set(findings.labels))
    return [at_least(f"test messages of {label}", 0, 1, "hold", why) for label in absent]


def _recall_drop(label: str, reference: Comparison | None, rules: Rules, *, strict: bool) -> Check:
    margin = rules.margins.critical_recall
    rule = f"drop ≤ {margin:g}" if strict else f"no shown drop > {margin:g}"
    name = f"{label}: recall minus {reference.other if reference else 'reference'}"
    change = next((found for found in reference.recalls if found.label == label), None) if reference else None
    if change is None or not change.recall.known or not math.isfinite(change.p_holm):
        return missing(name, rule)
    shown = change.p_holm < rules.significance and change.recall.value < -margin
    return Check(
        name,
        change.recall.value,
        (change.recall.low, change.recall.high),
        rule,
        passed=not shown and (not strict or change.recall.value >= -margin),
        effect="reject" if shown else "hold",
        detail=f"McNemar with Holm p = {change.p_holm:.3f}",
    )


def slice_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check that no slice is shown to be worse than the reference by more than the margin."""
    margin, checks = rules.margins.slice_accuracy, []
    rule = f"no shown drop > {margin:g}"
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
    checks = [
        exactly(
            "questions without a search result",
            float(findings.questions - retrieval.answered) if retrieval else None,
            0,
            "reject",
            "every answerable question must be searched",
        ),
        not_worse(
            "recall@10: hybrid minus BM25",
            retrieval.hybrid_minus_bm25 if retrieval else None,
            rules.margins.retrieval_recall,
            "the embedder must not spoil plain word search",
        ),
        at_least(
            "answers scored",
            answers.scored_share if answers else None,
            rules.limits.answers_scored,
            "reject",
            "share of questions that every answer metric could score",
        ),
    ]
    if judged := findings.judged:
        checks.append(
            at_least(
                "answers judged",
                judged.scored_share,
                rules.limits.answers_scored,
                "reject",
                "share of questions that the judge could score in every metric",
            )
        )
    return tuple(checks)


def generator_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check that the generator's adapter betters its base and is no worse than the champion's.

    Nothing is checked where neither release has one.
    """
    loss, champions = findings.answer_loss, findings.champions_adapter
    if loss is None:
        left_out = exactly(
            "generator: adapters of the champion left out", 1, 0, "hold", "the base goes alone"
        )
        return (left_out,) if champions else ()
    detail = f"nats per token of {loss.pairs} answers in {loss.threads} threads, paired"
    enough, margin = rules.limits.answer_threads, rules.margins.answer_loss
    checks = [
        at_least("generator: threads with answers", float(loss.threads), enough, "hold", "of the test split"),
        better("generator: loss of the base minus its adapter's", loss.saved, 0.0, detail),
    ]
    if champions and loss.against_champion is None:
        checks.append(
            exactly(
                "generator: champion's adapter compared",
                0,
                1,
                "hold",
                "it is gone, was changed, or belongs to another base",
            )
        )
    elif champions:
        name = "generator: loss of the champion's adapter minus this one's"
        checks.append(not_worse(name, loss.against_champion, margin, detail))
    return tuple(checks)


def drift_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check how far the test lies from the training data: a note, as drift is no fault of a model."""
    drift = findings.drift
    return (
        at_most(
            "drift of embeddings",
            drift.embedding_auc if drift else None,
            rules.limits.embedding_drift,
            "note",
            "how well a classifier tells both sides apart; .5 = not at all",
        ),
        at_most(
            "largest drift of a descriptor",
            drift.largest if drift else None,
            rules.limits.descriptor_drift,
            "note",
            "effect size; .1 small, .3 plain to see",
        ),
    )


def behaviour_checks(findings: Findings, rules: Rules) -> tuple[Check, ...]:
    """Check how often the classifier does not do what was declared: a note, and nothing without a case."""
    limits = rules.limits
    declared: tuple[tuple[Kind, float, str], ...] = (
        ("invariance", limits.invariance_failures, "another name, date or amount, another label"),
        ("directional", limits.directional_failures, "a clear text of a class made it less likely"),
        ("functionality", limits.functionality_failures, "a clear text of a class was not recognised"),
    )
    checks = []
    for kind, limit, detail in declared:
        test = findings.behaviour.total(kind) if findings.behaviour else None
        if test:
            named = f"{detail}; {test.failures} of {test.cases}"
            checks.append(at_most(f"{kind} failures", test.rate, limit, "note", named))
    return tuple(checks)
