"""Kill preparing and streaming at random moments, go on, and compare with a run that nobody disturbed.

    .venv/bin/python -m tests.benchmarks.kills --kills 25

Prints a line per kill and ends with status 1 when anything was lost, doubled or changed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from data.account import account
from data.events import prefixes
from data.landing import land
from data.prepare import prepare
from data.publish import publish
from data.sample import write_sample
from tests.data.broker import make_topic, running_broker

LONGEST_S = 300
KILLS_A_LANDING = 5


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from pipelines.cli import main; main()", *arguments]


def preparing(archive: Path, prepared: Path) -> list[str]:
    code = "import sys; from data.prepare import prepare; prepare(sys.argv[1], sys.argv[2], reread=True)"
    return [sys.executable, "-c", code, str(archive), str(prepared)]


def seconds_of(arguments: Sequence[str]) -> float:
    started = time.monotonic()
    subprocess.run(
        arguments, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=LONGEST_S
    )
    return time.monotonic() - started


def killed(arguments: Sequence[str], after_s: float) -> bool:
    """Run a command and kill it and all its children after so many seconds; say whether it still ran."""
    process = subprocess.Popen(
        arguments, start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        process.wait(after_s)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def kill_often(kills: int, chance: random.Random, longest_s: float, arguments: Sequence[str]) -> int:
    """Kill the command at random moments of its life; return how many of the kills found it running."""
    hit = 0
    for number in range(kills):
        after_s = chance.uniform(0.3, longest_s)
        found = killed(arguments, after_s)
        hit += found
        print(
            f"  kill {number + 1:>3} after {after_s:5.1f} s: {'running' if found else 'had ended'}",
            flush=True,
        )
    return hit


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=25, help="of each of the two")
    options.add_argument("--messages", type=int, default=2400)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as place, running_broker() as broker:
        folder = Path(place)
        os.environ |= {"MAILROOM_HOME": str(folder / "home"), "MAILROOM_KEYS": str(folder / "keys")}
        archive = write_sample(folder / "archive", messages=asked.messages)
        lasts_s = seconds_of(preparing(archive, folder / "whole"))
        whole = account(folder / "whole").total
        digest = prepare(str(archive), folder / "again", reread=True).digest

        print(f"batch: {asked.kills} kills within {lasts_s:.0f} s")
        hit = kill_often(asked.kills, chance, lasts_s, preparing(archive, folder / "killed"))
        batch = prepare(str(archive), folder / "killed")
        left = len(list(folder.glob(".killed.*")))
        wrong = (batch.digest, batch.counts.read, left) != (digest, whole.read, 0)
        print(f"batch: {hit} hit; {batch.counts.read - whole.read:+} read; {left} left over; {said(wrong)}")

        topic = make_topic(broker, "mail", partitions=2)
        files = publish(archive, topic)
        streaming = command("stream", topic.name, "--broker", broker, "--files", str(archive))
        streaming += ["--batch", str(max(1, files // 40)), "--landing"]
        lasts_s = seconds_of([*streaming, str(folder / "undisturbed")])
        print(f"stream: {asked.kills} kills within {lasts_s:.0f} s")
        for number in range(-(-asked.kills // KILLS_A_LANDING)):
            landing = folder / f"landing-{number}"
            hit = kill_often(KILLS_A_LANDING, chance, lasts_s / 2, [*streaming, str(landing)])
            landed = land(topic, landing, allowed=prefixes([str(archive)]))
            stream = prepare(str(landing), folder / f"streamed-{number}", labels=str(archive / "labels.csv"))
            differs = (stream.digest, stream.counts.read, landed.files) != (digest, whole.read, files)
            wrong = wrong or differs
            print(f"stream: {hit} hit; {stream.counts.read - whole.read:+} read; {landed}; {said(differs)}")
    return int(wrong)


def said(differs: bool) -> str:
    return "DIFFERENT from the undisturbed run" if differs else "the same digest"


if __name__ == "__main__":
    sys.exit(main())
