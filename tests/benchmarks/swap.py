"""Swap, rollback and a killed engine under load; `make bench-swap`.

    .venv/bin/python -m tests.benchmarks.swap --bundle .mailroom/live --seconds 20

`mailroom serve` runs on a copy of the bundle in a workspace of its own, with closed-loop clients on
classify, search and ask. A second copy with another temperature goes live, `mailroom review rollback`
goes back, and at last the classifier's engine is killed by SIGKILL. No request may fail but those of the
killed engine: exit status 1 when one does, or when a process of that engine is left.

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

from serving.adapter import DIGEST, held_adapter
from serving.bundle import Bundle, copy_bundle, read_bundle
from serving.credentials import ensure_owner_key
from serving.decisions import MACHINE, append
from serving.digest import file_digest, folder_digest
from serving.judged import COPIES
from serving.live import go_live, keep
from serving.ports import free_ports
from tests.benchmarks.serve import body_of

KINDS = ("classify", "search", "ask")
MAILROOM = [sys.executable, "-c", "from pipelines.cli import main; main()"]
LIMITS = "limits: {requests_per_minute: 10000000, burst: 10000000}\n"
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


def made_live(bundle: Path, name: str, temperature: float, *, is_damaged: bool = False) -> Bundle:
    """Approve a release of that name, and make a copy of the bundle with that temperature live for it.

    A damaged one says the least probable label of all.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "bundle"
        copy_bundle(read_bundle(bundle).folder, copy)
        thresholds = json.loads((copy / "thresholds.json").read_text()) | {"temperature": temperature}
        (copy / "thresholds.json").write_text(json.dumps(thresholds))
        stated = json.loads((copy / "manifest.json").read_text()) | {"release_id": name}
        if is_damaged:
            turn_round(copy / "classifier" / "model.safetensors")
        for changed in ("thresholds.json", "classifier/model.safetensors"):
            stated["files"][changed] = file_digest(copy / changed)
        (copy / "manifest.json").write_text(json.dumps(stated))
        approve(name, copy)
        kept = keep(read_bundle(copy))
    go_live(kept)
    return kept


def approve(name: str, bundle: Path) -> None:
    """Write down the decision for a release of the models that a bundle holds."""
    from evaluation.release import Release, as_json

    digests = {copy: folder_digest(bundle / model) for model, copy in COPIES.items()}
    version = "1" if name == "first" else "2"
    release = Release(
        id=name, status="pending", outcome="promote", classifier_version=version, embedder_version=version,
        index="", index_digest="", evaluation="", run_id="", report="", authors=("bert",), evidence={},
        digests=digests | {DIGEST: held_adapter(bundle)},
    )  # fmt: skip
    append("proposed", as_json(release), reviewer=MACHINE, reason="")
    append("approved", as_json(release), reviewer="ann", reason="a benchmark")


def turn_round(weights: Path) -> None:
    """Change the sign of a classifier's last layer."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    tensors |= {name: -tensor for name, tensor in tensors.items() if name.startswith("classifier.")}
    save_file(tensors, weights, metadata={"format": "pt"})


def registered() -> None:
    """Give MLflow two versions of each model, for the alias to move between."""
    import mlflow

    from data.workspace import tracking
    from serving.champion import CLASSIFIER, EMBEDDER

    tracking()
    client = mlflow.MlflowClient()
    for name in (CLASSIFIER, EMBEDDER):
        client.create_registered_model(name)
        for _ in range(2):
            client.create_model_version(name, source=str(Path.cwd()))


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
        made_live(asked.bundle, "first", 1.0)
        rules = LIMITS + CANARY if asked.canary else LIMITS
        with gateway(folder, asked.engine, rules, *(["--lazy"] if asked.lazy else [])) as (url, process):
            if asked.canary:
                return measure_canary(asked, url)
            return measure(asked, folder, url, process)


def measure(asked: argparse.Namespace, folder: Path, url: str, process: int) -> int:
    clients = Clients(url, ensure_owner_key().read_text(), asked.clients)
    marks: list[tuple[str, float]] = []

    def mark(name: str, at: float | None = None) -> None:
        marks.append((name, at or time.monotonic()))

    mark("before")
    time.sleep(asked.seconds)
    memory = [memory_gb(process)]
    mark("swap")
    sampler = threading.Thread(target=sample, args=(process, memory, done := threading.Event()), daemon=True)
    sampler.start()
    made_live(asked.bundle, "second", 1.1)
    mark("after the swap", clients.wait_for("second"))
    done.set()
    sampler.join()
    time.sleep(asked.seconds)
    mark("rollback")
    command = [*MAILROOM, "review", "rollback", "--reviewer", "ann", "--reason", "a benchmark"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    signed = time.monotonic()
    mark("after the rollback", clients.wait_for("first"))
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
    print(f"swap: {spent['swap']:.1f} s until the second bundle answered")
    print(
        f"rollback: {signed - at['rollback']:.1f} s for the command, {spent['rollback']:.1f} s until the "
        f"first bundle answered again; it said:\n{said}",
        end="",
    )
    print(f"memory of gateway and engines: {memory[0]:.1f} GB, and with two bundles {max(memory):.1f} GB")
    if killed:
        print(
            f"killed: the classifier's server, {len(own)} processes, of which {len(left)} were left; "
            f"it answered again after {spent['killed']:.1f} s"
        )
    lost = sum(count for name, count in failed.items() if name not in ("killed", "end"))
    return int(lost > 0 or bool(left))


def measure_canary(asked: argparse.Namespace, url: str) -> int:
    """Try an equal bundle, and one that says the opposite."""
    clients = Clients(url, ensure_owner_key().read_text(), asked.clients)
    for kind in KINDS:  # a lazy gateway has to wake first
        clients.wait(lambda each, kind=kind: each.kind == kind and each.code == "200")  # type: ignore[misc]
    marks = [("before", time.monotonic())]
    time.sleep(asked.seconds)
    for name, is_damaged, outcome in (("second", False, "done"), ("third", True, "rolled_back")):
        before = swaps(url, outcome)
        marks.append((f"{name}: start", time.monotonic()))
        made_live(asked.bundle, name, 1.0, is_damaged=is_damaged)
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
