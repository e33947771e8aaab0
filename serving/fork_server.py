"""Several vLLM servers from one import: run as ``python -m serving.fork_server PLAN.json`` by the engines.

Importing vLLM costs more than everything else in a CPU start, and an ordinary server pays it twice
(once for its API process, once for its engine process). Here one process imports it and forks: each
server, and each server's engine process. That is safe because nothing runs in parallel before the fork: no
thread, no OpenMP region (OMP_NUM_THREADS=1), no CUDA. It holds for the CPU only; engines.py uses
the ordinary start where there is a GPU.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from serving.processes import end_forks_with_parent, end_with_parent


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """One server to fork: whose it is, what vLLM is told, where its log goes."""

    role: str
    architecture: str
    arguments: tuple[str, ...]
    log_path: str


def write_plan(path: Path, servers: list[ServerPlan]) -> None:
    """Write the plan that the fork server reads."""
    path.write_text(json.dumps([asdict(server) for server in servers]))


def _import_vllm(architectures: set[str]) -> None:
    """Import once what every server would import, and register the models without inspecting them.

    vLLM inspects an unknown architecture in a subprocess with an import of its own (33 to 53 s),
    lest the parent initialise CUDA; a class that is registered as such needs no inspection.
    """
    import vllm.entrypoints.launchers.api_server.entry
    import vllm.entrypoints.launchers.cli_args
    import vllm.v1.engine.async_llm
    import vllm.v1.engine.core
    import vllm.v1.engine.utils
    import vllm.v1.worker.cpu_worker
    from vllm import ModelRegistry

    for architecture in sorted(architectures):
        # a decoder's classifier is to vLLM its language model, with a head that it puts on itself
        language_model = architecture.replace("ForSequenceClassification", "ForCausalLM")
        for name in (architecture, language_model):
            if known := ModelRegistry.models.get(name):
                ModelRegistry.register_model(name, known.load_model_cls())
                break
    # vLLM insists on spawn on the CPU, which imports everything again; fork shares what is here.
    vllm.v1.engine.utils.get_mp_context = lambda: multiprocessing.get_context("fork")


def _serve(server: ServerPlan) -> None:
    """Become the server: own log, own arguments, default signals; never returns."""
    log = os.open(server.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
    sys.argv = [f"mailroom-{server.role}", *server.arguments]
    from vllm.entrypoints.launchers.api_server.entry import main

    status = 1
    try:
        main()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except KeyboardInterrupt:
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _tell(event: str, role: str, number: int) -> None:
    print(json.dumps({"event": event, "role": role, "number": number}), flush=True)


def main(plan_path: str) -> None:
    """Fork every server of the plan and say on stdout which process serves what, and who ended how."""
    end_with_parent()
    end_forks_with_parent()
    servers = [
        ServerPlan(**{**fields, "arguments": tuple(fields["arguments"])})
        for fields in json.loads(Path(plan_path).read_text())
    ]
    _import_vllm({server.architecture for server in servers})
    if threading.active_count() != 1:
        raise RuntimeError("vLLM started a thread at import: forking is not safe")
    roles: dict[int, str] = {}

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for child in list(roles):
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides
    for server in servers:
        child = os.fork()
        if child == 0:
            _serve(server)
        roles[child] = server.role
        _tell("started", server.role, child)
    while roles:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if ended is None:
            continue
        if role := roles.pop(ended.si_pid, None):
            code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
            _tell("ended", role, code)
        os.waitpid(ended.si_pid, 0)  # last: until then nobody else has its number


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)  # whoever stops the engines need not wait until all that vLLM imports is taken down
