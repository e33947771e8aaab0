"""From one live bundle to the next without a request lost: started beside, verified, then moved to."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from data.workspace import UserError
from serving.bundle import Bundle
from serving.door import Door, Doors, open_door
from serving.live import live_bundle, served_bundle
from serving.metrics import Metrics
from serving.supervise import supervised

POLL_S = 1.0


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
            bundle = served_bundle(folder)
            door, closing = start_door(bundle, engine, metrics, stop=stop)
        except Exception as error:  # whatever it is: the follower must outlive it
            refused = folder
            metrics.swaps.labels("refused").inc()
            if not stop.is_set():
                words = str(error) if isinstance(error, UserError | RuntimeError) else type(error).__name__
                _say(f"bundle {folder.name[:12]} is not served: {words}")
            continue
        if not _is_live(folder):  # rolled back while it started
            closing.close()
            continue
        try:
            doors.open(door, closing)
        except Exception as error:  # of the former bundle's end
            _say(f"the former bundle did not end well: {type(error).__name__}")
        refused = None
        metrics.swaps.labels("done").inc()
        _say(f"bundle {bundle.digest[:12]} of release {bundle.release_id} is served now")


def _is_live(folder: Path) -> bool:
    try:
        return live_bundle().folder == folder
    except UserError:
        return False


def _say(words: str) -> None:
    print(f"mailroom: {words}", file=sys.stderr, flush=True)
