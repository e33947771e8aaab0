"""Labels and questions refer to messages by source; mistakes in them are told in one line."""

from pathlib import Path

import pytest

from data.labels import labels_by_rank, read_labels, read_questions, reference
from data.workspace import UserError


def test_a_reference_without_a_number_means_the_first_message() -> None:
    assert reference("a/b.eml") == "a/b.eml#0"
    assert reference("./a.mbox#007") == "a.mbox#7"
    assert reference("odd#name.eml") == "odd#name.eml#0"


def test_reads_labels_and_leaves_empty_ones_out(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("\ufeffsource,label\na.mbox#1, spam \nb.eml,\n", encoding="utf-8")

    assert read_labels(tmp_path / "labels.csv") == {"a.mbox#1": "spam"}


@pytest.mark.parametrize("content", [None, b"a,b\n1,2\n", b"\xff\xfe\x00"])
def test_bad_labels_are_a_mistake_of_the_user(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "labels.csv").write_bytes(content)

    with pytest.raises(UserError, match="source,label"):
        read_labels(tmp_path / "labels.csv")


def test_a_kept_message_inherits_the_label_of_its_copy_and_keeps_its_own() -> None:
    labels = {"a#1": "spam", "a#2": "ham", "a#3": "spam"}

    assert ["spam", "spam", "ham", "spam"] == labels_by_rank(
        labels, ["a#0", "a#1", "a#2", "a#3"], {1: 0, 3: 2}
    )


def test_a_line_that_is_no_question_is_named(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text('{"question": "Who?", "sources": ["a.eml"]}\n{"q": 1}\n')

    with pytest.raises(UserError, match="line 2"):
        read_questions(tmp_path / "questions.jsonl")


def test_a_question_may_hold_a_line_separator_of_its_own(tmp_path: Path) -> None:
    line = '{"question": "Who\u2028pays?", "sources": ["a.eml"]}'
    (tmp_path / "questions.jsonl").write_text(f"{line}\r\n{line}\n", encoding="utf-8", newline="")

    assert 2 == len(read_questions(tmp_path / "questions.jsonl"))


def test_several_labels_of_a_message_are_a_set_and_its_last_line_counts(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("source,label\na#1,ham\na#1,spam | gift\n", encoding="utf-8")

    assert read_labels(tmp_path / "labels.csv") == {"a#1": "gift|spam"}
