"""Connections that ask for nothing: closed soon, and never in the way of one that does."""

from __future__ import annotations

import time
from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_S = 10.0  # for a whole head of a request, from the connection's beginning or its last answer on


class Connection(AutoHTTPProtocol):
    """A connection that is closed when it asks for nothing, and makes room for others before that.

    uvicorn alone waits for ever for a first request, and for a later one that comes a byte at a time; and
    it answers 503 to everybody while as many connections are open as it may have, silent ones included.
    """

    _since: float
    _closing: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:
        super().connection_made(transport)
        self._await_head()
        if (too_many := len(self.connections) - self.limit_concurrency + 1) > 0:
            self._make_room(too_many)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._closing:
            self._closing.cancel()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_head()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        if self._closing:
            self._closing.cancel()
        self._since = time.monotonic()
        self._closing = self.loop.call_later(HEAD_S, self._close)

    def _close(self) -> None:
        if self._is_idle:
            self.transport.close()  # once its last answer has left

    def _make_room(self, too_many: int) -> None:
        """Cut off whoever has asked for nothing the longest, then whoever does not read their answer."""
        others = self.connections - {self}
        waiting = [each for each in others if each._is_idle or each.flow.write_paused]
        waiting.sort(key=lambda each: (each.transport.get_write_buffer_size() > 0, each._since))
        for each in waiting[:too_many]:
            self.connections.discard(each)  # now: many may be accepted before its end is told
            each.transport.abort()
