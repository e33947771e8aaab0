"""What the worst answers rest on, asked of the classifier that gave them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from data.dataset import read_messages
from evaluation.errors import Errors
from evaluation.occlusion import Evidence, evidence_of
from serving.review_errors import cut
from training.scores import Scores, apply_temperature


def explain_errors(
    errors: Errors | None, prepared: Path, model: Path, *, temperature: float
) -> Errors | None:
    """Return the errors with the places in their messages that the answers rest on; no word is kept.

    Places count in subject, line break and text as ``serving.review_errors.cut`` leaves them.
    """
    if errors is None or not errors.worst:
        return errors
    rows = read_messages(prepared, columns=("message_id", "subject", "text"), split="test", labelled=True)
    wanted = {error.message_id for error in errors.worst}
    texts = {
        row["message_id"]: cut(row["subject"] or "", row["text"] or "")[:2]
        for row in rows.to_pylist()
        if row["message_id"] in wanted
    }
    shown = [texts[error.message_id] for error in errors.worst]
    found = explain(shown, model, temperature=temperature)
    worst = (
        replace(error, sentence=each.sentence, words=each.words)
        for error, each in zip(errors.worst, found, strict=True)
    )
    return replace(errors, worst=tuple(worst))


def explain(
    texts: Sequence[tuple[str, str]],
    model: Path,
    *,
    temperature: float,
    after_each: Callable[[], object] = lambda: None,
) -> tuple[Evidence, ...]:
    """Ask a classifier, at the temperature that its confidence was stated with, in three passes."""
    from training.classifier import predict_proba

    def score(asked: Sequence[str]) -> Scores:
        scores = apply_temperature(predict_proba(model, asked), temperature)
        after_each()
        return scores

    return evidence_of(texts, score)
