"""Load on the gateway, beside the engine alone and what a user would write; `make bench-serve`.

    .venv/bin/python -m tests.benchmarks.serve --bundle .mailroom/live --seconds 10
    .venv/bin/python -m tests.benchmarks.serve --bundle .mailroom/live --soak 100000

Closed loop: so many clients, each with one request on the way. Open loop (``--rate``): requests that arrive
by chance at so many a second, however slow the answers; their time counts from when they should have left.
Gateway and engines run in this process and its children, the clients in a process of their own; all share
the machine's cores. The table gives answers a second, milliseconds by percentile, and what was not a 200.
In process, "clients" are texts at once: the best that anybody's batches could reach.
"""

from __future__ import annotations

import argparse
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
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np

from serving.engine_key import engine_key

if TYPE_CHECKING:
    from serving.bundle import Bundle
    from serving.engines import Engines
    from serving.metrics import Metrics

WORDS = "order harbour lease client phone report risk meeting copper price desk trade call note"
PLAIN = """
import sys
import torch, uvicorn
from fastapi import FastAPI
from transformers import AutoModelForSequenceClassification, AutoTokenizer
torch.set_num_threads(1)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
app = FastAPI()
@app.post("/v1/classify")
def classify(body: dict):
    texts = [each["text"] for each in body["messages"]]
    with torch.inference_mode():
        inputs = tokenizer(texts, truncation=True, max_length=256, padding=True, return_tensors="pt")
        return model(**inputs).logits.softmax(-1).tolist()
@app.get("/health")
def health():
    return {}
uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
"""


def text_of(number: int) -> str:
    return " ".join(np.random.default_rng(number).choice(WORDS.split(), 24))


def body_of(kind: str, number: int) -> dict[str, object]:
    """Return a request that no cache has seen: words drawn by the request's number."""
    text = text_of(number)
    if kind == "engine":
        return {"model": "classifier", "input": [text], "truncate_prompt_tokens": -1}
    if kind == "embed":
        return {"model": "embedder", "input": [text]}
    return {"messages": [{"text": text}]} if kind == "classify" else {"question": text[:200]}


MOST_ON_THE_WAY = 256  # requests; who is later waits for a thread, and that counts


@dataclass(frozen=True, slots=True)
class Load:
    """What the clients saw: answers, milliseconds at p50, p95 and p99, and every status."""

    answers: int
    percentiles: list[float]
    codes: dict[str, int]

    def line(self, seconds: float) -> str:
        p50, p95, p99 = self.percentiles
        others = {code: count for code, count in self.codes.items() if code != "200"}
        return f"{self.answers / seconds:>9.1f} {p50:>8} {p95:>8} {p99:>8}  {others or 'none'}"


def percentiles_of(times: list[float]) -> list[float]:
    return np.percentile(times, [50, 95, 99]).round(1).tolist() if times else [float("nan")] * 3


class Asked:
    """Sends requests of one kind from many threads, and notes latencies in ms and statuses."""

    def __init__(self, url: str, kind: str, key: str) -> None:
        self._url, self._kind = url, kind
        self._headers = {"Authorization": f"Bearer {key}"}
        self._own = threading.local()
        self._times: list[float] = []
        self._codes: Counter[str] = Counter()
        self._lock = threading.Lock()

    def send(self, number: int, since: float) -> None:
        """Send one; its time counts from ``since``."""
        try:
            code = str(self._http().post(self._url, json=body_of(self._kind, number)).status_code)
        except httpx.HTTPError as error:
            code = type(error).__name__
        with self._lock:
            self._codes[code] += 1
            if code == "200":
                self._times.append(1000 * (time.monotonic() - since))

    def _http(self) -> httpx.Client:
        """Return the thread's own client: one that all share waits for itself."""
        if not hasattr(self._own, "http"):
            self._own.http = httpx.Client(timeout=120, trust_env=False, headers=self._headers)
        client: httpx.Client = self._own.http
        return client

    def seen(self) -> Load:
        """Return what the clients saw."""
        return Load(len(self._times), percentiles_of(self._times), dict(self._codes))


def closed_loop(url: str, kind: str, key: str, clients: int, seconds: float) -> Load:
    """Keep ``clients`` requests on the way for so long."""
    until, asked = time.monotonic() + seconds, Asked(url, kind, key)

    def ask(client: int) -> None:
        number = client * 1_000_000
        while (started := time.monotonic()) < until:
            asked.send(number, started)
            number += 1

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients)))
    return asked.seen()


def open_loop(url: str, kind: str, key: str, rate: float, seconds: float) -> Load:
    """Send ``rate`` requests a second on average, as they come by chance (Poisson), for so long."""
    asked, begun = Asked(url, kind, key), time.monotonic()
    due = begun + np.cumsum(np.random.default_rng(7).exponential(1 / rate, int(rate * seconds)))
    with ThreadPoolExecutor(MOST_ON_THE_WAY) as pool:
        for number, moment in enumerate(due.tolist()):
            time.sleep(max(0.0, moment - time.monotonic()))
            pool.submit(asked.send, number, moment)
    return asked.seen()


