"""What a label costs a gateway when many were given before: it reads on from what it has checked.

    .venv/bin/python -m tests.benchmarks.labels [EXISTING ...]     (default: 1000 20000)

For each number: how long the whole record takes to read once, as a start or `review verify` does, and how
long 200 labels take together, as `/v1/feedback` writes them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence

from data import feedback
from data.feedback import Label

LABELS = 200


def measure(existing: int) -> str:
    """Return both times, in a workspace of its own; nothing of it stays."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MAILROOM_HOME": f"{folder}/home", "MAILROOM_KEYS": f"{folder}/keys"}
        for number in range(existing):
            feedback.add([Label(f"{number:024x}", "ordinary")], reviewer="ada")
        kept_open = feedback.OpenRecord()
        begun = time.perf_counter()
        kept_open.history()
        whole_s = time.perf_counter() - begun
        begun = time.perf_counter()
        for number in range(LABELS):
            message_id = f"{existing + number:024x}"
            proposed = kept_open.history_of(message_id)
            feedback.add(feedback.as_proposed([(message_id, "ordinary", "")], proposed), reviewer="ada")
        labels_s = time.perf_counter() - begun
    return f"{existing:6,} labels there: read whole {whole_s:6.2f} s; {LABELS} more {labels_s:6.2f} s"


def main(arguments: Sequence[str]) -> None:
    for existing in [int(each) for each in arguments] or [1_000, 20_000]:
        print(measure(existing), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
