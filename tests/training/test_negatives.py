"""Negatives lie near and belong to others: no text of the pair's own thread, none that may be its answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from training.contrast import base_model, fit_embedder
from training.negatives import mine_negatives
from training.pairs import Pair
from training.recipe import load_recipe

ANGLES = {
    **{"asked": 0.0, "answer": 0.5, "same thread": 0.4},
    **{"as good": 0.45, "near": 0.7, "far": 1.5, "further": 2.5},
}


def encode(texts: Sequence[str]) -> np.ndarray:
    return np.array([[np.cos(ANGLES[each]), np.sin(ANGLES[each])] for each in texts], np.float32)


def pair(thread: str, positive: str, anchor: str = "far") -> Pair:
    return Pair("reply", thread, anchor, positive)


ASKED = pair("t", "answer", anchor="asked")
OTHERS = [pair("t", "same thread"), *(pair(each, each) for each in ("far", "as good", "near", "further"))]


def test_the_nearest_strangers_are_taken_but_not_what_may_be_an_answer() -> None:
    assert ("near", "far") == mine_negatives(encode, [ASKED, *OTHERS], 2)[ASKED]


def test_where_strangers_are_few_all_of_them_serve() -> None:
    few = [ASKED, pair("o", "as good"), pair("p", "near")]

    assert ("near", "as good") == mine_negatives(encode, few, 2)[ASKED]
    assert ASKED not in mine_negatives(encode, few, 3)


def test_a_thread_by_itself_has_no_strangers() -> None:
    assert {} == mine_negatives(encode, [ASKED, pair("t", "near")], 1)


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
