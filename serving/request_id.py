"""The id that follows a request from the door to the engine and into the audit."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

HEADER = "X-Request-Id"
GIVEN = re.compile(r"[0-9A-Za-z_-]{8,64}")

current: ContextVar[str] = ContextVar("request_id", default="")


def request_id_of(given: str) -> str:
    """Return the caller's id if it is one, or a new one: what is logged is never free text."""
    return given if GIVEN.fullmatch(given) else secrets.token_hex(12)
