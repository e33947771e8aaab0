"""Engines that sleep until they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from serving.launch import Role


class Sleepers:
    """Which engines of a bundle sleep; safe from any thread."""

    def __init__(self, roles: Iterable[Role] = ()) -> None:
        self._changed = threading.Condition()
        self._asleep = set(roles)
        self._wanted: set[Role] = set()

    @property
    def asleep(self) -> frozenset[Role]:
        """The engines that do not answer yet, those that are starting among them."""
        return frozenset(self._asleep)

    def wake(self, role: Role, seconds: float) -> bool:
        """Ask for an engine and wait until it answers; return whether it does by then."""
        with self._changed:
            if role not in self._asleep:
                return True
            self._wanted.add(role)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not {role} <= self._asleep & self._wanted, seconds)
            return role not in self._asleep

    def is_wanted(self, role: Role, seconds: float) -> bool:
        """Return whether somebody asks for an engine, waiting so long for that."""
        with self._changed:
            return self._changed.wait_for(lambda: role in self._wanted, seconds)

    def awake(self, role: Role) -> None:
        """Let everybody on who waits for an engine: it answers."""
        with self._changed:
            self._asleep.discard(role)
            self._changed.notify_all()

    def failed(self, role: Role) -> None:
        """Send away who waits for an engine that did not start; whoever asks next has it tried again."""
        with self._changed:
            self._wanted.discard(role)
            self._changed.notify_all()
