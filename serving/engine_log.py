"""One line in an engine's log for each request: whose ids, which route, how it went; no text.

vLLM's own access log names no request, and is off. Since nothing else grows without end in that log, it is
bounded here (``serving.log_segments``).
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from serving.engine_key import OPEN
from serving.log_segments import bound
from serving.request_id import HEADER

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAME = HEADER.lower().encode()
STDERR = 2  # where an engine's log is, whatever Python takes for it


class RequestLog:
    """ASGI middleware of an engine, inside the check of its key: strangers write no lines.

    Probes of ``/health`` write none either.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == OPEN:
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 500  # unless it comes to an answer

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            _write(scope, status, time.monotonic() - started)


def _write(scope: Scope, status: int, seconds: float) -> None:
    ids = next((value for name, value in scope["headers"] if name == NAME), b"").decode("latin-1")
    words = f"request {ids or 'none'} path {scope['path']} status {status} milliseconds {1000 * seconds:.0f}"
    with suppress(OSError):  # a full disk must not keep anybody from an answer
        os.write(STDERR, f"{words}\n".encode())  # at once: an unbuffered print writes the end by itself
        bound(STDERR)
