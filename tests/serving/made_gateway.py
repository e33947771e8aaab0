"""A gateway for tests: every role's name is its key, and the audit lies in the test's workspace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from fastapi.testclient import TestClient

from serving.access import ROLES, Caller
from serving.audit import open_audit
from serving.door import Door, Doors
from serving.guard import Guards
from serving.metrics import Metrics
from serving.routes import build_app


class Roster:
    """A credential check in which every role's name is its key."""

    def caller(self, text: str) -> Caller | None:
        if text == "owner":
            return Caller("owner", ROLES, credential="owner")
        return Caller(text, (text,), credential=text) if text in ROLES else None  # type: ignore[arg-type]


@contextmanager
def open_guards() -> Iterator[Guards]:
    with open_audit() as audit:
        yield Guards([Roster()], audit, Metrics())


def client_of(door: Door, guards: Guards, key: str = "owner") -> TestClient:
    """Return a client of a gateway in this process; what fails inside is an answer, no exception."""
    doors = Doors()
    doors.open(door, ExitStack())
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return TestClient(build_app(doors, guards), headers=headers, raise_server_exceptions=False)
