"""How near is near enough: below it the archive does not say. Fitted on its own questions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from data.dataset import read_questions
from serving.embed import embed_texts, load_embedder, question_input
from serving.evidence import RETRIEVED, evidence_for
from serving.index import search_many
from serving.reranking import Reranker

FEWEST = 5  # questions of each kind; with fewer the default stands
MOST = 16  # of each kind; more would take longer than they sharpen


def refusal_threshold(
    prepared: str | Path,
    index: str | Path,
    embedder: Path,
    default: float,
    reranker: Reranker | None = None,
) -> float:
    """Return the threshold that tells answerable from unanswerable questions best.

    It is fitted on what an answer will be looked for in: in the reranker's order, where there is one.
    Best is the balanced accuracy, ties to the lower threshold. Returns ``default`` when the
    archive brings too few questions of either kind.
    """
    rows = read_questions(prepared).to_pylist()
    kinds = [
        [row["question"] for row in rows if bool(row["answerable"]) is kind][:MOST] for kind in (True, False)
    ]
    if min(len(kind) for kind in kinds) < FEWEST:
        return default
    questions = [*kinds[0], *kinds[1]]
    model = load_embedder(embedder)
    vectors = embed_texts(model, [question_input(each) for each in questions])
    depth = max(RETRIEVED, reranker.candidates if reranker else 0)
    found = search_many(index, questions, vectors, k=depth)
    nearest = []
    for question, hits in zip(questions, found, strict=True):
        ordered = reranker.reorder(question, hits).hits if reranker else hits
        evidence = evidence_for(question, ordered[:RETRIEVED], lambda texts: embed_texts(model, texts))
        nearest.append(evidence[0].similarity if evidence else 0.0)
    return best_threshold(nearest[: len(kinds[0])], nearest[len(kinds[0]) :])


def best_threshold(answerable: Sequence[float], unanswerable: Sequence[float]) -> float:
    """Return the threshold with the best balanced accuracy, between two observed similarities."""
    seen = sorted({0.0, *answerable, *unanswerable, 1.0})
    middles = [(low + high) / 2 for low, high in pairwise(seen)]

    def balanced_accuracy(threshold: float) -> float:
        answered = sum(value >= threshold for value in answerable) / len(answerable)
        refused = sum(value < threshold for value in unanswerable) / len(unanswerable)
        return answered + refused

    best: float = max(middles, key=balanced_accuracy)
    return round(best, 4)
