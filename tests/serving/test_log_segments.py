"""An engine's log is bounded while its processes hold it open, and a dead engine's last words are found."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from data.workspace import home
from serving.launch import engine_environment
from serving.log_segments import SEGMENTS, aside, fresh_log, logs
from serving.processes import ServerProcess, start_process

LIMIT = 4_000
ENGINE = f"""
import os
import sys
import serving.log_segments
from serving.engine_log import _write

serving.log_segments.SEGMENT_BYTES = {LIMIT}
for number in range(int(sys.argv[2])):
    _write({{"path": f"/{{sys.argv[1]}}-{{number}}", "headers": []}}, 200, 0.001)
os.write(1, b"ended\\n")
"""
HOLDER = """
import time
from contextlib import ExitStack
from serving.log_segments import fresh_log

held = ExitStack()
print(fresh_log("classifier", held), flush=True)
time.sleep(60)
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


def test_a_line_is_written_at_once_with_its_end(workspace: Path, environment: dict[str, str]) -> None:
    """Two processes append: what one writes in two parts, the other would come between."""
    received, stderr = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with received, stderr:
        command = [sys.executable, "-c", ENGINE, "one", "3"]
        unbuffered = environment | {"PYTHONUNBUFFERED": "1"}
        subprocess.run(command, env=unbuffered, stderr=stderr, stdout=subprocess.DEVNULL, check=True)
        received.setblocking(False)
        parts = [received.recv(LIMIT).decode() for _ in range(3)]

    assert ["/one-0", "/one-1", "/one-2"] == [part.split()[3] for part in parts]
    assert all(part.endswith("\n") for part in parts)


def test_a_workspace_that_was_named_from_where_the_gateway_runs_has_bounded_logs_too(
    log: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(log.parent.parent.parent)
    monkeypatch.setenv("MAILROOM_HOME", log.parent.parent.name)

    engine(log, "one", 200, environment | {"MAILROOM_HOME": engine_environment("")["MAILROOM_HOME"]}).wait(60)

    assert log.stat().st_size < 2 * LIMIT
    assert aside(log, 1).exists()


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


def test_a_start_leaves_the_log_of_an_engine_that_runs_alone(log: Path, environment: dict[str, str]) -> None:
    with ExitStack() as present, ExitStack() as candidate:
        assert log == fresh_log("classifier", present)
        running = engine(log, "present", 1, environment)
        beside = fresh_log("classifier", candidate)
        other = engine(beside, "candidate", 1, environment)
        assert (0, 0) == (running.wait(60), other.wait(60))

        assert "classifier-2.log" == beside.name
        assert ["present", "candidate"] == [written_by(each) for each in (log, beside)]
        assert {log, beside} == set(logs().iterdir())


def test_the_logs_of_engines_that_died_outlive_the_next_starts(log: Path) -> None:
    for words in ("OutOfMemoryError: the first", "OutOfMemoryError: the second", ""):
        with ExitStack() as held:
            assert log == fresh_log("classifier", held)
            assert "" == log.read_text()
            log.write_text(words)

    with ExitStack() as held:
        fresh_log("classifier", held)
    assert ["OutOfMemoryError: the second", "OutOfMemoryError: the first"] == [
        aside(log, number).read_text() for number in (1, 2)
    ]


def test_a_log_is_free_again_once_who_held_it_is_gone(log: Path, environment: dict[str, str]) -> None:
    holder = start_process(
        [sys.executable, "-c", HOLDER],
        environment=environment,
        stdout=log.parent / "out",
        stderr=log.parent / "out",
    )
    while not (log.parent / "out").read_text().endswith("\n"):
        time.sleep(0.02)

    with ExitStack() as held:
        assert "classifier-2.log" == fresh_log("classifier", held).name
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert log == fresh_log("classifier", held)


def written_by(log: Path) -> str:
    """Return the name of the engine that wrote a log."""
    return log.read_text().split(" path /")[1].partition("-")[0]


@pytest.mark.parametrize("place", ["classifier.log.1", "../elsewhere.log"])
def test_a_file_that_is_no_log_of_an_engine_takes_nobodys_place(
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
