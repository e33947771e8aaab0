"""Tools are open to whom the table gives them, and count and read within the caller's scope alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from made_dataset import write_dataset
from made_gateway import client_of, made_door

from data.dataset import read_messages
from data.schema import TABLES
from data.workspace import UserError
from serving import statistics
from serving.access import ROLES, Caller, Role
from serving.door import Door, Doors
from serving.guard import Guards
from serving.routes import build_app
from serving.scope import Scope, within
from serving.tool_matrix import NEEDED, ToolName, read_matrix

MATRIX: dict[str, set[str]] = {
    "search": {"analyst", "reviewer", "approver"},
    "thread": {"analyst", "reviewer", "approver"},
    "classify": {"analyst", "reviewer", "service"},
    "statistics": {"analyst", "reviewer", "approver"},
    "summarise": {"analyst", "reviewer", "approver"},
    "findings": {"analyst", "reviewer"},
}
BODIES: dict[str, dict[str, Any]] = {
    "search": {"question": "harbour lease"},
    "thread": {"thread_id": "thread-0"},
    "classify": {"messages": [{"text": "hello"}]},
    "statistics": {"group_by": ["channel"]},
    "summarise": {"thread_id": "thread-0"},
    "findings": {"question": "harbour lease"},
}
BY: tuple[statistics.By, ...] = ("channel", "month", "language", "label", "sender")
INSIDE = Scope(channels=("chat",), custodians=("mailbox-b",), since=date(2025, 1, 1), until=date(2025, 3, 1))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("tool", NEEDED)
def test_a_role_calls_the_tools_of_the_table_and_no_other(
    door: Door, guards: Guards, role: Role, tool: ToolName
):
    client = client_of(door, guards, role)

    status = client.post(f"/v1/tools/{tool}", json=BODIES[tool]).status_code

    assert (200 if role in MATRIX[tool] else 403) == status
    listed = {each["function"]["name"] for each in client.get("/v1/tools").json()["tools"]}
    assert {name for name, roles in MATRIX.items() if role in roles} == listed


def test_what_the_table_does_not_name_is_refused(door: Door, guards: Guards):
    client = client_of(door, replace(guards, tools={"search": ("reviewer",)}), "analyst")

    assert [] == client.get("/v1/tools").json()["tools"]
    assert {403} == {client.post(f"/v1/tools/{tool}", json=BODIES[tool]).status_code for tool in NEEDED}
    assert 404 == client.post("/v1/tools/nothing", json={}).status_code
    assert "tool" in guards.audit.path.read_text()


def test_a_role_with_the_tool_does_not_lend_its_right_to_another(door: Door, guards: Guards):
    tools = {"thread": ("admin",)}  # no table that is read can say so
    client = client_of(door, replace(guards, tools=tools), "owner")  # type: ignore[arg-type]

    assert 403 == client.post("/v1/tools/thread", json=BODIES["thread"]).status_code


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("thread: [admin]", "no right to read"),
        ("sql: [analyst]", "sql"),
        ("search: [anybody]", "search"),
        ("[", "is no YAML"),
    ],
)
def test_a_table_that_gives_too_much_or_is_none_is_refused(tmp_path: Path, table: str, said: str):
    (tmp_path / "tools.yaml").write_text(table)

    with pytest.raises(UserError, match=said):
        read_matrix(tmp_path / "tools.yaml")


def test_a_tool_is_described_by_the_schema_that_it_is_held_to(door: Door, guards: Guards):
    client = client_of(door, guards)

    for each in client.get("/v1/tools").json()["tools"]:
        function = each["function"]
        jsonschema.Draft202012Validator.check_schema(function["parameters"])
        jsonschema.validate(BODIES[function["name"]], function["parameters"])
        for example in function["parameters"]["examples"]:
            jsonschema.validate(example, function["parameters"])
        reply = client.post(f"/v1/tools/{function['name']}", json={"select": "* from messages"})
        assert 422 == reply.status_code


def test_a_tool_says_what_its_route_says(door: Door, guards: Guards):
    client = client_of(door, guards)

    for tool, path in (("search", "/v1/search"), ("classify", "/v1/classify"), ("findings", "/v1/findings")):
        assert (
            client.post(f"/v1/tools/{tool}", json=BODIES[tool]).json()
            == client.post(path, json=BODIES[tool]).json()
        )
    assert (
        client.post("/v1/tools/thread", json=BODIES["thread"]).json()
        == client.get("/v1/threads/thread-0").json()
    )


def scattered(folder: Path, *, outside: str) -> Path:
    """Write ninety messages of all kinds; those outside the scope ``INSIDE`` say what ``outside`` says."""
    write_dataset(folder)
    rows = read_messages(folder).to_pylist()
    for number, row in enumerate(rows):
        row["channel"] = ("email", "chat", "chat")[number % 3]
        row["source"] = ("mailbox-a/1.eml", "mailbox-b/1.eml", "mailbox-b!1.eml")[number % 3]
        row["sent_at"] = datetime(2025, number % 4 + 1, 1 + number % 28, tzinfo=UTC) if number % 7 else None
        row["label"] = row["label"] if number % 5 else None
        if not is_inside(row):
            row |= {"label": outside, "sender": f"[EMAIL_{outside}]", "language": outside[:2]}
            row |= {"text": f"The {outside} is told to nobody at all.", "full_text": outside}
    pq.write_table(pa.Table.from_pylist(rows, TABLES["messages"]), folder / "messages" / "part-0.parquet")
    return folder


def is_inside(row: dict[str, Any]) -> bool:
    in_time = row["sent_at"] is not None and date(2025, 1, 1) <= row["sent_at"].date() < date(2025, 3, 1)
    return row["channel"] == "chat" and row["source"].startswith("mailbox-b") and in_time


class Limited:
    """A credential check that knows one analyst, who may see a part."""

    def caller(self, text: str) -> Caller | None:
        return Caller("limited", ("analyst",), INSIDE, credential="limited", signer="limited")


def limited_client(folder: Path, dataset: Path, guards: Guards) -> TestClient:
    app = app_of(made_door(folder, dataset), guards)
    return TestClient(app, headers={"Authorization": "Bearer limited"}, raise_server_exceptions=False)


def app_of(door: Door, guards: Guards) -> FastAPI:
    doors = Doors()
    doors.open(door, ExitStack())
    return build_app(doors, replace(guards, credentials=[Limited()]))


def questions() -> list[dict[str, Any]]:
    grouped = [list(each) for size in (0, 1, 2) for each in combinations(BY, size)]
    filters: list[dict[str, Any]] = [
        {},
        {"channels": ["email"]},
        {"labels": ["secret_a"]},
        {"custodians": ["mailbox-a"]},
        {"since": "2025-02-01", "until": "2026-01-01"},
    ]
    return [{"group_by": by, "filters": each, "limit": 2} for by in grouped for each in filters]


def test_statistics_say_nothing_of_what_lies_outside(tmp_path: Path, guards: Guards):
    one, other = (
        limited_client(tmp_path / name, scattered(tmp_path / f"{name}-data", outside=name), guards)
        for name in ("secret_a", "secret_b")
    )

    for asked in questions():
        said = [client.post("/v1/tools/statistics", json=asked) for client in (one, other)]
        assert 200 == said[0].status_code
        assert said[0].content == said[1].content
        assert b"secret" not in said[0].content


@pytest.mark.slow
def test_no_route_and_no_tool_says_anything_of_what_lies_outside(tmp_path: Path, guards: Guards):
    folders = {name: scattered(tmp_path / f"{name}-data", outside=name) for name in ("secret_a", "secret_b")}
    one, other = (limited_client(tmp_path / name, folder, guards) for name, folder in folders.items())
    rows = read_messages(folders["secret_a"]).to_pylist()
    statuses = Counter[int]()

    for method, path, body in archive_requests(rows):
        said = [client.request(method, path, json=body) for client in (one, other)]
        assert said[0].content == said[1].content
        assert b"secret" not in said[0].content
        statuses[said[0].status_code] += 1
    inside = [row for row in rows if is_inside(row)]
    threads = {row["thread_id"] for row in rows}
    shown = {row["thread_id"] for row in inside}
    assert {
        200: len(inside) + 5 * len(shown),
        404: len(rows) - len(inside) + 5 * len(threads - shown),
    } == statuses


def archive_requests(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """Yield a request for every message, and for every thread by every route and tool that reads one."""
    for row in rows:
        yield "GET", f"/v1/messages/{row['message_id']}", None
    for thread in sorted({row["thread_id"] for row in rows}):
        yield "GET", f"/v1/threads/{thread}", None
        yield "POST", f"/v1/threads/{thread}/finding", {}
        yield "POST", f"/v1/threads/{thread}/summary", {"sentences": 8}
        yield "POST", "/v1/tools/thread", {"thread_id": thread}
        yield "POST", "/v1/tools/summarise", {"thread_id": thread, "sentences": 8}


@pytest.mark.parametrize("path", ["/v1/search", "/v1/tools/search", "/v1/findings", "/v1/tools/findings"])
def test_a_search_is_limited_by_the_caller_and_by_what_is_asked(
    tmp_path: Path, door: Door, guards: Guards, path: str
):
    asked: list[str] = []
    door.index.search = lambda *_, within, **__: [asked.append(within) or []]  # type: ignore[method-assign,func-returns-value]
    client = TestClient(app_of(door, guards), headers={"Authorization": "Bearer limited"})

    assert 200 == client.post(path, json=BODIES["search"] | {"filters": {"languages": ["en"]}}).status_code

    assert [within(INSIDE, Scope(languages=("en",)))] == asked


def test_statistics_count_what_lies_inside(tmp_path: Path, guards: Guards):
    dataset = scattered(tmp_path / "data", outside="secret_a")
    inside = [row for row in read_messages(dataset).to_pylist() if is_inside(row)]
    months = Counter((row["sent_at"].strftime("%Y-%m"), row["label"]) for row in inside)

    said = limited_client(tmp_path / "bundle", dataset, guards).post(
        "/v1/tools/statistics", json={"group_by": ["month", "label"]}
    )

    groups = {(each["by"]["month"], each["by"]["label"]): each["count"] for each in said.json()["groups"]}
    assert months == groups
    assert len(inside) == said.json()["total"] == sum(groups.values())
    assert json.loads(guards.audit.path.read_text().splitlines()[-1])["event"]["counted"] == len(inside)


def test_groups_beyond_the_limit_are_counted(door: Door, guards: Guards):
    said = (
        client_of(door, guards).post("/v1/tools/statistics", json={"group_by": ["label"], "limit": 1}).json()
    )

    assert (90, 1, 2) == (said["total"], len(said["groups"]), said["groups_left_out"])


def test_too_many_groups_are_refused(door: Door, guards: Guards, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics, "MOST_GROUPS", 2)

    reply = client_of(door, guards).post("/v1/tools/statistics", json={"group_by": ["label"]})

    assert 400 == reply.status_code
