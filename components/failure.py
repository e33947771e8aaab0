"""What went wrong in a step: one line for a person, the same as a file for the command line."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
FILE = "error.json"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed step, as ``error.json`` beside the executed notebook tells it.

    ``cell`` counts from 1 as in the source notebook, text cells too; 0 is before or after the cells.
    """

    step: str
    cell: int
    error: str
    message: str
    notebook: str = ""
    html: str = ""
    mlflow_run: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)  # its artifacts: what earlier steps have made

    def __str__(self) -> str:
        place = f" in cell {self.cell}" if self.cell else ""
        kept = f"; executed notebook: {self.notebook}" if self.notebook else ""
        run = f", MLflow run {self.mlflow_run}" if self.mlflow_run else ""
        return f"step {self.step} failed{place}: {self.error}: {self.message}{kept}{run}"


class StepFailed(SystemExit):
    """Ends the process with status 1 and one line; a traceback of Papermill's own frames helps nobody."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def explain(step: str, error: BaseException, *, cell: int) -> Failure:
    """Return the failure that an exception stands for: its type and its message, in one line.

    An exception of a cell comes wrapped in Papermill's, a dead kernel as nbclient's DeadKernelError.
    """
    if isinstance(error, KeyboardInterrupt):
        return Failure(step, cell, "Interrupted", "stopped from outside")
    name, message = type(error).__name__, str(error)
    if name == "PapermillExecutionError":
        name, message = getattr(error, "ename", name), getattr(error, "evalue", "")
    if name == "DeadKernelError":
        message = "the kernel died: out of memory, or ended from outside"
    return Failure(step, cell, name, " ".join(ANSI.sub("", message).split())[:500])


def write_failure(folder: Path, failure: Failure) -> None:
    """Leave the failure for the command line. A disk that is full must not hide it."""
    try:
        (folder / FILE).write_text(json.dumps(asdict(failure), indent=1), encoding="utf-8")
    except OSError as error:
        print(f"{folder / FILE} could not be written: {os.strerror(error.errno or 0)}", file=sys.stderr)


def read_failure(folder: Path) -> Failure | None:
    """Return the newest failure below a folder, or None where no step has left one."""
    found = sorted(folder.rglob(FILE), key=lambda path: path.stat().st_mtime)
    return Failure(**json.loads(found[-1].read_text(encoding="utf-8"))) if found else None
