"""Several labels of one message are one string, and every model's answer is read in the same way."""

from __future__ import annotations

import numpy as np
import pytest

from data.label_sets import (
    as_written,
    classes_of,
    given,
    is_multi_label,
    members,
    multi_hot,
    named,
    sigmoid_at,
)


def test_a_set_is_its_members_in_order_however_it_is_written() -> None:
    assert as_written(" spam| gift |spam| ") == "gift|spam"
    assert as_written("spam") == "spam"
    assert as_written(" | ") == ""
    assert members("gift|spam") == ("gift", "spam")


def test_the_classes_are_the_members() -> None:
    labels = ["gift|spam", "ordinary", "spam"]

    assert is_multi_label(labels)
    assert not is_multi_label(labels[1:])
    assert classes_of(labels) == ("gift", "ordinary", "spam")
    assert named(multi_hot(labels, classes_of(labels)), classes_of(labels)) == labels


def test_a_member_that_is_no_class_is_left_out() -> None:
    assert multi_hot(["gift|new"], ["gift", "spam"]).tolist() == [[True, False]]


def test_every_label_that_reaches_its_threshold_is_given_and_never_none() -> None:
    stated = np.array([[0.6, 0.3, 0.1], [0.4, 0.1, 0.0], [0.5, 0.2, 0.1]], np.float32)

    applies = given(stated, (0.5, 0.2, 0.9))

    assert named(applies, "abc") == ["a|b", "a", "a|b"]


def test_without_thresholds_the_most_probable_label_is_given() -> None:
    assert named(given(np.array([[0.6, 0.55], [0.1, 0.2]]), None), "ab") == ["a", "b"]


def test_a_sigmoid_is_cooled_by_its_logit() -> None:
    logits = np.array([-3.0, 0.0, 5.0])

    assert sigmoid_at(1 / (1 + np.exp(-logits)), 2.0) == pytest.approx(1 / (1 + np.exp(-logits / 2)))
