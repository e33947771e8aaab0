"""Engines that die are started again, each alone, while the others go on answering."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from data.workspace import UserError
from serving.engines import Engines, engines
from serving.launch import Role
from serving.metrics import Metrics

POLL_S = 0.5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 120.0  # an engine that ran so long has earned a new first pause


@contextmanager
def supervised(bundle: Path, engine: str, metrics: Metrics, *, stop: threading.Event) -> Iterator[Engines]:
    """Serve a bundle's models until the block ends; their addresses follow the engines that replace others.

    Raises:
        UserError: a model that cannot be served, an engine that cannot run here.
        RuntimeError: an engine died while starting for the first time.
    """
    with ExitStack() as stack:
        first = stack.enter_context(engines(bundle, engine, stop=stop))
        running = Engines(first.kind, dict(first.urls), first.seconds_to_ready, first.servers)
        watch = _Watch(bundle, running, metrics, stack)
        thread = threading.Thread(target=watch.keep, name="supervise", daemon=True)
        thread.start()
        try:
            yield running
        finally:
            watch.stop.set()
            thread.join()


class _Watch:
    def __init__(self, bundle: Path, running: Engines, metrics: Metrics, stack: ExitStack) -> None:
        self.stop = threading.Event()
        self._bundle = bundle
        self._running = running
        self._metrics = metrics
        self._stack = stack
        self._serving: dict[Role, Engines] = dict.fromkeys(running.urls, running)
        self._pause: dict[Role, float] = {}
        self._begun: dict[Role, float] = dict.fromkeys(running.urls, time.monotonic())
        for role in running.urls:
            metrics.engine_up.labels(role).set(1)

    def keep(self) -> None:
        """Look at every engine until told to stop.

        In one thread: Linux ends a child with the thread that started it.
        """
        while not self.stop.wait(POLL_S):
            for role, serving in list(self._serving.items()):
                if role in serving.dead_roles() and not self.stop.is_set():
                    self._replace(role)

    def _replace(self, role: Role) -> None:
        self._running.down.add(role)
        self._metrics.engine_up.labels(role).set(0)
        for server in self._serving[role].servers:
            server.end_leftovers()  # before the next one needs their memory
        if time.monotonic() - self._begun[role] > STEADY_S:
            self._pause.pop(role, None)
        pause = self._pause.get(role, FIRST_PAUSE_S)
        self._pause[role] = min(2 * pause, LONGEST_PAUSE_S)
        print(
            f"mailroom: the {role} engine ended; it starts again in {pause:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        if self.stop.wait(pause):
            return
        try:
            alone = engines(self._bundle, self._running.kind, roles=(role,), stop=self.stop)
            started = self._stack.enter_context(alone)
        except Exception as error:  # whatever it is: the next look tries again
            words = str(error) if isinstance(error, UserError | RuntimeError) else type(error).__name__
            _say(f"the {role} engine did not start: {words}")
            return
        self._running.urls[role] = started.urls[role]  # type: ignore[index]  # a dict, see supervised
        self._serving[role] = started
        self._running.down.discard(role)
        self._begun[role] = time.monotonic()
        self._metrics.engine_up.labels(role).set(1)
        self._metrics.engine_restarts.labels(role).inc()
        _say(f"the {role} engine runs again")


def _say(words: str) -> None:
    print(f"mailroom: {words}", file=sys.stderr, flush=True)
