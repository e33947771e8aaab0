"""Whatever a caller may not see is in no body, in no prompt and in no line of the audit, by any route."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, get_args

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from made_dataset import SUBJECTS, write_dataset
from made_gateway import CopyingGenerator, open_guards
from made_page import searching_door
from made_review import PENDING, propose_with_report

from data.dataset import read_chunks, read_messages
from data.prompts import PROMPTS
from data.schema import TABLES
from serving.access import RIGHTS, ROLES, Caller, Role
from serving.batching import Ask, remembered
from serving.bundle import Bundle
from serving.client import Completion
from serving.digest import file_digest
from serving.door import Door, Doors
from serving.embed import Vectors
from serving.reranker import CANDIDATES
from serving.reranking import Reranker
from serving.routes import build_app
from serving.scope import Scope
from serving.statistics import By

pytestmark = pytest.mark.slow  # some thousand requests, and an encoder that is loaded twice
Row = dict[str, Any]
EVERY_LIMIT = Scope(
    channels=("chat",),
    custodians=("mailbox-a",),
    labels=("ordinary",),
    languages=("en",),
    since=date(2026, 1, 1),
    until=date(2027, 1, 1),
)
SCOPES = {
    "channel": Scope(channels=EVERY_LIMIT.channels),
    "custodian": Scope(custodians=EVERY_LIMIT.custodians),
    "label": Scope(labels=EVERY_LIMIT.labels),
    "language": Scope(languages=EVERY_LIMIT.languages),
    "time": Scope(since=EVERY_LIMIT.since, until=EVERY_LIMIT.until),
    "all of them": EVERY_LIMIT,
}
COPIED = 3  # lies in another mailbox, and a copy of it in mailbox-a
UNSEEN = "thread-5"  # lies outside every scope
MEETS: dict[str, Callable[[Row], bool]] = {
    "channel": lambda row: row["channel"] == "chat",
    "custodian": lambda row: row["source"].startswith("mailbox-a/") or row["locator"] == COPIED,
    "label": lambda row: row["label"] == "ordinary",
    "language": lambda row: row["language"] == "en",
    "time": lambda row: row["sent_at"] is not None and row["sent_at"].year == 2026,
}
SHARED = ("subject", "channel", "label", "language", "sent_at")  # what chunks have of their message
READERS: tuple[Role, ...] = ("analyst", "reviewer", "approver")
# Who reads no mail is refused before the limit counts: one limit is enough for these roles.
CALLERS: list[tuple[str, Role]] = [
    (limit, role) for limit in SCOPES for role in ROLES if role in READERS or limit == "all of them"
]
QUESTIONS = ("When does the lease of the harbour warehouse end?", "What did the technician replace?")
NO_MESSAGE = "no-such-id"
# No filter, and one for what lies outside every scope.
HIDDEN_VALUES = {"channels": ["email"], "custodians": ["mailbox-ab"], "labels": ["off_channel"]}
FILTERS: tuple[dict[str, Any], ...] = ({}, HIDDEN_VALUES | {"languages": ["de"], "since": "2027-01-01"})
# Routes that say nothing of the archive's messages: of the gateway, of what a caller brings, of releases;
# and reveal, which takes a key without limits (test_revealing.py).
OF_NO_MESSAGE = {
    "/", "/page/{name}", "/healthz", "/readyz", "/metrics", "/v1/me", "/v1/models", "/v1/tools",
    "/v1/classify", "/v1/tools/classify", "/v1/embeddings", "/v1/chat/completions",
    "/v1/reviews", "/v1/reviews/{release_id}/report", "/v1/reveal",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: without a body it is a GET."""

    route: str
    path: str
    body: dict[str, Any] | None = None


def of_message(message_id: str) -> list[Asked]:
    return [
        Asked("/v1/messages/{message_id}", f"/v1/messages/{message_id}"),
        Asked("/v1/feedback", "/v1/feedback", {"message_id": message_id, "label": "ordinary"}),
    ]


def of_thread(thread_id: str) -> list[Asked]:
    thread = f"/v1/threads/{thread_id}"
    return [
        Asked("/v1/threads/{thread_id}", thread),
        Asked("/v1/threads/{thread_id}/finding", f"{thread}/finding", {}),
        Asked("/v1/threads/{thread_id}/summary", f"{thread}/summary", {"sentences": 8}),
        Asked("/v1/tools/thread", "/v1/tools/thread", {"thread_id": thread_id}),
        Asked("/v1/tools/summarise", "/v1/tools/summarise", {"thread_id": thread_id, "sentences": 8}),
    ]


