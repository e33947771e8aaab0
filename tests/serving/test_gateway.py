"""The door: closed without a right, bounded, audited, and telling when an engine is gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from made_gateway import client_of, made_door
from prometheus_client import generate_latest
from test_bundle import write_bundle

from data import feedback
from data.dataset import read_messages
from data.workspace import UserError
from serving.access import HIGHEST_FIRST, RIGHTS, ROLES, Caller, Right, Role
from serving.audit import verify_audit
from serving.client import EngineClient, EngineRefusedError, calibrated
from serving.door import Door
from serving.gateway import drain_s
from serving.guard import OPEN_ROUTES, Guard, Guards
from serving.index import Index, OpenIndex
from serving.limits import DeadlineError, Limits
from serving.ports import free_ports, require_free
from serving.revealing import Reveals

OWNS = (b"authorization", b"Bearer owner")
QUESTION = {"question": "What was agreed?"}
TURNS = {"messages": [{"role": "user", "content": "hello"}]}
BODIES: dict[str, dict[str, object]] = {
    "/v1/classify": {"messages": [{"text": "hello"}]},
    "/v1/embeddings": {"input": "hello"},
    "/v1/chat/completions": TURNS,
    "/v1/search": QUESTION,
    "/v1/ask": QUESTION,
    "/v1/findings": QUESTION,
    "/v1/feedback": {"message_id": "m1", "label": "ham"},
    "/v1/reveal": {"pseudonym": "EMAIL_1f3a9c2b", "reason": "request 12"},
    "/v1/threads/{thread_id}/finding": {},
    "/v1/threads/{thread_id}/summary": {},
    "/v1/tools/search": QUESTION,
    "/v1/tools/thread": {"thread_id": "t1"},
    "/v1/tools/classify": {"messages": [{"text": "hello"}]},
    "/v1/tools/statistics": {},
    "/v1/tools/summarise": {"thread_id": "t1"},
    "/v1/tools/findings": QUESTION,
}
ENGINES = [*BODIES][:5]  # routes that ask an engine before anything else


@pytest.fixture
def dead_door(tmp_path: Path, workspace: Path) -> Door:
    """A bundle whose engines have all died: their ports answer nobody."""
    urls = {role: f"http://127.0.0.1:{free_ports(1)[0]}" for role in ("classifier", "embedder", "generator")}
    client = EngineClient(urls, httpx.Client(timeout=2, trust_env=False))  # type: ignore[arg-type]
    return Door(
        bundle=write_bundle(tmp_path / "bundle"),
        client=client,
        index=OpenIndex(Index("", "none", 3, 0, "", ""), client=None),
        labels=("ham", "spam"),
        classify=client.classify,
        embed=client.embed,
        embed_afresh=client.embed,
    )


def routes_of(client: TestClient) -> list[APIRoute]:
    return [route for route in client.app.routes if isinstance(route, APIRoute)]  # type: ignore[attr-defined]


def right_of(route: APIRoute) -> Right | None:
    rights = [getattr(each.call, "right", None) for each in route.dependant.dependencies]
    return next((right for right in rights if right), None)


def ask(client: TestClient, route: APIRoute) -> int:
    path = route.path.replace("{message_id}", "m1").replace("{thread_id}", "t1")
    method = next(iter(route.methods))
    return client.request(method, path, json=BODIES.get(route.path) if method == "POST" else None).status_code


def audited(guards: Guards) -> list[dict[str, object]]:
    return [json.loads(line)["event"] for line in guards.audit.path.read_text().splitlines()]


def test_every_route_names_the_right_that_it_needs(dead_door: Door, guards: Guards):
    without = {route.path for route in routes_of(client_of(dead_door, guards)) if right_of(route) is None}

    assert without == OPEN_ROUTES | {"/", "/page/{name}"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_its_own_routes_and_no_other(dead_door: Door, guards: Guards, role: Role):
    set_up = replace(guards, reveals=Reveals(archive="no such archive"))
    client = client_of(dead_door, set_up, role)

    opened = {right_of(route) for route in routes_of(client) if ask(client, route) not in (401, 403)}

    assert opened - {None} == {right_of(route) for route in routes_of(client)} & RIGHTS[role]


@pytest.mark.parametrize("key", ["", "wrong", "owner "])
def test_without_a_credential_every_route_is_closed(dead_door: Door, guards: Guards, key: str):
    client = client_of(dead_door, guards, "")
    headers = {"Authorization": f"Bearer {key}x"} if key else {}

    for path in (*BODIES, "/v1/messages/m1", "/metrics", "/v1/nothing", "/v1/openapi.json"):
        assert client.request("POST", path, json={}, headers=headers).status_code == 401, path


def test_health_needs_no_key_and_readiness_names_the_dead(dead_door: Door, guards: Guards):
    client = client_of(dead_door, guards, "")

    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert not any(client.get("/readyz").json()["engines"].values())


@pytest.mark.parametrize("path", [*ENGINES, "/v1/tools/search", "/v1/tools/classify"])
def test_a_dead_engine_gives_503(dead_door: Door, guards: Guards, path: str):
    reply = client_of(dead_door, guards).post(path, json=BODIES[path])

    assert reply.status_code == 503
    assert "Retry-After" in reply.headers


def test_a_dead_engine_ends_a_stream_with_an_error(dead_door: Door, guards: Guards):
    reply = client_of(dead_door, guards).post("/v1/ask", json=QUESTION | {"stream": True})

    assert reply.text.startswith("event: error\n")
    assert '"code": 503' in reply.text


def test_a_dead_engine_leaves_the_others_up(dead_door: Door, guards: Guards):
    door = replace(dead_door, classify=lambda texts: np.full((len(texts), 2), 0.5, np.float32))
    client = client_of(door, guards)

    assert client.post("/v1/classify", json=BODIES["/v1/classify"]).status_code == 200
    assert client.post("/v1/search", json=QUESTION).status_code == 503


def test_nobody_waits_for_an_engine_that_is_known_to_be_dead(dead_door: Door, guards: Guards):
    def never(_request: httpx.Request) -> httpx.Response:
        raise AssertionError("the engine was asked")

    urls = dict.fromkeys(("classifier", "embedder", "generator"), "http://engine")
    http = httpx.Client(transport=httpx.MockTransport(never))
    client = EngineClient(urls, http, down={"embedder"})  # type: ignore[arg-type]
    door = replace(dead_door, client=client, embed=client.embed)

    assert client_of(door, guards).post("/v1/search", json=QUESTION).status_code == 503
    assert not client.is_ready("embedder")


def test_a_bug_tells_its_place_and_no_word(
    dead_door: Door, guards: Guards, capsys: pytest.CaptureFixture[str]
):
    def stumble(_texts: object) -> np.ndarray:
        raise ValueError("the words of a message")

    reply = client_of(replace(dead_door, embed=stumble), guards).post("/v1/search", json=QUESTION)

    assert reply.status_code == 500
    assert reply.headers["x-request-id"] in reply.text
    said = capsys.readouterr()
    assert "failed: ValueError at test_gateway.py" in said.err
    assert "words of a message" not in said.err + said.out + reply.text


def test_a_late_answer_gives_504(dead_door: Door, guards: Guards):
    def late(_texts: object) -> np.ndarray:
        raise DeadlineError

    assert (
        client_of(replace(dead_door, embed=late), guards).post("/v1/search", json=QUESTION).status_code == 504
    )


def test_a_body_over_the_limit_is_refused_before_it_is_read(dead_door: Door, guards: Guards):
    reply = client_of(dead_door, guards).post("/v1/ask", content=b" " * (guards.limits.body_bytes + 1))

    assert reply.status_code == 413


def test_a_body_of_unknown_length_is_refused(dead_door: Door, guards: Guards):
    reply = client_of(dead_door, guards).post("/v1/ask", content=(part for part in [b"{}"]))

    assert reply.status_code == 411


async def never() -> dict[str, Any]:
    await anyio.sleep(5)
    return {"type": "http.disconnect"}


async def drip() -> dict[str, Any]:
    await anyio.sleep(0.02)
    return {"type": "http.request", "body": b"x", "more_body": True}


async def pour() -> dict[str, Any]:
    return {"type": "http.request", "body": b"x", "more_body": True}


@pytest.mark.parametrize("receive", [never, drip, pour])
def test_a_body_that_is_never_whole_is_not_waited_for(
    dead_door: Door, guards: Guards, receive: Callable[[], Awaitable[dict[str, Any]]]
):
    app = client_of(dead_door, replace(guards, limits=Limits(body_seconds=0.05))).app
    said: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    headers = {
        OWNS[0]: OWNS[1],
        b"content-length": b"9",
        b"content-type": b"application/json",
    }
    scope = {
        **{"type": "http", "method": "POST", "scheme": "http", "query_string": b""},
        **{"path": "/v1/ask", "raw_path": b"/v1/ask", "headers": list(headers.items())},
        **{"client": ("127.0.0.1", 1), "server": ("testserver", 80)},
    }

    async def asked() -> None:
        with anyio.fail_after(2):
            await app(scope, receive, send)

    anyio.run(asked)

    assert said[0]["status"] == 408
    assert audited(guards)[-1]["status"] == 408


def test_what_was_sent_is_not_said_back(dead_door: Door, guards: Guards):
    reply = client_of(dead_door, guards).post("/v1/ask", json={"question": "q", "harbour": "lease"})

    assert reply.status_code == 422
    assert "extra_forbidden" in reply.json()["error"]["message"]
    assert "lease" not in reply.text


def test_too_many_requests_of_a_caller_are_told_when_to_come_back(dead_door: Door, guards: Guards):
    few = replace(guards, limits=Limits(requests_per_minute=1, burst=2))
    client = client_of(dead_door, few)

    codes = [client.get("/v1/models").status_code for _ in range(3)]

    assert codes == [200, 200, 429]
    assert 1 <= int(client.get("/v1/models").headers["retry-after"]) <= 61


def flying(guards: Guards, *asked: tuple[str, str]) -> list[int]:
    """Return the statuses of requests (key and path) that are all on the way before the first is answered."""
    codes: dict[int, int] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(0.3)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Guard(app, guards=guards)

    async def one(place: int, key: str, path: str) -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                codes[place] = message["status"]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        headers = [(b"authorization", b"Bearer " + key.encode())]
        scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
        await guard(scope, receive, send)

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for place, (key, path) in enumerate(asked):
                group.start_soon(one, place, key, path)
                await anyio.sleep(0)

    anyio.run(all_of_them)
    return [codes[place] for place in range(len(asked))]


def test_people_whose_tokens_one_key_signs_do_not_use_up_each_others_requests(guards: Guards):
    class OneIssuer:
        def caller(self, text: str) -> Caller:
            return Caller(text, ("analyst",), credential="jwt:issuer:key")

    few = replace(guards, credentials=[OneIssuer()], limits=Limits(requests_at_once_each=2))

    codes = flying(few, *[("mallory", "/v1/me")] * 3, ("alice", "/v1/me"))

    assert codes == [200, 200, 429, 200]


def test_a_full_gateway_is_still_measured_and_no_measuring_fills_it(guards: Guards):
    one = replace(guards, limits=Limits(requests_at_once=1))

    codes = flying(one, *[("admin", "/metrics")] * 2, *[("analyst", "/v1/me")] * 2, ("admin", "/metrics"))

    assert codes == [200, 200, 200, 429, 200]


@pytest.mark.parametrize(("begun", "status"), [(False, 503), (True, 200)])
def test_a_request_that_the_gateways_end_cuts_off_is_told_counted_and_audited(
    guards: Guards, capsys: pytest.CaptureFixture[str], begun: bool, status: int
):
    said: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await anyio.sleep(10)

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    async def cut_off() -> None:
        scope = {"type": "http", "method": "GET", "path": "/v1/me", "headers": [OWNS]}
        task = asyncio.ensure_future(Guard(app, guards=guards)(scope, never, send))
        await asyncio.sleep(0.1)
        task.cancel()
        await task

    asyncio.run(cut_off())

    assert said[0]["status"] == status
    assert [line["status"] for line in audited(guards)] == [status]
    assert f'status="{status}"}} 1.0' in generate_latest(guards.metrics.registry).decode()
    assert "CancelledError" in capsys.readouterr().err


def test_a_gateway_that_ends_waits_as_long_as_a_request_may_take():
    assert drain_s(Limits(seconds=30)) == 31
    assert drain_s(Limits(seconds=2.5)) == 4


def test_every_answer_carries_the_headers_that_protect_it(dead_door: Door, guards: Guards):
    client = client_of(dead_door, guards)

    for reply in (client.get("/healthz"), client.get("/v1/models"), client.get("/v1/nothing")):
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-security-policy"].startswith("default-src 'none'")
        assert len(reply.headers["x-request-id"]) >= 8


def test_a_request_keeps_its_own_id_unless_it_is_no_id(dead_door: Door, guards: Guards):
    client = client_of(dead_door, guards)

    kept = client.get("/v1/models", headers={"X-Request-Id": "case-2031-b"})
    replaced = client.get("/v1/models", headers={"X-Request-Id": "a b\tc"})

    assert kept.headers["x-request-id"] == "case-2031-b"
    assert " " not in replaced.headers["x-request-id"]


def test_every_request_leaves_a_line_without_its_words(dead_door: Door, guards: Guards):
    client = client_of(dead_door, guards, "analyst")
    client.post("/v1/search", json={"question": "harbour lease"})
    client.post("/v1/embeddings", json={"input": "harbour lease"})
    client.get("/v1/models", headers={"Authorization": "Bearer nobody"})

    lines = audited(guards)

    assert [(line["caller"], line["route"], line["status"], line["refused"]) for line in lines] == [
        ("analyst", "/v1/search", 503, ""),
        ("analyst", "/v1/embeddings", 403, "right"),
        ("", "none", 401, "credential"),
    ]
    assert "harbour" not in guards.audit.path.read_text()
    assert verify_audit(guards.audit.path) == (3, None)


def test_nothing_is_answered_that_cannot_be_audited(
    dead_door: Door, guards: Guards, monkeypatch: pytest.MonkeyPatch
):
    def full(_event: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(type(guards.audit), "write", lambda self, event: full(event))

    reply = client_of(dead_door, guards).get("/v1/models")

    assert reply.status_code == 503
    assert "embedder" not in reply.text


def test_a_reviewers_label_is_signed_and_an_unseen_message_has_none(
    tmp_path: Path, small_dataset: Path, guards: Guards
):
    client = client_of(made_door(tmp_path / "made", small_dataset), guards, "reviewer")
    message = read_messages(small_dataset).to_pylist()[0]["message_id"]
    asked = {"message_id": message, "label": "off_channel", "reason": "names a private phone"}

    assert client.post("/v1/feedback", json=asked).status_code == 200
    assert client.post("/v1/feedback", json=asked | {"message_id": "none"}).status_code == 404
    assert client.post("/v1/feedback", json=asked | {"label": "no such"}).status_code == 400
    assert client.post("/v1/feedback", json=asked | {"reason": "ask jane@example.org"}).status_code == 400
    ((event, label),) = feedback.read().labels
    assert (event.reviewer, label.message_id, label.label) == ("reviewer", message, "off_channel")


def test_a_label_costs_what_is_new_and_knows_what_was_proposed_meanwhile(
    tmp_path: Path, small_dataset: Path, guards: Guards, monkeypatch: pytest.MonkeyPatch
):
    client = client_of(made_door(tmp_path / "made", small_dataset), guards, "reviewer")
    ids = read_messages(small_dataset)["message_id"].to_pylist()
    for number in range(20):
        feedback.add([feedback.Label(f"m{number}", "ordinary")], reviewer="ada")
    read: list[str] = []
    lines = feedback._lines
    monkeypatch.setattr(feedback, "_lines", lambda batch: read.append(batch) or lines(batch))

    for number in range(3):
        feedback.add([feedback.Proposal(ids[number], "random")], reviewer="reviewer")
        asked = {"message_id": ids[number], "label": "off_channel"}
        assert client.post("/v1/feedback", json=asked).status_code == 200

    assert len(read) == len(set(read)) == 20 + 3 + 2, (
        "each batch once: the last label is nobody's to read yet"
    )
    assert ["random"] * 3 == [label.rule for _, label in feedback.read().labels][20:]


def test_credentials_that_cannot_be_checked_open_nothing_and_are_audited(dead_door: Door, guards: Guards):
    class Damaged:
        def caller(self, text: str) -> None:
            raise UserError("the file of keys is damaged")

    client = client_of(dead_door, replace(guards, credentials=[Damaged()]))
    reply = client.get("/v1/models")

    assert (reply.status_code, audited(guards)[-1]["status"]) == (503, 503)
    assert "damaged" not in reply.text
    assert reply.headers["cache-control"] == "no-store"
    other = client_of(dead_door, replace(guards, credentials=[Damaged(), *guards.credentials]))
    assert other.get("/v1/models").status_code == 200  # one kind of credential leaves the others


def test_a_flood_without_a_key_is_refused_and_does_not_fill_the_disk(dead_door: Door, guards: Guards):
    few = replace(guards, limits=Limits(requests_per_minute=1, burst=2))
    client = client_of(dead_door, few, "")

    codes = [client.get("/v1/models").status_code for _ in range(5)]

    assert codes == [401, 401, 429, 429, 429]
    assert len(audited(guards)) == 2
    assert client.get("/healthz").status_code == 200


def test_word_search_does_not_tell_how_many_other_messages_use_a_word(
    tmp_path: Path, small_dataset: Path, guards: Guards
):
    client = client_of(made_door(tmp_path / "made", small_dataset), guards, "analyst")

    hits = client.post("/v1/search", json={"question": "lease", "mode": "bm25"}).json()["hits"]

    assert [hit["score"] for hit in hits] == [1, 0.5]  # the ranks, not the weights


def test_a_refusing_generator_ends_a_stream_with_its_status_on_record(
    tmp_path: Path, small_dataset: Path, guards: Guards
):
    door = made_door(tmp_path / "made", small_dataset)

    def refuse(*_: object, **__: object) -> None:
        raise EngineRefusedError("generator", 400)

    door.client.chat = refuse  # type: ignore[method-assign,assignment]
    reply = client_of(door, guards).post("/v1/ask", json=QUESTION | {"stream": True})

    assert reply.text.strip().split("\n\n")[-1].startswith("event: error")
    assert (audited(guards)[-1]["status"], audited(guards)[-1]["event"]) == (400, "error")


@pytest.mark.parametrize("path", ["/v1/me/", "/page/page.js/", "/pagexyz", "//v1/me"])
def test_an_odd_path_leads_nowhere(dead_door: Door, guards: Guards, path: str):
    reply = client_of(dead_door, guards, "").get(path, follow_redirects=False)

    assert reply.status_code in (401, 404)
    assert "location" not in reply.headers


def test_metrics_count_without_content(dead_door: Door, guards: Guards):
    client = client_of(dead_door, guards)
    client.post("/v1/search", json={"question": "harbour lease"})

    said = client.get("/metrics").text

    assert 'mailroom_requests_total{route="/v1/search",status="503"} 1.0' in said
    assert 'mailroom_request_seconds_count{role="admin",route="/v1/search"} 1.0' in said
    assert "harbour" not in said


@pytest.mark.parametrize("key", [*ROLES, "owner", ""])
def test_time_is_measured_by_the_callers_highest_role(dead_door: Door, guards: Guards, key: str):
    client = client_of(dead_door, guards, key)
    client.get("/v1/me")
    client.get("/nowhere")

    routes = {"/v1/me", "none"} if key else {"none"}
    role = {"owner": "admin", "": "none"}.get(key, key)
    series = {
        (sample.labels["route"], sample.labels["role"])
        for measure in guards.metrics.registry.collect()
        for sample in measure.samples
        if sample.name == "mailroom_request_seconds_count"
    }
    assert {(route, role) for route in routes} == series


@pytest.mark.parametrize(
    ("roles", "highest"),
    [((), "none"), (("service",), "service"), (("analyst", "service"), "analyst"), (ROLES, "admin"),
     (("analyst", "reviewer", "approver"), "approver")],
)  # fmt: skip
def test_one_role_stands_for_all_of_a_caller(roles: tuple[Role, ...], highest: str):
    assert highest == Caller("ada", roles).highest_role
    assert {*HIGHEST_FIRST} == {*ROLES}


def test_a_port_in_use_is_the_users_to_mend():
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        with pytest.raises(UserError, match="in use"):
            require_free("127.0.0.1", listening.getsockname()[1])


def test_a_temperature_above_one_makes_probabilities_modest():
    sure = np.array([[0.9, 0.1]], np.float32)

    modest = calibrated(sure, 2.0)

    assert modest[0] == pytest.approx([0.75, 0.25], abs=1e-6)
    assert calibrated(sure, 1.0)[0] == pytest.approx(sure[0], abs=1e-6)
