"""The id that follows a request from the door to the engine and into the audit."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "X-Request-Id"
GIVEN = re.compile(r"[0-9A-Za-z_-]{8,64}")
MOST = 32  # ids of one engine call: with as many of the longest its header has two kilobytes

current: ContextVar[str] = ContextVar("request_id", default="")


def request_id_of(given: str) -> str:
    """Return the caller's id if it is one, or a new one: what is logged is never free text."""
    return given if GIVEN.fullmatch(given) else secrets.token_hex(12)


def id_headers() -> dict[str, str]:
    """Return what an engine is told about whom it works for: nothing outside a request."""
    return {HEADER: ids} if (ids := current.get()) else {}


@contextmanager
def on_behalf_of(ids: Iterable[str]) -> Iterator[None]:
    """Let what is asked in the block carry the ids of all these requests, each once, the first ``MOST``."""
    token = current.set(",".join([each for each in dict.fromkeys(ids) if each][:MOST]))
    try:
        yield
    finally:
        current.reset(token)
