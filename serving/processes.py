"""Server processes: started in a group of their own, watched, and ended for certain."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.log_segments import lines_of

STOP_S = 25.0
KILL_S = 5.0  # the kernel ends what is killed when it comes to it
POLL_S = 0.05
PR_SET_PDEATHSIG = 1
_TELLING = re.compile(r"\b(\w*Error|\w*Exception|error|ERROR|killed)\b")


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """One process that serves one or several roles; a fork server tells in ``events_path`` who ended."""

    process: subprocess.Popen[bytes]
    roles: tuple[str, ...]
    log_paths: Mapping[str, Path]
    events_path: Path | None = None

    def has_ended(self) -> bool:
        """Say whether the leader has ended; what it left of its group is killed the moment that is noticed.

        Later its number may be another's.
        """
        if self.process.returncode is None and self.process.poll() is not None:
            _kill_group(self.process.pid)
        return self.process.returncode is not None

    def dead_roles(self) -> tuple[str, ...]:
        """Return the roles that nobody serves any more."""
        if self.has_ended():
            return self.roles
        return tuple(event["role"] for event in self._events() if event["event"] == "ended")

    def end_roles(self, roles: Collection[str], *, patience_s: float = STOP_S) -> None:
        """End what serves these roles and no other; one process that serves others, too, goes on whole."""
        if set(self.roles) <= {*roles, *self.dead_roles()}:
            stop_processes([self], patience_s=patience_s)
            return
        for number, patience in ((signal.SIGTERM, patience_s), (signal.SIGKILL, KILL_S)):
            until = time.monotonic() + patience
            for process in self._forks(roles):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)
            while self._forks(roles) and time.monotonic() < until:
                time.sleep(POLL_S)

    def _forks(self, roles: Collection[str]) -> list[int]:
        """Return the processes that a fork server has for these roles, but those that ended."""
        over = self.dead_roles()
        started = [event for event in self._events() if event["event"] == "started"]
        return [event["number"] for event in started if event["role"] in roles and event["role"] not in over]

    def _events(self) -> list[dict[str, Any]]:
        if self.events_path is None:
            return []
        try:
            lines = self.events_path.read_text().splitlines()
        except FileNotFoundError:  # all of it was ended meanwhile
            return []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def last_words(self, role: str) -> str:
        """Return the line of the log that says best why the role is not served."""
        told = [line.strip() for line in lines_of(self.log_paths[role]) if line.strip()]
        telling = [line for line in told if _TELLING.search(line)]
        return ((telling or told or ["it wrote nothing"])[-1])[:300]


def start_process(
    command: Sequence[str], *, environment: Mapping[str, str], stdout: Path, stderr: Path
) -> subprocess.Popen[bytes]:
    """Start a command as the leader of its own group, so that the whole group can be ended.

    What it writes is appended: two streams may share a file, and one that is cut goes on at its start.
    """
    stdout.parent.mkdir(parents=True, exist_ok=True)
    with stdout.open("ab") as out, stderr.open("ab") as err:
        return subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            cwd=Path(__file__).parent.parent,
        )


def stop_processes(servers: Sequence[ServerProcess], *, patience_s: float = STOP_S) -> None:
    """Ask every leader to end, wait, and kill whatever is left of its group."""
    running = [server for server in servers if not server.has_ended()]
    for server in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server.process.pid, signal.SIGTERM)  # `terminate` would reap one that ends just now
    for server in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(patience_s)
        _kill_group(server.process.pid)  # stragglers too, and a leader that did not listen
        server.process.wait()


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Have Linux send a signal to this process when the one that started it dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)


def end_forks_with_parent() -> None:
    """Have every process that is forked from here on, and its forks, killed when its own parent dies.

    vLLM's server forks the process that holds the model. Killed with -9 it cannot end that process,
    which would keep the memory, and with a GPU the model's place on it.
    """
    os.register_at_fork(after_in_child=lambda: end_with_parent(signal.SIGKILL))
