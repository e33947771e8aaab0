"""Swap, rollback and a killed engine under load; `make bench-swap`.

    .venv/bin/python -m tests.benchmarks.swap --bundle .mailroom/live --seconds 20

`mailroom serve` runs on a copy of the bundle in a workspace of its own, with closed-loop clients on
classify, search and ask. Copies go live after one another, of which each differs from the one before in one
thing alone: the thresholds, the generator's adapter (a made-up one; the first copy has one, too), the
classifier. `mailroom review rollback` takes the last one back, and at last the classifier's engine is killed
by SIGKILL. No request may fail but those of the killed engine: exit status 1 when one does, or when a process
of that engine is left.

With ``--canary`` a copy goes live by a trial instead, and then one whose classifier's head was turned
round: status 1 unless the first passes, the second is taken back by itself, and no request fails. With
``--lazy`` beside it, every engine sleeps until a request first needs it, and counting begins when all
three kinds have been answered.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np

from serving.bundle import Bundle
from serving.credentials import ensure_owner_key
from serving.live import go_live
from serving.ports import free_ports
from tests.benchmarks.serve import body_of
from tests.benchmarks.swap_bundles import (
    Change,
    at_temperature,
    made,
    registered,
    surer,
    turned_round,
    with_adapter,
)

KINDS = ("classify", "search", "ask")
MAILROOM = [sys.executable, "-c", "from pipelines.cli import main; main()"]
LIMITS = "limits: {requests_per_minute: 10000000, burst: 10000000}\n"
CHANGES = {"thresholds": at_temperature(1.1), "adapter": with_adapter(2), "classifier": surer}
CANARY = "canary: {share: 0.25, messages: 100, slower: 20}\n"  # how fast is not what is tried here
LONGEST_S = 900.0


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: when it was sent, what it was, how long it took, what came of it and by which release."""

    sent: float
    kind: str
    ms: float
    code: str
    release: str

    @property
    def arrived(self) -> float:
        """When its answer came."""
        return self.sent + self.ms / 1000


class Clients:
    """Closed-loop clients, so many for each kind, until told to stop."""

    def __init__(self, url: str, key: str, each: int) -> None:
        self.answered: list[Answered] = []
        self._url, self._key = url, key
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(kind, 1_000_000 * (each * place + number)), daemon=True)
            for place, kind in enumerate(KINDS)
            for number in range(each)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, release: str) -> float:
        """Return when the first classification by a release was sent."""
        return self.wait(lambda each: each.release == release).sent

    def wait(self, is_meant: Callable[[Answered], bool]) -> Answered:
        until, looked = time.monotonic() + LONGEST_S, len(self.answered)
        while time.monotonic() < until:
            found = next((each for each in self.answered[looked:] if is_meant(each)), None)
            if found:
                return found
            time.sleep(0.05)
        raise TimeoutError("what was waited for did not happen")

    def _ask(self, kind: str, number: int) -> None:
        headers = {"Authorization": f"Bearer {self._key}"}
        with httpx.Client(timeout=120, trust_env=False, headers=headers) as http:
            while not self._stop.is_set():
                started, release = time.monotonic(), ""
                try:
                    reply = http.post(f"{self._url}/v1/{kind}", json=body_of(kind, number))
                    code = str(reply.status_code)
                    if code == "200" and kind == "classify":
                        release = reply.json()["release"]
                except httpx.HTTPError as error:
                    code = type(error).__name__
                number += 1
                ms = 1000 * (time.monotonic() - started)
                self.answered.append(Answered(started, kind, ms, code, release))


@contextmanager
def gateway(folder: Path, engine: str, rules: str, *options: str) -> Iterator[tuple[str, int]]:
    """Serve what is live; yield its address and process."""
    (port,) = free_ports(1)
    settings, log = folder / "gateway.yaml", folder / "serve.log"
    settings.write_text(rules)
    (folder / "tmp").mkdir()
    command = [*MAILROOM, "serve", "--port", str(port), "--engine", engine, "--settings", str(settings)]
    command += options
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=os.environ | {"TMPDIR": str(folder / "tmp")}
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + LONGEST_S
        while time.monotonic() < until:
            if process.poll() is not None:
                raise RuntimeError(f"the gateway ended: {log.read_text()[-500:]}")
            try:
                if httpx.get(f"{url}/readyz", timeout=2).status_code == httpx.codes.OK:
                    break
            except httpx.TransportError:
                time.sleep(0.5)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(120)
        print(f"the gateway's log:\n{log.read_text()}", end="")


