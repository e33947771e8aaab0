"""What a person at a terminal sees while Spark works: the stage, its tasks, the seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


class Stage:
    """A running stage; ``said`` is what its line says when it is done."""

    def __init__(self) -> None:
        self.said = ""


@contextmanager
def stage(name: str, spark: Any = None) -> Iterator[Stage]:
    """Show a stage on stderr: a bar over Spark's tasks while it runs, one line when it is done."""
    started = time.monotonic()
    running = Stage()
    over = threading.Event()
    bar = tqdm(desc=name, unit=" tasks", file=sys.stderr, leave=False, disable=None, dynamic_ncols=True)
    watcher = threading.Thread(target=_watch, args=(bar, spark, over), daemon=True)
    watcher.start()
    try:
        yield running
    finally:
        over.set()
        watcher.join()
        bar.close()
    seconds = time.monotonic() - started
    print(f"{name:<10} {running.said:<60} {seconds:6.1f} s", file=sys.stderr, flush=True)


def _watch(bar: Any, spark: Any, over: threading.Event) -> None:
    while not over.wait(0.5):
        if spark is not None and not bar.disable:
            done, total = _tasks(spark)
            bar.total, bar.n = total, done
        bar.refresh()


def _tasks(spark: Any) -> tuple[int, int]:
    tracker = spark.sparkContext.statusTracker()
    stages = [tracker.getStageInfo(number) for number in tracker.getActiveStageIds()]
    known = [each for each in stages if each is not None]
    return sum(each.numCompletedTasks for each in known), sum(each.numTasks for each in known)
