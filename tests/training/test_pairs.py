from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.training.made_messages import message_row, messages_table, thread_rows
from training.pairs import Pair, batches_of_strangers, own_sentences, training_pairs

START = datetime(2026, 1, 1, tzinfo=UTC)
LONG = "The order was filled at noon. " * 4 + "The client asked for a written confirmation. " * 4


def test_a_subject_is_paired_with_the_text_it_stands_over() -> None:
    rows = [message_row(1, subject="Re: Quarterly figures", text="Here are the figures you wanted.")]

    pairs = training_pairs(messages_table(rows), max_per_kind=10)

    assert (Pair("subject", "t1", "Quarterly figures", "Here are the figures you wanted."),) == pairs


def test_a_message_is_paired_with_the_one_before_it_in_time() -> None:
    rows = [
        message_row(
            1, thread_id="t", sent_at=START + timedelta(hours=2), text="I have checked the second file."
        ),
        message_row(2, thread_id="t", sent_at=START, text="Please check both of the files."),
        message_row(
            3, thread_id="t", sent_at=START + timedelta(hours=1), text="The first file looks all right."
        ),
    ]

    replies = training_pairs(messages_table(rows), max_per_kind=10)

    assert [pair.anchor for pair in replies] == [
        "The first file looks all right.",
        "I have checked the second file.",
    ]
    assert [pair.positive for pair in replies] == [
        "Please check both of the files.",
        "The first file looks all right.",
    ]


def test_a_chat_thread_without_subjects_gives_replies() -> None:
    rows = [
        message_row(number, channel="chat", thread_id="c", text=f"A line of chat with number {number}")
        for number in range(3)
    ]

    assert [pair.kind for pair in training_pairs(messages_table(rows), max_per_kind=10)] == ["reply", "reply"]


def test_the_halves_of_a_long_text_are_cut_at_a_sentence() -> None:
    (halves,) = training_pairs(messages_table([message_row(1, text=LONG)]), max_per_kind=10)

    assert halves.kind == "halves"
    assert halves.positive.endswith(".")
    assert halves.anchor[0].isupper()


def test_short_texts_and_repeated_texts_give_no_pair() -> None:
    rows = [message_row(1, thread_id="t", subject="Hi", text="ok"), message_row(2, thread_id="t", text="ok")]
    copies = [message_row(number, thread_id="u", text="The very same words again.") for number in (3, 4)]

    assert training_pairs(messages_table([*rows, *copies]), max_per_kind=10) == ()


def test_no_pair_shows_the_digits_of_a_pseudonym() -> None:
    pairs = training_pairs(messages_table(thread_rows(6)), max_per_kind=100)

    assert pairs
    assert not any("0123abcd" in pair.anchor + pair.positive for pair in pairs)


def test_the_pairs_kept_do_not_depend_on_the_order_of_the_rows() -> None:
    rows = thread_rows(30)

    there = training_pairs(messages_table(rows), max_per_kind=7)
    back = training_pairs(messages_table(rows[::-1]), max_per_kind=7)

    assert there == back
    assert {kind: sum(p.kind == kind for p in there) for kind in ("subject", "reply")} == {
        "subject": 7,
        "reply": 7,
    }


def test_no_batch_holds_two_pairs_of_one_thread_or_one_text() -> None:
    pairs = [Pair("reply", f"t{n % 9}", f"question {n % 14}", f"answer {n}") for n in range(80)]

    batches = batches_of_strangers(pairs, 6, seed=1)

    assert len(batches) >= 8
    for batch in batches:
        assert len({pair.thread_id for pair in batch}) == 6
        assert len({text for pair in batch for text in (pair.anchor, pair.positive)}) == 12


def test_the_same_seed_gives_the_same_batches() -> None:
    pairs = [Pair("reply", f"t{n}", f"question {n}", f"answer {n}") for n in range(40)]

    assert batches_of_strangers(pairs, 8, seed=3) == batches_of_strangers(pairs, 8, seed=3)
    assert batches_of_strangers(pairs, 8, seed=3) != batches_of_strangers(pairs, 8, seed=4)


def test_too_few_pairs_for_a_full_batch_give_one_smaller_batch() -> None:
    pairs = [Pair("reply", f"t{n}", f"question {n}", f"answer {n}") for n in range(5)]

    assert [len(batch) for batch in batches_of_strangers(pairs, 32, seed=0)] == [5]


def test_a_sentence_of_its_own_stands_for_a_text_of_several() -> None:
    rows = [
        message_row(1, text="Lunch is at noon. The canteen has soup today, and bread."),
        message_row(2, text="Only one sentence, nothing to ask with."),
    ]

    (pair,) = own_sentences(messages_table(rows), most=10)

    assert (pair.anchor, pair.positive) == (
        "The canteen has soup today, and bread.",
        "Lunch is at noon. The canteen has soup today, and bread.",
    )
