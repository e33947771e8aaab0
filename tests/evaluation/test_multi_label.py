"""Messages with several labels: known answers, and one label a message as the special case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_findings import findings_about, table_of
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn.model_selection import cross_val_predict

from data.label_sets import given
from evaluation.baselines import (
    Lexicon,
    default_label,
    from_probabilities,
    induce_lexicon,
    predict_by_lexicon,
    predict_by_tfidf,
)
from evaluation.case import read_case
from evaluation.changes import count_flips
from evaluation.errors import worst_errors
from evaluation.findings import Findings
from evaluation.gate import judge, quality_checks
from evaluation.gate_table import write_gate_table
from evaluation.metrics import Predictions, TestSet, assess, calibration, called, right
from evaluation.paired import compare
from evaluation.propose import margins
from evaluation.report import write_report
from evaluation.rules import Rules
from evaluation.slices import measure_slices
from evaluation.workload import measure_workload
from tests.training.made_messages import message_row, write_prepared

Maker = Callable[..., Predictions]
BENIGN = ("ordinary",)
CLASSES = ("gift", "ordinary", "spam")


def made(*labels: str) -> TestSet:
    """Return messages with these labels, each in a thread of its own."""
    truth = np.array([[name in label for name in CLASSES] for label in labels])
    return TestSet(tuple(map(str, range(len(labels)))), np.arange(len(labels)), CLASSES, truth)


def answered(test: TestSet, *rows: tuple[float, float, float]) -> Predictions:
    return from_probabilities(
        "model", test, CLASSES, np.array(rows), BENIGN, several=given(np.array(rows), (0.5, 0.5, 0.3))
    )


def test_figures_are_those_of_scikit_learn(set_of_sets: TestSet, answer_sets: Maker) -> None:
    said = answer_sets("model", 0.85)
    truth, given = set_of_sets.applies, said.given(set_of_sets)[:, :-1]

    measured = assess(set_of_sets, said, draws=200)

    assert measured.macro_f1.value == pytest.approx(f1_score(truth, given, average="macro"))
    assert measured.accuracy.value == pytest.approx(accuracy_score(truth, given))
    recalls, precisions = (
        recall_score(truth, given, average=None),
        precision_score(truth, given, average=None),
    )
    assert [each.recall.value for each in measured.classes] == pytest.approx(recalls.tolist())
    assert [each.precision.value for each in measured.classes] == pytest.approx(precisions.tolist())
    assert measured.macro_f1.low < measured.macro_f1.value < measured.macro_f1.high


def test_one_label_a_message_is_the_special_case(test_set: TestSet, answer: Maker) -> None:
    one, other = answer("one", 0.9), answer("other", 0.8, 1)
    as_sets = replace(test_set, truth=test_set.applies)
    ones, others = (replace(each, predicted=each.given(test_set)) for each in (one, other))
    channels = {"channel": tuple("chat" if row % 3 else "email" for row in range(len(test_set)))}
    critical, times = ("harassment",), [""] * len(test_set)

    assert assess(test_set, one, draws=200) == assess(as_sets, ones, draws=200)
    assert compare(test_set, one, other, draws=200) == compare(as_sets, ones, others, draws=200)
    assert measure_slices(test_set, one, other, channels, draws=200) == measure_slices(
        as_sets, ones, others, channels, draws=200
    )
    assert measure_workload(test_set, (one,), BENIGN, minutes_per_alert=2, draws=200) == measure_workload(
        as_sets, (ones,), BENIGN, minutes_per_alert=2, draws=200
    )
    assert count_flips(test_set, one, other) == count_flips(as_sets, ones, others)
    assert worst_errors(test_set, one, critical, channels=channels["channel"], times=times) == worst_errors(
        as_sets, ones, critical, channels=channels["channel"], times=times
    )


def test_an_answer_is_right_when_the_whole_set_is() -> None:
    test = made("gift|spam", "gift|spam", "gift|spam", "ordinary")

    said = answered(test, (0.9, 0.1, 0.3), (0.9, 0.1, 0.2), (0.9, 0.6, 0.9), (0.1, 0.4, 0.1))

    assert called(test, said) == ["gift|spam", "gift", "gift|ordinary|spam", "ordinary"]
    assert right(test, said).tolist() == [True, False, False, True]


def test_a_row_without_an_answer_and_a_label_unknown_to_the_test_are_never_right() -> None:
    test = made("gift", "gift")
    stated = np.array([[np.nan, 0.9], [0.9, 0.9]])

    said = from_probabilities(
        "model", test, ("gift", "new"), stated, BENIGN, several=given(np.nan_to_num(stated), (0.5, 0.5))
    )

    assert called(test, said) == ["another label", "another label|gift"]
    assert not right(test, said).any()
    assert said.complete == 1


def test_beside_the_diagonal_stands_what_was_said_and_does_not_apply() -> None:
    test = made("gift|spam", "gift|spam", "gift", "ordinary")

    measured = assess(test, answered(test, (0.9, 0, 0.9), (0.9, 0, 0), (0.1, 0, 0.9), (0, 0.9, 0)), draws=50)

    assert measured.confusion == ((2, 0, 1, 0), (0, 1, 0, 0), (0, 0, 1, 0))


def test_mcnemar_of_a_class_asks_who_found_the_class_not_the_whole_set() -> None:
    test, ordinary = made(*["gift|spam"] * 8, "ordinary"), (0, 0.9, 0)
    one = answered(test, *[(0.9, 0, 0)] * 8, ordinary)
    other = answered(test, *[(0, 0, 0.9)] * 8, ordinary)

    difference = compare(test, one, other, draws=50)

    assert (difference.only_challenger_right, difference.only_other_right) == (0, 0)
    assert [each.recall.value for each in difference.recalls] == [1.0, 0.0, -1.0]
    assert difference.recalls[0].p_value == pytest.approx(2 / 2**8)


def test_the_calibration_is_that_of_every_label_given() -> None:
    test = made("gift|spam", "ordinary")
    said = answered(test, (0.95, 0.0, 0.85), (0.75, 0.95, 0.0))
    assert said.probabilities is not None

    measured = calibration(test, said.probabilities, given=said.given(test)[:, :-1], draws=50)

    assert sum(measured.count) == 4
    assert measured.error.value == pytest.approx((0.1 + 0.15 + 0.75) / 4)


def test_an_alert_is_as_sure_as_the_surest_label_that_is_not_benign() -> None:
    test = made("gift|spam", "ordinary", "ordinary")

    said = answered(test, (0.7, 0.9, 0.8), (0.1, 0.9, 0.2), (0.6, 0.9, 0.1))
    (work,) = measure_workload(test, (said,), BENIGN, minutes_per_alert=2, draws=50)

    assert said.alert_score is not None
    assert said.alert_score.tolist() == [0.8, 0.2, 0.6]
    assert work.precision.value == 0.5  # ordinary beside another label is an alert
    assert work.recall.value == 1.0


def test_a_missed_critical_class_is_listed_though_another_was_found() -> None:
    test = made("gift|spam", "gift")
    said = answered(test, (0.9, 0, 0), (0.9, 0, 0.6))

    errors = worst_errors(test, said, {"spam"}, channels=["email"] * 2, times=[""] * 2)

    assert errors is not None
    listed = [(error.label, error.predicted, error.critical) for error in errors.worst]
    assert listed == [("gift|spam", "gift", True), ("gift", "gift|spam", False)]


def test_the_lexicon_gives_every_label_with_a_match_and_else_the_benign_one() -> None:
    test = made("gift|spam", "ordinary")
    train = ["a watch", "a watch and a prize", "the prize", "lunch", "lunch now", "a watch today"]
    labels = ["gift", "gift|spam", "spam", "ordinary", "ordinary", "gift"]

    said = predict_by_lexicon(
        test,
        ["a watch, a prize", "lunch"],
        Lexicon({"gift": ("watch",), "spam": ("prize",)}, induced=False),
        default_label(labels, BENIGN),
    )
    induced = induce_lexicon(train, labels, BENIGN)

    assert called(test, said) == ["gift|spam", "ordinary"]
    assert (set(induced.terms), induced.terms["gift"][0]) == ({"gift", "spam"}, "watch")


def test_tfidf_gives_each_label_against_the_rest() -> None:
    test = made("gift|spam", "ordinary", "spam")
    train = ["a watch", "a watch and a prize", "the prize", "lunch", "lunch now"] * 4
    labels = ["gift", "gift|spam", "spam", "ordinary", "ordinary"] * 4

    said = predict_by_tfidf(test, ["a prize, a watch", "lunch now", "the prize"], train, labels, BENIGN)

    assert called(test, said) == ["gift|spam", "ordinary", "spam"]
    assert said.probabilities is not None
    assert said.probabilities[0, 0] + said.probabilities[0, 2] > 1


def test_tfidf_chooses_thresholds_as_the_challenger_does() -> None:
    """At one half, the balanced weights of a rare label would give it to all that is a little suspicious."""
    test = made("gift|spam", "ordinary", "ordinary")
    train = (
        ["a costly watch"] * 20 + ["a friendly dinner"] * 70 + ["the weekly report"] * 120 + ["a prize"] * 5
    )
    labels = ["gift"] * 35 + ["ordinary"] * 175 + ["gift|spam"] * 5

    said = predict_by_tfidf(
        test, ["a costly watch, a prize", "a friendly dinner", "the report"], train, labels, BENIGN
    )

    assert called(test, said) == ["gift|spam", "ordinary", "ordinary"]


def test_the_message_nearest_to_a_threshold_is_the_least_certain() -> None:
    stated = np.array([[0.9, 0.1], [0.55, 0.45]])

    assert margins(stated, (0.85, 0.5)).tolist() == pytest.approx([0.05, 0.05])
    assert margins(stated, (0.5, 0.5)).tolist() == pytest.approx([0.4, 0.05])


@pytest.mark.parametrize("others", ["gift", "gift|ordinary"])
def test_a_set_anywhere_makes_the_whole_dataset_one_of_sets(tmp_path: Path, others: str) -> None:
    labels = {"train": others, "valid": "gift", "test": "ordinary"}
    rows = [message_row(row, label=label, split=split) for row, (split, label) in enumerate(labels.items())]

    test = read_case(write_prepared(tmp_path / "prepared", rows)).test

    assert test.is_multi_label == ("|" in others)
    assert test.applies.tolist() == [[True]]


def test_gate_and_report_judge_sets_by_the_same_rules(
    set_of_sets: TestSet, answer_sets: Maker, rules: Rules, tmp_path: Path
) -> None:
    others = (answer_sets("lexicon", 0.6, 1), answer_sets("TF-IDF", 0.9, 2))
    good = findings_about(set_of_sets, answer_sets("challenger", 0.98, 3), others, rules)
    blind = findings_about(set_of_sets, answer_sets("challenger", 0.6, 3), others, rules)

    write_gate_table(tmp_path / "gate.json", table_of(good, rules))
    write_report(tmp_path / "report.html", good, judge(good, rules), rules)

    checks = {check.name: check for check in judge(good, rules).checks}
    assert checks["macro-F1 minus lexicon"].passed
    assert checks["recall of insider_information"].passed
    assert judge(blind, rules).outcome != "promote"
    page = (tmp_path / "report.html").read_text()
    assert "harassment + " in page or " + spam" in page
    assert "all its classes are given and no other" in page


def test_a_label_too_many_fails_the_gate_though_it_costs_no_class(
    good_findings: Findings, rules: Rules
) -> None:
    rows = ["gift", "ordinary", "spam", "ordinary"] * 50
    test = made(*rows)
    classes = [*test.labels, "sensitive"]
    exact = np.where(test.applies, 0.9, 0.1)
    too_many = np.column_stack([exact, np.where(np.arange(len(rows)) % 16 == 1, 0.9, 0.1)])
    right_ones = np.column_stack([exact, np.full(len(rows), 0.1)])
    challenger, champion = (
        from_probabilities(name, test, classes, stated, BENIGN, several=stated > 0.5)
        for name, stated in (("challenger", too_many), ("champion", right_ones))
    )

    found = compare(test, challenger, champion, draws=300)
    findings = replace(good_findings, comparisons=(found,), multi_label=True, has_champion=True)
    failed = {check.name for check in quality_checks(findings, rules) if not check.passed}

    assert found.macro_f1.value == 0
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(-13 / 200)
    assert "whole answers minus champion" in failed
    assert "macro-F1 minus champion" not in failed
    alone = replace(findings, multi_label=False)
    assert not any("whole answers" in check.name for check in quality_checks(alone, rules))


def test_folds_of_the_baseline_keep_threads_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of a text on both sides of a fold would make its scores look surer than they are."""
    train = [f"a costly watch, says thread {number // 5}" for number in range(100)]
    labels = ["gift|spam" if number // 5 % 2 else "ordinary" for number in range(100)]
    threads = np.array([f"thread {number // 5}" for number in range(100)])
    torn = []

    def watched(model: Any, features: Any, applies: Any, *, groups: Any, cv: Any, method: str) -> Any:
        for learned, held in cv.split(features, groups=groups):
            torn.extend(set(threads[learned]) & set(threads[held]))
        return cross_val_predict(model, features, applies, groups=groups, cv=cv, method=method)

    monkeypatch.setattr("sklearn.model_selection.cross_val_predict", watched)
    test = made("gift|spam", "ordinary")
    predict_by_tfidf(test, ["a watch", "lunch"], train, labels, BENIGN, train_threads=tuple(threads))
    assert torn == []

    predict_by_tfidf(test, ["a watch", "lunch"], train, labels, BENIGN)
    assert torn != []
