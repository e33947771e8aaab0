"""An engine's log is bounded while its processes hold it open, and a dead engine's last words are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data.workspace import home
from serving.log_segments import SEGMENTS, aside, logs
from serving.processes import ServerProcess, start_process

LIMIT = 4_000
ENGINE = f"""
import sys
import serving.log_segments
from serving.engine_log import _write

serving.log_segments.SEGMENT_BYTES = {LIMIT}
for number in range(int(sys.argv[2])):
    _write({{"path": f"/{{sys.argv[1]}}-{{number}}", "headers": []}}, 200, 0.001)
print("ended", flush=True)
"""
FILLED = 60  # lines: a log of a bit less than its limit


@pytest.fixture
def log(workspace: Path) -> Path:
    path = logs() / "classifier.log"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def engine(log: Path, name: str, lines: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start what writes request lines into a log as an engine does: both outputs appended to it."""
    command = [sys.executable, "-c", ENGINE, name, str(lines)]
    return start_process(command, environment=environment, stdout=log, stderr=log)


@pytest.fixture
def environment(workspace: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "MAILROOM_HOME": str(home())}


def last_words(process: subprocess.Popen[bytes], log: Path) -> str:
    return ServerProcess(process, ("classifier",), {"classifier": log}).last_words("classifier")


def test_a_log_that_two_processes_hold_open_is_bounded_and_goes_on(
    log: Path, environment: dict[str, str]
) -> None:
    other = engine(log, "other", 300, environment)
    assert 0 == engine(log, "one", 600, environment).wait(60)
    assert 0 == other.wait(60)

    files = [log, *(aside(log, number) for number in range(1, SEGMENTS + 1))]
    assert set(files) == set(logs().iterdir())
    assert all(file.stat().st_size < 2 * LIMIT for file in files)
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert {"request", "this", "ended"} == {line.split()[0] for line in lines}, "every line is whole"
    assert len(lines) > LIMIT / 80


def test_what_an_engine_said_just_before_its_log_was_full_are_its_last_words(
    log: Path, environment: dict[str, str]
) -> None:
    log.write_text("RuntimeError: the device is gone\n" + "filled\n" * 400)
    process = engine(log, "one", FILLED, environment)
    process.wait(60)

    assert log.stat().st_size < LIMIT
    assert "RuntimeError: the device is gone" == last_words(process, log)


def test_what_an_engine_of_a_former_start_said_are_not_the_last_words_of_this_one(
    log: Path, environment: dict[str, str]
) -> None:
    aside(log, 1).write_text("RuntimeError: of a former start\n")
    process = engine(log, "one", 3, environment)
    process.wait(60)

    assert "ended" == last_words(process, log)


@pytest.mark.parametrize("place", ["classifier.log.1", "../elsewhere.log"])
def test_a_file_that_is_not_this_engines_log_alone_takes_nobodys_place(
    log: Path, environment: dict[str, str], place: str
) -> None:
    """A former log that is still written is cut; whoever has a file of their own for it keeps all of it."""
    log.write_text("of the next bundle's engine\n")
    written = logs() / place
    process = engine(written, "one", 200, environment)
    process.wait(60)

    assert "of the next bundle's engine\n" == log.read_text()
    assert {log, written} >= set(logs().iterdir())
    assert (written.stat().st_size < 2 * LIMIT) is place.startswith("classifier")
