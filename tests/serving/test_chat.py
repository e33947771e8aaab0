"""A chat is streamed as OpenAI's client reads it, tells nobody's data, and ends when nobody reads it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from made_gateway import client_of

from data.redact import model_view
from serving.actions import redacted
from serving.audit import verify_audit
from serving.client import EngineClient, engine_client
from serving.door import Door, Doors
from serving.engines import engines
from serving.guard import Guards
from serving.limits import Limits
from serving.routes import build_app
from serving.streams import event, streamed
from tests.training.made_decoders import write_decoder

TOLD = (
    "Please write to jane.doe@example.org or call +49 89 1234 5678 before noon. "
    "Her IBAN is DE89 3704 0044 0532 0130 00. Greetings to Mr. Jonathan Miller, "
    "12 Hill Street, Springfield.\nThe rest of the file says nothing about anybody at all, and it says so "
    "at such a length that what stands before it has long left when it ends. That is all there is to say. "
    "Nothing else follows, but for one more sentence that is here to be the last one."
)
TURNS: Any = [{"role": "user", "content": "Say hello."}]


def saying(*parts: str) -> Callable[..., Iterator[dict[str, Any]]]:
    """Return an engine's stream that writes these parts."""

    def stream(*_: object) -> Generator[dict[str, Any], None, None]:
        for number, part in enumerate([*parts, ""], start=1):
            reason = None if number <= len(parts) else "stop"
            usage = {"prompt_tokens": 5, "completion_tokens": number, "total_tokens": 5 + number}
            yield {"choices": [{"delta": {"content": part}, "finish_reason": reason}], "usage": usage}

    return stream


def openai_client(http: httpx.Client, base: str = "http://testserver/v1") -> openai.OpenAI:
    return openai.OpenAI(base_url=base, api_key="service", http_client=http, max_retries=0)


