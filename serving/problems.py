"""Every answer that is none: one body, documented for each status, and never a word of the request."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pymilvus.exceptions import MilvusException
from starlette.exceptions import HTTPException as StarletteHTTPException

from data.workspace import UserError
from serving.answered import NotRecordedError
from serving.archive import ChangedDatasetError
from serving.client import EngineRefusedError, EngineUnavailableError
from serving.guard import Visit, tell
from serving.limits import DeadlineError
from serving.reviews import ChangedEvidenceError


class Problem(BaseModel):
    """Why there is no answer."""

    message: str
    code: int


class ProblemBody(BaseModel):
    """The body of every answer that is none."""

    error: Problem


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
Documented = dict[int | str, dict[str, Any]]
# By reference: a model would be compiled anew for every status of every route, which is most of a start.
BODY = {"application/json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
DOCUMENTED: Documented = {
    status: {"content": BODY, "description": words} for status, words in PROBLEMS.items()
}
EVENT = {name: {"type": "string"} for name in ("event", "data")}
EVENTS: Documented = {
    200: {"content": {"text/event-stream": {"schema": {"type": "object", "properties": EVENT}}}}
}
# The one that brings the schema of the body into the document.
MISSING: Documented = {404: {"model": ProblemBody, "description": "there is none, or it is not yours to see"}}


def told(visit: Visit, error: Exception) -> tuple[str, int]:
    """Return what a caller may know of a failure, and its status."""
    if isinstance(error, EngineUnavailableError):
        return str(error), 503
    if isinstance(error, EngineRefusedError):
        return str(error), 400
    if isinstance(error, DeadlineError):
        return "the request took too long", 504
    if isinstance(error, ChangedDatasetError):
        return "the dataset of this index was written anew; its operator has to start the gateway again", 503
    tell(visit, error)
    if isinstance(error, NotRecordedError | UserError | OSError | MilvusException):
        return "the gateway cannot do this now", 503
    return f"the gateway failed; its operator finds request {visit.id} in the log", 500


def add_problems(app: FastAPI) -> None:
    """Give every error the same body; none of them quotes the request."""

    async def failed(request: Request, error: Exception) -> JSONResponse:
        words, code = told(request.scope["visit"], error)
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
    for kind in (
        EngineUnavailableError,
        EngineRefusedError,
        NotRecordedError,
        DeadlineError,
        ChangedDatasetError,
        UserError,
        MilvusException,
    ):
        app.add_exception_handler(kind, failed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(StarletteHTTPException, stated)


def _problem(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "code": status}}, status, headers)
