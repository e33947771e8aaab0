"""The gate never lets pass what is worse, missing or not a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_findings import findings_about

from data.workspace import UserError
from evaluation.answer_loss import AnswerLoss
from evaluation.behaviour import BehaviourTest
from evaluation.changes import ADAPTER, Change, Changes, DatasetCounts, Flips
from evaluation.findings import Findings, Latency, RoundTrip
from evaluation.gate import judge
from evaluation.leakage import Leakage
from evaluation.metrics import Interval, Predictions, TestSet, wilson
from evaluation.rules import DEFAULT_PATH, Rules, load_rules
from evaluation.verdict import at_most, better, decide, not_worse

NAN = float("nan")
CHANGES = Changes("0123", "1", "1", (), (), (), Flips(0, 0, 0, 0))
Maker = Callable[..., Predictions]


def trips(messages: int, same: float, difference: float) -> tuple[RoundTrip, ...]:
    return (
        RoundTrip("classifier", "1", messages, same, difference),
        RoundTrip("embedder", "1", 64, 1.0, 1e-7),
    )


def against_champion(
    test_set: TestSet, answer: Maker, challenger: Predictions, champion: Predictions
) -> Findings:
    others = (answer("lexicon", 0.4, 1), answer("TF-IDF", 0.85, 2), champion)
    return findings_about(test_set, challenger, others, load_rules())


def test_a_good_first_model_is_promoted(good_findings: Findings, rules: Rules) -> None:
    verdict = judge(good_findings, rules)

    assert verdict.outcome == "promote", verdict.reasons


def test_a_model_equal_to_the_champion_is_promoted(test_set: TestSet, answer: Maker, rules: Rules) -> None:
    findings = against_champion(test_set, answer, answer("challenger", 0.93), answer("champion", 0.93))

    assert judge(findings, rules).outcome == "promote"


def test_a_plainly_worse_model_is_rejected(test_set: TestSet, answer: Maker, rules: Rules) -> None:
    findings = against_champion(test_set, answer, answer("challenger", 0.8), answer("champion", 0.95, 9))

    verdict = judge(findings, rules)

    assert verdict.outcome == "reject"
    assert "macro-F1 minus champion" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("saved", "outcome"),
    [
        (Interval(0.3, 0.1, 0.5), "promote"),
        (Interval(0.1, -0.1, 0.3), "hold"),
        (Interval(-0.3, -0.5, -0.1), "reject"),
        (Interval(NAN, NAN, NAN), "reject"),
    ],
)
def test_an_adapter_of_the_generator_must_better_its_base(
    good_findings: Findings, rules: Rules, saved: Interval, outcome: str
) -> None:
    loss = AnswerLoss(40, 20, 2.0, 2.0 - saved.value, saved)

    assert outcome == judge(replace(good_findings, answer_loss=loss), rules).outcome


def test_a_few_threads_show_nothing_of_an_adapter(good_findings: Findings, rules: Rules) -> None:
    sure = AnswerLoss(2, 1, 2.0, 1.99, Interval(0.01, 0.01, 0.01))

    verdict = judge(replace(good_findings, answer_loss=sure), rules)

    assert "hold" == verdict.outcome
    assert "threads with answers" in verdict.reasons[0]


def beside_champion(against: Interval | None) -> AnswerLoss:
    return AnswerLoss(40, 30, 2.0, 1.9, Interval(0.1, 0.05, 0.2), against)


@pytest.mark.parametrize(
    ("loss", "outcome"),
    [
        (beside_champion(Interval(0.0, 0.0, 0.0)), "promote"),
        (beside_champion(Interval(-0.05, -0.2, 0.1)), "hold"),
        (beside_champion(Interval(-0.4, -0.5, -0.3)), "reject"),
        (beside_champion(None), "hold"),
        (None, "hold"),
    ],
)
def test_an_adapter_is_held_against_the_champions(
    test_set: TestSet, answer: Maker, rules: Rules, loss: AnswerLoss | None, outcome: str
) -> None:
    findings = against_champion(test_set, answer, answer("challenger", 0.93), answer("champion", 0.93))
    changes = replace(CHANGES, facts=(Change(ADAPTER, "a" * 64, "b" * 64 if loss else "none"),))

    verdict = judge(replace(findings, answer_loss=loss, changes=changes), rules)

    assert outcome == verdict.outcome, verdict.reasons
    assert (outcome == "promote") == (verdict.reasons == ("every declared check passed",))


def test_too_few_messages_to_decide_hold(test_set: TestSet, answer: Maker, rules: Rules) -> None:
    findings = against_champion(test_set, answer, answer("challenger", 0.93), answer("champion", 0.93, 9))

    assert judge(findings, rules).outcome == "hold"


def test_better_overall_but_worse_on_one_slice_is_rejected(
    test_set: TestSet, answer: Maker, rules: Rules
) -> None:
    champion = answer("champion", 0.8, 9)
    email = np.arange(600) % 3 == 0
    predicted = np.where(email, (test_set.truth + (np.arange(600) % 2)) % 4, test_set.truth)
    challenger = Predictions("challenger", predicted, np.eye(4)[predicted])
    findings = against_champion(test_set, answer, challenger, champion)

    verdict = judge(findings, rules)

    assert verdict.outcome == "reject"
    assert any("channel email" in reason for reason in verdict.reasons)


def test_missing_a_critical_class_is_rejected(test_set: TestSet, answer: Maker, rules: Rules) -> None:
    champion = answer("champion", 0.97, 9)
    predicted = np.where((test_set.truth == 1) & (np.arange(600) % 2 == 0), 2, test_set.truth)
    challenger = Predictions("challenger", predicted, np.eye(4)[predicted])
    findings = against_champion(test_set, answer, challenger, champion)

    verdict = judge(findings, rules)

    assert verdict.outcome == "reject"
    assert any("insider_information" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"harassment": 60, "ordinary": 1300}, ""),
        ({"harassment": 60, "phishing": 3}, "hold: test messages of phishing is 0 (rule: ≥ 1)"),
        ({"invoice": 500, "ordinary": 1300}, "hold: critical classes of the dataset is 0 (rule: ≥ 1)"),
        ({"invoice": 500, "phishing": 0}, "hold: critical classes of the dataset is 0 (rule: ≥ 1)"),
    ],
)
def test_a_critical_class_that_cannot_be_judged_holds(
    good_findings: Findings, rules: Rules, labels: dict[str, int], reason: str
) -> None:
    dataset = DatasetCounts(2000, {"train": 1500, "valid": 100, "test": 400}, labels)

    verdict = judge(replace(good_findings, dataset=dataset), rules)

    assert ("hold" if reason else "promote") == verdict.outcome
    assert (reason or "every declared check passed",) == verdict.reasons


def test_rules_may_say_that_no_class_is_critical(good_findings: Findings, rules: Rules) -> None:
    foreign = DatasetCounts(2000, {"train": 1600, "test": 400}, {"invoice": 500})

    verdict = judge(replace(good_findings, dataset=foreign), rules.model_copy(update={"critical": ()}))

    assert "promote" == verdict.outcome


@pytest.mark.parametrize(
    "damage",
    [
        {"challenger": None},
        {"dataset": None},
        {"comparisons": ()},
        {"calibration": None},
        {"leakage": None},
        {"leakage": Leakage(0, 1, 0, 600, 2000, "", "", 0, 0)},
        {"round_trips": ()},
        {
            "round_trips": (
                RoundTrip("classifier", "1", 64, 0.98, 1e-7),
                RoundTrip("embedder", "1", 64, 1.0, 1e-7),
            )
        },
        {
            "round_trips": (
                RoundTrip("classifier", "1", 64, 1.0, 0.4),
                RoundTrip("embedder", "1", 64, 1.0, 1e-7),
            )
        },
        {
            "round_trips": (
                RoundTrip("classifier", "1", 8, 1.0, 0.0),
                RoundTrip("embedder", "1", 64, 1.0, 1e-7),
            )
        },
        {
            "round_trips": (
                RoundTrip("classifier", "1", 64, 1.0, NAN),
                RoundTrip("embedder", "1", 64, 1.0, 1e-7),
            )
        },
        {"scored": 599},
        {"messages": 0},
        {"retrieval": None},
        {"answers": None},
        {"drift": None},
        {"adapter_megabytes": None},
        {"adapter_megabytes": NAN},
        {"model_megabytes": NAN},
        {"latency": None},
        {"latency": Latency(50, NAN, None)},
    ],
    ids=str,
)
def test_what_is_missing_leaking_or_not_the_same_model_rejects(
    good_findings: Findings, rules: Rules, damage: dict[str, object]
) -> None:
    verdict = judge(replace(good_findings, **damage), rules)  # type: ignore[arg-type]

    assert verdict.outcome == "reject"


@pytest.mark.parametrize("measured", ["macro_f1", "accuracy"])
def test_a_figure_that_no_rule_names_still_has_to_be_a_number(
    good_findings: Findings, rules: Rules, measured: str
) -> None:
    assert good_findings.challenger is not None
    damaged = replace(good_findings.challenger, **{measured: Interval(0.9, NAN, NAN)})  # type: ignore[arg-type]

    verdict = judge(replace(good_findings, challenger=damaged), rules)

    assert verdict.outcome == "reject"
    assert any("no number" in reason for reason in verdict.reasons)


def test_an_average_precision_that_is_no_number_rejects(good_findings: Findings, rules: Rules) -> None:
    damaged = replace(good_findings.curves[0], average_precision=Interval(0.9, NAN, NAN))

    assert "reject" == judge(replace(good_findings, curves=(damaged,)), rules).outcome


@pytest.mark.parametrize(
    ("latency", "words"),
    [
        (Latency(50, 1200.0, 1190.0), "milliseconds for one message"),
        (Latency(50, 90.0, 40.0), "multiple of the champion's"),
    ],
)
def test_a_slow_model_is_held(
    test_set: TestSet, answer: Maker, rules: Rules, latency: Latency, words: str
) -> None:
    equal = against_champion(test_set, answer, answer("challenger", 0.93), answer("champion", 0.93))

    verdict = judge(replace(equal, latency=latency), rules)

    assert verdict.outcome == "hold"
    assert words in verdict.reasons[0]


@pytest.mark.parametrize(
    ("newest_train", "oldest_test", "outcome"),
    [
        ("2026-05-01", "2026-04-20", "reject"),
        ("2026-04-20", "2026-04-20", "promote"),
        ("", "2026-04-20", "reject"),
    ],
)
def test_a_split_that_claims_to_cut_by_time_is_held_to_it(
    good_findings: Findings, rules: Rules, newest_train: str, oldest_test: str, outcome: str
) -> None:
    leakage = Leakage(0, 0, 0, 600, 2000, newest_train, oldest_test, 0, 0)
    claimed = rules.model_copy(update={"split_by_time": True})

    assert judge(replace(good_findings, leakage=leakage), claimed).outcome == outcome


def test_a_part_made_of_another_dataset_rejects(good_findings: Findings, rules: Rules) -> None:
    provenance = replace(good_findings.provenance, parts={"classifier": "f" * 64, "index": "d" * 64})

    verdict = judge(replace(good_findings, provenance=provenance), rules)

    assert verdict.outcome == "reject"
    assert any("another dataset" in reason for reason in verdict.reasons)


def test_an_archive_without_questions_is_not_judged_by_its_search(
    good_findings: Findings, rules: Rules
) -> None:
    findings = replace(good_findings, questions=0, retrieval=None, answers=None)

    assert judge(findings, rules).outcome == "promote"


def test_behaviour_is_noted_and_does_not_hold(good_findings: Findings, rules: Rules) -> None:
    assert good_findings.behaviour is not None
    wayward = BehaviourTest("invariance", "weekdays", 100, 20, wilson(20, 100))
    findings = replace(good_findings, behaviour=replace(good_findings.behaviour, tests=(wayward,)))

    verdict = judge(findings, rules)

    checks = {check.name: check for check in verdict.checks if check.group == "behaviour"}
    assert {"invariance failures"} == checks.keys(), "what has no case is not checked"
    assert (0.2, False) == (checks["invariance failures"].measured, checks["invariance failures"].passed)
    assert "promote" == verdict.outcome
    assert verdict.reasons[0].startswith("note: invariance failures")


def test_drift_is_noted_and_does_not_hold(good_findings: Findings, rules: Rules) -> None:
    assert good_findings.drift is not None
    findings = replace(good_findings, drift=replace(good_findings.drift, embedding_auc=0.99))

    verdict = judge(findings, rules)

    assert verdict.outcome == "promote"
    assert verdict.reasons[0].startswith("note: drift of embeddings")


@pytest.mark.parametrize("value", [None, NAN, float("inf"), Interval(NAN, NAN, NAN)])
def test_no_number_never_passes(value: float | Interval | None) -> None:
    difference = value if isinstance(value, Interval) else None

    checks = [
        at_most("error", value, 1, "note"),
        better("gain", difference, 0),
        not_worse("loss", difference, 0.5),
    ]

    assert [False, False, False] == [check.passed for check in checks]
    assert decide(tuple(checks)).outcome == "reject"


def test_no_check_at_all_rejects() -> None:
    assert decide(()).outcome == "reject"


def test_the_rules_carry_the_hash_of_their_file(tmp_path: Path) -> None:
    changed = tmp_path / "gate.yaml"
    changed.write_text(DEFAULT_PATH.read_text().replace("champion_macro_f1: 0.01", "champion_macro_f1: 0.02"))

    assert load_rules().digest != load_rules(changed).digest


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ("margins:", "margin:", "margins"),
        ("draws: 2000", "draws: ten", "draws"),
        ("  answers_scored: 0.95", "  answers_scored: 1.95", "answers_scored"),
    ],
)
def test_wrong_rules_are_a_users_mistake(tmp_path: Path, before: str, after: str, word: str) -> None:
    wrong = tmp_path / "gate.yaml"
    wrong.write_text(DEFAULT_PATH.read_text().replace(before, after))

    with pytest.raises(UserError, match=word):
        load_rules(wrong)
