"""Findings of an evaluation that never was: everything fine but for what the models say."""

from __future__ import annotations

from evaluation.answers import AnswerMetric, Answers
from evaluation.behaviour import Behaviour, BehaviourTest
from evaluation.drift import Drift, Drifted
from evaluation.findings import Findings, Provenance, RoundTrip
from evaluation.leakage import Leakage
from evaluation.measure import curves_of
from evaluation.metrics import Interval, Predictions, TestSet, assess, calibration, wilson
from evaluation.paired import compare
from evaluation.retrieval import MODES, measure_retrieval
from evaluation.rules import Rules
from evaluation.slices import measure_slices
from evaluation.workload import measure_workload


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
        calibration=calibration(test, challenger.probabilities, draws=300),
        curves=curves_of(test, challenger, rules),
        workload=measure_workload(test, (challenger, *others), ("ordinary",), minutes_per_alert=2, draws=300),
        questions=30,
        retrieval=measure_retrieval(dict.fromkeys(MODES, ranking), wanted, draws=300),
        answers=Answers(30, (AnswerMetric("ROUGE-L", Interval(0.5, 0.4, 0.6), 30),)),
        drift=Drift(
            "the challenger's own training data", 400, 400, (Drifted("words", "Wasserstein", 0.08),), 0.54
        ),
        leakage=Leakage(0, 0, 0, len(test), 2000, "2026-05-01", "2026-04-20"),
        round_trips=(
            RoundTrip("classifier", "1", 64, 1.0, 1e-7),
            RoundTrip("embedder", "1", 64, 1.0, 2e-7),
        ),
        adapter_megabytes=3.1,
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
    )
