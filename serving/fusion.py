"""Two rankings into one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.index import Hit

RANK_CONSTANT = 60


def fuse(near: list[Hit], worded: list[Hit]) -> list[Hit]:
    """Merge by reciprocal rank (Cormack, Clarke and Büttcher 2009), best first, ties by chunk id.

    Done here and not by Milvus, because a fused hit must keep its cosine: an answer is refused
    when nothing is near enough, and rank weights cannot say that.
    """
    scores: dict[str, float] = {}
    for ranking in (near, worded):
        for rank, hit in enumerate(ranking, start=1):
            scores[hit.chunk_id] = scores.get(hit.chunk_id, 0.0) + 1.0 / (RANK_CONSTANT + rank)
    hits = {hit.chunk_id: hit for hit in [*worded, *near]}  # the near one knows its similarity
    best_first = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))
    return [replace(hits[chunk_id], score=scores[chunk_id]) for chunk_id in best_first]