def measured(module: str, *arguments: object) -> Load:
    """Run the clients, or a library, in a process of their own."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Load(**json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def answering(command: list[str], port: int) -> Iterator[str]:
    """Run a server and yield its address as soon as it answers /health."""
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                httpx.get(f"{url}/health", timeout=1)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def plain_server(model: Path) -> Iterator[str]:
    """What a user would write: FastAPI and transformers, no batches."""
    from serving.ports import free_ports

    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "plain.py"
        program.write_text(PLAIN)
        with answering([sys.executable, str(program), str(model), str(port)], port) as url:
            yield url


def resident() -> float:
    """Return this process's memory in MB: the gateway's, as its engines are processes of their own."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway in this process: its address, and the owner's key."""

    url: str
    key: str


@contextmanager
def opened(bundle: Bundle, running: Engines, metrics: Metrics) -> Iterator[Gateway]:
    """Open the gateway before running engines, with an audit log of its own and hardly a limit."""
    import uvicorn

    from serving.audit import open_audit
    from serving.credentials import Keyring, ensure_owner_key
    from serving.door import Doors, open_door
    from serving.guard import Guards
    from serving.limits import Limits
    from serving.ports import free_ports
    from serving.routes import build_app

    doors = Doors()
    limits = Limits(requests_per_minute=10_000_000, burst=10_000_000, requests_at_once=48)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        doors.open(stack.enter_context(open_door(bundle, running, metrics)), ExitStack())
        audit = stack.enter_context(open_audit(Path(folder) / "audit.jsonl"))
        (port,) = free_ports(1)
        app = build_app(doors, Guards([Keyring()], audit, metrics, limits))
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield Gateway(f"http://127.0.0.1:{port}", ensure_owner_key().read_text())
        server.should_exit = True
        thread.join()


def main() -> int:
    from serving.bundle import read_bundle
    from serving.metrics import Metrics
    from serving.pool import EnginePool
    from tests.benchmarks.soak import soak

    options = argparse.ArgumentParser()
    options.add_argument("--bundle", type=Path, default=Path(".mailroom/live"))
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--clients", type=int, nargs="*", default=[1, 8, 64])
    options.add_argument("--engine", default="auto")
    options.add_argument("--soak", type=int, help="requests over which the memory is watched, nothing else")
    options.add_argument("--rate", type=float, nargs="*", default=[10, 20, 40], help="open loop: a second")
    options.add_argument("--load", nargs=6)
    asked = options.parse_args()
    if asked.load:
        loop, url, kind, key, much, seconds = asked.load
        if loop == "closed":
            found = closed_loop(url, kind, key, int(much), float(seconds))
        else:
            found = open_loop(url, kind, key, float(much), float(seconds))
        print(json.dumps(asdict(found)))
        return 0
    if asked.soak:
        return soak(asked.bundle, asked.soak)
    bundle, metrics = read_bundle(asked.bundle), Metrics()
    with ExitStack() as stack:
        running = stack.enter_context(EnginePool(asked.engine, metrics, stop=threading.Event()).lease(bundle))
        gateway = stack.enter_context(opened(bundle, running, metrics))
        plain = stack.enter_context(plain_server(bundle.folder / "classifier"))
        before = resident()
        owner, engines = gateway.key, engine_key()
        contenders = [
            ("classify: engine alone", f"{running.urls['classifier']}/classify", "engine", engines),
            ("classify: gateway", f"{gateway.url}/v1/classify", "classify", owner),
            ("classify: FastAPI + transformers", f"{plain}/v1/classify", "classify", owner),
            ("embeddings: gateway", f"{gateway.url}/v1/embeddings", "embed", owner),
            ("search: gateway", f"{gateway.url}/v1/search", "search", owner),
            ("ask: gateway", f"{gateway.url}/v1/ask", "ask", owner),
        ]
        libraries = [
            ("classify: transformers in process", "classify", bundle.folder / "classifier"),
            ("embeddings: sentence-transformers", "embed", bundle.folder / "embedder"),
        ]
        figures = f"{'a second':>9} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}  not 200"
        print(f"{'closed loop':34} {'clients':>7} {figures}")
        for clients in asked.clients:
            for name, url, kind, key in contenders:
                found = measured("serve", "--load", "closed", url, kind, key, clients, asked.seconds)
                print(f"{name:34} {clients:>7} {found.line(asked.seconds)}", flush=True)
            for name, kind, model in libraries:
                found = measured("in_process", kind, model, clients, asked.seconds)
                print(f"{name:34} {clients:>7} {found.line(asked.seconds)}", flush=True)
        print(f"{'open loop':34} {'rate':>7} {figures}")
        for rate in asked.rate:
            for name, url, kind, key in contenders:
                found = measured("serve", "--load", "open", url, kind, key, rate, asked.seconds)
                print(f"{name:34} {rate:>7g} {found.line(asked.seconds)}", flush=True)
        print(f"memory of the gateway: {before:.0f} MB before, {resident():.0f} MB after")
    return 0


if __name__ == "__main__":
    sys.exit(main())
