"""An engine answers nobody but the process that started it."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from serving.engine_key import VARIABLE, KeyCheck, key_headers
from serving.launch import engine_environment


def said(_: Request) -> PlainTextResponse:
    return PlainTextResponse("said")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv(VARIABLE, engine_environment("cpu")[VARIABLE])
    app = Starlette(routes=[Route("/{anything:path}", said, methods=["GET", "POST", "DELETE"])])
    app.add_middleware(KeyCheck)
    return TestClient(app)


@pytest.mark.parametrize(
    "path", ["/v1/models", "/adapters", "/classify", "/healthz", "/health/", "/", "//health"]
)
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}])
def test_who_has_no_key_is_refused(engine: TestClient, path: str, given: dict[str, str]) -> None:
    assert (401, "") == ((reply := engine.post(path, headers=given)).status_code, reply.text)


def test_who_started_it_is_answered_and_health_is_for_all(engine: TestClient) -> None:
    assert "said" == engine.post("/adapters", headers=key_headers()).text
    assert "said" == engine.get("/health").text


def test_no_engine_starts_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    with pytest.raises(KeyError):
        KeyCheck(Starlette())
