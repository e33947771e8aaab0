"""The audit names the first line that is not as it was written, whatever was done to it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data.workspace import UserError
from serving import audit as audit_log
from serving.audit import AuditLog, open_audit, verify_audit


@pytest.fixture
def log(tmp_path: Path, workspace: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    with open_audit(path) as audit:
        for number in range(6):
            audit.write({"request": f"r{number}", "messages": ["m1"]})
    return path


def test_what_was_written_holds_and_is_followed_on(log: Path):
    with open_audit(log) as audit:
        audit.write({"request": "later"})

    assert verify_audit(log) == (7, None)


def changed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b"m1", b"m2"), *lines[3:]]


def rewritten(lines: list[bytes]) -> list[bytes]:
    """Change a line and make its hash fit, as far as that goes without the key."""
    import hashlib

    line = json.loads(changed(lines)[2])
    line.pop("hash")
    text = json.dumps(line, sort_keys=True, separators=(",", ":")).encode()
    line["hash"] = hashlib.sha256(text).hexdigest()
    return [*lines[:2], json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n", *lines[3:]]


TAMPERING: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int]] = {
    "a changed line": (changed, 3),
    "a changed line with a new hash": (rewritten, 3),
    "a removed line": (lambda lines: [*lines[:2], *lines[3:]], 3),
    "a doubled line": (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4),
    "exchanged lines": (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], 3),
    "the last line removed": (lambda lines: lines[:-1], 6),
    "all lines removed": (lambda lines: [], 1),
    "half a line at the end": (lambda lines: [*lines[:-1], lines[-1][:40]], 6),
    "a second key for who asked": (lambda lines: [b'{"event":{},' + lines[0][1:], *lines[1:]], 1),
    "a field of its own": (lambda lines: [lines[0].replace(b'{"event"', b'{"a":1,"event"'), *lines[1:]], 1),
    "another way to write it": (lambda lines: [*lines[:1], lines[1].replace(b",", b", ", 1), *lines[2:]], 2),
    "a hash that is none": (lambda lines: [re.sub(b'"hash":"..', '"hash":"éé'.encode(), lines[0])], 1),
    "no number": (lambda lines: [*lines[:2], b'{"event":NaN,"hash":"' + b"0" * 64 + b'"}\n'], 3),
    "deeper than JSON is read": (lambda lines: [*lines[:2], b"[" * 100_000 + b"\n"], 3),
    "a line of something else": (lambda lines: [*lines[:4], b"[]\n", *lines[4:]], 5),
}


@pytest.mark.parametrize("way", TAMPERING)
def test_tampering_is_named_with_its_line(log: Path, way: str):
    change, expected = TAMPERING[way]
    log.write_bytes(b"".join(change(log.read_bytes().splitlines(keepends=True))))

    _, problem = verify_audit(log)

    assert problem is not None
    assert problem.line == expected


def test_a_removed_log_is_named(log: Path):
    log.unlink()

    assert verify_audit(log)[1] is not None


@pytest.mark.parametrize("way", ["the last line removed", "half a line at the end", "all lines removed"])
def test_a_gateway_does_not_follow_on_an_end_that_was_not_written(log: Path, way: str):
    log.write_bytes(b"".join(TAMPERING[way][0](log.read_bytes().splitlines(keepends=True))))

    with pytest.raises(UserError), open_audit(log):
        pass


def test_a_damaged_head_is_no_crash(log: Path, tmp_path: Path):
    (head,) = (tmp_path / "keys").rglob("audit-*")
    head.write_text("6\n")

    with pytest.raises(UserError, match="no longer says which line came last"), open_audit(log):
        pass
    with pytest.raises(UserError, match="restore it"):
        verify_audit(log)


def test_one_gateway_writes_a_log(log: Path):
    with open_audit(log), pytest.raises(UserError, match="another gateway"), open_audit(log):
        pass


def test_a_full_disk_leaves_no_half_line(log: Path, monkeypatch: pytest.MonkeyPatch):
    import os

    whole = os.write
    with open_audit(log) as audit:
        with monkeypatch.context() as full:
            full.setattr(os, "write", lambda descriptor, line: whole(descriptor, line[:10]))
            with pytest.raises(OSError, match="full"):
                audit.write({"request": "lost"})
        audit.write({"request": "next"})

    assert verify_audit(log) == (7, None)


def test_many_threads_write_one_chain(log: Path):
    from concurrent.futures import ThreadPoolExecutor

    def write(audit: AuditLog, number: int) -> None:
        audit.write({"request": str(number)})

    with open_audit(log) as audit, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write(audit, number), range(200)))

    assert verify_audit(log) == (206, None)


def test_the_head_has_a_place_of_its_own_where_keys_are_read_only(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MAILROOM_STATE", str(tmp_path / "state"))
    before = {path: path.read_bytes() for path in (tmp_path / "keys").rglob("*") if path.is_file()}
    with open_audit(log) as audit:
        audit.write({"request": "later"})

    assert before == {path: path.read_bytes() for path in (tmp_path / "keys").rglob("*") if path.is_file()}
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:6]))
    assert verify_audit(log)[1] is not None


@pytest.fixture
def segments(tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three segments of three lines, the last one still written; the later two begin with their number."""
    monkeypatch.setattr(audit_log, "HEAD_S", 600.0)  # what is put aside when is the test's affair
    path = tmp_path / "audit.jsonl"
    with open_audit(path, segment_bytes=700) as audit:
        for number in range(9):
            if number in (3, 6):
                audit.rotate()
            audit.write({"request": f"r{number}", "messages": ["m1"]})
    return [tmp_path / "audit-000001.jsonl", tmp_path / "audit-000002.jsonl", path]


