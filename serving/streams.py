"""Server-sent events: begun before the answer's status is given, and ended when nobody reads them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Generator, Mapping
from typing import Any

import anyio
import anyio.to_thread
from fastapi.responses import StreamingResponse
from starlette.concurrency import iterate_in_threadpool

Events = Generator[str, None, None]


def event(content: Mapping[str, Any], *, name: str = "") -> str:
    """Return one event; OpenAI's clients want those of a chat without a name."""
    named = f"event: {name}\n" if name else ""
    return f"{named}data: {json.dumps(content)}\n\n"


def streamed(events: Events) -> StreamingResponse:
    """Return the answer that sends the events, once the first of them is there.

    What goes wrong before that is raised, and has a status of its own. When the reader leaves, the
    generator is closed: what it holds open (an engine's answer, a bundle) ends with it.
    """
    first = next(events)
    return StreamingResponse(_sent(first, events), media_type="text/event-stream")


async def _sent(first: str, events: Events) -> AsyncIterator[str]:
    try:
        yield first
        async for each in iterate_in_threadpool(events):
            yield each
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(events.close)
