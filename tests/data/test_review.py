"""Two reviewers a message, a third where they disagree; what is settled becomes the dataset's label."""

from __future__ import annotations

import pytest

from data import feedback
from data.feedback import Label, Rule
from data.labels import joined_labels
from data.review import SettledLabel, reviews_of, settled_labels

pytestmark = pytest.mark.usefixtures("workspace")


def say(reviewer: str, label: str, rule: Rule = "") -> None:
    feedback.add([Label("m1", label, rule)], reviewer=reviewer)


def state() -> tuple[str, str | None]:
    review = reviews_of(feedback.read())["m1"]
    return review.state, review.settled


def test_one_reviewer_settles_nothing_and_two_who_agree_do() -> None:
    say("ada", "spam")
    assert ("waiting", None) == state()

    say("bo", "spam")
    assert ("settled", "spam") == state()


def test_a_third_reviewer_decides_a_disagreement() -> None:
    say("ada", "spam")
    say("bo", "ordinary")
    assert ("disputed", None) == state()

    say("cy", "ordinary")
    assert ("settled", "ordinary") == state()


def test_three_opinions_and_two_against_two_stay_disputed() -> None:
    for reviewer, label in (("ada", "spam"), ("bo", "ordinary"), ("cy", "harassment")):
        say(reviewer, label)
    assert ("disputed", None) == state()

    say("di", "spam")
    say("ed", "ordinary")
    assert ("disputed", None) == state()


def test_the_same_person_in_other_letters_is_no_second_reviewer() -> None:
    say("Ada", "spam")
    say("ada", "spam")

    assert ("waiting", None) == state()


def test_a_changed_mind_counts_but_agreement_keeps_the_first_word() -> None:
    say("ada", "spam")
    say("bo", "ordinary")
    say("bo", "spam")

    review = reviews_of(feedback.read())["m1"]
    assert "spam" == review.settled
    assert (("ada", "spam"), ("bo", "ordinary")) == review.first


def test_the_digest_follows_what_is_settled() -> None:
    assert "" == settled_labels().digest
    say("ada", "spam")
    assert "" == settled_labels().digest

    say("bo", "spam")
    agreed = settled_labels()
    say("cy", "spam")
    assert agreed == settled_labels()

    feedback.erase({"m1"})
    assert "" == settled_labels().digest


def test_feedback_wins_over_the_file_and_conflicts_are_counted() -> None:
    joined = joined_labels(
        ["spam", "spam", None, None],
        [SettledLabel("ordinary", ""), SettledLabel("spam", ""), SettledLabel("spam", "uncertain"), None],
        ["train", "train", "train", "train"],
    )

    assert ["ordinary", "spam", "spam", None] == joined.labels
    assert ["feedback", "feedback", "feedback", None] == joined.sources
    assert {0} == joined.conflicts


@pytest.mark.parametrize("split", ["valid", "test"])
def test_what_a_model_chose_enters_no_split_that_is_measured_on(split: str) -> None:
    joined = joined_labels(
        [None, None, "spam"],
        [SettledLabel("spam", "uncertain"), SettledLabel("spam", "random"), SettledLabel("ordinary", "")],
        [split] * 3,
    )

    assert [None, "spam", "ordinary"] == joined.labels
    assert ({0}, {2}) == (joined.left_out, joined.conflicts)
