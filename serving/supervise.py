"""Engines that die are started again, each alone, while the others go on answering."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

from data.workspace import UserError
from serving.adapter import ADAPTER
from serving.bundle import Bundle, check_files
from serving.engines import Engines, choose_engine, engines
from serving.launch import ROLES, Placements, Role, engine_model
from serving.metrics import Metrics
from serving.sleep import Sleepers

POLL_S = 0.5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 120.0  # an engine that ran so long has earned a new first pause


@contextmanager
def supervised(
    bundle: Bundle,
    engine: str,
    metrics: Metrics,
    *,
    stop: threading.Event,
    asleep: Collection[Role] = (),
    placements: Placements | None = None,
) -> Iterator[Engines]:
    """Serve a bundle's models until the block ends; their addresses follow the engines that replace others.

    Those of ``asleep`` start when they are first asked for.

    Raises:
        UserError: a model that cannot be served, an engine that cannot run here.
        RuntimeError: an engine died while starting for the first time.
    """
    for role in asleep:
        engine_model(role, bundle.folder / role)  # what cannot be served is refused now
    now = tuple(role for role in ROLES if role not in asleep)
    with ExitStack() as stack:
        first = Engines(choose_engine(engine), {}, 0.0, ())
        if now:
            together = engines(bundle.folder, engine, roles=now, stop=stop, placements=placements)
            first = stack.enter_context(together)
        running = Engines(
            first.kind,
            dict(first.urls),
            first.seconds_to_ready,
            first.servers,
            sleepers=Sleepers(asleep),
        )
        watch = _Watch(bundle, running, metrics, stack, placements)
        threads = [
            threading.Thread(
                target=watch.keep_asleep if role in asleep else watch.keep,
                args=(role,),
                name=f"supervise {role}",
                daemon=True,
            )
            for role in ROLES
        ]
        for thread in threads:
            thread.start()
        try:
            yield running
        finally:
            watch.stop.set()
            for thread in threads:
                thread.join()


class _Watch:
    """Looks after every engine in its own thread: a start takes minutes, and another may die meanwhile."""

    def __init__(
        self,
        bundle: Bundle,
        running: Engines,
        metrics: Metrics,
        stack: ExitStack,
        placements: Placements | None,
    ) -> None:
        self.stop = threading.Event()
        self._placements = placements
        self._bundle = bundle
        self._running = running
        self._metrics = metrics
        self._own = {role: stack.enter_context(ExitStack()) for role in ROLES}  # of engines started alone
        self._serving: dict[Role, Engines] = dict.fromkeys(running.urls, running)
        self._pause: dict[Role, float] = {}
        self._begun: dict[Role, float] = dict.fromkeys(running.urls, time.monotonic())

    def keep(self, role: Role) -> None:
        """Look at an engine until told to stop.

        In the thread that starts it: Linux ends a child with it.
        """
        while not self.stop.wait(POLL_S):
            if role in self._serving[role].dead_roles() and not self.stop.is_set():
                self._replace(role)

    def keep_asleep(self, role: Role) -> None:
        """Start an engine once somebody asks for it, then look at it."""
        while not self.stop.is_set():
            if not self._running.sleepers.is_wanted(role, POLL_S):
                continue
            _say(f"the {role} engine starts: it is asked for")
            if self._start(role):
                self._running.sleepers.awake(role)
                self.keep(role)
            else:
                self._running.sleepers.failed(role)

    def _replace(self, role: Role) -> None:
        if role not in self._running.down and time.monotonic() - self._begun[role] > STEADY_S:
            self._pause.pop(role, None)
        self._running.down.add(role)
        self._own[role].close()  # before the next one needs its memory
        pause = self._pause.get(role, FIRST_PAUSE_S)
        self._pause[role] = min(2 * pause, LONGEST_PAUSE_S)
        print(
            f"mailroom: the {role} engine ended; it starts again in {pause:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        if self.stop.wait(pause):
            return
        if self._start(role):
            self._running.down.discard(role)
            self._metrics.engine_restarts.labels(role).inc()
            _say(f"the {role} engine runs again")

    def _start(self, role: Role) -> bool:
        """Start an engine alone; where it does not start, say so: the next look, or request, tries again.

        Its files are verified anew: the bundle may have been served for months.
        """
        try:
            check_files(self._bundle, *((role, ADAPTER) if role == "generator" else (role,)))
            alone = engines(
                self._bundle.folder,
                self._running.kind,
                roles=(role,),
                stop=self.stop,
                placements=self._placements,
            )
            started = self._own[role].enter_context(alone)
        except Exception as error:  # whatever it is: the watch goes on
            words = str(error) if isinstance(error, UserError | RuntimeError) else type(error).__name__
            _say(f"the {role} engine did not start: {words}")
            return False
        self._running.urls[role] = started.urls[role]  # type: ignore[index]  # a dict, see supervised
        self._serving[role] = started
        self._begun[role] = time.monotonic()
        return True


def _say(words: str) -> None:
    print(f"mailroom: {words}", file=sys.stderr, flush=True)
