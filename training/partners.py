"""How well texts that belong together find each other: whether the tuned embedder is worth keeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.contrast import encode
from training.encode import autocast
from training.pairs import Pair
from training.results import Retrieval

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def find_partners(model: SentenceTransformer, pairs: Sequence[Pair], sentences: Sequence[Pair]) -> Retrieval:
    """Look for every anchor's positive among all positives, and for texts by a sentence of their own.

    Other texts of the anchor's own thread are left out: finding them is no mistake.
    """
    ahead = _ranked_ahead(model, pairs)
    own = _ranked_ahead(model, sentences) if sentences else np.zeros(1)
    return Retrieval(
        pairs=len(pairs),
        recall_at_10=float((ahead < 10).mean()),
        mrr=float((1 / (ahead + 1)).mean()),
        own_mrr=float((1 / (own + 1)).mean()),
    )


def is_better(tuned: Retrieval, frozen: Retrieval) -> bool:
    """Tuned weights must find more at the top, not less within ten, and not unlearn plain search.

    Pairs that have little to do with each other teach a model to forget: on such an archive partners
    were found better while the recall of questions fell from .88 to .28.
    """
    return (
        tuned.mrr > frozen.mrr
        and tuned.recall_at_10 >= frozen.recall_at_10
        and tuned.own_mrr >= frozen.own_mrr
    )


def _ranked_ahead(model: SentenceTransformer, pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """Return for every pair how many texts of other threads come before its own positive."""
    with autocast("bf16", model.device):
        anchors = encode(model, [pair.anchor for pair in pairs])
        positives = encode(model, [pair.positive for pair in pairs])
    similarity = anchors @ positives.T
    threads = np.array([pair.thread_id for pair in pairs])
    own = similarity.diagonal()[:, None]
    ahead: NDArray[np.int64] = ((similarity > own) & (threads[:, None] != threads[None, :])).sum(axis=1)
    return ahead
