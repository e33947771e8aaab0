"""No answer without a line that says what it stands on, and no word of it in that line."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from made_gateway import client_of
from test_bundle import write_bundle

from data import ledger
from serving.answered import answered_of, answers_path, question_digest, record_answer
from serving.answers import Answer, Citation
from serving.bundle import Bundle
from serving.client import EngineClient
from serving.door import Door
from serving.guard import Guards
from serving.index import Index, OpenIndex

QUESTION = "When does the lease of the harbour warehouse end?"
GIVEN = Answer("It ends on 30 June.", (Citation("m", 4, 23, "m:0"),), True, "extracted", 0.8)
INDEX = Index("", "none", 3, 0, "e" * 64, "d" * 64)


class OneChunk:
    """A collection that finds the same chunk whatever is asked."""

    def search(self, collection: str, data: list[object], **options: object) -> list[list[object]]:
        text = "The lease of the harbour warehouse ends on 30 June."
        facts = {"chunk_id": "m:0", "message_id": "m", "thread_id": "t", "sent_at": "", "channel": "email"}
        entity = {**facts, "start": 0, "end": len(text), "text": text, "subject": "Harbour lease"}
        return [[{"distance": 0.9, "entity": entity}] for _ in data]


class EmptyMilvus:
    """A collection without a row."""

    def search(self, collection: str, data: list[object], **options: object) -> list[list[object]]:
        return [[] for _ in data]


@pytest.fixture
def bundle(tmp_path: Path, workspace: Path) -> Bundle:
    return write_bundle(tmp_path / "bundle")


def gateway_over(bundle: Bundle, milvus: object, guards: Guards) -> TestClient:
    """Return a gateway whose embedder says the same of every text, and whose generator copies."""

    def embed(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/chat/completions"):
            message = {"content": "The lease of the harbour warehouse ends on 30 June."}
            choices = [{"message": message, "finish_reason": "stop"}]
            usage = {"prompt_tokens": 9, "completion_tokens": 9}
            return httpx.Response(200, json={"choices": choices, "usage": usage})
        count = len(json.loads(request.content)["input"])
        rows = [{"index": place, "embedding": [1.0, 0.0, 0.0]} for place in range(count)]
        return httpx.Response(200, json={"data": rows})

    engines = dict.fromkeys(("classifier", "embedder", "generator"), "http://engine")
    client = EngineClient(engines, httpx.Client(transport=httpx.MockTransport(embed)))  # type: ignore[arg-type]
    door = Door(
        bundle, client, OpenIndex(INDEX, milvus), ("ham", "spam"), client.classify, client.embed, client.embed
    )
    return client_of(door, guards)


@pytest.fixture
def gateway(bundle: Bundle, guards: Guards) -> TestClient:
    """A gateway whose archive holds nothing."""
    return gateway_over(bundle, EmptyMilvus(), guards)


def test_a_recorded_answer_says_what_it_stands_on_and_none_of_its_words(bundle: Bundle):
    name = record_answer(GIVEN, QUESTION, bundle=bundle, index=INDEX)

    (entry,) = ledger.verify(answers_path())
    recorded = answered_of(entry.event)
    assert name == recorded.id
    assert bundle.digest == recorded.bundle
    assert "d" * 64 == recorded.dataset
    assert GIVEN.citations == recorded.citations
    assert question_digest(QUESTION) == recorded.question
    assert not any(word in answers_path().read_text() for word in ("June", "harbour", "warehouse"))


def test_the_gateway_names_its_answers_by_their_records(gateway: TestClient):
    replies = [gateway.post("/v1/ask", json={"question": QUESTION}).json() for _ in range(2)]

    assert [entry.event["id"] for entry in ledger.verify(answers_path())] == [each["id"] for each in replies]
    assert "refused" == replies[0]["origin"]
    assert replies[0]["id"] != replies[1]["id"]


def test_an_answer_that_cannot_be_recorded_is_not_given(gateway: TestClient):
    gateway.post("/v1/ask", json={"question": QUESTION})
    answers_path().write_text(answers_path().read_text()[:-20])

    reply = gateway.post("/v1/ask", json={"question": QUESTION})

    assert 503 == reply.status_code
    assert answers_path().name not in reply.text  # where it lies is the operator's to know


def test_a_streamed_answer_names_its_sources_first_and_is_the_same(bundle: Bundle, guards: Guards):
    gateway = gateway_over(bundle, OneChunk(), guards)
    whole = gateway.post("/v1/ask", json={"question": QUESTION}).json()

    streamed = gateway.post("/v1/ask", json={"question": QUESTION, "stream": True})

    events = [block.split("\n") for block in streamed.text.strip().split("\n\n")]
    assert [event for event, _ in events] == ["event: sources", "event: answer"]
    said = json.loads(events[1][1].removeprefix("data: "))
    assert said | {"id": whole["id"]} == whole
    assert whole["citations"] == [{"message_id": "m", "start": 0, "end": 51, "chunk_id": "m:0"}]
    kept = [json.loads(line)["event"] for line in guards.audit.path.read_text().splitlines()]
    assert [line["messages"] for line in kept] == [["m"], [], ["m"], ["m"]]
    assert kept[-1]["answer"] == said["id"]
