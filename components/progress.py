"""What a running step says on stderr: its name, how long it has been at it, and the last thing it printed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

RUNNER = "MAILROOM_RUNNER_PID"


class Progress:
    """A file for the notebook's own output that passes on one line a second at most.

    A progress bar rewrites its line many times a second; a log wants to know where it stands.
    """

    def __init__(self, step: str) -> None:
        self.step = step
        self.cells = 0
        self.cell = 0
        self.started = time.monotonic()
        self._last = 0.0

    def start_cell(self, cell: Any, cell_index: int) -> None:
        """Note which cell runs, counted as in the source notebook: Papermill's own cell does not count."""
        if "injected-parameters" in cell.metadata.get("tags", ()):
            return
        self.cell += 1
        if cell.cell_type == "code":
            self._say(f"cell {self.cell} of {self.cells}")

    def write(self, text: str) -> int:
        lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
        if lines and time.monotonic() - self._last >= 1:
            self._say(lines[-1])
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def _say(self, what: str) -> None:
        self._last = time.monotonic()
        print(f"[{self.step} {self._last - self.started:.0f} s] {what[:200]}", file=sys.stderr, flush=True)


def follow_runner(interval_s: float = 1.0) -> None:
    """End this step when the process that runs the pipeline is gone, killed or closed with its terminal.

    Otherwise an interrupted run would train on in the background, beside the one that replaces it.
    """
    runner = os.environ.get(RUNNER)
    if not runner:
        return

    def watch() -> None:
        while _is_alive(int(runner)):
            time.sleep(interval_s)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="follow-runner", daemon=True).start()


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
