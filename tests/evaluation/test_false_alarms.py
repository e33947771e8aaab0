"""The drift checks on messages that did not drift, and the effect sizes beside Evidently's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.drift import DESCRIPTORS, Sketch, in_same_space, measure_drift
from evaluation.false_alarms import (
    embedding_auc,
    jensen_shannon,
    largest_effect,
    measure_false_alarms,
    wasserstein,
)


def sketch(messages: int, *, seed: int, shift: float = 0.0) -> Sketch:
    random = np.random.default_rng(seed)
    descriptors = random.gamma(2, 3, (messages, len(DESCRIPTORS))) + shift
    embeddings = random.normal(shift, 1, (messages, 24))
    predicted = tuple(random.choice(["ordinary", "spam", "harassment"], messages, p=[0.7, 0.2, 0.1]))
    return Sketch(descriptors, embeddings, predicted)


def test_wasserstein_of_a_shift_by_one_deviation_is_one() -> None:
    values = np.array([-1.0, 1.0, -1.0, 1.0])  # standard deviation 1

    assert wasserstein(values, values + 1) == pytest.approx(1)


def test_jensen_shannon_of_labels_with_nothing_in_common() -> None:
    assert jensen_shannon(["a", "a"], ["b"]) == pytest.approx(np.sqrt(np.log(2)))
    assert jensen_shannon(["a", "b"], ["b", "a"]) == 0


@pytest.mark.slow
def test_the_effects_are_those_of_evidently(tmp_path: Path) -> None:
    reference, current = sketch(120, seed=1), sketch(90, seed=2, shift=0.4)

    theirs = measure_drift(reference, current, tmp_path / "drift.html", described_as="made up")

    ours = [
        wasserstein(before, now)
        for before, now in zip(reference.descriptors.T, current.descriptors.T, strict=True)
    ]
    assert [*ours, jensen_shannon(reference.predicted, current.predicted)] == pytest.approx(
        [column.effect for column in theirs.columns]
    )
    assert largest_effect(reference, current) == pytest.approx(theirs.largest)
    assert embedding_auc(*in_same_space(reference, current)) == pytest.approx(theirs.embedding_auc)


def test_a_loose_limit_never_fires_and_a_tight_one_always() -> None:
    reference = sketch(80, seed=3)

    loose = measure_false_alarms(reference, embedding_limit=1, descriptor_limit=9, draws=20)
    tight = measure_false_alarms(reference, embedding_limit=0, descriptor_limit=0, draws=20)

    assert loose is not None
    assert tight is not None
    assert (0.0, 0.0) == (loose.embeddings.value, loose.descriptors.value)
    assert (1.0, 1.0) == (tight.embeddings.value, tight.descriptors.value)
    assert loose.embeddings.high == pytest.approx(0.161, abs=0.001)  # Wilson, 0 of 20
    assert (20, 40) == (loose.draws, loose.messages)


def test_a_coin_fires_in_half_of_the_draws() -> None:
    """Both halves are alike, so the area under the curve lies as often above .5 as below."""
    found = measure_false_alarms(sketch(100, seed=4), embedding_limit=0.5, descriptor_limit=9, draws=100)

    assert found is not None
    assert 0.35 < found.embeddings.value < 0.65


def test_too_small_a_reference_is_not_measured() -> None:
    assert measure_false_alarms(sketch(39, seed=5), embedding_limit=0.8, descriptor_limit=0.5) is None
