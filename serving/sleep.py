"""An engine that sleeps until it is first asked for."""

from __future__ import annotations

import threading


class Sleeper:
    """Whether an engine sleeps; safe from any thread."""

    def __init__(self, *, asleep: bool) -> None:
        self._changed = threading.Condition()
        self._asleep = asleep
        self._wanted = False

    @property
    def asleep(self) -> bool:
        """Whether it does not answer yet, be it that it is starting."""
        return self._asleep

    def wake(self, seconds: float) -> bool:
        """Ask for the engine and wait until it answers; return whether it does by then."""
        with self._changed:
            if self._asleep:
                self._wanted = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: not (self._asleep and self._wanted), seconds)
            return not self._asleep

    def is_wanted(self, seconds: float) -> bool:
        """Return whether somebody asks for the engine, waiting so long for that."""
        with self._changed:
            return self._changed.wait_for(lambda: self._wanted, seconds)

    def awake(self) -> None:
        """Let everybody on who waits for the engine: it answers."""
        with self._changed:
            self._asleep = False
            self._changed.notify_all()

    def failed(self) -> None:
        """Send away who waits for an engine that did not start; whoever asks next has it tried again."""
        with self._changed:
            self._wanted = False
            self._changed.notify_all()
