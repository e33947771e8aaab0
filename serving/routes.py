"""What the gateway answers, and to whom."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StringConstraints

from data.model_input import classifier_input
from data.redact import model_view, redact
from data.workspace import keys, secret
from serving.answered import NotRecordedError, record_answer
from serving.answers import answer
from serving.bundle import Bundle
from serving.client import EngineClient, EngineRefusedError, EngineUnavailableError, calibrated
from serving.embed import question_input
from serving.index import Hit, OpenIndex
from serving.launch import ROLES

BODY_BYTES = 1_000_000
OPEN_ROUTES = ("/healthz", "/readyz")
Text = Annotated[str, StringConstraints(max_length=100_000)]
Question = Annotated[str, StringConstraints(min_length=1, max_length=2_000, strip_whitespace=True)]


@dataclass(frozen=True, slots=True, repr=False)
class Door:
    """All that the routes need: one bundle, its engines, its index, and the key."""

    bundle: Bundle
    client: EngineClient
    index: OpenIndex
    labels: tuple[str, ...]
    key: str


class Message(BaseModel, extra="forbid"):
    """A message as it arrived; it is redacted before any model sees it."""

    subject: Text = ""
    text: Text


class ClassifyRequest(BaseModel, extra="forbid"):
    """Messages to classify."""

    messages: list[Message] = Field(min_length=1, max_length=64)


class EmbeddingsRequest(BaseModel):
    """OpenAI's embeddings request, as far as it makes sense here."""

    input: Text | list[Text]
    model: str = ""


class SearchRequest(BaseModel, extra="forbid"):
    """A search by meaning, by wording or by both."""

    question: Question
    k: int = Field(default=10, ge=1, le=100)
    mode: Literal["hybrid", "dense", "bm25"] = "hybrid"


class AskRequest(BaseModel, extra="forbid"):
    """A question that the archive may answer."""

    question: Question


class Turn(BaseModel):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Text


class ChatRequest(BaseModel):
    """OpenAI's chat request, as far as it makes sense here; it is not streamed."""

    messages: list[Turn] = Field(min_length=1, max_length=64)
    model: str = ""
    max_tokens: int = Field(default=256, ge=1, le=1024)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    stream: Literal[False] = False


def key_path() -> Path:
    """Return where the gateway's key lies."""
    return keys() / "gateway.key"


def gateway_key() -> str:
    """Return the key that requests must carry, made at the first start with access for the owner alone."""
    path = key_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    return path.read_text().strip()


def build_app(door: Door) -> FastAPI:
    """Return the gateway; every route but the health checks needs the bearer key."""
    app = FastAPI(title="Mailroom", version="1", docs_url=None, redoc_url=None)
    app.middleware("http")(_guard(door.key))
    app.add_exception_handler(EngineUnavailableError, _unavailable)
    app.add_exception_handler(NotRecordedError, _unavailable)
    app.add_exception_handler(EngineRefusedError, _refused)
    _add_health(app, door)
    _add_models(app, door)
    _add_archive(app, door)
    return app


def _add_health(app: FastAPI, door: Door) -> None:
    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    def readyz(response: Response) -> dict[str, Any]:
        ready = {role: door.client.is_ready(role) for role in ROLES}
        response.status_code = 200 if all(ready.values()) else 503
        return {"bundle": door.bundle.digest[:12], "engines": ready}


def _add_models(app: FastAPI, door: Door) -> None:
    @app.post("/v1/classify")
    def classify(request: ClassifyRequest) -> dict[str, Any]:
        texts = [classifier_input(_redacted(each.subject), _redacted(each.text)) for each in request.messages]
        rows = calibrated(door.client.classify(texts), door.bundle.thresholds.temperature)
        results = [
            {
                "label": door.labels[int(row.argmax())],
                "probability": float(row.max()),
                "probabilities": dict(zip(door.labels, row.tolist(), strict=True)),
            }
            for row in rows
        ]
        return {"release": door.bundle.release_id, "results": results}

    @app.post("/v1/embeddings")
    def embeddings(request: EmbeddingsRequest) -> dict[str, Any]:
        texts = [request.input] if isinstance(request.input, str) else request.input
        rows = door.client.embed([model_view(_redacted(text)) for text in texts])
        data = [
            {"object": "embedding", "index": place, "embedding": row.tolist()}
            for place, row in enumerate(rows)
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}  # not counted: texts are cut at the model's length
        return {"object": "list", "model": "embedder", "data": data, "usage": usage}

    @app.post("/v1/chat/completions")
    def chat(request: ChatRequest) -> dict[str, Any]:
        turns = [
            {"role": turn.role, "content": model_view(_redacted(turn.content))} for turn in request.messages
        ]
        body = {"model": "generator", "messages": turns, "max_tokens": request.max_tokens,
                "temperature": request.temperature}  # fmt: skip
        return door.client.ask("generator", "/v1/chat/completions", body)


def _add_archive(app: FastAPI, door: Door) -> None:
    @app.post("/v1/search")
    def search(request: SearchRequest) -> dict[str, Any]:
        question = _redacted(request.question)
        vector = door.client.embed([question_input(question)])
        hits = door.index.search([question], vector, k=request.k, mode=request.mode)[0]
        return {"hits": [_as_json(hit) for hit in hits]}

    @app.post("/v1/ask")
    def ask(request: AskRequest) -> dict[str, Any]:
        question = _redacted(request.question)
        given = answer(
            question,
            index=door.index,
            client=door.client,
            prompts=door.bundle.prompts,
            thresholds=door.bundle.thresholds,
        )
        name = record_answer(given, question, bundle=door.bundle, index=door.index.index)
        return {"id": name, **asdict(given)}


def _guard(key: str) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    expected = f"Bearer {key}".encode()

    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.url.path not in OPEN_ROUTES:
            given = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, expected):
                return _error(
                    401, "a key is needed: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"}
                )
            length = request.headers.get("content-length", "")
            if request.method == "POST" and not length.isdecimal():
                return _error(411, "the length of the body must be given")
            if length.isdecimal() and int(length) > BODY_BYTES:
                return _error(413, f"a body has at most {BODY_BYTES} bytes")
        response = await go_on(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return guard


async def _unavailable(_request: Request, error: Exception) -> JSONResponse:
    return _error(503, str(error), {"Retry-After": "10"})


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    return _error(400, str(error))


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "code": status}}, status, headers)


def _redacted(text: str) -> str:
    """Redact as the archive was redacted, so that the same person has the same pseudonym."""
    return redact(text, key=secret("redaction")).text


def _as_json(hit: Hit) -> dict[str, Any]:
    similarity = hit.similarity if hit.similarity == hit.similarity else None  # JSON knows no NaN
    return asdict(hit) | {"similarity": similarity}