def words_of(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_openais_client_reads_a_stream(door: Door, guards: Guards):
    with openai_client(client_of(door, guards, "service")) as client:
        chunks = list(
            client.chat.completions.create(
                model="generator", messages=TURNS, stream=True, stream_options={"include_usage": True}
            )
        )

    assert "Hello." == words_of(chunks)
    assert {"chat.completion.chunk"} == {chunk.object for chunk in chunks}
    assert 1 == len({chunk.id for chunk in chunks})
    assert "assistant" == chunks[0].choices[0].delta.role
    assert [None, "stop"] == [chunk.choices[0].finish_reason for chunk in (chunks[0], chunks[-2])]
    assert ([], 11) == (chunks[-1].choices, chunks[-1].usage.total_tokens)  # type: ignore[union-attr]
    tokens = {"kind": "completion_tokens"}
    assert 2 == guards.metrics.registry.get_sample_value("mailroom_generator_tokens_total", tokens)


def test_usage_comes_only_when_it_is_asked_for(door: Door, guards: Guards):
    reply = client_of(door, guards).post("/v1/chat/completions", json={"messages": TURNS, "stream": True})

    assert reply.headers["content-type"].startswith("text/event-stream")
    assert "usage" not in reply.text
    assert reply.text.endswith("data: [DONE]\n\n")


def test_whole_or_streamed_an_answer_says_the_same_and_tells_nobodys_data(door: Door, guards: Guards):
    whole = {"choices": [{"message": {"content": TOLD}, "finish_reason": "stop"}], "usage": {}}
    door.client.ask = lambda *_: whole  # type: ignore[method-assign]
    door.client.stream = saying(*(TOLD[start : start + 7] for start in range(0, len(TOLD), 7)))  # type: ignore[method-assign,assignment]

    with openai_client(client_of(door, guards, "service")) as client:
        said = client.chat.completions.create(model="generator", messages=TURNS).choices[0].message.content
        chunks = list(client.chat.completions.create(model="generator", messages=TURNS, stream=True))

    assert said == words_of(chunks)
    assert sum(bool(chunk.choices[0].delta.content) for chunk in chunks) > 1
    for private in ("jane.doe", "1234 5678", "0532", "Miller", "_"):
        assert private not in str(said)


LETTER = """Zwirbelmann will take over the harbour lease from Monday. The keys are with the front desk,
and the inspection report is in the shared folder. Please read it before the meeting. The tenant
has asked for two changes to the contract, which the legal team is looking at this week.

Best regards,
Harald Zwirbelmann
Head of Property
"""


def test_a_name_that_the_signature_alone_gives_away_has_not_left_before(door: Door, guards: Guards):
    door.client.stream = saying(*LETTER.splitlines(keepends=True))  # type: ignore[method-assign,assignment]

    with openai_client(client_of(door, guards, "service")) as client:
        said = words_of(client.chat.completions.create(model="generator", messages=TURNS, stream=True))

    assert model_view(redacted(LETTER)) == said
    assert "Zwirbelmann" not in said


@pytest.mark.parametrize(
    "written", ["", "no end", "One. Two!\n\nThree?", "彼は来ました。そう。", "...", "\n"]
)
def test_nothing_is_lost_between_pieces(written: str, door: Door, guards: Guards):
    door.client.stream = saying(*written)  # type: ignore[method-assign,assignment]

    with openai_client(client_of(door, guards, "service")) as client:
        said = words_of(client.chat.completions.create(model="generator", messages=TURNS, stream=True))

    assert model_view(redacted(written)) == said


def test_a_dead_engine_is_a_status_and_no_stream(door: Door, guards: Guards):
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        client = EngineClient({"generator": address}, httpx.Client(timeout=5, trust_env=False))
        http = client_of(replace(door, client=client), guards)

        reply = http.post("/v1/chat/completions", json={"messages": TURNS, "stream": True})

    assert 503 == reply.status_code
    assert "Retry-After" in reply.headers
    assert reply.headers["content-type"] == "application/json"


class Engine:
    """An engine over HTTP that writes one word and then does what it is told."""

    def __init__(self, then: str) -> None:
        self.ended, self.let_go = threading.Event(), threading.Event()
        self.app = FastAPI()

        @self.app.post("/v1/chat/completions")
        def chat(_request: Request) -> StreamingResponse:
            return streamed(self._words(then))

    def _words(self, then: str) -> Generator[str, None, None]:
        try:
            for number in range(1, 2_000):
                choice = {"delta": {"content": "word " * 50}, "finish_reason": None}
                yield event({"choices": [choice], "usage": {"completion_tokens": number}})
                if then == "dies":
                    raise RuntimeError
                self.let_go.wait(0.02 if then == "goes on" else 10)
        finally:
            self.ended.set()


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an app on a free port of loopback, in a thread of its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def gateway_over(engine: Engine, door: Door, guards: Guards) -> Iterator[openai.OpenAI]:
    with ExitStack() as stack:
        address = stack.enter_context(served(engine.app))
        http = stack.enter_context(httpx.Client(trust_env=False))
        doors = Doors()
        doors.open(replace(door, client=EngineClient({"generator": address}, http)), ExitStack())
        base = stack.enter_context(served(build_app(doors, guards)))
        outside = stack.enter_context(httpx.Client(trust_env=False, timeout=20))
        yield openai_client(outside, f"{base}/v1")
        doors.open(door, ExitStack())  # waits for whoever is still inside the former one


def lines_of(guards: Guards) -> list[dict[str, Any]]:
    return [json.loads(line)["event"] for line in guards.audit.path.read_text().splitlines()]


def test_an_engine_that_dies_after_the_first_word_ends_the_stream_with_an_error(door: Door, guards: Guards):
    with gateway_over(Engine("dies"), door, guards) as client:
        chunks = client.chat.completions.create(model="generator", messages=TURNS, stream=True)
        with pytest.raises(openai.APIError, match="engine does not answer"):
            list(chunks)

    assert [(200, None), (503, "error")] == [(line["status"], line.get("event")) for line in lines_of(guards)]
    assert verify_audit(guards.audit.path) == (2, None)


@pytest.mark.slow
def test_a_stream_ends_in_time_though_its_engine_is_silent(door: Door, guards: Guards):
    engine = Engine("is silent")
    short = replace(guards, limits=Limits(seconds=2))
    redacted("a first text, which takes longer than others")

    with gateway_over(engine, door, short) as client:
        started = time.monotonic()
        chunks = client.chat.completions.create(model="generator", messages=TURNS, stream=True)
        with pytest.raises(openai.APIError, match="too long"):
            list(chunks)
        seconds = time.monotonic() - started
        engine.let_go.set()

    assert 2 <= seconds < 9  # it does not wait for the next word
    assert engine.ended.wait(5)
    assert (504, "error") == (lines_of(guards)[-1]["status"], lines_of(guards)[-1]["event"])


def test_when_the_reader_leaves_the_generation_ends(door: Door, guards: Guards):
    engine = Engine("goes on")

    with gateway_over(engine, door, guards) as client:
        chunks = client.chat.completions.create(model="generator", messages=TURNS, stream=True)
        next(iter(chunks))
        assert not engine.ended.is_set()
        chunks.close()
        assert engine.ended.wait(5)

    assert "left" == lines_of(guards)[-1]["event"]
    assert 0 == guards.metrics.registry.get_sample_value("mailroom_requests_in_flight")


@pytest.mark.slow
def test_the_transformers_engine_streams_what_it_says_and_stops_when_told(tmp_path: Path, workspace: Path):
    write_decoder("llama", tmp_path / "bundle" / "generator", positions=2048)
    body = {"model": "generator", "messages": TURNS, "max_tokens": 40, "seed": 7}

    with (
        engines(tmp_path / "bundle", "transformers", roles=("generator",)) as running,
        engine_client(running) as client,
    ):
        whole = client.ask("generator", "/v1/chat/completions", body)
        parts = list(client.stream("generator", "/v1/chat/completions", body | {"stream": True}))
        endless = client.stream(
            "generator", "/v1/chat/completions", body | {"stream": True, "max_tokens": 1_900}
        )
        next(endless)
        started = time.monotonic()
        endless.close()
        client.ask("generator", "/v1/chat/completions", body | {"max_tokens": 1})
        seconds = time.monotonic() - started

    choice = whole["choices"][0]
    assert choice["message"]["content"] == "".join(part["choices"][0]["delta"]["content"] for part in parts)
    assert choice["finish_reason"] == parts[-1]["choices"][0]["finish_reason"]
    assert whole["usage"] == parts[-1]["usage"]
    assert seconds < 2  # the engine has one model: 1,900 tokens would have taken longer
