"""What the gateway answers, and who may ask it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import asdict
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from pymilvus.exceptions import MilvusException
from starlette.exceptions import HTTPException as StarletteHTTPException

from data import feedback
from data.model_input import classifier_input
from data.redact import model_view, redact
from data.schema import CHANNELS
from data.workspace import UserError, secret
from serving.access import RIGHTS, Caller
from serving.answered import NotRecordedError, record_answer
from serving.answers import Found, citation_of, compose, find
from serving.archive import MOST
from serving.canary import classified
from serving.client import EngineRefusedError, EngineUnavailableError, calibrated
from serving.door import Door, Doors
from serving.embed import Vectors, question_input
from serving.findings import Finding, find_in_thread
from serving.guard import Guard, Guards, Visit, audited, needs, saw, tell
from serving.index import Hit, Mode
from serving.launch import ROLES
from serving.limits import DeadlineError
from serving.page import add_page
from serving.requests import (
    AskRequest,
    ChatRequest,
    ClassifyRequest,
    EmbeddingsRequest,
    FeedbackRequest,
    SearchRequest,
)
from serving.reviews import ChangedEvidenceError, report_of, reviewed_releases
from serving.scope import within


class Problem(BaseModel):
    """Why there is no answer."""

    message: str
    code: int


class ProblemBody(BaseModel):
    """The body of every answer that is none."""

    error: Problem


READY_S = 1.0
PROBLEMS = {
    400: "the request cannot be fulfilled as it is; the message says why",
    401: "no credential, or one that does not count",
    403: "the credential has not this right",
    408: "the body did not arrive in time",
    411: "the body's length is not given",
    413: "the body is too large",
    422: "the request is not what this route takes",
    429: "too many requests: wait as long as Retry-After says",
    500: "a bug: the operator finds the request's id in the log",
    503: "the engine does not answer",
    504: "the request took too long",
}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemBody, "description": words} for status, words in PROBLEMS.items()
}
MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": ProblemBody, "description": "there is none, or it is not yours to see"}
}
PAGE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {}}}}
TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}
EVENT = {name: {"type": "string"} for name in ("event", "data")}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "object", "properties": EVENT}}}}
}
Name = Annotated[str, Path(pattern=r"^[0-9A-Za-z_-]{1,128}$")]


def _threads(guards: Guards) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Give every request that is let in a thread, so that none waits for one."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = guards.limits.requests_at_once + 8
        yield

    return lifespan


def build_app(doors: Doors, guards: Guards) -> FastAPI:
    """Return the gateway; every route but the health checks needs a credential with its right."""
    app = FastAPI(
        title="Mailroom",
        version="1",
        description="Classify, search and question a redacted communication archive.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        redirect_slashes=False,
        lifespan=_threads(guards),
        responses=DOCUMENTED,
    )
    _add_health(app, doors, guards)
    _add_models(app, doors, guards)
    _add_archive(app, doors, guards)
    _add_reviews(app)
    add_page(app)
    _add_problems(app)
    app.add_middleware(Guard, guards=guards)
    return app


class Readiness:
    """Whether the engines answer, asked at most once a second however often somebody wants to know."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._lock = anyio.Lock()
        self._asked = 0.0
        self._ready: dict[str, bool] = {}

    async def engines(self) -> dict[str, bool]:
        async with self._lock:
            if time.monotonic() - self._asked > READY_S:
                self._ready = await anyio.to_thread.run_sync(self._look)
                self._asked = time.monotonic()
        return self._ready

    def _look(self) -> dict[str, bool]:
        with self._doors.lease() as door:
            return {role: door.client.is_ready(role) for role in ROLES}


