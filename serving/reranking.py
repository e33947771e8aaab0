"""What the hybrid search found, put into the order of a cross-encoder that reads question and text together.

It is an option of a bundle, and never a condition of an answer: whatever keeps it from answering, the
order of the search stands, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from serving.client import EngineRefusedError, EngineStartingError, EngineUnavailableError
from serving.embed import Vectors, passage_input, question_input
from serving.index import Hit, OpenIndex
from serving.limits import DeadlineError, Limits, deadline, seconds_left
from serving.scope import EVERYTHING

Reranking = Literal["off", "done", "starting", "late", "unavailable"]
FAILURES: tuple[Reranking, ...] = ("starting", "late", "unavailable")
Score = Callable[[str, Sequence[str]], Vectors]  # of a question and texts, higher for a better one
RERANKING_S = Limits().reranking_seconds


def unobserved(_outcome: Reranking) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Chunks, best first, and what became of their reordering.

    ``relevance`` is of the first ones, as many as were reordered: from 0 to 1, to be compared within one
    answer alone.
    """

    hits: tuple[Hit, ...]
    reranking: Reranking = "off"
    relevance: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Reranker:
    """The cross-encoder of a bundle, and how many of the found chunks it reads."""

    score: Score
    candidates: int
    observe: Callable[[Reranking], None] = unobserved

    def reorder(self, question: str, hits: Sequence[Hit], *, seconds: float = RERANKING_S) -> Ranked:
        """Put the first candidates in the order of their scores; what comes behind them stays there.

        It may take so long, and no longer than the request; equal scores stay in the order of the search.

        Raises:
            DeadlineError: the time of the request itself is over.
        """
        first, left = hits[: self.candidates], seconds_left(seconds)
        try:
            with deadline(left):
                scores = self._scores(question, first)
        except EngineStartingError:
            return self._as_found(hits, "starting")
        except (EngineUnavailableError, EngineRefusedError):
            return self._as_found(hits, "unavailable")
        except DeadlineError:
            return self._as_found(hits, "late")
        best_first = np.argsort(-scores, kind="stable")
        self.observe("done")
        return Ranked(
            (*(first[place] for place in best_first), *hits[self.candidates :]),
            "done",
            tuple(_share(float(scores[place])) for place in best_first),
        )

    def _scores(self, question: str, hits: Sequence[Hit]) -> Vectors:
        return self.score(question_input(question), [passage_input(hit.subject, hit.text) for hit in hits])

    def _as_found(self, hits: Sequence[Hit], outcome: Reranking) -> Ranked:
        self.observe(outcome)
        return Ranked(tuple(hits), outcome)


def search_best(
    question: str,
    vector: Vectors,
    *,
    index: OpenIndex,
    k: int,
    reranker: Reranker | None = None,
    seconds: float = RERANKING_S,
    within: str = EVERYTHING,
) -> Ranked:
    """Return the best ``k`` chunks of the hybrid search, in the reranker's order where there is one.

    What does not meet the condition ``within`` is not found, and so not read by the reranker either.
    """
    depth = k if reranker is None else max(k, reranker.candidates)
    hits = index.search([question], vector, k=depth, within=within)[0]
    if reranker is None:
        return Ranked(tuple(hits))
    ranked = reranker.reorder(question, hits, seconds=seconds)
    return Ranked(ranked.hits[:k], ranked.reranking, ranked.relevance[:k])


def _share(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(logit, -60, 60))))
