"""Clients of Milvus: a Lite file in this process, or a server by its address."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from data.workspace import UserError

# Lite's server, in this process, hangs up on a busy client for its pings ("too_many_pings"), and the
# requests on their way fail. It needs none: it ends when we do.
UNPINGED = {"grpc.keepalive_time_ms": 2**31 - 1}

_readers: Counter[str] = Counter()
_readers_lock = Lock()


@contextmanager
def milvus_client(uri: str) -> Iterator[Any]:
    """Open a client; the last one of this process to close a Lite file lets go of the file.

    Raises:
        UserError: no server at the address, or a Lite file that another process holds.
    """
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

    logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)  # the error below says it in one line
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    is_file = "://" not in uri
    with _readers_lock:
        _readers[uri] += 1
    try:
        client = _connect(MilvusClient, MilvusException, uri, is_file)
        try:
            yield client
        finally:
            client.close()
    finally:
        with _readers_lock:
            _readers[uri] -= 1
            if is_file and not _readers[uri]:
                _let_go(uri)


def _connect(client_type: Any, failure: type[Exception], uri: str, is_file: bool) -> Any:
    try:
        return client_type(uri=uri, timeout=10, grpc_options=UNPINGED if is_file else {})
    except failure as error:
        if is_file:
            problem = f"the index {uri} is open in another process; stop that one (a running mailroom serve?)"
        else:
            problem = f"no Milvus server at {uri}; start it, or leave milvus_uri empty for a Lite file"
        raise UserError(problem) from error


def _let_go(path: str) -> None:
    """Stop the Lite engine: closing the client leaves it running, and with it the lock on the file."""
    from milvus_lite.server_manager import server_manager_instance  # type: ignore[import-untyped]

    server_manager_instance.release_server(path)
