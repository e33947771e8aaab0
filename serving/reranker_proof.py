"""Is the search better with its reranker? Measured on the archive's questions before a bundle goes live."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.dataset import read_questions
from data.workspace import UserError
from serving.bundle import Bundle
from serving.client import EngineClient
from serving.digest import folder_digest
from serving.embed import question_input
from serving.evidence import Embed
from serving.index import OpenIndex
from serving.reranker import RERANKER
from serving.reranking import Reranker

MOST_QUESTIONS = 200
FEWEST = 5  # questions that show a loss
PATIENCE_S = 600.0  # for one question: a slow machine is measured, not refused
JUDGED = "nDCG@10"


@dataclass(frozen=True, slots=True)
class Change:
    """A measure of the hybrid order and of the reranker's, and the paired difference with its range."""

    measure: str
    before: float
    after: float
    gain: float
    low: float
    high: float

    @property
    def is_loss(self) -> bool:
        """Whether the whole range of the difference lies below zero."""
        return self.high < 0

    def __str__(self) -> str:
        gain = f"{self.gain:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"
        return f"{self.measure} {self.before:.3f} to {self.after:.3f} ({gain})"


Rankings = Sequence[Sequence[str]]  # message ids for every question, best first
Compare = Callable[[Rankings, Rankings, Rankings], tuple[Change, ...]]  # before, after, and what is wanted


@dataclass(frozen=True, slots=True)
class RerankerProof:
    """What a reranker was measured to be worth; without questions of the archive nothing is known."""

    digest: str
    candidates: int
    questions: int
    seconds_each: float  # of one reordering, on the machine of the deployment
    changes: tuple[Change, ...] = ()

    def require(self) -> None:
        """Refuse a reranker that is shown to be worse than the search without it.

        On fewer than FEWEST questions nothing is shown: one question's range has no width.

        Raises:
            UserError: the whole range of the difference in nDCG@10 lies below zero.
        """
        if self.questions < FEWEST:
            return
        if lost := [str(change) for change in self.changes if change.measure == JUDGED and change.is_loss]:
            raise UserError(
                f"the reranker makes the search worse on {self.questions} questions: {lost[0]}; "
                "the bundle does not go live: name another one, or none"
            )

    def __str__(self) -> str:
        if not self.questions:
            return f"reranker {self.digest[:12]}: not measured, the archive brings no questions"
        figures = ", ".join(map(str, self.changes))
        return (
            f"reranker {self.digest[:12]} on {self.questions} questions, {self.candidates} candidates in "
            f"{self.seconds_each:.2f} s each: {figures}"
        )


def reranker_of(bundle: Bundle, client: EngineClient) -> Reranker | None:
    """Return the reranker of a bundle that is being proved, if it has one."""
    return Reranker(client.score, bundle.candidates) if bundle.candidates else None


def prove_reranker(
    bundle: Bundle,
    prepared: str | Path,
    reranker: Reranker,
    *,
    index: OpenIndex,
    embed: Embed,
    compare: Compare,
) -> RerankerProof:
    """Search for the archive's answerable questions, with and without the reranker, and compare.

    Raises:
        RuntimeError: the engine failed to score.
    """
    rows = [row for row in read_questions(prepared).to_pylist() if row["answerable"] and row["message_ids"]]
    rows, digest = rows[:MOST_QUESTIONS], folder_digest(bundle.folder / RERANKER)
    if not rows:
        return RerankerProof(digest, reranker.candidates, 0, 0.0)
    questions = [row["question"] for row in rows]
    vectors = embed([question_input(question) for question in questions])
    found = index.search(questions, vectors, k=reranker.candidates)
    began = time.monotonic()
    ordered = []
    for question, hits in zip(questions, found, strict=True):
        ranked = reranker.reorder(question, hits, seconds=PATIENCE_S)
        if ranked.reranking != "done":
            raise RuntimeError(
                f"the reranker engine did not answer ({ranked.reranking}) while it was measured"
            )
        ordered.append(ranked.hits)
    each = round((time.monotonic() - began) / len(questions), 3)
    before, after = ([[hit.message_id for hit in hits] for hits in lists] for lists in (found, ordered))
    changes = compare(before, after, [row["message_ids"] for row in rows])
    return RerankerProof(digest, reranker.candidates, len(questions), each, changes)
