"""Every answer leaves one signed line: what it stands on, and not a word of what it says."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data import ledger
from data.workspace import home, secret
from serving.answers import Answer, Citation
from serving.bundle import Bundle
from serving.index import MARKER, Index

SIGNER = "gateway"


class NotRecordedError(Exception):
    """An answer could not be recorded, and so it is not given."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: by which bundle it was given, out of which index, and the places that it cites."""

    id: str
    bundle: str
    release: str
    classifier_version: str
    embedder_version: str
    index: str  # SHA-256 of index.json
    dataset: str  # digest of the dataset that was indexed
    question: str  # keyed digest: whoever has the question and the key can tell that it was this one
    origin: str
    citations: tuple[Citation, ...]


def answers_path() -> Path:
    """Return where the answers are recorded."""
    return home() / "answers.jsonl"


def record_answer(answer: Answer, question: str, *, bundle: Bundle, index: Index) -> str:
    """Record an answer to a question (redacted) and return the answer's id; it is on the disk by then.

    Raises:
        NotRecordedError: the ledger is damaged, or the disk full.
    """
    answered = Answered(
        id=f"answer-{secrets.token_hex(8)}",
        bundle=bundle.digest,
        release=bundle.release_id,
        classifier_version=bundle.classifier_version,
        embedder_version=bundle.embedder_version,
        index=bundle.files.get(f"index/{MARKER}", ""),
        dataset=index.dataset_digest,
        question=question_digest(question),
        origin=answer.origin,
        citations=answer.citations,
    )
    try:
        ledger.append(answers_path(), asdict(answered), signer=ledger.signer(SIGNER))
    except (ledger.LedgerError, OSError) as error:
        raise NotRecordedError(
            f"the answer could not be recorded in {answers_path()} ({type(error).__name__})"
        ) from error
    return answered.id


def question_digest(question: str) -> str:
    """Return the HMAC-SHA256 of a redacted question: a plain hash of a short one could be guessed."""
    return hmac.digest(secret("redaction"), b"question\0" + question.encode(), "sha256").hex()


def answered_of(event: Mapping[str, Any]) -> Answered:
    """Return the answer that a line of the ledger records."""
    return Answered(**{**event, "citations": tuple(Citation(**each) for each in event["citations"])})
