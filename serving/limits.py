"""How much at once, how often and for how long: what is too much is refused at once, never left waiting."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pydantic import BaseModel, ConfigDict, Field

CALLERS = 10_000  # whose rate is remembered; the longest idle is forgotten first

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class Limits(BaseModel):
    """The bounds of a gateway."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    body_bytes: int = Field(default=1_000_000, ge=1_000)
    requests_at_once: int = Field(default=64, ge=1, description="more get 429")
    requests_at_once_each: int = Field(default=32, ge=1, description="of one key, or one person with tokens")
    body_seconds: float = Field(default=10.0, gt=0, description="a body that takes longer gets 408")
    requests_per_minute: int = Field(default=1_200, ge=1, description="counted in the same way")
    burst: int = Field(default=100, ge=1, description="requests that a caller may send without a pause")
    seconds: float = Field(default=30.0, gt=0, description="a request that takes longer gets 504")
    reranking_seconds: float = Field(
        default=5.0, gt=0, description="of them, for a reranker; then the order of the search stands"
    )


class DeadlineError(Exception):
    """The time of a request is over."""


class Rate:
    """A bucket of tokens per caller: full at the start, refilled evenly."""

    def __init__(self, per_minute: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60
        self._burst = float(burst)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, caller: str) -> float:
        """Take one token and return 0, or the seconds until there is one."""
        now = self._clock()
        with self._lock:
            left, then = self._left.pop(caller, (self._burst, now))
            left = min(self._burst, left + (now - then) * self._per_second)
            granted = left >= 1
            self._left[caller] = (left - 1 if granted else left, now)
            if len(self._left) > CALLERS:
                self._left.popitem(last=False)
        return 0.0 if granted else (1 - left) / self._per_second


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Bound what is done in the block, and in threads that inherit its context."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def seconds_left(at_most: float) -> float:
    """Return how long the request may still take, never more than ``at_most``.

    Raises:
        DeadlineError: nothing is left.
    """
    until = _deadline.get()
    left = at_most if until is None else min(at_most, until - time.monotonic())
    if left <= 0:
        raise DeadlineError
    return left