def before(thread_id: str, message_id: str) -> list[Asked]:
    thread = f"/v1/threads/{thread_id}?before={message_id}"
    page = {"thread_id": thread_id, "before": message_id}
    return [Asked("/v1/threads/{thread_id}", thread), Asked("/v1/tools/thread", "/v1/tools/thread", page)]


def of_question(question: str, filters: dict[str, Any]) -> list[Asked]:
    body = {"question": question, "filters": filters}
    searches = [
        Asked("/v1/search", "/v1/search", body | {"k": 100, "mode": mode})
        for mode in ("dense", "bm25", "hybrid")
    ]
    searches.append(Asked("/v1/tools/search", "/v1/tools/search", body | {"k": 100}))
    answers = [Asked("/v1/ask", "/v1/ask", body | {"stream": stream}) for stream in (False, True)]
    findings = [Asked(path, path, body | {"threads": 10}) for path in ("/v1/findings", "/v1/tools/findings")]
    return [*searches, *answers, *findings]


def of_counts(filters: dict[str, Any]) -> list[Asked]:
    path = "/v1/tools/statistics"
    return [Asked(path, path, {"group_by": [by], "filters": filters}) for by in get_args(By)]


def everything(rows: Iterable[Row]) -> Iterator[Asked]:
    """Yield every request for each of these messages and their threads, and for what the archive says."""
    threads: dict[str, str] = {}
    for row in rows:
        threads[row["thread_id"]] = row["message_id"]
        yield from of_message(row["message_id"])
    for thread_id, message_id in threads.items():
        yield from (*of_thread(thread_id), *before(thread_id, message_id))
    yield Asked("/v1/reviews/{release_id}/errors", f"/v1/reviews/{PENDING}/errors")
    for filters in FILTERS:
        yield from (*of_question(QUESTIONS[0], filters), *of_counts(filters))
    for question in QUESTIONS[1:]:
        yield from of_question(question, {})


def is_inside(row: Row, limit: str) -> bool:
    return all(MEETS[name](row) for name in MEETS if limit in (name, "all of them"))


def marks_of(rows: Iterable[Row]) -> set[str]:
    """Return what tells that a message was read: its id, its subject, its words, its correspondents."""
    return {
        mark
        for row in rows
        for mark in (
            row["message_id"], row["subject"], f"note {row['locator']} of", row["sender"], *row["recipients"]
        )
    }  # fmt: skip


def write_rows(folder: Path) -> Path:
    """Write eighteen messages in six threads, of which every limit hides some; ``UNSEEN`` is hidden by each.

    What hides a message is another value, none at all, a name that only begins alike, or the first instant
    that no longer counts.
    """
    write_dataset(folder, copies=2)
    rows = [row | _facts(row) for row in read_messages(folder).sort_by("locator").to_pylist()]
    by_id = {row["message_id"]: row for row in rows}
    chunks = [
        chunk | {name: by_id[chunk["message_id"]][name] for name in SHARED}
        for chunk in read_chunks(folder).to_pylist()
    ]
    copy = {"message_id": "copy", "duplicate_of": rows[COPIED]["message_id"], "kind": "exact",
            "similarity": 1.0, "source": "mailbox-a/copy.eml", "locator": 0}  # fmt: skip
    for name, table in {"messages": rows, "chunks": chunks, "duplicates": [copy]}.items():
        pq.write_table(pa.Table.from_pylist(table, TABLES[name]), folder / name / "part-0.parquet")
    return folder


