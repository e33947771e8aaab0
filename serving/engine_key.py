"""The key that only the process that starts engines has: no other account on this machine may use them.

vLLM's own key guards the routes below ``/v1`` alone, and it offers the same under other names too.
"""

from __future__ import annotations

import functools
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

VARIABLE = "MAILROOM_ENGINE_KEY"
OPEN = "/health"


@functools.cache
def engine_key() -> str:
    """Return this process's key, drawn when it is first asked for."""
    return secrets.token_urlsafe(32)


def key_headers() -> dict[str, str]:
    """Return what a request to an engine carries."""
    return {"Authorization": f"Bearer {engine_key()}"}


class KeyCheck:
    """ASGI middleware of an engine: every route but ``/health`` asks for the key of who started it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._wanted = f"Bearer {os.environ[VARIABLE]}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] == OPEN or self._has_key(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    def _has_key(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return secrets.compare_digest(given, self._wanted)
