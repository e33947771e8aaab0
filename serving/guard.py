"""What every request passes before a route sees it, and every answer before it leaves: one ASGI layer.

Outside the routes on purpose: a route that forgets something is still behind a credential, the limits
and the audit, and its own right is refused unless it names one (``needs``).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.lowlevel
from fastapi import HTTPException, Request

from data.feedback import OpenRecord
from serving import request_id, traces
from serving.access import Caller, Right
from serving.audit import AuditLog
from serving.findings import Policy, read_policy
from serving.limits import Limits, Rate, deadline, seconds_left
from serving.metrics import Metrics
from serving.revealing import Reveals
from serving.tool_matrix import NEEDED, ToolMatrix, ToolName, may_call, read_matrix

OPEN_ROUTES = frozenset({"/healthz", "/readyz"})
METRICS = "/metrics"
PAGE = "/page/"
HERE = Path(__file__).parent

SECURITY = {
    b"cache-control": b"no-store",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}
PAGE_POLICY = (
    # A report in its frame carries its styles; nothing of the archive is ever set as markup.
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; frame-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Checks(Protocol):
    """Whatever knows credentials of one kind."""

    def caller(self, text: str) -> Caller | None: ...


@dataclass(frozen=True, slots=True, repr=False)
class Guards:
    """All that stands at the door, whatever bundle is behind it."""

    credentials: Sequence[Checks]
    audit: AuditLog
    metrics: Metrics
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=read_policy)
    tools: ToolMatrix = field(default_factory=read_matrix)
    reveals: Reveals | None = None  # without it no pseudonym is undone here
    encrypted: bool = False  # TLS ends here: browsers are told to insist on it
    labels: OpenRecord = field(default_factory=OpenRecord)  # what reviewers said, kept open


@dataclass(slots=True)
class Visit:
    """One request as the guard and the audit see it."""

    id: str
    method: str
    path: str
    started: float = field(default_factory=time.monotonic)
    caller: Caller | None = None
    refused: str = ""
    silent: bool = False  # one refusal of a flood
    seen: list[str] = field(default_factory=list)  # ids of the messages that the answer shows
    details: dict[str, Any] = field(default_factory=dict)  # what else the audit should know: never text


def needs(right: Right) -> Callable[[Request], Caller]:
    """Return the dependency of a route that only callers with this right may use."""

    def check(request: Request) -> Caller:
        visit: Visit = request.scope["visit"]
        seconds_left(1)  # waiting for a thread counts
        if visit.caller is None or not visit.caller.may(right):
            visit.refused = "right"
            raise HTTPException(403, f"this key has no right to {right}")
        return visit.caller

    check.right = right  # type: ignore[attr-defined]  # for the test that walks all routes
    return check


def needs_tool(tool: ToolName, matrix: ToolMatrix) -> Callable[[Request], Caller]:
    """Return the dependency of a tool that only callers may use to whom the table gives it."""
    has_right = needs(NEEDED[tool])

    def check(request: Request) -> Caller:
        caller = has_right(request)
        if not may_call(matrix, caller, tool):
            request.scope["visit"].refused = "tool"
            raise HTTPException(403, f"this key may not call the tool {tool}")
        return caller

    check.right = NEEDED[tool]  # type: ignore[attr-defined]  # for the test that walks all routes
    return check


def saw(request: Request, message_ids: Sequence[str], **details: Any) -> None:
    """Tell the audit which messages an answer shows, and what else it should know."""
    visit: Visit = request.scope["visit"]
    visit.seen += message_ids
    visit.details |= details


class Guard:
    """Credential, limits, deadline, correlation id, security headers, metrics and audit around an app."""

    def __init__(self, app: App, *, guards: Guards) -> None:
        self._app = app
        self._guards = guards
        self._rate = Rate(guards.limits.requests_per_minute, guards.limits.burst)
        self._flying: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        visit = Visit(request_id.request_id_of(given), scope["method"][:16], scope["path"])
        scope["visit"] = visit
        token = request_id.current.set(visit.id)
        try:
            await self._answer(scope, receive, send, visit, headers)
        finally:
            request_id.current.reset(token)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, visit: Visit, headers: dict[bytes, bytes]
    ) -> None:
        leaving = _Leaving(scope, send, visit, self._guards)
        try:
            refusal = self._refusal(scope, visit, headers)
        except Exception as error:  # a damaged file of keys: told, audited, and nothing opens
            tell(visit, error)
            visit.refused = "credential"
            refusal = 503, "credentials cannot be checked now", {}
        if refusal is not None:
            status, words, more = refusal
            await leaving.refuse(status, words, more)
            return
        who = visit.caller.counted_as if visit.caller and visit.path != METRICS else ""
        if who:  # open routes and the scrape cost little, and must not keep anybody out
            self._flying[who] += 1
            self._guards.metrics.in_flight.set(self._flying.total())
        try:
            with deadline(self._guards.limits.seconds), traces.traced(visit.id, visit.method):
                await self._app(scope, self._timely(receive), leaving)
        except asyncio.CancelledError as error:  # the gateway ends, and waits no longer for this request
            tell(visit, error)
            if not leaving.begun:
                await leaving.refuse(503, "the gateway stops; ask again", {"Retry-After": "5"})
        except Exception as error:
            tell(visit, error)
            if leaving.begun:
                raise RuntimeError(f"request {visit.id} broke off") from None
            await leaving.refuse(500, f"the gateway failed; its operator finds request {visit.id} in the log")
        finally:
            if who:
                self._flying[who] -= 1
                self._flying += Counter()  # forgets who has none on the way
                self._guards.metrics.in_flight.set(self._flying.total())

    def _timely(self, receive: Receive) -> Receive:
        """Return ``receive`` that waits for a whole body ``body_seconds`` in all, in however many parts."""
        whole, until = False, 0.0

        async def timely() -> MutableMapping[str, Any]:
            nonlocal whole, until
            if whole:
                return await receive()
            until = until or time.monotonic() + self._guards.limits.body_seconds
            try:
                with anyio.fail_after(until - time.monotonic()):
                    message = await receive()
                    await anyio.lowlevel.checkpoint()  # a part that was there already is late, too
            except TimeoutError:
                raise HTTPException(408, "the body did not arrive in time") from None
            whole = not message.get("more_body", False)
            return message

        return timely

    def _refusal(
        self, scope: Scope, visit: Visit, headers: dict[bytes, bytes]
    ) -> tuple[int, str, dict[str, str]] | None:
        """Return why the request goes no further, or None."""
        limits = self._guards.limits
        if visit.path in OPEN_ROUTES or visit.path == "/" or visit.path.startswith(PAGE):
            return None
        visit.caller = self._caller(headers)
        if visit.caller is None:
            visit.refused = "credential"
            place = (scope.get("client") or ("",))[0]
            if seconds := self._rate.wait(f"without a credential: {place}"):
                visit.silent = True  # counted, but no line each: a flood must not fill the disk
                return 429, "too many requests without a key", {"Retry-After": str(int(seconds) + 1)}
            return 401, "a key is needed: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"}
        who = visit.caller.counted_as
        if seconds := self._rate.wait(who):
            visit.refused = "rate"
            return 429, "too many requests of this key", {"Retry-After": str(int(seconds) + 1)}
        is_full = self._flying.total() >= limits.requests_at_once
        if (is_full or self._flying[who] >= limits.requests_at_once_each) and visit.path != METRICS:
            visit.refused = "busy"  # but for the scrape: measures are wanted most when all is full
            return 429, "too many requests at once", {"Retry-After": "1"}
        return self._too_long(visit, headers.get(b"content-length", b"").decode("latin-1"))

    def _too_long(self, visit: Visit, length: str) -> tuple[int, str, dict[str, str]] | None:
        if visit.method in ("POST", "PUT", "PATCH") and not length.isdecimal():
            visit.refused = "length"
            return 411, "the length of the body must be given", {}
        if length.isdecimal() and (len(length) > 12 or int(length) > self._guards.limits.body_bytes):
            visit.refused = "size"
            return 413, f"a body has at most {self._guards.limits.body_bytes} bytes", {}
        return None

    def _caller(self, headers: dict[bytes, bytes]) -> Caller | None:
        kind, _, text = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if kind.lower() != "bearer":
            return None
        failed: Exception | None = None
        for checks in self._guards.credentials:
            try:
                caller = checks.caller(text)
            except Exception as error:  # one kind that cannot be checked leaves the others
                failed = error
                continue
            if caller is not None:
                return caller
        if failed is not None:
            raise failed
        return None


class _Leaving:
    """The way out: nothing is sent before its audit line stands."""

    def __init__(self, scope: Scope, send: Send, visit: Visit, guards: Guards) -> None:
        self._scope = scope
        self._send = send
        self._visit = visit
        self._guards = guards
        self._muted = False
        self.begun = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status = int(message["status"])
            if not self._audited(status):
                self._muted = True
                await self._reply(503, "the audit log cannot be written; nothing is answered", {})
                return
            message["headers"] = [*message["headers"], *self._headers(message["headers"])]
            self.begun = True
        if not self._muted:
            await self._send(message)

    async def refuse(self, status: int, words: str, headers: dict[str, str] | None = None) -> None:
        """Answer in place of the routes."""
        if self._audited(status):
            await self._reply(status, words, headers or {})
        else:
            await self._reply(503, "the audit log cannot be written; nothing is answered", {})

    async def _reply(self, status: int, words: str, headers: dict[str, str]) -> None:
        body = json.dumps({"error": {"message": words, "code": status}}).encode()
        own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        own += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self.begun = True
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [*own, *self._headers(own)]}
        )
        await self._send({"type": "http.response.body", "body": body})

    def _headers(self, present: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        known = {name.lower() for name, _ in present}
        added = SECURITY | {b"x-request-id": self._visit.id.encode()}
        if self._visit.path == "/" or self._visit.path.startswith(PAGE):
            added |= {b"content-security-policy": PAGE_POLICY}
        if self._guards.encrypted:
            added |= {b"strict-transport-security": b"max-age=31536000"}
        return [(name, value) for name, value in added.items() if name not in known]

    def _audited(self, status: int) -> bool:
        """Count the answer and write its line; what needs no credential and reads nothing is only counted."""
        visit, metrics = self._visit, self._guards.metrics
        route = getattr(self._scope.get("route"), "path", "") or "none"
        seconds = time.monotonic() - visit.started
        metrics.requests.labels(route, str(status)).inc()
        role = visit.caller.highest_role if visit.caller else "none"
        metrics.seconds.labels(route, role).observe(seconds)
        traces.say(route=route, status=status)
        if visit.refused:
            metrics.refusals.labels(visit.refused).inc()
        if visit.silent or (visit.caller is None and not visit.refused):
            return True
        try:
            self._guards.audit.write(audited(visit, status, route=route))
        except OSError:
            return False
        return True


def audited(visit: Visit, status: int, **more: Any) -> dict[str, Any]:
    """Return the audit's line of a request: names, ids and numbers, no word of message or question."""
    caller = visit.caller
    return {
        "request": visit.id,
        "caller": caller.name if caller else "",
        "credential": caller.credential if caller else "",
        "roles": list(caller.roles) if caller else [],
        "method": visit.method,
        "status": status,
        "refused": visit.refused,
        "messages": visit.seen,
        **visit.details,
        **more,
    }


def tell(visit: Visit, error: BaseException) -> None:
    """Say on stderr what failed and where: never the error's words, which may quote a message."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if HERE.parent in Path(frame.filename).parents
    ]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
    print(f"mailroom: request {visit.id} failed: {type(error).__name__} at {place}", file=sys.stderr)
