"""What the label commands record, by name and with what a model had said, and what they count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data import feedback
from data.dataset import read_messages
from data.label_sets import as_written, classes_of, is_multi_label, members
from data.labels import refuse_personal_data
from data.review import reviews_of
from data.workspace import UserError
from evaluation.agreement import measure_agreement


def record(labels: Sequence[tuple[str, str, str]], reviewer: str, dataset: Path, *, allow_new: bool) -> None:
    """Sign labels, each (message id, label, reason), with the rule and model of their proposals.

    Raises:
        UserError: a message that the dataset does not have, a label that nothing has yet, personal data.
    """
    history = feedback.read()
    known = read_messages(dataset, columns=("message_id", "label")).to_pydict()
    ids = set(known["message_id"])
    labels = [(message_id, as_written(label), reason) for message_id, label, reason in labels]
    said = {label for label in known["label"] if label} | {record.label for _, record in history.labels}
    names = set(classes_of(said))
    for message_id, label, _ in labels:
        refuse_personal_data(label, "the label")
        if message_id not in ids:
            raise UserError(f"no message {message_id[:40]!r} in {dataset}; see: mailroom label next")
        if not label or not (allow_new or set(members(label)) <= names):
            choices = ", ".join(sorted(names)) or "none"
            raise UserError(f"nothing is called {label!r} yet; choose one of {choices}, or add --new")
        if is_multi_label([label]) and not is_multi_label(said) and not allow_new:
            raise UserError(f"no message has several labels yet, as {label!r}; to begin with it, add --new")
    feedback.add(feedback.as_proposed(labels, history), reviewer=reviewer)


def state(dataset: Path) -> str:
    """Return counts, disputes and agreement as text."""
    history = feedback.read()
    reviews = reviews_of(history)
    in_dataset = dict(
        zip(*read_messages(dataset, columns=("message_id", "label")).to_pydict().values(), strict=True)
    )
    states = Counter(review.state for review in reviews.values())
    settled = {each.message_id: str(each.settled) for each in reviews.values() if each.settled is not None}
    news = sum(in_dataset.get(each, label) != label for each, label in settled.items())
    lines = [
        f"labelled {len(reviews):,} messages: {states['settled']:,} settled, {states['waiting']:,} wait for "
        f"a second reviewer, {states['disputed']:,} disputed"
        + (f"; {history.erased:,} records erased" if history.erased else ""),
        f"settled as: {_listed(Counter(settled.values()))}",
        f"chosen: {_listed(Counter(review.rule or 'by hand' for review in reviews.values()))}",
        f"by reviewer: {_listed(Counter(event.reviewer for event, _ in history.labels))}",
        f"the next mailroom run changes {news:,} labels of {dataset}",
        str(measure_agreement(reviews.values()) or "agreement: no message was labelled twice yet"),
    ]
    lines += [f"disputed: {each.message_id}" for each in reviews.values() if each.state == "disputed"]
    return "\n".join(lines)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
