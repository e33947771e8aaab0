"""From one live bundle to the next without a request lost: started beside, verified, then moved to."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from data.workspace import UserError
from serving.bundle import Bundle, verify_bundle
from serving.champion import check_decided
from serving.door import Door, Doors, open_door
from serving.live import live_bundle
from serving.metrics import Metrics
from serving.supervise import supervised

POLL_S = 1.0


def checked_bundle(folder: str | Path) -> Bundle:
    """Return a bundle that may be served: whole, unchanged, and decided on.

    Raises:
        UserError: it is not; the message says why.
    """
    bundle = verify_bundle(folder)
    check_decided(bundle.release_id)
    return bundle


def start_door(
    bundle: Bundle, engine: str, metrics: Metrics, *, stop: threading.Event
) -> tuple[Door, ExitStack]:
    """Start a bundle's engines and open its index; closing the stack ends both.

    Raises:
        UserError: it cannot be served here.
        RuntimeError: an engine died while starting, or ``stop`` was set.
    """
    with ExitStack() as stack:
        running = stack.enter_context(supervised(bundle.folder, engine, metrics, stop=stop))
        door = stack.enter_context(open_door(bundle, running, metrics))
        metrics.bundle.labels(bundle.digest[:12], bundle.release_id).set(1)
        stack.callback(metrics.bundle.labels(bundle.digest[:12], bundle.release_id).set, 0)
        return door, stack.pop_all()


def follow_live(doors: Doors, engine: str, metrics: Metrics, *, stop: threading.Event) -> None:
    """Serve whatever becomes live until told to stop; where it cannot be served, the present bundle stays."""
    refused: Path | None = None
    while not stop.wait(POLL_S):
        present = doors.current
        try:
            folder = live_bundle().folder
        except UserError:
            continue  # a pointer that is being replaced, or withdrawn: the present bundle stays
        if present is None or folder in (present.bundle.folder, refused):
            continue
        try:
            bundle = checked_bundle(folder)
            door, closing = start_door(bundle, engine, metrics, stop=stop)
        except (UserError, RuntimeError) as error:
            refused = folder
            metrics.swaps.labels("refused").inc()
            if not stop.is_set():
                _say(f"bundle {folder.name[:12]} is not served: {error}")
            continue
        doors.open(door, closing)
        refused = None
        metrics.swaps.labels("done").inc()
        _say(f"bundle {bundle.digest[:12]} of release {bundle.release_id or '(none)'} is served now")


def _say(words: str) -> None:
    print(f"mailroom: {words}", file=sys.stderr, flush=True)
