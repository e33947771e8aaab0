"""Failures without words: what goes wrong while raw text is at hand may quote it in its message."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.workspace import UserError

HERE = Path(__file__).parent


class UnexpectedError(RuntimeError):
    """A bug, told by its type and place alone; the words of the first error stay where it happened."""


@contextmanager
def unsaid(doing: str, *, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Raise whatever fails in the block again as what was being done, the error's type and its place.

    A message of the interpreter or of a library quotes what it stumbled over (``invalid literal for
    int(): 'anna@…'``), and ends in logs, executed notebooks and the tracking server. What the system says
    of a file names the file alone, and our own errors, also for a person's mistakes, quote nothing.
    What is expected, ``but``, passes too.
    """
    passing: tuple[type[Exception], ...] = (UserError, UnexpectedError, *but)
    try:
        yield
    except passing:
        raise
    except Exception as error:
        if isinstance(error, OSError) and (error.errno is not None or type(error) is not OSError):
            raise
        raise UnexpectedError(f"{_shown(doing)} failed: {type(error).__name__} at {_place(error)}") from None


def told(error: UnexpectedError) -> str:
    """Say on stderr what happened, and return the reason of the reject that it costs."""
    print(f"mailroom: {error}; left out as a reject: please report this", file=sys.stderr)
    return "unexpected_error"


def _shown(doing: str) -> str:
    """Return what was being done without what a file's name says of people.

    The redaction may itself be what failed: then nothing is said of the place.
    """
    from data.redact import shown  # what redaction imports may use this module

    try:
        return shown(doing, longest=200)
    except Exception:
        return "preparing an entry"


def _place(error: Exception) -> str:
    """Return the innermost line of ours that the error came through."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if HERE in Path(frame.filename).parents
    ]
    inner = [frame for frame in frames if frame.filename != __file__]
    return (
        f"data/{Path(inner[-1].filename).relative_to(HERE)}:{inner[-1].lineno}"
        if inner
        else "an unknown place"
    )
