"""The baselines and the leakage search on small texts."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.baselines import (
    Lexicon,
    default_label,
    from_probabilities,
    induce_lexicon,
    predict_by_lexicon,
    predict_by_tfidf,
    read_lexicon,
)
from evaluation.leakage import find_leakage
from evaluation.metrics import TestSet

BENIGN = ("ordinary",)
LABELS = ("off_channel", "ordinary", "spam")
TEXTS = ["Let us move to WhatsApp", "You won a prize, unsubscribe", "The minutes are attached"]
TEST = TestSet(("a", "b", "c"), np.arange(3), LABELS, np.array([0, 2, 1]))
LONG = (
    "the quarterly figures of the northern desk will be sent to all heads of department on monday, "
    "and whoever misses a number there should write to the controller before the end of that week"
)


def test_the_lexicon_keeps_only_labels_that_the_dataset_knows() -> None:
    lexicon = read_lexicon(["off_channel", "spam", "something_else"])

    assert lexicon is not None
    assert {"off_channel", "spam"} == set(lexicon.terms)
    assert read_lexicon(["something_else"]) is None


def test_the_lexicon_gives_the_label_with_most_terms_and_else_the_default() -> None:
    lexicon = read_lexicon(LABELS)
    assert lexicon is not None

    said = predict_by_lexicon(TEST, TEXTS, lexicon, "ordinary")

    assert [0, 2, 1] == said.predicted.tolist()


def test_lexicon_terms_are_whole_words_unless_they_end_in_a_star() -> None:
    lexicon = Lexicon({"spam": ("free", "win*")}, induced=False)

    assert [[0], [1], [1]] == lexicon.matches(["freedom", "FREE!", "winning"]).tolist()


def test_a_lexicon_is_induced_from_labels_that_no_list_covers() -> None:
    texts = ["kumquat harvest", "kumquat prices", "meeting at noon", "meeting moved"]

    lexicon = induce_lexicon(texts, ["fruit", "fruit", "ordinary", "ordinary"], BENIGN)

    assert lexicon.induced
    assert lexicon.terms["fruit"][0] == "kumquat"


def test_tfidf_learns_the_train_split() -> None:
    train = [
        "whatsapp me",
        "use whatsapp now",
        "win a prize",
        "prize inside",
        "minutes attached",
        "the minutes",
    ]
    labels = ["off_channel", "off_channel", "spam", "spam", "ordinary", "ordinary"]

    said = predict_by_tfidf(TEST, TEXTS, train, labels, BENIGN)

    assert [0, 2, 1] == said.predicted.tolist()
    assert said.probabilities is not None
    assert np.allclose(1, said.probabilities.sum(axis=1))


def test_an_answer_with_nan_is_no_answer() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [np.nan, 0.5, 0.5], [0.1, 0.8, 0.1]])

    said = from_probabilities("model", TEST, LABELS, probabilities, BENIGN)

    assert said.complete == 2
    assert said.predicted.tolist() == [0, 3, 1]


def test_a_models_own_label_order_does_not_matter() -> None:
    said = from_probabilities(
        "model", TEST, ("spam", "elsewhere", "off_channel"), np.eye(3)[[2, 0, 1]], BENIGN
    )

    assert said.predicted.tolist() == [0, 2, 3]


def test_the_default_label_is_the_most_frequent_benign_one() -> None:
    assert default_label(["spam", "spam", "ham"], ("ordinary", "ham")) == "ham"
    assert default_label(["spam", "spam", "phishing"], ("ordinary", "ham")) == "spam"


@pytest.mark.parametrize(
    ("seen", "thread", "expected"),
    [
        ([LONG.upper()], "other", (1, 0, 0)),
        ([LONG + " please"], "other", (0, 1, 0)),
        (["something entirely different about lunch in the canteen on thursday"], "t", (0, 0, 1)),
        ([LONG.replace("monday", "friday").replace("northern desk", "southern branch")], "other", (0, 0, 0)),
    ],
    ids=["identical", "near copy", "shared thread", "another message of the same kind"],
)
def test_leaks_are_found_by_kind(seen: list[str], thread: str, expected: tuple[int, int, int]) -> None:
    found = find_leakage([LONG], ["t"], seen, [thread])

    assert expected == (found.identical, found.near_copies, found.shared_threads)


def test_short_messages_are_alike_without_being_leaks() -> None:
    found = find_leakage(
        ["Re: the plan\nThanks, will do", "Noted", LONG],
        ["t", "u", "v"],
        ["re the plan thanks will do!", LONG.replace("monday", "friday")],
        ["w", "x"],
    )

    assert 0 == found.total
    assert (2, 1) == (found.short, found.identical_short)
