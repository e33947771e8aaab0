"""A connection that asks for nothing is closed, and is never in the way of one that does."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
import uvicorn

from serving import connections
from serving.connections import Connection

ASKED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
MOST = 8


async def answer(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await asyncio.sleep(1.0 if scope["path"] == "/slow" else 0)
        body = b"x" * (20_000_000 if scope["path"] == "/long" else 2)
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        for start in range(0, len(body), 100_000):
            part = body[start : start + 100_000]
            await send({"type": "http.response.body", "body": part, "more_body": start + 100_000 < len(body)})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[uvicorn.Server]:
    monkeypatch.setattr(connections, "HEAD_S", 0.4)
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            answer, http=Connection, lifespan="off", limit_concurrency=MOST, log_level="critical"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield server
        server.force_exit = server.should_exit = True
        thread.join()


@pytest.fixture
def port(server: uvicorn.Server) -> int:
    return int(server.servers[0].sockets[0].getsockname()[1])


def connected(port: int, sent: bytes = b"") -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=5)
    opened.sendall(sent)
    return opened


def asked(port: int) -> bytes:
    with connected(port, ASKED) as opened:
        return opened.recv(12)


def seconds_to_the_end(opened: socket.socket, drip: bytes) -> float:
    """Return after how long a connection is closed on which a head comes a byte at a time."""
    started = time.monotonic()
    opened.settimeout(0.05)
    for byte in drip:
        try:
            opened.sendall(bytes([byte]))
            if not opened.recv(1000):
                return time.monotonic() - started
        except TimeoutError:
            continue
        except ConnectionError:
            return time.monotonic() - started
    return float("inf")


def test_silent_connections_keep_nobody_out(port: int):
    silent = [connected(port) for _ in range(3 * MOST)]

    assert [b"HTTP/1.1 200"] * 3 == [asked(port) for _ in range(3)]
    for each in silent:
        each.close()


def test_readers_who_do_not_read_keep_nobody_out(server: uvicorn.Server, port: int):
    unread = [connected(port, ASKED.replace(b"/ ", b"/long ")) for _ in range(MOST - 1)]
    while sum(each.flow.write_paused for each in server.server_state.connections) < MOST - 1:
        time.sleep(0.05)

    assert [b"HTTP/1.1 200"] * 3 == [asked(port) for _ in range(3)]
    for each in unread:
        each.close()


@pytest.mark.parametrize("before", [b"", ASKED])
def test_a_head_that_comes_a_byte_at_a_time_is_not_waited_for(port: int, before: bytes):
    with connected(port, before) as opened:
        taken = seconds_to_the_end(opened, ASKED * 4)

    assert taken == pytest.approx(0.5, abs=0.4)


def test_a_request_takes_as_long_as_it_takes_and_is_not_made_room_of(port: int):
    with connected(port, ASKED.replace(b"/ ", b"/slow ")) as slow:
        silent = [connected(port) for _ in range(2 * MOST)]

        assert slow.recv(12) == b"HTTP/1.1 200"
    for each in silent:
        each.close()


def test_requests_on_one_connection_go_on(port: int):
    with closing(HTTPConnection("127.0.0.1", port)) as opened:
        for _ in range(4):
            opened.request("GET", "/")
            assert opened.getresponse().read() == b"xx"
            assert opened.sock is not None  # kept for the next one
            time.sleep(0.2)
