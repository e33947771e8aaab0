"""Ways of choosing what to read, on twelve messages where everything can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from evaluation.baselines import Lexicon
from evaluation.equal_work import RANKED, UNION, EqualWork, measure_equal_work, reranked, union_of
from evaluation.lexicon_terms import measure_terms
from evaluation.metrics import Predictions, TestSet, thread_weights
from evaluation.workload import measure_workload

BENIGN = ("ordinary",)
WANTED = {0, 1, 2, 3}
MODEL = {0: 0.9, 1: 0.8, 4: 0.7}  # alerts with their scores: two hits
LEXICON = {2: 3.0, 0: 2.0, 5: 1.0, 6: 1.0}  # alerts with their matches: two hits


def said(name: str, alerts: dict[int, float]) -> Predictions:
    predicted = np.array([0 if row in alerts else 1 for row in range(12)])
    return Predictions(name, predicted, alert_score=np.array([alerts.get(row, 0.0) for row in range(12)]))


@pytest.fixture(scope="module")
def twelve() -> TestSet:
    truth = np.array([0 if row in WANTED else 1 for row in range(12)])
    return TestSet(tuple(map(str, range(12))), np.arange(12), ("spam", "ordinary"), truth)


@pytest.fixture(scope="module")
def equal(twelve: TestSet) -> EqualWork:
    model, lexicon = said("challenger", MODEL), said("lexicon", LEXICON)
    ways = (
        model,
        lexicon,
        union_of(twelve, model, lexicon, BENIGN),
        reranked(twelve, model, lexicon, BENIGN),
    )
    found = measure_equal_work(twelve, ways, BENIGN, minutes_per_alert=4, draws=400)
    assert found is not None
    return found


def test_everybody_reads_as_many_messages_as_the_challenger_raises(equal: EqualWork) -> None:
    assert equal.alerts == 3
    assert equal.hours_per_1000 == pytest.approx(3 / 12 * 1000 * 4 / 60)


def test_what_each_way_of_choosing_finds(equal: EqualWork) -> None:
    shares = {way.name: way.found.value for way in equal.strategies}

    assert shares["challenger"] == pytest.approx(2 / 4)  # 0, 1 and the false alarm 4
    assert shares["lexicon"] == pytest.approx(2 / 4)  # 2, 0 and one of 5 and 6
    assert shares[UNION] == pytest.approx(3 / 4)  # 0 (challenger), 2 (lexicon), 1 (challenger)
    assert shares[RANKED] == pytest.approx((1 + 2 / 3) / 4)  # 0, then two of 2, 5, 6: the challenger says 0


def test_minutes_per_hit_at_equal_work(equal: EqualWork) -> None:
    assert {way.name: way.minutes_per_hit for way in equal.strategies}[UNION] == pytest.approx(3 * 4 / 3)


def test_time_left_goes_to_messages_by_chance(twelve: TestSet) -> None:
    """The lexicon raises one alert, the challenger three: two of eleven others are drawn, three wanted."""
    found = measure_equal_work(
        twelve, (said("challenger", MODEL), said("lexicon", {2: 1.0})), BENIGN, minutes_per_alert=4, draws=200
    )

    assert found is not None
    assert found.strategies[1].found.value == pytest.approx((1 + 2 * 3 / 11) / 4)


def test_the_operating_point_lies_on_the_curve(twelve: TestSet, equal: EqualWork) -> None:
    (own,) = measure_workload(twelve, (said("challenger", MODEL),), BENIGN, minutes_per_alert=4, draws=200)
    curve = equal.curves[0]
    here = curve.hours.index(pytest.approx(own.hours_per_1000.value))

    assert curve.found[here] == pytest.approx(own.recall.value)
    assert (curve.hours[0], curve.found[0]) == (0.0, 0.0)
    assert list(curve.found) == sorted(curve.found)


def test_equal_orders_do_not_differ_in_any_draw(twelve: TestSet) -> None:
    found = measure_equal_work(
        twelve, (said("challenger", MODEL), said("twin", MODEL)), BENIGN, minutes_per_alert=4, draws=200
    )

    assert found is not None
    twin = found.strategies[1].behind
    assert (0.0, 0.0, 0.0) == (twin.value, twin.low, twin.high)


def test_draws_weigh_messages_as_a_loop_over_copies_would(
    test_set: TestSet, answer: Callable[..., Predictions]
) -> None:
    """One resampled archive written out message by message gives the figure of the weighted sums."""
    from evaluation.equal_work import found_by, priority
    from evaluation.workload import alerts

    order = priority(test_set, answer("model", 0.7), BENIGN)
    wanted = alerts(test_set, test_set.truth, BENIGN)
    weights = next(thread_weights(test_set.thread_count, draws=3, seed=5))
    shares = np.array([0.1, 0.35])

    quick = found_by(order, wanted, test_set.threads, shares, weights)

    for drawn, row in zip(weights, quick, strict=True):
        copies = np.repeat(np.arange(len(test_set)), drawn[test_set.threads].astype(int))
        for share, value in zip(shares, row, strict=True):
            assert value == pytest.approx(_by_hand(order[copies], wanted[copies], share * len(copies)))


def _by_hand(order: np.ndarray, wanted: np.ndarray, budget: float) -> float:
    found, left = 0.0, budget
    for priority in sorted(set(order), reverse=True):
        group = wanted[order == priority]
        taken = min(left, len(group))
        found, left = found + group.mean() * taken, left - taken
    return found / wanted.sum()


def test_without_an_alert_there_is_nothing_to_compare(twelve: TestSet) -> None:
    assert measure_equal_work(twelve, (said("challenger", {}),), BENIGN, minutes_per_alert=4) is None


def test_terms_are_told_by_what_they_alone_find(twelve: TestSet) -> None:
    lexicon = Lexicon({"spam": ("prize", "win*", "free"), "off_channel": ("signal",)}, induced=False)
    texts = [""] * 12
    texts[0], texts[2], texts[3] = "you win a prize", "a prize", "winner"
    texts[5], texts[6], texts[7] = "signal", "no signal", "smoke signal"

    found = measure_terms(lexicon, twelve, texts, said("challenger", {3: 0.9}), BENIGN)

    figures = {term.term: (term.alerts, term.hits, term.alone, term.only_here) for term in found}
    assert {"signal": (3, 0, 0, 0), "prize": (2, 2, 1, 1), "win*": (2, 2, 1, 0)} == figures
    assert found[0].term == "signal"
    assert [0.0, 0.0, 0.5615] == pytest.approx(
        [found[0].precision.value, found[0].precision.low, found[0].precision.high], abs=1e-4
    )


def test_words_of_the_archive_are_no_terms_to_show(twelve: TestSet) -> None:
    learnt = Lexicon({"spam": ("kumquat",)}, induced=True)

    assert measure_terms(learnt, twelve, ["kumquat"] * 12, said("challenger", MODEL), BENIGN) == ()
