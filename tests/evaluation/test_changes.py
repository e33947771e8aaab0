"""What a reviewer is told of the champion: what is recorded, and plainly what is not."""

from __future__ import annotations

import numpy as np

from evaluation.changes import Change, DatasetCounts, Flips, Origin, changes_between, count_flips
from evaluation.metrics import Predictions, TestSet

NONE_MOVED = Flips(0, 0, 0, 0)


def between(before: Origin, after: Origin) -> dict[str, Change]:
    made = changes_between(before, after, NONE_MOVED, release="r", versions=("1", "2"))
    return {fact.name: fact for fact in made.facts}


def test_a_fact_is_the_same_only_where_both_are_recorded() -> None:
    before = Origin({"dataset": "a", "gate": "b", "commit": ""})
    after = Origin({"dataset": "a", "gate": "c", "commit": ""})

    facts = between(before, after)

    assert facts["dataset"].is_same
    assert ("b", "c", False) == (
        facts["gate rules"].before,
        facts["gate rules"].after,
        facts["gate rules"].is_same,
    )
    assert (None, False) == (facts["code commit"].before, facts["code commit"].is_same)
    assert (None, None) == (facts["package lock"].before, facts["package lock"].after)


def test_lists_only_the_fields_of_the_recipe_that_differ() -> None:
    before = Origin(recipe={"classifier.epochs": "3", "classifier.patience": "2", "embedder.scale": "20.0"})
    after = Origin(recipe={"classifier.epochs": "5", "classifier.patience": "2"})

    made = changes_between(before, after, NONE_MOVED, release="r", versions=("1", "2"))

    assert (Change("classifier.epochs", "3", "5"), Change("embedder.scale", "20.0", None)) == made.recipe


def test_a_recipe_that_was_not_recorded_is_not_one_without_differences() -> None:
    made = changes_between(
        Origin(), Origin(recipe={"classifier.epochs": "5"}), NONE_MOVED, release="r", versions=("1", "2")
    )

    assert made.recipe is None


def test_counts_of_an_older_champion_are_not_zero_but_unknown() -> None:
    after = Origin({"dataset": "b"}, counts=DatasetCounts(10, {"test": 4}, {"spam": 3}))
    recorded = Origin({"dataset": "a"}, counts=DatasetCounts(8, {"test": 4}, {"ham": 2}))

    unknown, known = (
        {count.name: (count.before, count.after) for count in made.counts}
        for made in (
            changes_between(before, after, NONE_MOVED, release="r", versions=("1", "2"))
            for before in (Origin({"dataset": "a"}), recorded)
        )
    )

    assert (None, 10) == unknown["messages"]
    assert {
        "messages": (8, 10),
        "messages in test": (4, 4),
        "label spam": (0, 3),
        "label ham": (2, 0),
    } == known


def test_one_dataset_has_one_count_even_if_the_champion_recorded_none() -> None:
    after = Origin({"dataset": "a"}, counts=DatasetCounts(10, {"test": 4}, {"spam": 3}))

    made = changes_between(Origin({"dataset": "a"}), after, NONE_MOVED, release="r", versions=("1", "2"))

    assert all(count.is_same for count in made.counts)


def test_counts_every_message_in_exactly_one_way() -> None:
    test = TestSet(tuple("abcdef"), np.arange(6), ("ham", "spam", "x"), np.array([0, 0, 1, 1, 2, 2]))
    champion = Predictions("champion", np.array([0, 0, 0, 0, 0, 1]))
    challenger = Predictions("challenger", np.array([0, 1, 1, 0, 1, 1]))

    assert (
        Flips(right_to_wrong=1, wrong_to_right=1, wrong_to_otherwise_wrong=1, unchanged=3)
    ) == count_flips(test, champion, challenger)