def _facts(row: Row) -> Row:
    number, is_unseen = row["locator"], row["thread_id"] == UNSEEN
    is_second = number >= len(SUBJECTS)
    times = {0: datetime(2025, 12, 31, 23, tzinfo=UTC), 4: None, 8: datetime(2027, 1, 1, tzinfo=UTC)}
    later = datetime(2028, 1, 1, tzinfo=UTC)
    mailbox = "mailbox-ab" if is_unseen or number % 3 == 0 else "mailbox-a"
    return {
        "subject": f"Re: {row['subject'].lower()}" if is_second else row["subject"],
        "channel": "email" if is_unseen or number % 2 == 0 else "chat",
        "source": f"{mailbox}/{number}.eml",
        "label": None if number == 10 else "off_channel" if is_unseen or number % 5 == 0 else "ordinary",
        "language": None if number == 14 else "de" if is_unseen or number % 7 == 0 else "en",
        "sent_at": later if is_unseen else times.get(number, datetime(2026, 3, 1, number, tzinfo=UTC)),
        "sender": f"[EMAIL_{number:08x}]",
        "recipients": [f"[EMAIL_a{number:07x}]"],
    }


@dataclass(frozen=True, slots=True)
class Overhearing(CopyingGenerator):
    """A generator that says all that it is told, and remembers it."""

    told: list[str]

    def chat(self, turns: Sequence[dict[str, str]], **_: Any) -> Completion:
        words = "\n".join(turn["content"] for turn in turns)
        self.told.append(words)
        return Completion(words, "stop", 9, 9)


def overheard(ask: Ask, told: list[str]) -> Ask:
    def asked(texts: Sequence[str]) -> Vectors:
        told.extend(texts)
        return ask(texts)

    return asked


def by_words(texts: Sequence[str]) -> Vectors:
    """A classifier that finds every message of ours telling, for its last words."""
    return np.array([[0.1, 0.9] if "kept for the record" in text else [0.9, 0.1] for text in texts])


def overheard_door(door: Door, told: list[str]) -> Door:
    """Return a door whose engines remember all that they are told."""
    bundle = with_prompts(door.bundle)
    embed = overheard(remembered(door.embed), told)
    classify = overheard(by_words, told)

    def by_length(question: str, texts: Sequence[str]) -> Vectors:
        told.extend([question, *texts])
        return np.array([len(text) for text in texts], np.float32)

    return replace(
        door,
        bundle=bundle,
        client=Overhearing(told),  # type: ignore[arg-type]
        embed=embed,
        classify=classify,
        reranker=Reranker(by_length, CANDIDATES),
    )


def with_prompts(bundle: Bundle) -> Bundle:
    """Return a bundle that asks the generator with the words that are shipped, for summaries, too."""
    path = bundle.folder / "prompts.yaml"
    path.write_bytes(PROMPTS.read_bytes())
    return replace(bundle, files={**bundle.files, path.name: file_digest(path)})


