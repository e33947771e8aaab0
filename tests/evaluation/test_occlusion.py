"""The words that an answer rests on are found by leaving them out, with a model whose reasons are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluation.occlusion import SHOWN_WORDS, evidence_of
from training.scores import Scores

WEIGHTS = {"shred": 3.0, "minutes": 1.0, "lunch": -2.0, "[EMAIL_0123abcd]": 2.0}


def score(texts: Sequence[str]) -> Scores:
    """A classifier that adds up the words that it knows."""
    logits = np.array([sum(weight for word, weight in WEIGHTS.items() if word in text) for text in texts])
    guilty = 1 / (1 + np.exp(-logits))
    return Scores(("guilty", "innocent"), np.column_stack([guilty, 1 - guilty]).astype(np.float32))


def marked(subject: str, text: str) -> tuple[str, list[str]]:
    found = evidence_of([(subject, text)], score)[0]
    whole = f"{subject}\n{text}"
    assert found.sentence is not None
    return (
        whole[found.sentence.start : found.sentence.end],
        [whole[word.start : word.end] for word in found.words],
    )


def test_finds_the_sentence_and_its_words() -> None:
    sentence, words = marked("Tuesday", "Hello there. Please shred the minutes. Bye.")

    assert "Please shred the minutes." == sentence
    assert ["shred", "minutes"] == words


def test_falls_are_those_of_the_stated_probability() -> None:
    found = evidence_of([("", "Hello. We shred it.")], score)[0]

    assert found.sentence is not None
    assert "guilty" == found.answer
    np.testing.assert_allclose(found.sentence.fall, 1 / (1 + np.exp(-3)) - 0.5, rtol=1e-5)
    np.testing.assert_allclose(found.words[0].fall, found.sentence.fall, rtol=1e-5)


def test_a_placeholder_is_one_word() -> None:
    _, words = marked("", "Write to [EMAIL_0123abcd] today.")

    assert ["[EMAIL_0123abcd]"] == words


def test_the_subject_is_a_sentence_of_its_own_however_long() -> None:
    subject = "A long subject line of more than fifty characters about how to shred"

    assert subject == marked(subject, "and a first line of text that goes on without any end")[0]


def test_a_message_without_a_reason_has_no_evidence() -> None:
    empty, even = evidence_of([("", ""), ("", "Nothing known is here.")], score)

    assert (None, ()) == (empty.sentence, empty.words)
    assert even.sentence is None


def test_asks_the_model_three_times_whatever_the_number_of_messages() -> None:
    asked: list[int] = []

    def counted(texts: Sequence[str]) -> Scores:
        asked.append(len(texts))
        return score(texts)

    found = evidence_of([("", "We shred. And lunch.")] * 5, counted)

    assert [5, 10, 10] == asked
    assert all(len(each.words) <= SHOWN_WORDS for each in found)
