"""A gateway for tests: every role's name is its key, and the audit lies in the test's workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from test_bundle import write_bundle

from data.dataset import read_chunks, read_manifest
from serving.access import ROLES, Caller
from serving.archive import open_archive
from serving.audit import open_audit
from serving.client import Completion
from serving.door import Door, Doors
from serving.embed import Vectors
from serving.guard import Guards
from serving.index import Hit, Index
from serving.limits import Limits
from serving.metrics import Metrics
from serving.routes import build_app

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"


class Roster:
    """A credential check in which every role's name is its key."""

    def caller(self, text: str) -> Caller | None:
        if text == "owner":
            return Caller("owner", ROLES, credential="owner", signer="owner")
        return Caller(text, (text,), credential=text, signer=text) if text in ROLES else None  # type: ignore[arg-type]


@contextmanager
def open_guards() -> Iterator[Guards]:
    with open_audit() as audit:
        yield Guards([Roster()], audit, Metrics(), Limits(requests_per_minute=100_000, burst=100_000))


def client_of(door: Door, guards: Guards, key: str = "owner", doors: Doors | None = None) -> TestClient:
    """Return a client of a gateway in this process; what fails inside is an answer, no exception."""
    doors = doors or Doors()
    doors.open(door, ExitStack())
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return TestClient(build_app(doors, guards), headers=headers, raise_server_exceptions=False)


class MadeIndex:
    """Finds the same two chunks of the small dataset whatever is asked; one of them is hostile."""

    def __init__(self, dataset: Path) -> None:
        self.index = Index("", "made", 3, 2, "", "")
        rows = read_chunks(dataset).to_pylist()
        lease = next(row for row in rows if row["subject"] == "Harbour lease")
        facts = {
            name: lease[name] for name in ("chunk_id", "message_id", "thread_id", "start", "end", "channel")
        }
        whole = Hit(**facts, score=1, similarity=0.9, text=lease["text"], subject="Harbour lease", sent_at="")
        self.hits = [whole, Hit("x:0", "x", "x", 0, 9, 0.5, 0.4, HOSTILE, HOSTILE, "", "email")]

    def search(self, questions: Sequence[str], vectors: Vectors, **_: Any) -> list[list[Hit]]:
        return [self.hits for _ in questions]


class CopyingGenerator:
    asleep: frozenset[str] = frozenset()
    down: frozenset[str] = frozenset()

    def chat(self, turns: Any, **_: Any) -> Completion:
        return Completion("The lease of the harbour warehouse ends on 30 June.", "length", 9, 9)

    def ask(self, role: str, route: str, body: Any) -> dict[str, Any]:
        said = {"message": {"content": "Hello."}, "finish_reason": "stop"}
        return {"choices": [said], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}

    def stream(self, role: str, route: str, body: Any) -> Iterator[dict[str, Any]]:
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
        for words, reason in (("Hel", None), ("lo.", None), ("", "stop")):
            yield {"choices": [{"delta": {"content": words}, "finish_reason": reason}], "usage": usage}

    def is_ready(self, role: str) -> bool:
        return True


def made_door(folder: Path, dataset: Path) -> Door:
    """Return a door over a prepared dataset whose engines are made up and always answer."""
    return Door(
        bundle=write_bundle(folder),
        client=CopyingGenerator(),  # type: ignore[arg-type]
        index=MadeIndex(dataset),  # type: ignore[arg-type]
        labels=("ordinary", "off_channel"),
        classify=lambda texts: np.array([[0.2, 0.8]] * len(texts), np.float32),
        embed=lambda texts: np.array([[1.0, 0.0, 0.0]] * len(texts), np.float32),
        embed_afresh=lambda texts: np.array([[1.0, 0.0, 0.0]] * len(texts), np.float32),
        archive=open_archive(str(dataset), read_manifest(dataset).digest),
    )
