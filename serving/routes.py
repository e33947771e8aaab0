"""What the gateway answers, and who may ask it."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from data.redact import model_view
from data.retention import remembered_holds
from data.schema import CHANNELS
from data.workspace import UserError
from serving import actions
from serving.access import RIGHTS, Caller
from serving.archive_routes import Name, add_archive_routes
from serving.chat import chat_events, complete
from serving.door import Doors
from serving.embed import Vectors
from serving.guard import Guard, Guards, Visit, needs, saw
from serving.launch import ROLES
from serving.openai_requests import ChatRequest, EmbeddingsRequest
from serving.page import add_page
from serving.problems import DOCUMENTED, EVENTS, MISSING, Documented, add_problems
from serving.requests import ClassifyRequest
from serving.reveal_routes import add_reveal_route
from serving.review_errors import ReviewErrors, errors_of
from serving.reviews import report_of, reviewed_releases
from serving.streams import streamed
from serving.tool_routes import add_tool_routes

READY_S = 1.0
PAGE: Documented = {200: {"content": {"text/html": {}}}}
TEXT: Documented = {200: {"content": {"text/plain": {}}}}


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
    add_archive_routes(app, doors, guards)
    add_tool_routes(app, doors, guards)
    add_reveal_route(app, guards)
    _add_reviews(app)
    add_page(app)
    add_problems(app)
    app.add_middleware(Guard, guards=guards)
    return app


class Readiness:
    """Whether the engines answer, asked at most once a second however often somebody wants to know."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._lock = anyio.Lock()
        self._asked = 0.0
        self._ready: dict[str, bool] = {}
        self.sleeping: list[str] = []

    async def engines(self) -> dict[str, bool]:
        async with self._lock:
            if time.monotonic() - self._asked > READY_S:
                self._ready = await anyio.to_thread.run_sync(self._look)
                self._asked = time.monotonic()
        return self._ready

    def _look(self) -> dict[str, bool]:
        with self._doors.lease() as door:
            self.sleeping = sorted(door.client.asleep)
            return {role: role not in self.sleeping and door.client.is_ready(role) for role in door.roles}


def _add_health(app: FastAPI, doors: Doors, guards: Guards) -> None:
    readiness = Readiness(doors)

    @app.get("/healthz", responses={})
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz(response: Response) -> dict[str, Any]:
        ready = await readiness.engines()
        sleeping = readiness.sleeping  # whoever asks for one wakes it: that is ready, too
        answers = all(ready[role] or role in sleeping for role in ROLES)  # without a reranker, too
        response.status_code = 200 if answers else 503
        return {"engines": ready, "sleeping": sleeping}

    @app.get("/v1/me")
    def me(caller: Annotated[Caller, Depends(needs("me"))]) -> dict[str, Any]:
        with doors.lease() as door:
            labels, several = list(door.labels), door.thresholds is not None
        rights = sorted({right for role in caller.roles for right in RIGHTS[role]})
        holds = [hold.name for hold in remembered_holds()] if caller.may("hold") else []
        limits = {} if caller.scope.is_everything else asdict(caller.scope)
        return {"name": caller.name, "roles": caller.roles, "rights": rights, "limits": limits,
                "labels": labels, "several_labels": several, "channels": CHANNELS,
                "holds": holds}  # fmt: skip

    @app.get("/metrics", dependencies=[Depends(needs("metrics"))], responses=TEXT, response_model=None)
    def metrics() -> Response:
        with doors.lease() as door:  # the engines of a bundle on trial, or still starting, do not count
            guards.metrics.show_engines(asleep=door.client.asleep, down=door.client.down, roles=door.roles)
        return Response(generate_latest(guards.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_models(app: FastAPI, doors: Doors, guards: Guards) -> None:
    @app.get("/v1/models", dependencies=[Depends(needs("generate"))])
    def models() -> dict[str, Any]:
        data = [{"id": role, "object": "model", "created": 0, "owned_by": "mailroom"} for role in ROLES]
        return {"object": "list", "data": data}

    @app.post("/v1/classify")
    def classify(
        body: ClassifyRequest, request: Request, caller: Annotated[Caller, Depends(needs("classify"))]
    ) -> dict[str, Any]:
        return actions.classify(doors, guards, body, request, caller)

    @app.post("/v1/embeddings", dependencies=[Depends(needs("embed"))])
    def embeddings(body: EmbeddingsRequest) -> dict[str, Any]:
        texts = [body.input] if isinstance(body.input, str) else body.input
        with doors.lease() as door:
            rows = door.embed_afresh([model_view(actions.redacted(text)) for text in texts])
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

    @app.post(
        "/v1/chat/completions",
        dependencies=[Depends(needs("generate"))],
        responses=EVENTS,
        response_model=None,
    )
    def chat(body: ChatRequest, request: Request) -> dict[str, Any] | StreamingResponse:
        visit: Visit = request.scope["visit"]
        if body.stream:
            return streamed(chat_events(doors, guards, visit, body))
        return complete(doors, guards, visit, body)


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

    @app.get("/v1/reviews/{release_id}/errors", responses=MISSING)
    def errors(
        release_id: Name, request: Request, caller: Annotated[Caller, Depends(needs("review"))]
    ) -> ReviewErrors:
        try:
            found = errors_of(release_id, caller.scope)
        except (UserError, OSError):
            raise HTTPException(503, "the messages that this release was judged on are not at hand") from None
        if found is None:
            raise HTTPException(404, "no release of this name waits for its decision")
        seen = [error.message_id for error in found.errors]
        saw(request, seen, release=release_id, withheld=found.withheld)
        return found


def _packed(row: Vectors) -> str:
    """Return a vector as the openai client asks for it: base64 of little-endian float32."""
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
