"""The log of an engine: its own for as long as it runs, and bounded.

No other start writes there, renames or removes it: whoever starts engines holds their logs, by the
kernel's lock, until they have ended. Its own process puts a full one aside and goes on in the same file.

Several processes hold that file open, as their output, so it is never exchanged: what stands in it is
copied, and it is cut. All of them append, so each goes on at its new beginning; what one writes between
the copy and the cut is lost.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from data.workspace import home

SEGMENT_BYTES = 8_000_000
SEGMENTS = 2  # kept beside the one that is written: .1, which is the newer one, and .2
CONTINUED = "this log goes on from the one before it, .1"


def logs() -> Path:
    """Return the folder of the engines' logs."""
    return home() / "logs"


def aside(log: Path, number: int) -> Path:
    """Return where a former part of a log is kept."""
    return log.with_name(f"{log.name}.{number}")


def fresh_log(name: str, held: ExitStack) -> Path:
    """Return an empty log that is nobody else's until ``held`` ends: NAME.log, or NAME-2.log and so on.

    What an engine before this one wrote there may say why it died, and is put aside.
    """
    logs().mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = logs() / (f"{name}.log" if number == 1 else f"{name}-{number}.log")
        with ExitStack() as opened, suppress(BlockingIOError):
            log = opened.enter_context(path.open("ab"))
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(log.fileno()).st_size:
                with suppress(OSError):  # no room
                    _put_aside(path)
            log.truncate(0)
            held.push(opened.pop_all())
            return path
        number += 1


def bound(descriptor: int) -> None:
    """Put the log aside that this process writes, if it is full; any other file is left alone.

    A log that was renamed or removed meanwhile is cut and no more; so is one that there is no room to put
    aside.
    """
    status = os.fstat(descriptor)
    if status.st_size < SEGMENT_BYTES or not stat.S_ISREG(status.st_mode):
        return
    path = _path_of(descriptor)
    if path is None or path.parent != logs().resolve():
        return
    if path.suffix == ".log":
        with suppress(OSError):
            _put_aside(path)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{CONTINUED}\n".encode())


def _put_aside(log: Path) -> None:
    part = log.with_name(f".{log.name}.{os.getpid()}.part")  # two processes may write one log
    try:
        shutil.copyfile(log, part)
        for number in range(SEGMENTS, 1, -1):
            if aside(log, number - 1).exists():
                os.replace(aside(log, number - 1), aside(log, number))
        os.replace(part, aside(log, 1))
    finally:
        part.unlink(missing_ok=True)


def lines_of(log: Path) -> list[str]:
    """Return what an engine has written, also just before its log was full."""
    lines = _read(log)
    return _read(aside(log, 1)) + lines if CONTINUED in lines else lines


def _read(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def _path_of(descriptor: int) -> Path | None:
    if sys.platform == "darwin":
        return Path(os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))
    link = Path(f"/proc/self/fd/{descriptor}")
    return Path(os.readlink(link)) if link.exists() or link.is_symlink() else None
