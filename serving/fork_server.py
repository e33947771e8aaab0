"""Import vLLM once and fork one server per model: a third of the start-up of separate processes.

    python -m serving.fork_server SERVERS.json

``SERVERS.json`` is a list of ``{"arguments": [...], "log": PATH}``: the arguments of vLLM's OpenAI
server, and where the server's output goes. One line ``PID`` per server is printed, in order. The
process lives as long as its servers; SIGTERM is passed on to all of them.

Measured on two cores with a classifier and an embedder: both ready after 28 s, against 87 s for one
separate server. It is for the CPU alone: a process that has touched a GPU cannot fork.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

# What a server imports anyway, in the parent or in its engine process.
PRELOAD = (
    "vllm.v1.engine.core",
    "vllm.v1.engine.async_llm",
    "vllm.v1.worker.cpu_worker",
    "vllm.v1.worker.cpu_model_runner",
    "vllm.model_executor.models.bert",
    "vllm.model_executor.models.llama",
    "vllm.entrypoints.openai.api_server",
)
# vLLM's CPU platform sets its start method to spawn, which would import everything again in each
# engine and each worker. These modules look the method up by this name.
STARTERS = ("vllm.v1.engine.utils", "vllm.v1.engine.coordinator", "vllm.v1.executor.multiproc_executor")


def main(servers_path: str) -> None:
    """Fork the servers of the file and wait for all of them."""
    from vllm.entrypoints.launchers.api_server import entry

    for module in PRELOAD:
        importlib.import_module(module)
    for module in STARTERS:
        vars(importlib.import_module(module))["get_mp_context"] = lambda: multiprocessing.get_context("fork")
    pids = []
    for server in json.loads(Path(servers_path).read_text()):
        pid = os.fork()
        if pid == 0:
            _become(server["arguments"], server["log"], entry.main)
        pids.append(pid)
        print(pid, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: [_stop(pid) for pid in pids])
    for pid in pids:
        os.waitpid(pid, 0)


def _become(arguments: list[str], log: str, serve: object) -> None:
    """Turn this process into one server; never returns into the parent's code."""
    status = 1
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["vllm", *arguments]
        assert callable(serve)  # noqa: S101 - for the type checker
        serve()
        status = 0
    except SystemExit as stopped:
        status = stopped.code if isinstance(stopped.code, int) else 1
    finally:
        os._exit(status)


def _stop(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    main(sys.argv[1])
