"""How well texts that belong together find each other: whether the tuned embedder is worth keeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.contrast import encode
from training.encode import autocast
from training.pairs import Pair
from training.results import Prefix, Retrieval

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


Vectors = NDArray[np.float32]


def find_partners(
    model: SentenceTransformer,
    pairs: Sequence[Pair],
    sentences: Sequence[Pair],
    dimension: int,
    *,
    prefixes: Sequence[int] = (),
) -> Retrieval:
    """Look for every anchor's positive among all positives, and for texts by a sentence of their own.

    So many dimensions are compared; with ``prefixes`` each of these too, and the whole vector. Other texts
    of the anchor's own thread are left out: finding them is no mistake.
    """
    sides = _sides(model, pairs)
    ahead = _ranked_ahead(pairs, *sides, dimension)
    own = _ranked_ahead(sentences, *_sides(model, sentences), dimension) if sentences else np.zeros(1)
    shown = sorted({sides[0].shape[1], *prefixes}, reverse=True) if prefixes else ()
    return Retrieval(
        pairs=len(pairs),
        recall_at_10=float((ahead < 10).mean()),
        mrr=float((1 / (ahead + 1)).mean()),
        own_mrr=float((1 / (own + 1)).mean()),
        prefixes=tuple(prefix_found(_ranked_ahead(pairs, *sides, each), each) for each in shown),
    )


def prefix_found(ahead: NDArray[np.int64], dimension: int) -> Prefix:
    """Return the figures of a prefix from how many texts come before each one that is sought."""
    gains = np.where(ahead < 10, 1 / np.log2(ahead + 2), 0.0)
    return Prefix(dimension, float((ahead < 10).mean()), float(gains.mean()))


def shortened(vectors: Vectors, dimension: int) -> Vectors:
    """Return the first dimensions of every vector, normalised."""
    first = vectors[:, :dimension]
    lengths: Vectors = np.linalg.norm(first, axis=1, keepdims=True)
    return first / np.maximum(lengths, 1e-12) if dimension < vectors.shape[1] else vectors


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


def _sides(model: SentenceTransformer, pairs: Sequence[Pair]) -> tuple[Vectors, Vectors]:
    with autocast("bf16", model.device):
        anchors = encode(model, [pair.anchor for pair in pairs])
        return anchors, encode(model, [pair.positive for pair in pairs])


def _ranked_ahead(
    pairs: Sequence[Pair], anchors: Vectors, positives: Vectors, dimension: int
) -> NDArray[np.int64]:
    """Return for every pair how many texts of other threads come before its own positive."""
    similarity = shortened(anchors, dimension) @ shortened(positives, dimension).T
    threads = np.array([pair.thread_id for pair in pairs])
    own = similarity.diagonal()[:, None]
    ahead: NDArray[np.int64] = ((similarity > own) & (threads[:, None] != threads[None, :])).sum(axis=1)
    return ahead
