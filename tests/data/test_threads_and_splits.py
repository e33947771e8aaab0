"""Conversations stay together, on one side of the split."""

from data.splits import split_of, splits
from data.threads import Groups, Ties, threads


def test_references_join_messages_through_ones_the_archive_lacks() -> None:
    ties = [Ties("b", ("root",), "", True), Ties("x", (), "", False), Ties("c", ("lost", "root"), "", True)]

    ids, _ = threads(ties)

    assert ids == ["root", "x", "root"]


def test_replies_without_references_join_by_topic_and_reports_do_not() -> None:
    ids, _ = threads(
        [
            Ties("a", (), "plan", False),
            Ties("b", (), "plan", True),
            Ties("c", (), "daily", False),
            Ties("d", (), "daily", False),
        ]
    )

    assert ids == ["a", "a", "c", "d"]


def test_linked_threads_share_a_split() -> None:
    sides, components = splits(["m0", "m1", "m2"], Groups(3), [(2, 1)], seed=7)

    assert components == ["m0", "m1", "m1"]
    assert sides[1] == sides[2]


def test_later_messages_do_not_move_earlier_ones() -> None:
    before, _ = splits(["m0", "m1"], Groups(2), [], seed=7)
    after, _ = splits(["m0", "m1", "m2"], Groups(3), [(0, 2)], seed=7)

    assert before == after[:2]


def test_shares_are_about_seventy_ten_twenty() -> None:
    sides = [split_of(str(number), seed=7) for number in range(10_000)]

    assert abs(sides.count("train") - 7000) < 200
    assert abs(sides.count("valid") - 1000) < 100
