"""An engine looked after: shared by the bundles that have its model, and started again when it dies."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from data.workspace import UserError
from serving.adapter import ADAPTER, SPARE, drop_adapter, serve_adapter
from serving.bundle import Bundle, check_files
from serving.engines import EngineKind, Engines, engines, is_healthy
from serving.launch import Placements, Role
from serving.metrics import Metrics
from serving.reranker import RERANKER
from serving.sleep import Sleeper

POLL_S = 0.5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 120.0  # an engine that ran so long has earned a new first pause


@dataclass(frozen=True, slots=True)
class Starting:
    """How the engines of a gateway are started."""

    kind: EngineKind
    metrics: Metrics
    stop: threading.Event  # the gateway's: what ends then is not started again
    placements: Placements | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Lessee:
    """A bundle that leases engines, and how it sees them: the engines keep that up to date."""

    bundle: Bundle
    engines: Engines


class Together:
    """Engines that were started together; who lets the last one go ends what they shared."""

    def __init__(
        self, folder: Path, roles: tuple[Role, ...], starting: Starting, *, stop: threading.Event
    ) -> None:
        """Start the engines.

        Raises:
            UserError: a model that cannot be served, an engine that cannot run here.
            RuntimeError: one died while starting, or ``stop`` was set.
        """
        self._lock = threading.Lock()
        self._left = set(roles)
        with ExitStack() as stack:
            started = engines(folder, starting.kind, roles=roles, stop=stop, placements=starting.placements)
            self._running = stack.enter_context(started)
            self._closing = stack.pop_all()

    def url(self, role: Role) -> str:
        return self._running.urls[role]

    def is_dead(self, role: Role) -> bool:
        return role in self._running.dead_roles()

    def let_go(self, *roles: Role) -> None:
        """End engines that nobody needs any more; the others go on."""
        with self._lock:
            self._left.difference_update(roles)
            is_last = not self._left
        if is_last:
            self._closing.close()
        else:
            for server in self._running.servers:
                if set(roles) & set(server.roles):
                    server.end_roles(roles)


class Pause:
    """What lies between one try and the next: twice as long each time."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def next(self) -> float:
        seconds = self._seconds or FIRST_PAUSE_S
        self._seconds = min(2 * seconds, LONGEST_PAUSE_S)
        return seconds

    def forget(self) -> None:
        self._seconds = 0.0