def test_a_full_segment_is_put_aside_and_the_chain_goes_on(segments: list[Path]):
    with open_audit(segments[-1], segment_bytes=700) as audit:
        audit.write({"request": "later"})
        audit.rotate()
        audit.rotate()  # nothing to do

    assert [3, 4] == [len(each.read_text().splitlines()) for each in segments[:2]]
    assert (segments[-1].parent / "audit-000003.jsonl").exists()
    assert verify_audit(segments[-1]) == (13, None)


@pytest.mark.parametrize(("place", "line"), [(0, 3), (1, 3), (2, 3)])
def test_tampering_is_named_with_its_segment(segments: list[Path], place: int, line: int):
    segments[place].write_bytes(b"".join(changed(segments[place].read_bytes().splitlines(keepends=True))))

    _, problem = verify_audit(segments[-1])

    assert problem is not None
    assert (problem.segment, problem.line) == (segments[place], line)
    assert str(problem).startswith(f"{segments[place].name}, line {line}: ")


def test_a_start_looks_at_the_last_segment_alone(segments: list[Path]):
    segments[0].write_text("nothing of a log\n")

    with open_audit(segments[-1]) as audit:
        audit.write({"request": "later"})
    assert verify_audit(segments[-1])[1] is not None


def test_deleted_segments_are_told_from_those_that_were_meant_to_be_deleted(segments: list[Path]):
    segments[0].unlink()

    _, problem = verify_audit(segments[-1])
    assert problem is not None
    assert "--from 2" in problem.words
    assert verify_audit(segments[-1], first=2) == (8, None)

    segments[1].unlink()
    _, problem = verify_audit(segments[-1], first=2)
    assert problem is not None
    assert "segment 3 where segment 2 belongs" in problem.words
    with open_audit(segments[-1]) as audit:  # what is kept elsewhere holds up no gateway
        audit.write({"request": "later"})
    assert verify_audit(segments[-1], first=3) == (5, None)


def test_a_segment_between_two_others_cannot_be_left_out(segments: list[Path]):
    segments[1].unlink()

    assert verify_audit(segments[-1])[1] is not None


def test_a_segment_under_the_number_of_another_is_named(segments: list[Path]):
    segments[1].replace(segments[0])

    assert verify_audit(segments[-1])[1] is not None


def test_lines_removed_at_the_end_of_a_full_segment_are_named(segments: list[Path]):
    lines = segments[0].read_bytes().splitlines(keepends=True)
    segments[0].write_bytes(b"".join(lines[:-1]))

    _, problem = verify_audit(segments[-1])

    assert problem is not None
    assert (problem.segment, problem.line) == (segments[1], 1)


@pytest.mark.parametrize("instead", [None, 0, 1])
def test_a_gateway_does_not_follow_on_a_segment_before_the_last(segments: list[Path], instead: int | None):
    segments[-1].unlink()
    if instead is not None:
        shutil.copy(segments[instead], segments[-1])

    with pytest.raises(UserError), open_audit(segments[-1]):
        pass
    assert verify_audit(segments[-1])[1] is not None


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_a_gateway_that_stopped_between_two_segments_is_followed_on(
    tmp_path: Path, workspace: Path, left: str
):
    path = tmp_path / "audit.jsonl"
    with open_audit(path) as audit:
        audit.write({"request": "r0"})
    path.rename(tmp_path / "audit-000001.jsonl")
    if left == "an empty file":
        path.touch()

    with open_audit(path) as audit:
        audit.write({"request": "r1"})

    assert verify_audit(path) == (3, None)


@pytest.mark.parametrize("step", ["write_atomically", "_opened"])
def test_where_the_next_segment_cannot_be_begun_the_present_one_goes_on(
    segments: list[Path], monkeypatch: pytest.MonkeyPatch, step: str
):
    def failing(_path: Path) -> None:
        raise OSError("no space, or too many open files")

    with open_audit(segments[-1], segment_bytes=700) as audit:
        with monkeypatch.context() as exhausted:
            exhausted.setattr(audit_log, step, failing)
            with pytest.raises(OSError, match="no space"):
                audit.rotate()
        audit.write({"request": "later"})
        audit.rotate()
        audit.write({"request": "last"})

    assert verify_audit(segments[-1]) == (14, None)


def test_many_threads_write_one_chain_while_segments_become_full(segments: list[Path]):
    from concurrent.futures import ThreadPoolExecutor

    with open_audit(segments[-1], segment_bytes=700) as audit, ThreadPoolExecutor(8) as pool:
        written = [pool.submit(audit.write, {"request": str(number)}) for number in range(200)]
        for each in written:
            each.result()
            audit.rotate()

    lines, problem = verify_audit(segments[-1])
    assert problem is None
    assert lines > 11 + 200


def test_a_log_is_checked_while_it_is_written(segments: list[Path]):
    from concurrent.futures import ThreadPoolExecutor

    with open_audit(segments[-1], segment_bytes=700) as audit, ThreadPoolExecutor(1) as pool:
        checks = []
        for number in range(100):
            audit.write({"request": str(number)})
            if number % 10 == 0:
                checks.append(pool.submit(verify_audit, segments[-1]))
            audit.rotate()

    assert {None} == {check.result()[1] for check in checks}
