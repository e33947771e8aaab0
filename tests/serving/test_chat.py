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
from made_gateway import CopyingGenerator, client_of
from pydantic import BaseModel

from data.redact import model_view
from serving.actions import redacted
from serving.audit import verify_audit
from serving.client import EngineClient, EngineRefusedError, engine_client
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
JSON: Any = {"type": "json_object"}
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


class Writer(CopyingGenerator):
    """A generator that writes what it is told, and remembers what it was asked."""

    def __init__(self, text: str = "Hello.", refuses: bool = False) -> None:
        self._text, self._refuses = text, refuses
        self.asked: list[dict[str, Any]] = []

    def ask(self, role: str, route: str, body: Any) -> dict[str, Any]:
        self.asked.append(body)
        if self._refuses:
            raise EngineRefusedError("generator", 422)
        said = {"message": {"content": self._text}, "finish_reason": "stop"}
        return {"choices": [said], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}

    def stream(self, role: str, route: str, body: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(body)
        return saying(*self._text)()


class Lease(BaseModel):
    place: str
    ends: str


def test_openais_client_has_honoured_what_it_asks_for(door: Door, guards: Guards):
    writer = Writer('{"place": "harbour", "ends": "30 June"}')
    http = client_of(replace(door, client=writer), guards, "service")  # type: ignore[arg-type]
    turns: Any = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "When?"}, {"type": "text", "text": "Where?"}]},
    ]

    with openai_client(http) as client:
        reply = client.chat.completions.parse(
            model="generator",
            messages=turns,
            response_format=Lease,
            max_completion_tokens=40,
            stop=["\n\n"],
            seed=7,
            n=1,
            user="desk-4",
        )

    assert Lease(place="harbour", ends="30 June") == reply.choices[0].message.parsed
    (asked,) = writer.asked
    assert [("system", "Be short."), ("user", "When?\nWhere?")] == [
        (turn["role"], turn["content"]) for turn in asked["messages"]
    ]
    assert (40, ["\n\n"], 7) == (asked["max_tokens"], asked["stop"], asked["seed"])
    schema = asked["response_format"]["json_schema"]["schema"]
    assert {"place", "ends"} == set(schema["properties"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"n": 2}, "n is honoured only as 1"),
        ({"top_p": 0.5}, "top_p is honoured only as 1"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools is not honoured"),
        ({"stream_options": {"include_obfuscation": True}}, "include_obfuscation is not honoured"),
        ({"messages": [{"role": "user", "content": "hi", "name": "a"}]}, "name is not honoured"),
        ({"Jane Doe is ill": 1}, "a field is not honoured"),
    ],
)
def test_what_is_not_honoured_is_refused_in_one_line(
    door: Door, guards: Guards, asked: dict[str, Any], said: str
):
    with (
        openai_client(client_of(door, guards, "service")) as client,
        pytest.raises(openai.BadRequestError, match=f"{said}.*leave it out") as refused,
    ):
        client.chat.completions.create(**{"model": "generator", "messages": TURNS, "extra_body": asked})

    assert "\n" not in refused.value.body["message"]  # type: ignore[index]
    assert "ill" not in refused.value.body["message"]  # type: ignore[index]


def test_an_embedding_has_the_models_dimensions_or_is_refused(door: Door, guards: Guards):
    with openai_client(client_of(door, guards, "service")) as client:
        packed = client.embeddings.create(model="embedder", input="a text", encoding_format="base64")
        plain = client.embeddings.create(model="embedder", input="a text", encoding_format="float")
        with pytest.raises(openai.BadRequestError, match="dimensions is not honoured"):
            client.embeddings.create(model="embedder", input="a text", dimensions=2)

    assert isinstance(packed.data[0].embedding, str)
    assert [1, 0, 0] == plain.data[0].embedding


def test_an_engine_that_writes_no_json_is_a_status(door: Door, guards: Guards):
    http = client_of(replace(door, client=Writer(refuses=True)), guards, "service")  # type: ignore[arg-type]

    reply = http.post("/v1/chat/completions", json={"messages": TURNS, "response_format": JSON})

    assert 400 == reply.status_code
    assert "response_format" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (r'{"to": "jane.doe\u0040example.org"}', {"to": "email"}),
        ('{"count": 3, "open": [true, null]}', {"count": 3, "open": [True, None]}),
        (json.dumps({"note": LETTER}), {"note": model_view(redacted(LETTER))}),
    ],
    ids=["escaped", "nothing private", "signed"],
)
def test_json_tells_nobodys_data_and_stays_json(door: Door, guards: Guards, written: str, said: Any):
    with openai_client(writing(written, door, guards)) as client:
        whole = client.chat.completions.create(model="g", messages=TURNS, response_format=JSON)
        chunks = client.chat.completions.create(model="g", messages=TURNS, response_format=JSON, stream=True)
        streamed_text = words_of(chunks)

    assert said == json.loads(whole.choices[0].message.content or "") == json.loads(streamed_text)


def test_json_that_redaction_breaks_does_not_leave(door: Door, guards: Guards):
    with openai_client(writing('{"card": 4111111111111111}', door, guards)) as client:
        whole = client.chat.completions.create(model="g", messages=TURNS, response_format=JSON)
        chunks = list(
            client.chat.completions.create(model="g", messages=TURNS, response_format=JSON, stream=True)
        )

    assert ("", "content_filter") == (whole.choices[0].message.content, whole.choices[0].finish_reason)
    assert ("", "content_filter") == (words_of(chunks), chunks[-1].choices[0].finish_reason)


def writing(text: str, door: Door, guards: Guards) -> httpx.Client:
    """Return a client of a gateway whose generator writes this."""
    return client_of(replace(door, client=Writer(text)), guards, "service")  # type: ignore[arg-type]


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
        middle = whole["choices"][0]["message"]["content"][10:14]
        stopped = body | {"stop": ["never written", middle]}
        cut = client.ask("generator", "/v1/chat/completions", stopped)
        cut_parts = list(client.stream("generator", "/v1/chat/completions", stopped | {"stream": True}))
        with pytest.raises(EngineRefusedError):
            client.ask(
                "generator", "/v1/chat/completions", body | {"response_format": {"type": "json_object"}}
            )
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
    before = choice["message"]["content"].split(middle)[0]
    assert before == cut["choices"][0]["message"]["content"]
    assert before == "".join(part["choices"][0]["delta"]["content"] for part in cut_parts)
    assert "stop" == cut["choices"][0]["finish_reason"] == cut_parts[-1]["choices"][0]["finish_reason"]
    assert cut["usage"]["completion_tokens"] < whole["usage"]["completion_tokens"]
