"""A cross-encoder's folder: whether engines serve it as a reranker, and how long its texts may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from data.workspace import UserError

RERANKER: Literal["reranker"] = "reranker"
RERANKING = "reranking.json"  # beside it in a bundle: what it is asked for
CANDIDATES = 50
MOST_CANDIDATES = 200
PAIR_TOKENS = 512  # of question and chunk together: a chunk has 200, its subject some, a question the rest
SERVED = tuple(f"{kind}ForSequenceClassification" for kind in ("Bert", "Roberta", "XLMRoberta", "ModernBert"))


def check_reranker(folder: Path) -> None:
    """Refuse a model that gives no single score to a pair of texts as they stand.

    Raises:
        UserError: another architecture, or more labels than one.
    """
    config = _config(folder)
    architecture = next(iter(config.get("architectures") or ()), "none")
    if architecture not in SERVED:
        raise UserError(
            f"a reranker of architecture {architecture} cannot be served; use one of: {', '.join(SERVED)}"
        )
    labels = len(config.get("id2label") or ()) or int(
        config.get("num_labels", 2)
    )  # transformers' own default
    if labels != 1:
        raise UserError(f"the reranker {folder} has {labels} labels; a cross-encoder for search has one")


def check_candidates(candidates: int) -> None:
    """Refuse a number of chunks that changes nothing, or that no engine reads in a request's time.

    Raises:
        UserError: it is out of bounds.
    """
    if not 2 <= candidates <= MOST_CANDIDATES:
        raise UserError(f"{candidates} candidates for the reranker; choose from 2 to {MOST_CANDIDATES}")


def longest_pair(folder: Path) -> int:
    """Return the tokens after which question and text are cut together."""
    config = _config(folder)
    positions = int(config.get("max_position_embeddings", PAIR_TOKENS))
    if "roberta" in str(config.get("model_type")):
        positions -= int(config.get("pad_token_id", 1)) + 1  # it counts from behind the one of padding
    return min(PAIR_TOKENS, positions)


def _config(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