def _add_health(app: FastAPI, doors: Doors, guards: Guards) -> None:
    readiness = Readiness(doors)

    @app.get("/healthz", responses={})
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz(response: Response) -> dict[str, Any]:
        ready = await readiness.engines()
        response.status_code = 200 if all(ready.values()) else 503
        return {"engines": ready}

    @app.get("/v1/me")
    def me(caller: Annotated[Caller, Depends(needs("me"))]) -> dict[str, Any]:
        with doors.lease() as door:
            labels = list(door.labels)
        rights = sorted({right for role in caller.roles for right in RIGHTS[role]})
        limits = {} if caller.scope.is_everything else asdict(caller.scope)
        return {"name": caller.name, "roles": caller.roles, "rights": rights, "limits": limits,
                "labels": labels, "channels": CHANNELS}  # fmt: skip

    @app.get("/metrics", dependencies=[Depends(needs("metrics"))], responses=TEXT, response_model=None)
    def metrics() -> Response:
        return Response(generate_latest(guards.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_models(app: FastAPI, doors: Doors, guards: Guards) -> None:
    @app.get("/v1/models", dependencies=[Depends(needs("generate"))])
    def models() -> dict[str, Any]:
        data = [{"id": role, "object": "model", "created": 0, "owned_by": "mailroom"} for role in ROLES]
        return {"object": "list", "data": data}

    @app.post("/v1/classify", dependencies=[Depends(needs("classify"))])
    def classify(body: ClassifyRequest, request: Request) -> dict[str, Any]:
        texts = [classifier_input(_redacted(each.subject), _redacted(each.text)) for each in body.messages]
        with doors.lease() as door:
            answering, scores = classified(doors.trial, door, texts)
            rows = calibrated(scores, answering.bundle.thresholds.temperature)
            labels, release = answering.labels, answering.bundle.release_id
        results = []
        for row in rows:
            label, probability = labels[int(row.argmax())], float(row.max())
            guards.metrics.labels.labels(label).inc()
            guards.metrics.confidence.observe(probability)
            probabilities = dict(zip(labels, row.tolist(), strict=True))
            results.append({"label": label, "probability": probability, "probabilities": probabilities})
        saw(request, [], classified=len(results), release=release)
        return {"release": release, "results": results}

    @app.post("/v1/embeddings", dependencies=[Depends(needs("embed"))])
    def embeddings(body: EmbeddingsRequest) -> dict[str, Any]:
        texts = [body.input] if isinstance(body.input, str) else body.input
        with doors.lease() as door:
            rows = door.embed_afresh([model_view(_redacted(text)) for text in texts])
        data = [
            {
                "object": "embedding",
                "index": place,
                "embedding": _packed(row) if body.encoding_format == "base64" else row.tolist(),
            }
            for place, row in enumerate(rows)
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}  # not counted: texts are cut at the model's length
        return {"object": "list", "model": "embedder", "data": data, "usage": usage}

    @app.post("/v1/chat/completions", dependencies=[Depends(needs("generate"))])
    def chat(body: ChatRequest) -> dict[str, Any]:
        turns = [
            {"role": turn.role, "content": model_view(_redacted(turn.content))} for turn in body.messages
        ]
        asked = {"model": "generator", "messages": turns, "max_tokens": body.max_tokens,
                 "temperature": body.temperature}  # fmt: skip
        with doors.lease() as door:
            reply = door.client.ask("generator", "/v1/chat/completions", asked)
        for kind in ("prompt_tokens", "completion_tokens"):
            guards.metrics.tokens.labels(kind).inc(int((reply.get("usage") or {}).get(kind) or 0))
        return reply


def _add_archive(app: FastAPI, doors: Doors, guards: Guards) -> None:
    @app.post("/v1/search")
    def search(
        body: SearchRequest, request: Request, caller: Annotated[Caller, Depends(needs("search"))]
    ) -> dict[str, Any]:
        question, limits = _redacted(body.question), within(caller.scope, body.filters.scope())
        with doors.lease() as door:
            vector = door.embed([question_input(question)])
            hits = door.index.search([question], vector, k=body.k, mode=body.mode, within=limits)[0]
        saw(request, list(dict.fromkeys(hit.message_id for hit in hits)))
        return {"hits": [_as_json(hit, rank, body.mode) for rank, hit in enumerate(hits, start=1)]}

    @app.post("/v1/ask", responses=EVENTS, response_model=None)
    def ask(
        body: AskRequest, request: Request, caller: Annotated[Caller, Depends(needs("ask"))]
    ) -> dict[str, Any] | StreamingResponse:
        question, limits = _redacted(body.question), within(caller.scope, body.filters.scope())
        if body.stream:
            events = _events(doors, guards, request.scope["visit"], question, limits)
            return StreamingResponse(events, media_type="text/event-stream")
        with doors.lease() as door:
            whole, seen = _composed(door, guards, _found(door, question, limits))
        saw(request, seen, answer=whole["id"])
        return whole

    @app.get("/v1/messages/{message_id}", responses=MISSING)
    def message(
        message_id: Name, request: Request, caller: Annotated[Caller, Depends(needs("read"))]
    ) -> dict[str, Any]:
        with doors.lease() as door:
            saw(request, [], asked=message_id)
            found = _archive_of(door).message(message_id, caller.scope)
        if found is None:
            raise HTTPException(404, "there is no such message")
        saw(request, [message_id])
        return found

    @app.get("/v1/threads/{thread_id}", responses=MISSING)
    def thread(
        thread_id: Name, request: Request, caller: Annotated[Caller, Depends(needs("read"))]
    ) -> dict[str, Any]:
        with doors.lease() as door:
            saw(request, [], asked=thread_id)
            found = _archive_of(door).thread(thread_id, caller.scope)
        if not found:
            raise HTTPException(404, "there is no such thread")
        shown = found[-MOST:]
        saw(request, [row["message_id"] for row in shown])
        return {"thread_id": thread_id, "total": len(found), "messages": shown}

    @app.post("/v1/feedback", responses=MISSING)
    def label(
        body: FeedbackRequest, request: Request, caller: Annotated[Caller, Depends(needs("label"))]
    ) -> dict[str, str]:
        with doors.lease() as door:
            if _archive_of(door).message(body.message_id, caller.scope) is None:
                raise HTTPException(404, "there is no such message")
            if body.label not in door.labels:
                raise HTTPException(400, "the classifier does not know this label; see /v1/me")
        try:
            feedback.refuse_telling_reason(body.reason)
        except UserError as error:
            raise HTTPException(400, str(error)) from None
        # The audit first: a label that could not be audited is not signed.
        guards.audit.write(audited(request.scope["visit"], 0, event="label", messages=[body.message_id]))
        said = [(body.message_id, body.label, body.reason)]
        feedback.add(feedback.as_proposed(said, feedback.read()), reviewer=caller.signer)
        saw(request, [body.message_id], label=body.label)
        return {"message_id": body.message_id, "label": body.label, "reviewer": caller.signer}

    @app.post("/v1/threads/{thread_id}/finding", responses=MISSING)
    def finding(
        thread_id: Name, request: Request, caller: Annotated[Caller, Depends(needs("find"))]
    ) -> Finding:
        with doors.lease() as door:
            rows = _archive_of(door).thread(thread_id, caller.scope)
            if not rows:
                raise HTTPException(404, "there is no such thread")
            found = find_in_thread(
                thread_id,
                rows,
                classify=door.classify,
                labels=door.labels,
                temperature=door.bundle.thresholds.temperature,
                policy=guards.policy,
            )
        saw(request, [row["message_id"] for row in rows], action=found.action, label=found.label)
        return found


def _add_reviews(app: FastAPI) -> None:
    @app.get("/v1/reviews", dependencies=[Depends(needs("review"))])
    def reviews() -> dict[str, Any]:
        return {"releases": [asdict(release) for release in reviewed_releases()]}

    @app.get(
        "/v1/reviews/{release_id}/report",
        dependencies=[Depends(needs("review"))],
        responses=PAGE | MISSING,
        response_model=None,
    )
    def report(release_id: Name, request: Request) -> HTMLResponse:
        found = report_of(release_id)
        if found is None:
            raise HTTPException(404, "there is no such report")
        saw(request, [], release=release_id)
        return HTMLResponse(found)


def _found(door: Door, question: str, limits: str) -> Found:
    thresholds = door.bundle.thresholds
    return find(question, index=door.index, embed=door.embed, thresholds=thresholds, within=limits)


def _composed(door: Door, guards: Guards, found: Found) -> tuple[dict[str, Any], list[str]]:
    """Return the answer and the messages it cites; an answer that cannot be recorded is not given."""
    given = compose(found, client=door.client, prompts=door.bundle.prompts)
    name = record_answer(given, found.question, bundle=door.bundle, index=door.index.index)
    guards.metrics.answers.labels(given.origin).inc()
    return {"id": name, **asdict(given)}, list(dict.fromkeys(each.message_id for each in given.citations))


def _events(doors: Doors, guards: Guards, visit: Visit, question: str, limits: str) -> Iterator[str]:
    """Yield the sources as soon as they are found, then the answer: no word before its source is verified."""
    try:
        with doors.lease() as door:
            found = _found(door, question, limits)
            seen = list(dict.fromkeys(sentence.message_id for sentence in found.shown))
            guards.audit.write(audited(visit, 200, messages=seen, event="sources"))
            yield _event("sources", {"citations": [asdict(citation_of(each)) for each in found.shown]})
            whole, seen = _composed(door, guards, found)
            guards.audit.write(audited(visit, 200, messages=seen, event="answer", answer=whole["id"]))
            yield _event("answer", whole)
    except Exception as error:
        words, code = _told(visit, error)
        with suppress(OSError):
            guards.audit.write(audited(visit, code, event="error"))
        yield _event("error", {"message": words, "code": code})


def _told(visit: Visit, error: Exception) -> tuple[str, int]:
    """Return what a caller may know of a failure, and its status."""
    if isinstance(error, EngineUnavailableError):
        return str(error), 503
    if isinstance(error, EngineRefusedError):
        return str(error), 400
    if isinstance(error, DeadlineError):
        return "the request took too long", 504
    tell(visit, error)
    if isinstance(error, NotRecordedError | UserError | OSError | MilvusException):
        return "the gateway cannot do this now", 503
    return f"the gateway failed; its operator finds request {visit.id} in the log", 500


def _event(name: str, content: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(content)}\n\n"


def _archive_of(door: Door) -> Any:
    if door.archive is None:
        raise HTTPException(503, "the dataset of this index is not at hand; search and ask work without it")
    return door.archive


def _add_problems(app: FastAPI) -> None:
    """Give every error the same body; none of them quotes the request."""

    async def failed(request: Request, error: Exception) -> JSONResponse:
        words, code = _told(request.scope["visit"], error)
        return _problem(code, words, {"Retry-After": "10"} if code == 503 else None)

    async def changed(_request: Request, error: Exception) -> JSONResponse:
        return _problem(503, str(error))

    async def stated(_request: Request, error: Exception) -> JSONResponse:
        status = getattr(error, "status_code", 500)
        return _problem(status, str(getattr(error, "detail", "")), getattr(error, "headers", None))

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        places = sorted({".".join(map(str, each["loc"][:4])) + f": {each['type']}" for each in found})
        return _problem(422, "; ".join(places[:5]))

    app.add_exception_handler(ChangedEvidenceError, changed)
    for kind in (EngineUnavailableError, EngineRefusedError, NotRecordedError, DeadlineError, UserError):
        app.add_exception_handler(kind, failed)
    app.add_exception_handler(MilvusException, failed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(StarletteHTTPException, stated)


def _problem(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "code": status}}, status, headers)


def _packed(row: Vectors) -> str:
    """Return a vector as the openai client asks for it: base64 of little-endian float32."""
    return base64.b64encode(row.astype("<f4").tobytes()).decode()


def _redacted(text: str) -> str:
    """Redact as the archive was redacted, so that the same person has the same pseudonym."""
    return redact(text, key=secret("redaction")).text


def _as_json(hit: Hit, rank: int, mode: Mode) -> dict[str, Any]:
    """Return a hit without its BM25 weight, which counts how many other messages use a word."""
    similarity = hit.similarity if hit.similarity == hit.similarity else None  # JSON knows no NaN
    score = 1 / rank if mode == "bm25" else hit.score
    return asdict(hit) | {"similarity": similarity, "score": score}
