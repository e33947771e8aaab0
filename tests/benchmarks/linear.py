"""Redact adversarial texts of growing length, and see that time grows with the length alone.

    .venv/bin/python -m tests.benchmarks.linear --megabytes 10

Each text repeats one piece that patterns stumble over, or names ever new people and then repeats what they
share; it is cleaned, zoned and redacted at a tenth of the length and at the full length. Prints the CPU
seconds of both and their quotient, which is 10 where time is linear; ends with status 1 if one is over 20.
"""

from __future__ import annotations

import argparse
import sys
import time

from data.normalise import clean
from data.redact import redact
from data.zones import find_zones
from tests.data.test_redact import ADVERSARIAL, IN_TWO_PIECES, KEY, in_two_pieces

MOST = 20
ENCODED = (
    "=?a?q?",
    "=?utf-8?b?YQ==?= ",
    "=\n",
    "=40",
    "%40",
    "%2540",
    "\\u0040",
    "&#64;",
    "QUFB",
    "QUFB\n",
    "begin 644 a\n",
)


def adversarial(piece: str | tuple[str, str], size: int) -> str:
    """Return a text of ``size`` characters that is made of the piece, or of both."""
    return piece * (size // len(piece)) if isinstance(piece, str) else in_two_pieces(*piece, size)


def seconds(piece: str | tuple[str, str], size: int) -> float:
    """Return the CPU seconds that a text of ``size`` characters takes."""
    raw = adversarial(piece, size)
    start = time.process_time()
    text = clean(raw)
    find_zones(text)
    redact(text, key=KEY, names=["Anna Schmidt"])
    return time.process_time() - start


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--megabytes", type=float, default=10)
    size = int(options.parse_args().megabytes * 1_000_000)
    seconds("a@b.example ", 10_000)  # what is loaded at first use
    print(f"{'piece':<32} {size // 10:>12,} {size:>12,}  quotient")
    slow = 0
    pieces = (*ADVERSARIAL, *ENCODED, *IN_TWO_PIECES)
    for piece in pieces:
        small = min(seconds(piece, size // 10) for _ in range(2))
        large = seconds(piece, size)
        slow += large / small > MOST
        print(f"{piece!r:<32} {small:>10.2f} s {large:>10.2f} s {large / small:>9.1f}", flush=True)
    print(f"{slow} of {len(pieces)} pieces take more than {MOST} times as long")
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