class Limited:
    """A credential check in which a role and a limit are the key."""

    def caller(self, text: str) -> Caller | None:
        role, _, limit = text.partition(":")
        return Caller(text, (role,), SCOPES[limit], credential=text, signer=role)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back, and what was kept of it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    text: str
    audited: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway over a real index and archive; ``told`` is what its engines were told."""

    app: FastAPI
    http: TestClient
    rows: list[Row]
    told: list[str]
    audit: Path

    def answer(self, role: Role, limit: str, asked: Asked) -> Answered:
        """Ask as somebody of this role and limit; what no two requests share is left out of the answer."""
        kept = self.audit.stat().st_size
        reply = self.ask(role, limit, asked)
        with self.audit.open("rb") as log:
            log.seek(kept)
            events = [json.loads(line)["event"] | {"request": ""} for line in log]
        headers = tuple(each for each in sorted(reply.headers.items()) if each[0] != "x-request-id")
        return Answered(reply.status_code, headers, reply.text, json.dumps(events))

    def ask(self, role: Role, limit: str, asked: Asked) -> httpx.Response:
        method, headers = "GET" if asked.body is None else "POST", {"Authorization": f"Bearer {role}:{limit}"}
        return self.http.request(method, asked.path, json=asked.body, headers=headers)

    def inside(self, limit: str) -> list[Row]:
        return [row for row in self.rows if is_inside(row, limit)]

    def outside(self, limit: str) -> list[Row]:
        return [row for row in self.rows if not is_inside(row, limit)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, frozen_embedder: Path) -> Iterator[Gateway]:
    folder, doors, told = tmp_path_factory.mktemp("limited"), Doors(), list[str]()
    dataset = write_rows(folder / "data")
    with ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("MAILROOM_HOME", str(folder / "home"))
        environment.setenv("MAILROOM_KEYS", str(folder / "keys"))
        guards = stack.enter_context(open_guards())
        propose_with_report(folder / "evaluation", dataset)  # every message is one of its errors
        door = stack.enter_context(searching_door(folder, dataset, frozen_embedder))
        doors.open(overheard_door(door, told), ExitStack())
        app = build_app(doors, replace(guards, credentials=[Limited()]))
        http = stack.enter_context(TestClient(app, raise_server_exceptions=False))
        rows = read_messages(dataset).to_pylist()
        yield Gateway(app, http, rows, told, guards.audit.path)


def test_every_route_that_reads_messages_is_asked(gateway: Gateway):
    routes = {route.path for route in gateway.app.routes if isinstance(route, APIRoute)}

    assert routes - OF_NO_MESSAGE == {asked.route for asked in everything(gateway.rows)}


@pytest.mark.parametrize("limit", SCOPES)
def test_every_limit_shows_some_messages_and_hides_some(gateway: Gateway, limit: str):
    hidden = {row["thread_id"] for row in gateway.outside(limit)}
    shown = {row["thread_id"] for row in gateway.inside(limit)}

    assert UNSEEN in hidden - shown
    assert hidden & shown


@pytest.mark.parametrize(("limit", "role"), CALLERS)
def test_nothing_that_lies_outside_is_shown_told_to_an_engine_or_audited(
    gateway: Gateway, limit: str, role: Role
):
    marks = {*marks_of(gateway.outside(limit)), UNSEEN}
    gateway.told.clear()

    for asked in everything(gateway.inside(limit)):
        answered = gateway.answer(role, limit, asked)
        assert answered.status in (200, 403, 404), asked
        assert not [mark for mark in marks if mark in answered.text or mark in answered.audited], asked
    assert not [mark for mark in marks if mark in "\n".join(gateway.told)]


@pytest.mark.parametrize(("limit", "role"), CALLERS)
def test_what_lies_outside_answers_as_what_does_not_exist(gateway: Gateway, limit: str, role: Role):
    shown = gateway.inside(limit)[0]["thread_id"]
    nowhere = [*of_thread(NO_MESSAGE), *of_message(NO_MESSAGE), *before(shown, NO_MESSAGE)]
    missing = {asked.route: gateway.answer(role, limit, asked) for asked in nowhere}
    hidden = [row["message_id"] for row in gateway.outside(limit)]
    asked_of_hidden = [each for message_id in hidden for each in of_message(message_id)]
    asked_of_hidden += [each for message_id in hidden for each in before(shown, message_id)]

    assert (404 if role in READERS else 403) == missing["/v1/messages/{message_id}"].status
    assert {each.status for each in missing.values()} <= {403, 404}
    for asked in (*of_thread(UNSEEN), *asked_of_hidden):
        assert missing[asked.route] == gateway.answer(role, limit, asked), asked


@pytest.mark.parametrize("role", READERS)
@pytest.mark.parametrize("limit", SCOPES)
def test_all_that_lies_inside_is_found_read_and_counted(gateway: Gateway, limit: str, role: Role):
    inside = gateway.inside(limit)
    ids = {row["message_id"] for row in inside}
    search, messages = of_question(QUESTIONS[0], {})[0], [of_message(message_id)[0] for message_id in ids]

    hits = gateway.ask(role, limit, search).json()["hits"]
    assert ids == {hit["message_id"] for hit in hits}
    assert {200} == {gateway.ask(role, limit, asked).status_code for asked in messages}
    for asked in of_counts({}):
        counted = gateway.ask(role, limit, asked).json()
        assert len(inside) == counted["total"] == sum(each["count"] for each in counted["groups"])
    for thread_id, total in Counter(row["thread_id"] for row in inside).items():
        for asked in of_thread(thread_id):
            reply = gateway.ask(role, limit, asked)
            may = not asked.path.endswith("/finding") or "find" in RIGHTS[role]
            assert (total if may else None) == reply.json().get("total"), asked


@pytest.mark.parametrize("limit", SCOPES)
def test_a_question_is_answered_from_what_lies_inside(gateway: Gateway, limit: str):
    ids = {row["message_id"] for row in gateway.inside(limit)}

    for asked in of_question(QUESTIONS[1], {}):
        said = gateway.ask("reviewer", limit, asked).text
        assert any(message_id in said for message_id in ids), asked
