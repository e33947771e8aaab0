"""Memory of the gateway over many requests: `python -m tests.benchmarks.serve --soak 100000`.

The engines are a stand-in of its own process that answers at once with made-up figures, so that so many
requests pass in minutes; gateway, index, redaction, audit and record of answers are the real ones. Of 20
requests 16 classify, 3 search and 1 asks; no text comes twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

CLIENTS = 8
PARTS = 10
RUN = [sys.executable, "-m", "tests.benchmarks.soak"]


def soak(bundle: Path, requests: int) -> int:
    """Print the gateway's memory at every tenth of the requests; return 1 when one was not answered."""
    from serving.bundle import read_bundle
    from serving.client import labels_of
    from serving.engines import Engines
    from serving.index import read_index
    from serving.launch import ROLES
    from serving.metrics import Metrics
    from tests.benchmarks.serve import opened, resident

    found, codes = read_bundle(bundle), Counter[str]()
    labels = len(labels_of(found.folder / "classifier"))
    dimension = read_index(found.folder / "index").dimension
    with tempfile.TemporaryDirectory() as folder, stand_in(labels, dimension) as engine:
        os.environ |= {"MAILROOM_HOME": f"{folder}/home", "MAILROOM_KEYS": f"{folder}/keys"}
        running = Engines("transformers", dict.fromkeys(ROLES, engine), 0.0, ())
        with opened(found, running, Metrics()) as gateway:
            print(
                f"{'requests':>9} {'MB':>6} {'a second':>9}  not 200\n{0:>9} {resident():>6.0f}", flush=True
            )
            for part in range(PARTS):
                started, count = time.monotonic(), requests // PARTS
                told = [gateway.url, gateway.key, str(part * count), str(count)]
                done = subprocess.run([*RUN, "send", *told], capture_output=True, text=True, check=True)
                codes.update(json.loads(done.stdout))
                rate, others = count / (time.monotonic() - started), codes.total() - codes["200"]
                print(f"{(part + 1) * count:>9} {resident():>6.0f} {rate:>9.0f}  {others}", flush=True)
    return int(codes.total() != codes["200"])


@contextmanager
def stand_in(labels: int, dimension: int) -> Iterator[str]:
    """Run an engine for every role that answers at once."""
    from serving.ports import free_ports
    from tests.benchmarks.serve import answering

    (port,) = free_ports(1)
    with answering([*RUN, "engine", str(port), str(labels), str(dimension)], port) as url:
        yield url


def engine(port: int, labels: int, dimension: int) -> None:
    import uvicorn
    from fastapi import FastAPI

    app, random = FastAPI(), np.random.default_rng(7)

    def rows(texts: list[str], name: str, width: int) -> dict[str, object]:
        made = random.random((len(texts), width), np.float32)
        made /= made.sum(axis=1, keepdims=True) if name == "probs" else np.linalg.norm(made, axis=1)[:, None]
        return {"data": [{"index": place, name: row.tolist()} for place, row in enumerate(made)]}

    @app.get("/health")
    def health() -> dict[str, str]:
        return {}

    @app.post("/classify")
    async def classify(body: dict[str, Any]) -> dict[str, object]:
        return rows(body["input"], "probs", labels)

    @app.post("/v1/embeddings")
    async def embeddings(body: dict[str, Any]) -> dict[str, object]:
        return rows(body["input"], "embedding", dimension)

    @app.post("/v1/chat/completions")
    async def chat(_body: dict[str, Any]) -> dict[str, object]:
        turn = {"message": {"content": "The lease ends in June."}, "finish_reason": "stop"}
        return {"choices": [turn], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}

    uvicorn.run(app, port=port, log_level="error", access_log=False)


def send(url: str, key: str, begin: int, count: int) -> Counter[str]:
    """Send so many requests, numbered from ``begin``, and return how they were answered."""
    from tests.benchmarks.serve import body_of

    codes: Counter[str] = Counter()
    lock = threading.Lock()

    def ask(client: int) -> None:
        mine: Counter[str] = Counter()
        with httpx.Client(timeout=120, trust_env=False, headers={"Authorization": f"Bearer {key}"}) as http:
            for number in range(begin + client, begin + count, CLIENTS):
                place = number // CLIENTS % 20
                kind = "classify" if place < 16 else "search" if place < 19 else "ask"
                mine[str(http.post(f"{url}/v1/{kind}", json=body_of(kind, number)).status_code)] += 1
        with lock:
            codes.update(mine)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(CLIENTS)))
    return codes


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "engine":
        engine(*map(int, arguments))
    else:
        print(json.dumps(send(arguments[0], arguments[1], int(arguments[2]), int(arguments[3]))))
