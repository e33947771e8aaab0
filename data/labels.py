"""What people said about messages: labels.csv and questions.jsonl, tied to messages by their source."""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from data.label_sets import as_written
from data.redact import redact
from data.review import SettledLabel
from data.workspace import UserError

T = TypeVar("T")
FILE, FEEDBACK = "labels.csv", "feedback"


@dataclass(frozen=True, slots=True)
class Labelling:
    """The label of every message in rank order, and which of the two sources said it.

    ``conflicts`` are ranks where feedback has overruled the file; ``left_out`` those whose feedback does
    not count, because a model had chosen them for review and they are not in train.
    """

    labels: list[str | None]
    sources: list[str | None]
    conflicts: frozenset[int]
    left_out: frozenset[int]


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the archive. ``sources`` name the messages that answer it, if any does."""

    question: str
    answer: str
    sources: tuple[str, ...]
    answerable: bool


def read_labels(path: Path) -> dict[str, str]:
    """Return label by source reference; a cell with several, ``a|b``, is a set (``data.label_sets``).

    The last line of a source counts.

    Raises:
        UserError: the file is missing, is no CSV, or lacks the columns source and label.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            rows = csv.DictReader(handle)
            if not {"source", "label"} <= set(rows.fieldnames or ()):
                raise UserError(f"{path} lacks the columns; its first line must be: source,label")
            labels = {}
            for row in rows:
                label = as_written(row["label"] or "")
                refuse_personal_data(label, f"{path}, line {rows.line_num}")
                labels[reference(row["source"] or "")] = label
    except OSError as error:
        raise UserError(
            f"the labels {path} cannot be read ({error.strerror}); give a CSV: source,label"
        ) from error
    except (csv.Error, UnicodeDecodeError):
        raise UserError(f"the labels {path} are no CSV in UTF-8; write lines: source,label") from None
    return {source: label for source, label in labels.items() if source and label}


@functools.lru_cache(maxsize=1000)
def _holds_personal_data(label: str) -> bool:
    return any(span.kind not in ("PERSON", "ADDRESS") for span in redact(label, key=b"").spans)


def refuse_personal_data(label: str, place: str) -> None:
    """Raise a UserError for a label that holds an address or a number: labels are written as they stand."""
    if _holds_personal_data(label):
        raise UserError(f"{place}: the label holds personal data; a label names a class of messages")


def read_questions(path: Path) -> list[Question]:
    """Return the questions of an archive; an archive without the file has none.

    Raises:
        UserError: a line is not a question.
    """
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # not splitlines: JSON may hold U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the questions {path} cannot be read ({type(error).__name__}); write UTF-8"
        ) from None
    questions = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            questions.append(_question(line, f"{path}, line {number}"))
    return questions


def _question(line: str, place: str) -> Question:
    problem = f'{place} is no question; write {{"question": …, "answer": …, "sources": […], "answerable": …}}'
    try:
        stated = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(problem) from None
    if not isinstance(stated, dict) or not isinstance(stated.get("question"), str):
        raise UserError(problem)
    sources = stated.get("sources") or []
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise UserError(problem)
    answerable = stated.get("answerable", bool(sources))
    return Question(
        stated["question"], str(stated.get("answer") or ""), tuple(map(reference, sources)), bool(answerable)
    )


def reference(written: str) -> str:
    """Return a reference in its full form, ``relative/path#locator``."""
    source, _, locator = written.strip().replace("\\", "/").removeprefix("./").rpartition("#")
    if source and locator.isdecimal():
        return f"{source}#{int(locator)}"
    return f"{written.strip().replace(chr(92), '/').removeprefix('./')}#0"


def labels_by_rank(
    labels: Mapping[str, T], references: Sequence[str], kept_by_copy: Mapping[int, int]
) -> list[T | None]:
    """Return the label of every message, in rank order; a kept one takes the label of its earliest
    labelled copy when it has none itself."""
    found = [labels.get(each) for each in references]
    for copy, kept in sorted(kept_by_copy.items()):
        if found[kept] is None:
            found[kept] = found[copy]
    return found


def joined_labels(
    stated: Sequence[str | None], settled: Sequence[SettledLabel | None], splits: Sequence[str]
) -> Labelling:
    """Join the labels of the file with what review has settled; feedback wins.

    In valid and test, feedback only corrects a label or adds one to a message that chance chose:
    figures measured on messages that a model picked would say nothing about the archive.
    """
    labels, sources = list(stated), [FILE if label is not None else None for label in stated]
    conflicts, left_out = set[int](), set[int]()
    for rank, feedback in enumerate(settled):
        if feedback is None:
            continue
        if splits[rank] != "train" and stated[rank] is None and feedback.rule != "random":
            left_out.add(rank)
            continue
        if stated[rank] not in (None, feedback.label):
            conflicts.add(rank)
        labels[rank], sources[rank] = feedback.label, FEEDBACK
    return Labelling(labels, sources, frozenset(conflicts), frozenset(left_out))
