"""Who works with the workspace's messages, and who has to be alone with them: an erasure, a pruning."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from data.workspace import UserError, home

STEPS = "steps.lock"


def locks() -> Path:
    """Return the folder of the locks: one for each archive that was prepared, one for all other steps."""
    return home() / "intake"


def wait_for(lock: BinaryIO, kind: int, busy: str) -> None:
    """Take a lock, of one of flock's kinds; whoever has to wait is told for what."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"mailroom: {busy}; waiting for the end of that", file=sys.stderr, flush=True)
        fcntl.flock(lock, kind)


@contextmanager
def at_work() -> Iterator[None]:
    """Read datasets and write what is made of them, until the block or the function that it decorates ends.

    Nothing is erased or pruned meanwhile, and whoever comes while it is waits for its end: what has been
    read already would be written behind the back of an erasure, which would pass for complete.
    """
    locks().mkdir(parents=True, exist_ok=True)
    with open(locks() / STEPS, "ab") as lock:
        wait_for(lock, fcntl.LOCK_SH, "messages are being erased or pruned")
        yield


@contextmanager
def at_rest() -> Iterator[None]:
    """Keep every archive from being prepared and every dataset from being read by a step.

    Raises:
        UserError: one is now.
    """
    locks().mkdir(parents=True, exist_ok=True)
    (locks() / STEPS).touch()
    with ExitStack() as held:
        for path in sorted(locks().glob("*.lock")):
            lock = held.enter_context(open(path, "r+b"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                doing = "a step reads a dataset" if path.name == STEPS else "an archive is being prepared"
                raise UserError(f"{doing} now; wait for its end and run again") from None
        yield