def family_of(process: int) -> set[int]:
    """Return a process and all below it that live."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = int(parent)
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = {process} & parents.keys()
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def memory_gb(process: int) -> float:
    """Return the memory of a process and all below it, what they share counted once."""
    total = 0
    for each in family_of(process):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            continue
    return total / 1e6


def sample(process: int, found: list[float], done: threading.Event) -> None:
    while not done.wait(2):
        found.append(memory_gb(process))


def classifier_process(folder: Path, gateway: int) -> int:
    """Return the process below the gateway that serves the classifier, as fork servers told."""
    alive = family_of(gateway)
    files = (folder / "tmp").glob("mailroom-engines-*/events.jsonl")
    told = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    numbers = {int(event["number"]) for event in told if event["role"] == "classifier"}
    return next(number for number in numbers & alive)


def report(name: str, answered: list[Answered], begun: float, ended: float) -> int:
    """Print a line for each kind and return how many requests failed."""
    failed = 0
    for kind in KINDS:
        mine = [each for each in answered if each.kind == kind and begun <= each.sent < ended]
        codes = Counter(each.code for each in mine if each.code != "200")
        times = [each.ms for each in mine if each.code == "200"] or [float("nan")]
        p50, p99 = np.percentile(times, [50, 99])
        failed += codes.total()
        print(
            f"{name:24} {kind:9} {ended - begun:>7.1f} {len(mine):>8} {codes.total():>7} "
            f"{p50:>8.0f} {p99:>8.0f}  {dict(codes) or ''}",
            flush=True,
        )
    return failed


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--bundle", type=Path, default=Path(".mailroom/live"))
    options.add_argument("--seconds", type=float, default=20, help="between the changes")
    options.add_argument("--clients", type=int, default=2, help="of each kind")
    options.add_argument("--engine", default="auto")
    options.add_argument("--canary", action="store_true", help="try bundles on a share of the traffic")
    options.add_argument("--lazy", action="store_true", help="start each engine when it is first needed")
    asked = options.parse_args()
    asked.bundle = asked.bundle.resolve()
    with tempfile.TemporaryDirectory(prefix="mailroom-swap-") as scratch:
        folder = Path(scratch)
        os.environ |= {"MAILROOM_HOME": str(folder / "home"), "MAILROOM_KEYS": str(folder / "keys")}
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        registered()
        first = made(asked.bundle, "first", at_temperature(1.0), with_adapter(1))
        go_live(first)
        rules = LIMITS + CANARY if asked.canary else LIMITS
        with gateway(folder, asked.engine, rules, *(["--lazy"] if asked.lazy else [])) as (url, process):
            if asked.canary:
                return measure_canary(asked, url, first)
            return measure(asked, folder, url, process, first)


def measure(asked: argparse.Namespace, folder: Path, url: str, process: int, present: Bundle) -> int:
    clients = Clients(url, ensure_owner_key().read_text(), asked.clients)
    marks: list[tuple[str, float]] = []

    def mark(name: str, at: float | None = None) -> None:
        marks.append((name, at or time.monotonic()))

    mark("before")
    time.sleep(asked.seconds)
    alone, most = memory_gb(process), dict[str, float]()
    for name, change in CHANGES.items():
        present = made(present.folder, name, change)
        memory = [alone]
        done = threading.Event()
        sampler = threading.Thread(target=sample, args=(process, memory, done), daemon=True)
        sampler.start()
        mark(f"swap: {name}")
        go_live(present)
        mark(f"after: {name}", clients.wait_for(name))
        done.set()
        sampler.join()
        most[name] = max(memory)
        time.sleep(asked.seconds)
    mark("rollback")
    command = [*MAILROOM, "review", "rollback", "--reviewer", "ann", "--reason", "a benchmark"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    signed = time.monotonic()
    mark("after the rollback", clients.wait_for("adapter"))
    time.sleep(asked.seconds)
    killed, own = 0, set[int]()
    if list((folder / "tmp").glob("mailroom-engines-*/events.jsonl")):
        killed = classifier_process(folder, process)
        own = family_of(killed)
        at_kill = time.monotonic()
        os.kill(killed, signal.SIGKILL)
        first = clients.wait(lambda each: each.code != "200" and each.arrived >= at_kill)
        mark("killed", min(at_kill, first.sent))  # what was on its way fails, too
        mark("after the kill", clients.wait(lambda each: each.kind == "classify" and each.code == "200").sent)
        time.sleep(asked.seconds)
    mark("end")
    clients.stop()
    left = sorted(each for each in own if family_of(each))
    print(f"{'':24} {'':9} {'seconds':>7} {'requests':>8} {'failed':>7} {'p50 ms':>8} {'p99 ms':>8}")
    failed = {
        name: report(name, clients.answered, begun, ended) for (name, begun), (_, ended) in pairwise(marks)
    }
    spent = {name: ended - begun for (name, begun), (_, ended) in pairwise(marks)}
    at = dict(marks)
    for name in CHANGES:
        seconds = spent[f"swap: {name}"]
        print(f"swap: {seconds:.1f} s until another {name} answered, {most[name]:.1f} GB at most")
    print(
        f"rollback: {signed - at['rollback']:.1f} s for the command, {spent['rollback']:.1f} s until the "
        f"former classifier answered again; it said:\n{said}",
        end="",
    )
    print(f"memory of gateway and engines before: {alone:.1f} GB")
    if killed:
        print(
            f"killed: the classifier's server, {len(own)} processes, of which {len(left)} were left; "
            f"it answered again after {spent['killed']:.1f} s"
        )
    lost = sum(count for name, count in failed.items() if name not in ("killed", "end"))
    return int(lost > 0 or bool(left))


def measure_canary(asked: argparse.Namespace, url: str, first: Bundle) -> int:
    """Try an equal bundle, and one that says the opposite."""
    clients = Clients(url, ensure_owner_key().read_text(), asked.clients)
    for kind in KINDS:  # a lazy gateway has to wake first
        clients.wait(lambda each, kind=kind: each.kind == kind and each.code == "200")  # type: ignore[misc]
    marks = [("before", time.monotonic())]
    time.sleep(asked.seconds)
    trials: list[tuple[str, list[Change], str]] = [
        ("second", [], "done"),
        ("third", [turned_round], "rolled_back"),
    ]
    for name, changes, outcome in trials:
        before = swaps(url, outcome)
        marks.append((f"{name}: start", time.monotonic()))
        go_live(made(first.folder, name, *changes))
        marks.append((f"{name}: trial", clients.wait_for(name)))
        until = time.monotonic() + LONGEST_S
        while swaps(url, outcome) == before:
            if time.monotonic() > until:
                raise TimeoutError(f"the trial of the {name} bundle did not end as it should: {outcome}")
            time.sleep(0.2)
        marks.append((f"{name}: {outcome}", time.monotonic()))
        time.sleep(asked.seconds)
    marks.append(("end", time.monotonic()))
    clients.stop()
    print(f"{'':24} {'':9} {'seconds':>7} {'requests':>8} {'failed':>7} {'p50 ms':>8} {'p99 ms':>8}")
    failed = 0
    for (name, begun), (_, ended) in pairwise(marks):
        failed += report(name, clients.answered, begun, ended)
        by = Counter(each.release for each in clients.answered if begun <= each.sent < ended and each.release)
        print(f"{name:24} classified by {dict(by)}")
    last = [each.release for each in clients.answered if each.sent >= marks[-2][1] and each.release]
    print(f"answered at the end by {sorted(set(last))}; failed {failed}")
    return int(failed > 0 or set(last) != {"second"})


def swaps(url: str, outcome: str) -> float:
    """Return how many swaps of this outcome the gateway counts."""
    head = {"Authorization": f"Bearer {ensure_owner_key().read_text()}"}
    said = httpx.get(f"{url}/metrics", headers=head, timeout=30).raise_for_status().text
    name = f'mailroom_swaps_total{{outcome="{outcome}"}}'
    return next((float(line.split()[-1]) for line in said.splitlines() if line.startswith(name)), 0.0)


if __name__ == "__main__":
    sys.exit(main())
