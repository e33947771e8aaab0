"""A request's id is in the engine's log, also where it shared a batch; no text is."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from made_gateway import client_of
from starlette.testclient import TestClient
from test_chat import saying, served

from data.workspace import home
from serving import engine_log, request_id
from serving.batching import batched
from serving.client import EngineClient, engine_client
from serving.door import Door
from serving.engine_key import VARIABLE, KeyCheck, engine_key, key_headers
from serving.engine_log import RequestLog
from serving.engines import Engines, engines
from serving.guard import Guards
from serving.launch import ROLES
from serving.streams import event

CHAT = {"messages": [{"role": "user", "content": "Say hello to Ada."}]}
LINE = re.compile(r"request (\S+) path (\S+) status (\d+) milliseconds \d+")


def logged(capfd: pytest.CaptureFixture[str], lines: int) -> str:
    """Return what engines of this process have logged: a line follows its answer by a moment."""
    text, until = "", time.monotonic() + 10
    while len(LINE.findall(text)) < lines and time.monotonic() < until:
        text += capfd.readouterr().err
        time.sleep(0.01)
    return text


class Engine:
    """An engine of all three roles over HTTP, with the log and the key of the real ones."""

    def __init__(self) -> None:
        app = self.app = FastAPI()
        self.working, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        app.get("/health")(lambda: {})
        app.post("/fails")(self.fails)
        app.post("/classify")(self.classify)
        app.post("/v1/chat/completions", response_model=None)(self.chat)
        app.add_middleware(RequestLog)
        app.add_middleware(KeyCheck)

    def fails(self) -> None:
        raise RuntimeError("a quoted subject")

    def classify(self, body: dict[str, Any]) -> dict[str, Any]:
        self.working.set()
        self.go_on.wait(5)
        return {"data": [{"index": n, "probs": [0.2, 0.8]} for n, _ in enumerate(body["input"])]}

    def chat(self, body: dict[str, Any]) -> dict[str, Any] | StreamingResponse:
        if body.get("stream"):
            return StreamingResponse([*map(event, saying("Hello.")()), "data: [DONE]\n\n"])
        return {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}], "usage": {}}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv(VARIABLE, engine_key())
    return Engine()


@pytest.fixture
def client(engine: Engine) -> Iterator[EngineClient]:
    with (
        served(engine.app) as url,
        engine_client(Engines("transformers", dict.fromkeys(ROLES, url), 0.0, ())) as client,
    ):
        yield client


def test_the_id_of_an_answer_is_in_the_engines_log(
    client: EngineClient, door: Door, guards: Guards, capfd: pytest.CaptureFixture[str]
):
    asked = {"messages": [{"text": "Ada ends the lease"}]}
    with batched(client.classify) as classify:
        gateway = client_of(replace(door, client=client, classify=classify), guards)
        answers = [
            gateway.post("/v1/classify", json=asked),
            gateway.post("/v1/chat/completions", json=CHAT),
            gateway.post("/v1/chat/completions", json=CHAT | {"stream": True}),
        ]

    log = logged(capfd, 3)
    ids = [answer.headers["x-request-id"] for answer in answers]
    paths = ["/classify", "/v1/chat/completions", "/v1/chat/completions"]
    assert {(*each, "200") for each in zip(ids, paths, strict=True)} == set(LINE.findall(log))
    assert "Ada" not in log


def test_a_batch_carries_the_id_of_each_of_its_callers_once(
    engine: Engine, client: EngineClient, capfd: pytest.CaptureFixture[str]
):
    def ask(number: int) -> None:
        with request_id.on_behalf_of([f"caller-{number}"]):
            classify([f"text {number}"])

    engine.go_on.clear()
    with batched(client.classify, workers=1) as classify, ThreadPoolExecutor(5) as pool:
        first = pool.submit(ask, 0)
        engine.working.wait(5)
        others = [pool.submit(ask, number) for number in (1, 2, 3, 3)]
        while classify._waiting.qsize() < 4:
            time.sleep(0.001)
        engine.go_on.set()
        for each in (first, *others):
            each.result()

    alone, together = (found[0] for found in LINE.findall(logged(capfd, 2)))
    assert "caller-0" == alone
    assert ["caller-1", "caller-2", "caller-3"] == sorted(together.split(","))


def test_the_ids_of_a_call_are_bounded_and_end_with_it():
    with request_id.on_behalf_of(["", *(f"{number:064}" for number in range(100))]):
        told = request_id.id_headers()["X-Request-Id"]

    assert 32 == len(told.split(","))
    assert len(told) < 2_100
    assert {} == request_id.id_headers()


def test_a_failure_is_logged_without_its_words_and_strangers_and_probes_are_not(
    engine: Engine, capfd: pytest.CaptureFixture[str]
):
    with TestClient(engine.app, raise_server_exceptions=False) as http:
        http.post("/fails", headers=key_headers())
        http.post("/classify", json={"input": []})
        http.get("/health", headers=key_headers())

    assert "request none path /fails status 500 milliseconds 0\n" == re.sub(
        r"\d+\n", "0\n", capfd.readouterr().err
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_a_full_disk_keeps_nobody_from_an_answer(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(engine_log, "STDERR", full.fileno())
        with TestClient(engine.app) as http:
            answer = http.post("/classify", json={"input": ["text"]}, headers=key_headers())

        assert 200 == answer.status_code
        with pytest.raises(OSError, match="No space"):
            full.write(b"a line")


@pytest.mark.slow
def test_the_transformers_engine_logs_whose_request_it_was(
    random_classifier: Path, tmp_path: Path, workspace: Path
):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "classifier").symlink_to(random_classifier)

    with (
        engines(tmp_path / "bundle", "transformers", roles=("classifier",)) as running,
        engine_client(running) as client,
        request_id.on_behalf_of(["0123456789ab", "ab0123456789"]),
    ):
        client.classify(["Ada ends the lease"])

    log = (home() / "logs" / "transformers.log").read_text()
    assert [("0123456789ab,ab0123456789", "/classify", "200")] == LINE.findall(log)
    assert "Ada" not in log
