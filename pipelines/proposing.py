"""Which messages a reviewer is asked to label next: disputes, second reviews, then new ones by rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data import feedback
from data.dataset import read_messages
from data.feedback import History, Proposal, Rule, Said
from data.model_input import classifier_input
from data.progress import stage
from data.review import REVIEWERS, Review, reviews_of
from data.workspace import home
from evaluation.propose import Unlabelled, by_chance, choose

if TYPE_CHECKING:
    from training.scores import Scores

POOL = 2_000  # messages that the classifier is asked about: half a minute on one core
RESERVED = timedelta(days=1)  # for so long a proposal keeps others from being asked in vain
COLUMNS = ("message_id", "thread_id", "channel", "source", "locator", "split", "subject", "text", "label")


@dataclass(frozen=True, slots=True)
class Task:
    """One message to label: ``kind`` is new, second or third; what others or a model said is not shown."""

    message_id: str
    kind: str
    rule: Rule
    channel: str
    reference: str
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Proposed:
    """What a reviewer is asked; ``model`` has chosen the uncertain ones, if there was one."""

    tasks: tuple[Task, ...]
    model: str

    def described(self, *, text: bool) -> str:
        """Return a line a message, with its redacted text only if asked for."""
        lines = [
            f"{task.message_id}  {task.kind:6}  {task.rule or 'by hand':9}  {task.channel:10}  "
            + (f"{task.reference}\n{task.text}\n" if text else task.reference)
            for task in self.tasks
        ]
        return "\n".join([*lines, f"{len(self.tasks):,} messages; uncertain by {self.model or 'no model'}"])


@dataclass(frozen=True, slots=True)
class _Model:
    """A classifier as it is asked: its name for the record, its folder, its temperature."""

    name: str
    folder: Path
    temperature: float


def propose(reviewer: str, dataset: Path, *, count: int, from_test: bool, seed: int) -> Proposed:
    """Return what a reviewer should label next, and sign that it was proposed and why.

    First what two others dispute, then what one other has labelled, then unlabelled messages; of the
    test split by chance alone, else by a model from train and by chance from train and valid.
    """
    name, history = reviewer.strip().casefold(), feedback.read()
    reviews = reviews_of(history)
    rows = {row["message_id"]: row for row in read_messages(dataset, columns=COLUMNS).to_pylist()}
    in_pool = {each for each, row in rows.items() if (row["split"] == "test") == from_test}
    others = [
        review for review in reviews.values() if review.message_id in in_pool and name not in review.reviewers
    ]
    again = [(review, "third") for review in others if review.state == "disputed"]
    again += [(review, "second") for review in others if review.state == "waiting"]
    busy = _reserved(history, reviews, name)
    tasks = [
        _task(rows[review.message_id], kind, review.rule)
        for review, kind in again
        if review.message_id not in busy
    ][:count]
    taken = busy | reviews.keys()
    open_rows = [rows[each] for each in sorted(in_pool - taken) if rows[each]["label"] is None]
    with _classifier(wanted=bool(open_rows) and len(tasks) < count and not from_test) as model:
        new, said = _new(open_rows, model, count=count - len(tasks), seed=seed)
    tasks += new
    known = {record.message_id for event, record in history.proposals if event.reviewer == name}
    feedback.add(
        [
            Proposal(task.message_id, task.rule, said.get(task.message_id, Said()))
            for task in tasks
            if task.message_id not in known
        ],
        reviewer=reviewer,
    )
    return Proposed(tuple(tasks), model.name if model else "")


def _task(row: dict[str, Any], kind: str, rule: Rule) -> Task:
    text = f"{row['subject'] or ''}\n{row['text'] or ''}".strip()
    return Task(row["message_id"], kind, rule, row["channel"], f"{row['source']}#{row['locator']}", text)


def _reserved(history: History, reviews: dict[str, Review], name: str) -> set[str]:
    """Return the messages that as many others as are needed have labelled, or were asked about today."""
    since = (datetime.now(UTC) - RESERVED).isoformat()
    asked: dict[str, set[str]] = {each: set(review.reviewers) for each, review in reviews.items()}
    for event, record in history.proposals:
        if event.time >= since:
            asked.setdefault(record.message_id, set()).add(event.reviewer)
    wanted = {each: REVIEWERS + (review.state == "disputed") for each, review in reviews.items()}
    return {each for each, who in asked.items() if len(who - {name}) >= wanted.get(each, REVIEWERS)}


def _new(
    rows: Sequence[dict[str, Any]], model: _Model | None, *, count: int, seed: int
) -> tuple[list[Task], dict[str, Said]]:
    if count <= 0 or not rows:
        return [], {}
    drawn = sorted(rows, key=lambda row: by_chance(row["message_id"], seed=seed))[: max(POOL, count)]
    messages = [Unlabelled(row["message_id"], row["thread_id"], row["split"] == "train") for row in drawn]
    scores = _asked(model, drawn) if model else None
    probabilities = scores.probabilities.astype(np.float64) if scores else None
    thresholds, answers = (scores.thresholds, scores.best()) if scores else (None, [])
    tasks, said = [], {}
    for chosen in choose(messages, probabilities, count=count, seed=seed, thresholds=thresholds):
        row = drawn[chosen.place]
        tasks.append(_task(row, "new", chosen.rule))
        if model and probabilities is not None:
            sure = float(probabilities[chosen.place].max())
            said[row["message_id"]] = Said(model.name, answers[chosen.place], sure)
    return tasks, said


def _asked(model: _Model, rows: Sequence[dict[str, Any]]) -> Scores:
    from training.classifier import predict_proba
    from training.scores import apply_temperature

    with stage("ask the classifier") as done:
        texts = [classifier_input(row["subject"] or "", row["text"] or "") for row in rows]
        scores = apply_temperature(predict_proba(model.folder, texts), model.temperature)
        done.said = f"{len(rows):,} unlabelled messages"
    return scores


@contextmanager
def _classifier(*, wanted: bool) -> Iterator[_Model | None]:
    """Yield the champion's classifier, failing that the one that was trained last, or None."""
    from serving.champion import champion_models, decided_champion

    champion = decided_champion() if wanted else None
    if champion:
        with champion_models(champion) as models:
            name = f"mailroom-classifier {champion.classifier_version}"
            yield _Model(name, models.classifier, models.temperature)
        return
    yield _trained_last() if wanted else None


def _trained_last() -> _Model | None:
    from evaluation.candidate import read_candidate

    found = [
        *(home() / "pipeline").glob("*/*/train?classifier/classifier/training.json"),
        *home().glob("classifier/training.json"),
    ]
    if not found:
        return None
    trained = read_candidate(max(found, key=lambda path: path.stat().st_mtime).parent)
    return _Model(f"weights {trained.weights_digest[:16]}", trained.merged, trained.temperature)
