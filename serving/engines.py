"""The engines of a bundle: started together, awaited, watched, stopped cleanly."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx

from data.workspace import UserError, home
from serving.adapter import adapter_environment, adapter_name, adapter_of, serve_adapter
from serving.digest import folder_digest
from serving.fork_server import ServerPlan, write_plan
from serving.launch import (
    ANYWHERE,
    EngineModel,
    Placements,
    Role,
    engine_environment,
    engine_model,
    roles_of,
    vllm_arguments,
    vllm_device,
)
from serving.log_segments import fresh_log
from serving.ports import LOOPBACK, free_ports
from serving.processes import ServerProcess, start_process, stop_processes
from serving.sleep import Sleeper

EngineKind = Literal["vllm", "transformers"]
READY_S = 600.0
HEALTHY_S = 10.0  # a busy one may take a while
POLL_S = 0.3
LONGEST_FOLDER = 107 - len("/") - 36  # bytes, of a socket that vLLM names by a UUID


@dataclass(frozen=True, slots=True)
class Engines:
    """Running engines of a bundle: where each role is served, by what, and how long the start took."""

    kind: EngineKind
    urls: dict[Role, str]
    seconds_to_ready: float
    servers: tuple[ServerProcess, ...]
    down: set[Role] = field(default_factory=set)  # known to be dead: nobody waits for them
    sleepers: dict[Role, Sleeper] = field(default_factory=dict)
    models: dict[Role, str] = field(default_factory=dict)  # what an engine calls them, where not as the role

    def dead_roles(self) -> tuple[str, ...]:
        """Return the roles whose process has ended."""
        return tuple(role for server in self.servers for role in server.dead_roles())


def choose_engine(engine: str) -> EngineKind:
    """Return the engine to use: ``auto`` takes vLLM wherever it can run.

    Raises:
        UserError: an unknown engine, or vLLM where it cannot run.
    """
    if engine not in ("auto", "vllm", "transformers"):
        raise UserError(f"no engine called {engine!r}; choose one of: auto, vllm, transformers")
    if engine == "vllm" and not vllm_device():
        raise UserError(
            "vLLM cannot run on this machine (Linux, with its CPU or CUDA build); use: --engine transformers"
        )
    if engine == "auto":
        return "vllm" if vllm_device() else "transformers"
    return "vllm" if engine == "vllm" else "transformers"


def runs_on_gpu(engine: str) -> bool:
    """Return whether the engine to use here is vLLM on a GPU.

    Raises:
        UserError: an unknown engine, or vLLM where it cannot run.
    """
    return choose_engine(engine) == "vllm" and vllm_device() == "cuda"


@contextmanager
def engines(
    bundle: Path,
    engine: str = "auto",
    *,
    roles: tuple[Role, ...] | None = None,
    timeout_s: float = READY_S,
    stop: threading.Event | None = None,
    placements: Placements | None = None,
) -> Iterator[Engines]:
    """Serve a bundle's models on free loopback ports until the block ends; ``stop`` ends the waiting.

    All of them, or those of some ``roles``.
    On GPUs each runs where ``placements`` says, or shares the first one with the others.

    Raises:
        UserError: a model that cannot be served, an engine that cannot run here.
        RuntimeError: a server died or was not ready in time; the message has its last telling log line.
    """
    kind = choose_engine(engine)
    wanted = roles_of(bundle) if roles is None else roles
    models = [engine_model(role, bundle / role) for role in wanted]
    started = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="mailroom-"))
    servers: list[ServerProcess] = []
    logs = ExitStack()
    try:
        urls = _start(kind, models, scratch, servers, placements or {}, logs=logs)
        _await_ready(urls, servers, started, timeout_s, stop or threading.Event())
        names: dict[Role, str] = {}
        if kind == "vllm" and "generator" in urls and (adapter := adapter_of(bundle / "generator")):
            names["generator"] = adapter_name(folder_digest(adapter))
            serve_adapter(urls["generator"], adapter, names["generator"])
        seconds = round(time.monotonic() - started, 1)
        yield Engines(kind, urls, seconds, tuple(servers), models=names)
    finally:
        stop_processes(servers)
        logs.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _start(
    kind: EngineKind,
    models: list[EngineModel],
    scratch: Path,
    servers: list[ServerProcess],
    placements: Placements,
    *,
    logs: ExitStack,
) -> dict[Role, str]:
    """Start what the kind and the device ask for.

    ``servers`` receives every process at once, and ``logs`` what holds their logs.
    """
    device = vllm_device() if kind == "vllm" else ""
    if device == "cuda":
        return _start_one_by_one(models, scratch, servers, placements, logs)
    if device == "cpu":
        return _start_forked(models, scratch, servers, logs)
    return _start_in_one_process(models, servers, logs)


def _start_forked(
    models: list[EngineModel], scratch: Path, servers: list[ServerProcess], logs: ExitStack
) -> dict[Role, str]:
    ports = free_ports(len(models))
    paths: dict[str, Path] = {model.role: fresh_log(model.role, logs) for model in models}
    plans = [
        ServerPlan(model.role, model.architecture, vllm_arguments(model, port, "cpu"), str(paths[model.role]))
        for model, port in zip(models, ports, strict=True)
    ]
    plan_path, events_path = scratch / "plan.json", scratch / "events.jsonl"
    write_plan(plan_path, plans)
    process = start_process(
        [sys.executable, "-m", "serving.fork_server", str(plan_path)],
        environment=engine_environment("cpu") | _temporary_in(scratch) | _of_adapters(models),
        stdout=events_path,
        stderr=fresh_log("fork_server", logs),
    )
    servers.append(ServerProcess(process, tuple(paths), paths, events_path))
    return _urls(models, ports)


def _start_one_by_one(
    models: list[EngineModel],
    scratch: Path,
    servers: list[ServerProcess],
    placements: Placements,
    logs: ExitStack,
) -> dict[Role, str]:
    ports = free_ports(len(models))
    for model, port in zip(models, ports, strict=True):
        log, placement = fresh_log(model.role, logs), placements.get(model.role, ANYWHERE)
        told = _temporary_in(scratch) | _of_adapters([model]) | placement.environment()
        process = start_process(
            [sys.executable, "-m", "serving.cuda_server", *vllm_arguments(model, port, "cuda", placement)],
            environment=engine_environment("cuda") | told,
            stdout=log,
            stderr=log,
        )
        servers.append(ServerProcess(process, (model.role,), {model.role: log}))
    return _urls(models, ports)


def _start_in_one_process(
    models: list[EngineModel], servers: list[ServerProcess], logs: ExitStack
) -> dict[Role, str]:
    port = free_ports(1)[0]
    log = fresh_log("transformers", logs)
    folders = [f"{model.role}={model.folder}" for model in models]
    process = start_process(
        [sys.executable, "-m", "serving.transformers_engine", str(port), *folders],
        environment=engine_environment("") | {"OMP_NUM_THREADS": "1"},
        stdout=log,
        stderr=log,
    )
    servers.append(
        ServerProcess(process, tuple(model.role for model in models), {m.role: log for m in models})
    )
    return _urls(models, (port,) * len(models))


def _temporary_in(scratch: Path) -> dict[str, str]:
    """Keep what is temporary where it goes with the engines, unless no socket's path would fit there.

    vLLM leaves files and sockets behind.
    """
    return {"TMPDIR": str(scratch)} if len(os.fsencode(scratch)) <= LONGEST_FOLDER else {}


def _of_adapters(models: list[EngineModel]) -> dict[str, str]:
    return {
        name: value
        for model in models
        if model.role == "generator"
        for name, value in adapter_environment(model.folder).items()
    }


def _urls(models: list[EngineModel], ports: tuple[int, ...]) -> dict[Role, str]:
    return {model.role: f"http://{LOOPBACK}:{port}" for model, port in zip(models, ports, strict=True)}


def _await_ready(
    urls: Mapping[Role, str],
    servers: list[ServerProcess],
    started: float,
    timeout_s: float,
    stop: threading.Event,
) -> None:
    from tqdm import tqdm

    waiting = dict(urls)
    with (
        httpx.Client(timeout=2, trust_env=False) as client,
        tqdm(total=len(urls), desc="start engines", unit="engine", leave=False, mininterval=1) as bar,
    ):
        while waiting:
            for role in [role for role, url in waiting.items() if _healthy(client, url)]:
                del waiting[role]
                bar.update()
            _refuse_dead(servers)
            seconds = time.monotonic() - started
            if waiting and seconds > timeout_s:
                late = ", ".join(waiting)
                raise RuntimeError(
                    f"not ready after {seconds:.0f} s: {late}; the logs are in {home() / 'logs'}"
                )
            bar.set_postfix_str(f"waiting for {', '.join(waiting) or 'nothing'}", refresh=False)
            bar.update(0)
            if waiting and stop.wait(POLL_S):
                raise RuntimeError("the start of the engines was stopped")


def is_healthy(url: str) -> bool:
    """Return whether an engine that runs answers: a process may hang."""
    with httpx.Client(timeout=HEALTHY_S, trust_env=False) as client:
        return _healthy(client, url)


def _healthy(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/health").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _refuse_dead(servers: list[ServerProcess]) -> None:
    for server in servers:
        for role in server.dead_roles():
            words = server.last_words(role)
            raise RuntimeError(
                f"the {role} engine died while starting: {words} (log: {server.log_paths[role]})"
            )
