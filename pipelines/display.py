"""One line per step on the terminal; everything that kfp and the steps print goes to the run's log."""

from __future__ import annotations

import io
import logging
import re
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from components.failure import ANSI

STARTED = re.compile(r"Executing task '([\w-]+)'")
ENDED = re.compile(r"Task '([\w-]+)' finished with status (\w+)")
CACHED = re.compile(r"Task ([\w-]+) cache hit")
SAID = re.compile(r"\[\S+ \d+ s\] (.*)")


class StepDisplay(io.TextIOBase):
    """Reads what kfp's local runner prints, for want of an interface that tells what it is doing.

    ``titles`` maps kfp's task names (``train-classifier``) to the notebooks' (``02_train_classifier``).
    """

    def __init__(self, log: Path, titles: Mapping[str, str], console: Console) -> None:
        self._titles = titles
        self._console = console
        self._width = max((len(title) for title in titles.values()), default=0)
        self._log = log.open("a", encoding="utf-8", errors="replace")
        self._line = ""
        self._started = time.monotonic()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[said]}", markup=True),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not console.is_terminal,
        )
        self.failed = ""

    def write(self, text: str) -> int:
        self._log.write(text)
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._read(ANSI.sub("", line))
        return len(text)

    def flush(self) -> None:
        if not self._log.closed:
            self._log.flush()

    def close(self) -> None:
        self._progress.stop()
        self._log.close()

    def _read(self, line: str) -> None:
        if match := CACHED.search(line):
            self._say(match[1], "cached", "cyan")
        elif match := STARTED.search(line):
            self._started = time.monotonic()
            self._progress.start()
            self._progress.add_task(self._title(match[1]), said="")
        elif match := ENDED.search(line):
            done = match[2] == "SUCCESS"
            if not done:
                self.failed = self._title(match[1])
            self._say(match[1], "done" if done else "failed", "green" if done else "red")
        elif (match := SAID.search(line)) and self._progress.task_ids:
            self._progress.update(self._progress.task_ids[-1], said=match[1][:60].replace("[", "("))

    def _say(self, task: str, state: str, colour: str) -> None:
        seconds = "" if state == "cached" else f"{time.monotonic() - self._started:7.1f} s"
        for running in list(self._progress.task_ids):
            self._progress.remove_task(running)
        self._console.print(
            f"  {self._title(task):{self._width}}  [{colour}]{state:6}[/]{seconds}", highlight=False
        )

    def _title(self, task: str) -> str:
        return self._titles.get(task, task)


@contextmanager
def displayed(log: Path, titles: Mapping[str, str]) -> Iterator[StepDisplay]:
    """Show the steps of everything that kfp runs inside the block."""
    log.parent.mkdir(parents=True, exist_ok=True)
    display = StepDisplay(log, titles, Console(file=sys.stdout))
    root = logging.getLogger()
    level, handler = root.level, logging.StreamHandler(display)
    root.addHandler(handler)  # cache hits go to the root logger, the rest to standard output
    root.setLevel(logging.INFO)
    try:
        with redirect_stdout(display), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a laptop cannot honour: limits, image names
            yield display
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        display.close()
