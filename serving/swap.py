"""From one live bundle to the next without a request lost: verified, started beside, then moved to."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from data.workspace import UserError
from serving.audit import AuditLog
from serving.bundle import Bundle
from serving.canary import Canary, Trial
from serving.decisions import is_rollback
from serving.door import Door, Doors, open_door
from serving.launch import Role
from serving.live import go_live, live_bundle, require_proved, served_bundle
from serving.metrics import Metrics
from serving.pool import EnginePool
from serving.reranker import RERANKER

POLL_S = 1.0
AGAIN_S = 900.0  # after so long what was refused is tried again: a start may fail for want of memory or time


def start_door(
    bundle: Bundle, pool: EnginePool, metrics: Metrics, *, asleep: Collection[Role] = ()
) -> tuple[Door, ExitStack]:
    """Lease a bundle's engines and open its index; closing the stack ends both.

    What of its engines does not run yet starts, but those that sleep. Nobody waits for a reranker: it
    starts behind them, alone, and where it does not, the bundle is served without.

    Raises:
        UserError: it cannot be served here, or was proved with another engine than ``auto`` is here.
        RuntimeError: an engine died while starting, does not take the adapter, or was told to stop.
    """
    require_proved(bundle, pool.engine)
    with ExitStack() as stack:
        running = stack.enter_context(pool.lease(bundle, asleep={*asleep, RERANKER}))
        if RERANKER in running.sleepers and RERANKER not in asleep:
            running.sleepers[RERANKER].wake(0)
        door = stack.enter_context(open_door(bundle, running, metrics))
        metrics.bundle.labels(bundle.digest[:12], bundle.release_id).set(1)
        stack.callback(metrics.bundle.labels(bundle.digest[:12], bundle.release_id).set, 0)
        return door, stack.pop_all()


def follow_live(
    doors: Doors,
    pool: EnginePool,
    metrics: Metrics,
    audit: AuditLog,
    *,
    stop: threading.Event,
    canary: Canary | None = None,
    lazy: bool = False,
) -> None:
    """Serve whatever becomes live until told to stop; where it cannot be served, the present bundle stays.

    With ``canary`` it answers a share first, and a regression makes the present bundle live again. What a
    reviewer went back to is not tried: it was served before, and waits for nobody. Engines that nobody
    has asked for yet sleep on in the next bundle; with ``lazy`` so does its first reranker.
    """
    refused: Path | None = None
    again = 0.0
    while not stop.wait(POLL_S):
        present = doors.current
        try:
            folder = live_bundle().folder
        except Exception:  # noqa: S112 - being replaced, withdrawn or unreadable: the present bundle stays
            continue
        refused = folder if folder == refused and time.monotonic() < again else None
        if present is None or folder in (present.bundle.folder, refused):
            continue
        try:
            bundle = served_bundle(folder)
            asleep = _asleep(present, tried=canary is not None, lazy=lazy)
            door, closing = start_door(bundle, pool, metrics, asleep=asleep)
        except Exception as error:  # whatever it is: the follower must outlive it
            refused, again = folder, time.monotonic() + AGAIN_S
            metrics.swaps.labels("refused").inc()
            if not stop.is_set():
                words = str(error) if isinstance(error, UserError | RuntimeError) else type(error).__name__
                _say(f"bundle {folder.name[:12]} is not served: {words}")
            continue
        trial = Trial(door, canary, metrics) if canary and not _is_rollback(bundle) else None
        if trial and (reasons := _regressions(trial, doors, stop)):
            refused, again = folder, time.monotonic() + AGAIN_S
            metrics.swaps.labels("rolled_back").inc()
            try:
                _go_back(trial, reasons, present.bundle, audit)
            except Exception as error:  # the present bundle stays, though the log may not say so
                _say(f"bundle {present.bundle.digest[:12]} is not live again: {type(error).__name__}")
        if stop.is_set() or folder == refused or not _is_live(folder):  # or rolled back while it started
            _end(closing.close, "refused")
            continue
        _end(partial(doors.open, door, closing), "former")
        metrics.swaps.labels("done").inc()
        _say(f"bundle {bundle.digest[:12]} of release {bundle.release_id} is served now")


def _asleep(present: Door, *, tried: bool, lazy: bool) -> frozenset[Role]:
    """Return the engines that sleep in the next bundle, too: nobody has needed them yet."""
    asleep = present.client.asleep
    if tried:  # a trial asks it at once
        asleep -= {"classifier"}
    if not lazy:  # one that has not come up is no reason to wait for a search
        return asleep - {RERANKER}
    return asleep if RERANKER in present.roles else asleep | {RERANKER}


def _end(ending: Callable[[], None], which: str) -> None:
    """End a bundle; whatever goes wrong with that, the follower must outlive it."""
    try:
        ending()
    except Exception as error:
        _say(f"the {which} bundle did not end well: {type(error).__name__}")


def _regressions(trial: Trial, doors: Doors, stop: threading.Event) -> tuple[str, ...]:
    """Try a bundle until enough is known, or until it is no longer what is live."""
    doors.trial = trial
    try:
        while _is_live(trial.candidate.bundle.folder) and not stop.wait(POLL_S):
            if (found := trial.regressions()) is not None:
                return found
    finally:
        doors.trial = None
    return ()


def _go_back(trial: Trial, reasons: tuple[str, ...], present: Bundle, audit: AuditLog) -> None:
    """Make the present bundle live again, on record with the reasons."""
    candidate, tally, why = trial.candidate.bundle, trial.tally, "; ".join(reasons)
    _say(f"bundle {candidate.digest[:12]} {why}: bundle {present.digest[:12]} goes on")
    audit.write(
        {"event": "canary", "bundle": candidate.digest, "release": candidate.release_id, "reasons": why,
         "messages": tally.messages, "failed": tally.failed, "differing": tally.differing,
         "score_difference": round(tally.mean_score_difference, 4),
         "rule": trial.rule.model_dump()}
    )  # fmt: skip
    go_live(present, f"canary {candidate.digest[:12]} {why}", instead_of=candidate.digest)


def _is_live(folder: Path) -> bool:
    try:
        return live_bundle().folder == folder
    except (UserError, OSError):
        return False


def _is_rollback(bundle: Bundle) -> bool:
    try:
        return is_rollback(bundle.release_id)
    except (UserError, OSError):  # a log that cannot be read decides nothing
        return False


def _say(words: str) -> None:
    print(f"mailroom: {words}", file=sys.stderr, flush=True)