class SupervisedEngine:
    """One engine, in a thread of its own: a start takes minutes, and another may die meanwhile.

    What that thread starts ends with it, as Linux has it.
    """

    def __init__(self, role: Role, starting: Starting, together: Together | None) -> None:
        """Look after an engine that runs, or, without ``together``, after one that sleeps."""
        self.role = role
        self.stop = threading.Event()
        self.together = together
        self.sleeper = Sleeper(asleep=together is None)
        self._starting = starting
        self._begun = time.monotonic()
        self._before_start, self._before_opening = Pause(), Pause()
        self._opens_again = 0.0  # when bundles that it does not serve are tried again
        self._lock = threading.RLock()  # of who leases it, and of what it answers by
        self._lessees: list[Lessee] = []
        self._spare: list[str] = []  # adapters that nobody needs any more, the last one that was needed last
        self._thread = threading.Thread(target=self._keep, name=f"supervise {role}", daemon=True)

    @property
    def is_leased(self) -> bool:
        return bool(self._lessees)

    def may_be_shared(self) -> bool:
        """Say whether it answers, or would wake: nobody begins with an engine that is dead, or hangs."""
        with self._lock:
            together = self.together
        if together is None:
            return self.sleeper.asleep
        return not together.is_dead(self.role) and is_healthy(together.url(self.role))

    def begin(self) -> None:
        """Begin to watch it."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the watch to end, once ``stop`` is set."""
        if self._thread.ident is not None:
            self._thread.join()

    def admit(self, lessee: Lessee) -> None:
        """Serve a bundle, too.

        Raises:
            UserError: the bundle's adapter was changed.
            RuntimeError: the engine does not take the adapter.
        """
        with self._lock:
            lessee.engines.sleepers[self.role] = self.sleeper
            if self.together:
                self._open(lessee, self.together)
            elif not self.sleeper.asleep:
                lessee.engines.down.add(self.role)
            self._lessees.append(lessee)

    def dismiss(self, lessee: Lessee) -> None:
        """Serve a bundle no longer; its adapter keeps its name until others take that place."""
        with self._lock:
            if lessee not in self._lessees:
                return
            self._lessees.remove(lessee)
            if name := lessee.engines.models.get(self.role):
                self._spare = [*(each for each in self._spare if each != name), name]
            if self.together and self._lessees:
                self._drop_spare(self.together)

    def _drop_spare(self, together: Together) -> None:
        """Unload adapters that nobody needs, but the last ones.

        A bundle that is refused is tried again: loaded under the same name each time, its adapter pushes
        nobody else's out of the engine's memory.
        """
        needed = {each.engines.models.get(self.role) for each in self._lessees}
        self._spare = [name for name in self._spare if name not in needed]
        while len(self._spare) > SPARE:
            try:
                drop_adapter(together.url(self.role), self._spare.pop(0))
            except RuntimeError as error:  # it died, perhaps: the next one starts without it
                _say(str(error))

    def _open(self, lessee: Lessee, together: Together) -> None:
        """Let a bundle's requests reach the engine, once its adapter is loaded."""
        url = together.url(self.role)
        if name := lessee.engines.models.get(self.role):
            check_files(lessee.bundle, ADAPTER)
            serve_adapter(url, lessee.bundle.folder / ADAPTER, name)
        lessee.engines.urls[self.role] = url
        lessee.engines.down.discard(self.role)

    def _keep(self) -> None:
        while not self.stop.is_set():
            if self.sleeper.asleep:
                self._wake()
            elif not self.stop.wait(POLL_S):
                if self._serves_nobody():
                    self._replace()
                else:
                    self._open_again()

    def _wake(self) -> None:
        """Start the engine once somebody asks for it."""
        if not self.sleeper.is_wanted(POLL_S):
            return
        _say(f"the {self.role} engine starts: it is asked for")
        if self._start():
            self.sleeper.awake()
            return
        if self.role == RERANKER:  # nobody waits for it: many searches do not start it over and over
            self.stop.wait(self._before_start.next())
        self.sleeper.failed()

    def _serves_nobody(self) -> bool:
        """Say whether it has to be started again: it ended, or no bundle could be served by it."""
        with self._lock:
            if self._starting.stop.is_set() or not self._lessees:
                return False
            ended = self.together is None or self.together.is_dead(self.role)
            return ended or all(self.role in each.engines.down for each in self._lessees)

    def _replace(self) -> None:
        with self._lock:
            former, self.together = self.together, None
            for lessee in self._lessees:
                lessee.engines.down.add(self.role)
        if former:
            if time.monotonic() - self._begun > STEADY_S:
                self._before_start.forget()
            former.let_go(self.role)  # before the next one needs its memory
        pause = self._before_start.next()
        _say(f"the {self.role} engine ended; it starts again in {pause:.0f} s")
        if not self.stop.wait(pause) and self._start():
            self._starting.metrics.engine_restarts.labels(self.role).inc()
            _say(f"the {self.role} engine runs again")

    def _start(self) -> bool:
        """Start the engine alone; where it does not start, say so: the next look, or request, tries again."""
        try:
            folder = self._verified().folder
            together = Together(folder, (self.role,), self._starting, stop=self.stop)
        except Exception as error:  # whatever it is: the watch goes on
            self._tell("did not start", error)
            return False
        with self._lock:
            for lessee in self._lessees:
                self._try_to_open(lessee, together)
            self.together, self._begun, self._spare = together, time.monotonic(), []
            self._before_opening.forget()
            self._opens_again = self._begun + self._before_opening.next()
        return True

    def _open_again(self) -> None:
        """Try the bundles again that the engine does not serve while it serves another."""
        with self._lock:
            left_out = [lessee for lessee in self._lessees if self.role in lessee.engines.down]
            if self.together is None or not left_out or time.monotonic() < self._opens_again:
                return
            for lessee in left_out:
                self._try_to_open(lessee, self.together)
            self._opens_again = time.monotonic() + self._before_opening.next()

    def _try_to_open(self, lessee: Lessee, together: Together) -> None:
        try:
            self._open(lessee, together)
        except Exception as error:  # the other bundles are served
            lessee.engines.down.add(self.role)
            self._tell(f"does not serve bundle {lessee.bundle.digest[:12]}", error)

    def _verified(self) -> Bundle:
        """Return a bundle whose files are still what its manifest says: it may have been served for months.

        Raises:
            UserError: there is none; the message is of the one that came last.
        """
        with self._lock:
            bundles = [lessee.bundle for lessee in reversed(self._lessees)]
        problems = []
        for bundle in bundles:
            try:
                check_files(bundle, *((self.role, ADAPTER) if self.role == "generator" else (self.role,)))
                return bundle
            except UserError as error:
                problems.append(error)
        raise problems[0] if problems else UserError(f"no bundle needs the {self.role} engine any more")

    def _tell(self, what: str, error: Exception) -> None:
        words = str(error) if isinstance(error, UserError | RuntimeError) else type(error).__name__
        _say(f"the {self.role} engine {what}: {words}")


def _say(words: str) -> None:
    print(f"mailroom: {words}", file=sys.stderr, flush=True)
