"""The door is closed to whoever has no key, and says 503 when an engine is gone."""

from __future__ import annotations

import stat
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from test_bundle import write_bundle

from data.workspace import UserError
from serving.client import EngineClient, calibrated
from serving.index import Index, OpenIndex
from serving.ports import free_ports, require_free
from serving.routes import BODY_BYTES, Door, build_app, gateway_key, key_path

QUESTION = {"question": "What was agreed?"}


@pytest.fixture
def door(tmp_path: Path, workspace: Path) -> Door:
    """A gateway whose engines have all died: their ports answer nobody."""
    urls = {role: f"http://127.0.0.1:{free_ports(1)[0]}" for role in ("classifier", "embedder", "generator")}
    index = OpenIndex(Index("", "none", 3, 0, "", ""), client=None)
    client = EngineClient(urls, httpx.Client(timeout=2, trust_env=False))  # type: ignore[arg-type]
    return Door(write_bundle(tmp_path / "bundle"), client, index, ("ham", "spam"), "the-key")


def client_of(door: Door, key: str = "the-key") -> TestClient:
    return TestClient(build_app(door), headers={"Authorization": f"Bearer {key}"} if key else {})


@pytest.mark.parametrize("route", ["classify", "embeddings", "search", "ask", "chat/completions", "nothing"])
@pytest.mark.parametrize("key", ["", "wrong", "the-key "])
def test_without_the_key_every_route_is_closed(door: Door, route: str, key: str):
    reply = client_of(door, "").post(
        f"/v1/{route}", json={}, headers={"Authorization": f"Bearer {key}x"} if key else {}
    )

    assert reply.status_code == 401


def test_health_needs_no_key_and_readiness_names_the_dead(door: Door):
    client = client_of(door, "")

    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert not any(client.get("/readyz").json()["engines"].values())


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("classify", {"messages": [{"text": "hello"}]}),
        ("embeddings", {"input": "hello"}),
        ("search", QUESTION),
        ("ask", QUESTION),
        ("chat/completions", {"messages": [{"role": "user", "content": "hello"}]}),
    ],
)
def test_a_dead_engine_gives_503(door: Door, route: str, body: dict[str, object]):
    reply = client_of(door).post(f"/v1/{route}", json=body)

    assert reply.status_code == 503
    assert "Retry-After" in reply.headers


def test_a_body_over_the_limit_is_refused_before_it_is_read(door: Door):
    reply = client_of(door).post("/v1/ask", content=b" " * (BODY_BYTES + 1))

    assert reply.status_code == 413


def test_a_body_of_unknown_length_is_refused(door: Door):
    reply = client_of(door).post("/v1/ask", content=(part for part in [b"{}"]))

    assert reply.status_code == 411


def test_unknown_fields_are_refused(door: Door):
    assert client_of(door).post("/v1/ask", json=QUESTION | {"role": "admin"}).status_code == 422


def test_the_key_is_made_once_for_its_owner_alone(workspace: Path):
    key = gateway_key()

    assert gateway_key() == key
    assert len(key) >= 32
    assert stat.S_IMODE(key_path().stat().st_mode) == 0o600


def test_a_port_in_use_is_the_users_to_mend():
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        with pytest.raises(UserError, match="in use"):
            require_free("127.0.0.1", listening.getsockname()[1])


def test_a_temperature_above_one_makes_probabilities_modest():
    import numpy as np

    sure = np.array([[0.9, 0.1]], np.float32)

    modest = calibrated(sure, 2.0)

    assert modest[0] == pytest.approx([0.75, 0.25], abs=1e-6)
    assert calibrated(sure, 1.0)[0] == pytest.approx(sure[0], abs=1e-6)
