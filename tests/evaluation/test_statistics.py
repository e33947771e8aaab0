"""Known answers: every figure of the report on data where it can be computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from evaluation.metrics import (
    Predictions,
    TestSet,
    assess,
    calibration,
    curve,
    interval,
    resample,
    thread_weights,
    wilson,
)
from evaluation.paired import compare, holm, mcnemar
from evaluation.retrieval import compare_orders, measure_retrieval, rank_scores
from evaluation.slices import length_bands, measure_slices, months, most_frequent, quarters
from evaluation.workload import measure_workload

Maker = Callable[..., Predictions]


def test_macro_f1_is_that_of_scikit_learn(test_set: TestSet, answer: Maker) -> None:
    said = answer("model", 0.8)

    measured = assess(test_set, said, draws=200)

    expected = f1_score(test_set.truth, said.predicted, average="macro")
    assert measured.macro_f1.value == pytest.approx(expected)
    assert measured.macro_f1.low < expected < measured.macro_f1.high


def test_f1_of_every_class_is_that_of_scikit_learn_and_has_a_range(test_set: TestSet, answer: Maker) -> None:
    said = answer("model", 0.8)

    measured = assess(test_set, said, draws=200).classes

    expected = f1_score(test_set.truth, said.predicted, average=None)
    assert [each.f1.value for each in measured] == pytest.approx(list(expected))
    assert all(each.f1.low < each.f1.value < each.f1.high for each in measured)


def test_a_class_that_was_always_right_is_not_perfect_beyond_doubt(test_set: TestSet) -> None:
    right = Predictions("model", np.asarray(test_set.truth))

    measured = assess(test_set, right, draws=200).classes

    assert all(each.f1.value == 1 == each.f1.high and 0.9 < each.f1.low < 1 for each in measured)


def test_a_label_unknown_to_the_test_is_never_right(test_set: TestSet) -> None:
    elsewhere = Predictions("model", np.full(len(test_set), len(test_set.labels)))

    measured = assess(test_set, elsewhere, draws=200)

    assert measured.accuracy.value == 0
    assert measured.macro_f1.value == 0


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        right = random.random(200) < 0.8
        sums = np.column_stack([np.ones(200), right]).astype(float)
        drawn = resample(sums, draws=300, seed=trial)
        found = interval(right.mean(), drawn[:, 1] / drawn[:, 0])
        covered += found.low <= 0.8 <= found.high

    assert 180 <= covered <= 199


def test_messages_of_one_thread_are_drawn_together(test_set: TestSet, answer: Maker) -> None:
    said = answer("model", 0.8)
    truth, predicted = np.repeat(test_set.truth[:60], 10), np.repeat(said.predicted[:60], 10)
    ids = tuple(str(row) for row in range(600))
    apart = TestSet(ids, np.arange(600), test_set.labels, truth)
    together = TestSet(ids, np.arange(600) // 10, test_set.labels, truth)

    loose = assess(apart, Predictions("model", predicted), draws=500).macro_f1
    honest = assess(together, Predictions("model", predicted), draws=500).macro_f1

    assert honest.high - honest.low > 2 * (loose.high - loose.low)


def test_wilson_interval_of_ten_out_of_ten() -> None:
    found = wilson(10, 10)

    assert [1.0, 0.72246, 1.0] == pytest.approx([found.value, found.low, found.high], abs=1e-5)
    assert not wilson(0, 0).known


def test_two_equal_models_do_not_differ(test_set: TestSet, answer: Maker) -> None:
    difference = compare(test_set, answer("one", 0.8), answer("other", 0.8), draws=200)

    assert (0.0, 0.0, 0.0) == (difference.macro_f1.value, difference.macro_f1.low, difference.macro_f1.high)
    assert difference.p_value == 1.0


def test_paired_intervals_are_narrower_than_unpaired_ones(test_set: TestSet, answer: Maker) -> None:
    one = answer("one", 0.9)
    changed = one.predicted.copy()
    changed[:12] = (changed[:12] + 1) % 4
    other = Predictions("other", changed)

    difference = compare(test_set, one, other, draws=500).macro_f1
    alone = assess(test_set, one, draws=500).macro_f1

    assert difference.high - difference.low < alone.high - alone.low


def test_mcnemar_counts_only_where_the_models_differ() -> None:
    both = np.ones(1000, dtype=bool)
    one = np.concatenate([both, np.ones(8, dtype=bool), np.zeros(0, dtype=bool)])
    other = np.concatenate([both, np.zeros(8, dtype=bool)])

    assert mcnemar(one, other) == pytest.approx(2 / 2**8)


def test_holm_corrects_the_smallest_most_and_keeps_the_order() -> None:
    assert pytest.approx([0.03, 0.06, 0.06, 1.0]) == holm([0.0075, 0.02, 0.03, 1.0])


def test_calibration_error_of_a_model_that_is_too_sure() -> None:
    truth = np.array([0] * 60 + [1] * 40)
    test = TestSet(tuple(map(str, range(100))), np.arange(100), ("a", "b"), truth)
    sure = np.tile([0.9, 0.1], (100, 1))

    measured = calibration(test, sure, draws=200)

    assert measured.error.value == pytest.approx(0.3)
    assert measured.count == (100,)


def test_average_precision_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    positive = random.random(500) < 0.2
    scores = (random.random(500) + 0.3 * positive).round(2).astype(np.float64)  # with ties

    drawn = curve("spam", positive, scores, np.arange(500), draws=200)

    assert drawn is not None
    expected = pytest.approx(average_precision_score(positive, scores))
    assert expected == drawn.average_precision.value


def test_the_range_of_average_precision_draws_whole_threads() -> None:
    random = np.random.default_rng(4)
    threads = np.arange(2000) // 100
    hard = random.random(20)[threads]
    positive = random.random(2000) < 0.3
    scores = (random.random(2000) + positive * hard).round(2).astype(np.float64)

    drawn = curve("spam", positive, scores, threads, draws=300, seed=9)

    weights = np.vstack(list(thread_weights(20, draws=300, seed=9)))[:, threads]
    each = [average_precision_score(positive, scores, sample_weight=row) for row in weights]
    assert drawn is not None
    expected = pytest.approx(tuple(np.percentile(each, [2.5, 97.5])))
    assert expected == (drawn.average_precision.low, drawn.average_precision.high)


def test_every_positive_first_is_not_perfect_beyond_doubt() -> None:
    positive = np.arange(100) < 12

    drawn = curve("spam", positive, positive.astype(np.float64), np.arange(100), draws=200)

    assert drawn is not None
    assert (1.0, 1.0) == (drawn.average_precision.value, drawn.average_precision.high)
    assert 0.7 < drawn.average_precision.low < 0.8


def test_minutes_per_hit_follow_from_the_precision_of_the_alerts() -> None:
    truth = np.array([0] * 10 + [1] * 90)
    said = np.array([0] * 5 + [1] * 5 + [0] * 15 + [1] * 75)
    test = TestSet(tuple(map(str, range(100))), np.arange(100), ("spam", "ordinary"), truth)
    scores = (said == 0).astype(float)

    (found,) = measure_workload(
        test, (Predictions("model", said, None, scores),), ("ordinary",), minutes_per_alert=2, draws=200
    )

    assert found.alerts_per_1000.value == 200
    assert found.minutes_per_hit.value == pytest.approx(8)
    assert found.recall.value == pytest.approx(0.5)
    assert found.hours_per_1000.value == pytest.approx(200 * 2 / 60)


def test_without_a_benign_label_no_workload_is_made_up(test_set: TestSet, answer: Maker) -> None:
    assert measure_workload(test_set, (answer("model", 0.9),), ("quiet",), minutes_per_alert=2) == ()


def test_small_slices_are_not_judged(test_set: TestSet, answer: Maker) -> None:
    channels = ("chat",) * 590 + ("email",) * 10

    found = measure_slices(test_set, answer("a", 0.9), answer("b", 0.8, 1), {"channel": channels}, draws=200)

    assert ["chat"] == [row.value for row in found]
    assert found[0].difference.value > 0


def test_lengths_fall_into_three_bands() -> None:
    assert ["short", "short", "middle", "middle", "long", "long"] == length_bands([1, 2, 30, 40, 500, 600])


def test_frequent_domains_are_named_by_rank_whatever_their_pseudonyms_are() -> None:
    inside, partner, once = "[DOMAIN_ffffffff]", "[DOMAIN_00000000]", "[DOMAIN_11111111]"

    named = most_frequent([partner, inside, "", inside, once], count=2)

    assert [f"02 {partner}", f"01 {inside}", "", f"01 {inside}", "another"] == named


def test_months_stand_beside_quarters_and_share_their_correction(test_set: TestSet, answer: Maker) -> None:
    times = [datetime(2026, 1 + row // 100, 15, tzinfo=UTC) for row in range(599)] + [None]
    time_of = {"quarter": tuple(quarters(times)), "month": tuple(months(times))}

    alone = measure_slices(
        test_set, answer("a", 0.9), answer("b", 0.8, 1), {"quarter": time_of["quarter"]}, draws=200
    )
    found = measure_slices(test_set, answer("a", 0.9), answer("b", 0.8, 1), time_of, draws=200)

    assert ["2026 Q1", "2026 Q2"] == [row.value for row in alone]
    assert ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06"] == [
        row.value for row in found if row.kind == "month"
    ]
    assert 99 == found[-1].messages, "the one without a date is in no month"
    assert found[0].p_holm >= alone[0].p_holm


def test_ranking_figures_of_a_known_ranking() -> None:
    recall_1, recall_5, recall_10, reciprocal, ndcg = rank_scores(["x", "a", "a", "b"], ["a", "b"])

    assert (0.0, 1.0, 1.0, 0.5) == (recall_1, recall_5, recall_10, reciprocal)
    ideal = 1 + 1 / np.log2(3)
    assert ndcg == pytest.approx((1 / np.log2(3) + 1 / np.log2(4)) / ideal)


def test_an_empty_ranking_is_counted_and_found_nothing() -> None:
    measured = measure_retrieval(
        {"dense": [["a"], []], "bm25": [["a"], []], "hybrid": [["a"], []]}, [["a"], ["b"]]
    )

    assert measured is not None
    assert (2, 1) == (measured.questions, measured.answered)
    assert measured.results[0].recall_at_10.value == 0.5
    assert measure_retrieval({}, []) is None


def test_another_order_is_compared_on_the_same_questions() -> None:
    wanted = [[f"m{number}"] for number in range(20)]
    first = [[*names, "x", "y"] for names in wanted]
    second = [["x", *names, "y"] for names in wanted]

    better, same, worse = (
        {change.measure: change for change in compare_orders(*orders, wanted)}
        for orders in ((second, first), (first, first), (first, second))
    )

    assert ["nDCG@10", "MRR@10", "recall@10"] == list(better)
    assert (0.5, 1.0, 0.5) == (better["MRR@10"].before, better["MRR@10"].after, better["MRR@10"].gain)
    assert better["nDCG@10"].gain == pytest.approx(1 - 1 / np.log2(3))
    assert 0 == better["recall@10"].gain, "the same ten were found"
    assert [False, False, True] == [each["nDCG@10"].is_loss for each in (better, same, worse)]


def test_an_order_that_is_worse_on_some_questions_alone_is_not_shown_to_be() -> None:
    wanted = [[f"m{number}"] for number in range(20)]
    before = [["x", *names] for names in wanted]
    after = [["x", "y", *names] if place < 2 else ["x", *names] for place, names in enumerate(wanted)]

    change = compare_orders(before, after, wanted)[0]

    assert change.gain < 0
    assert change.high >= 0
    assert not change.is_loss
