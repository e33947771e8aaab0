"""The ledger: whatever is done to it, the first line that is not as it was written is named."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest

from data import ledger
from data.ledger import Entry, LedgerError
from data.workspace import UserError, keys


@pytest.fixture
def written(workspace: Path) -> Path:
    path = workspace / "decisions.jsonl"
    signer = ledger.signer("reviewer")
    for number in range(4):
        ledger.append(path, {"kind": "decision", "number": number}, signer=signer)
    return path


def rewrite(path: Path, lines: list[str]) -> None:
    path.write_text("".join(lines))


def test_what_was_appended_verifies_and_reads_back(written: Path) -> None:
    entries = ledger.verify(written)

    assert [0, 1, 2, 3] == [entry.event["number"] for entry in entries]
    assert [0, 1, 2, 3] == [entry.sequence for entry in entries]
    assert entries == ledger.read(written)
    assert entries[2].previous == entries[1].hash


def test_append_returns_the_entry_that_stands_in_the_file(workspace: Path) -> None:
    path = workspace / "nested" / "record.jsonl"

    entry = ledger.append(path, {"note": "Grüße"}, signer=ledger.signer("pipeline"))

    assert (entry,) == ledger.verify(path)


def test_a_ledger_that_does_not_exist_yet_is_empty(workspace: Path) -> None:
    assert () == ledger.verify(workspace / "none.jsonl")
    assert () == ledger.read(workspace / "none.jsonl")


def test_an_edited_line_is_named(written: Path) -> None:
    lines = written.read_text().splitlines(keepends=True)
    rewrite(written, [lines[0], lines[1].replace('"number":1', '"number":7'), *lines[2:]])

    with pytest.raises(LedgerError, match="line 2: the content does not match"):
        ledger.verify(written)


def test_a_deleted_line_is_named(written: Path) -> None:
    lines = written.read_text().splitlines(keepends=True)
    rewrite(written, [lines[0], *lines[2:]])

    with pytest.raises(LedgerError, match="line 2: entry 2 stands where entry 1 belongs"):
        ledger.verify(written)


def test_a_deleted_end_is_noticed_where_it_was_written(written: Path) -> None:
    lines = written.read_text().splitlines(keepends=True)
    rewrite(written, lines[:2])

    with pytest.raises(LedgerError, match="line 3: it is missing; 4 lines were written"):
        ledger.verify(written)


def test_nothing_follows_a_deleted_end(written: Path) -> None:
    lines = written.read_text().splitlines(keepends=True)
    rewrite(written, lines[:2])

    with pytest.raises(LedgerError, match="line 3: it is missing; 4 lines were written"):
        ledger.append(written, {}, signer=ledger.signer("reviewer"))
    with pytest.raises(LedgerError, match="line 3: it is missing; 4 lines were written"):
        ledger.verify(written)


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_a_ledger_that_is_gone_is_noticed_and_not_begun_again(written: Path, left: str) -> None:
    written.unlink()
    if left == "an empty file":
        written.touch()

    for _ in range(2):  # a refused entry leaves everything as it was
        with pytest.raises(LedgerError, match="gone or empty, and 4 lines were written"):
            ledger.verify(written)
        with pytest.raises(LedgerError, match="gone or empty, and 4 lines were written"):
            ledger.append(written, {}, signer=ledger.signer("reviewer"))


def test_another_chain_in_the_place_of_a_ledger_is_noticed(written: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    for number in range(5):
        ledger.append(other, {"number": number}, signer=ledger.signer("reviewer"))
    other.replace(written)

    with pytest.raises(LedgerError, match="line 4: it is not the one that was written here"):
        ledger.verify(written)
    with pytest.raises(LedgerError, match="line 4: it is not the one that was written here"):
        ledger.append(written, {}, signer=ledger.signer("reviewer"))


def test_a_ledger_that_was_moved_goes_on(written: Path, tmp_path: Path) -> None:
    moved = written.rename(tmp_path / "moved.jsonl")

    ledger.append(moved, {}, signer=ledger.signer("reviewer"))

    assert 5 == len(ledger.verify(moved))


def test_an_entry_whose_writer_was_killed_before_it_was_remembered_is_followed(written: Path) -> None:
    heads = {path: path.read_text() for path in (keys() / "heads").iterdir()}
    ledger.append(written, {}, signer=ledger.signer("reviewer"))
    for path, remembered in heads.items():
        path.write_text(remembered)

    ledger.append(written, {}, signer=ledger.signer("reviewer"))

    assert 6 == len(ledger.verify(written))


def test_swapped_lines_are_named(written: Path) -> None:
    first, second, third, fourth = written.read_text().splitlines(keepends=True)
    rewrite(written, [first, third, second, fourth])

    with pytest.raises(LedgerError, match="line 2"):
        ledger.verify(written)


def test_a_line_rewritten_with_a_right_hash_and_a_wrong_signature_is_named(written: Path) -> None:
    lines = written.read_text().splitlines(keepends=True)
    entry = json.loads(lines[3])
    entry["event"]["number"] = 7
    unsigned = {name: value for name, value in entry.items() if name not in ("hash", "signature")}
    entry["hash"] = hashlib.sha256(ledger._canonical(unsigned)).hexdigest()
    rewrite(written, [*lines[:3], ledger._canonical(entry).decode() + "\n"])

    with pytest.raises(LedgerError, match="line 4: the signature is not that of 'reviewer'"):
        ledger.verify(written)


def test_a_signer_whom_nobody_trusts_is_named(written: Path) -> None:
    (keys() / "trusted.json").write_text("{}")

    with pytest.raises(LedgerError, match="line 1: signed by 'reviewer'"):
        ledger.verify(written)


def test_a_key_whose_trust_was_withdrawn_is_not_trusted_again(written: Path) -> None:
    (keys() / "trusted.json").write_text("{}")

    with pytest.raises(UserError, match="not trusted"):
        ledger.signer("reviewer")


def test_another_key_under_the_same_name_does_not_sign(written: Path) -> None:
    (keys() / "signer-reviewer.key").write_bytes(bytes(32))

    with pytest.raises(UserError, match="not trusted"):
        ledger.signer("reviewer")


@pytest.mark.parametrize("cut", [1, 40])
def test_a_truncated_last_line_is_named_and_nothing_follows_it(written: Path, cut: int) -> None:
    written.write_bytes(written.read_bytes()[:-cut])

    with pytest.raises(LedgerError, match="line 4"):
        ledger.verify(written)
    with pytest.raises(LedgerError, match="last line"):
        ledger.append(written, {}, signer=ledger.signer("reviewer"))


def line(**fields: object) -> str:
    """Return the first line of a ledger, with other fields, and a hash that fits where there can be one."""
    entry = {"sequence": 0, "time": "", "event": {}, "previous": ledger.BEGINNING, "signer": "reviewer"}
    entry |= {"signature": "0" * 128, **fields}
    unsigned = json.dumps(
        {name: value for name, value in entry.items() if name != "signature"},
        sort_keys=True,
        separators=(",", ":"),
    )
    stated = {**entry, "hash": hashlib.sha256(unsigned.encode()).hexdigest()}
    return json.dumps(stated, sort_keys=True, separators=(",", ":")) + "\n"


BROKEN = {
    "a number as time": line(time=0),
    "a list as event": line(event=[]),
    "a list as signer": line(signer=[]),
    "a number as signature": line(signature=5),
    "a signature with a gap": line(signature=" ".join(["00"] * 64)),
    "a truth as sequence": line(sequence=False),
    "no number": line(event={"x": float("nan")}),
    "half a sign": line(event={"x": "\ud800"}),
    "deeper than JSON is read": "[" * 100_000 + "\n",
    "deeper than JSON is written": '{"event":' * 600 + "1" + "}" * 600 + "\n",
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_line_that_no_ledger_writes_is_named(written: Path, way: str) -> None:
    rewrite(written, [BROKEN[way], *written.read_text().splitlines(keepends=True)[1:]])

    with pytest.raises(LedgerError, match="line 1: it is no entry"):
        ledger.verify(written)


def test_a_line_that_says_two_things_is_named(written: Path) -> None:
    lines = written.read_text().splitlines(keepends=True)
    rewrite(written, [lines[0], '{"event":{"kind":"decision","number":7},' + lines[1][1:], *lines[2:]])

    with pytest.raises(LedgerError, match="line 2: it is no entry"):
        ledger.verify(written)


@pytest.mark.parametrize("fails", ["half a line", "nothing", "the disk itself"])
def test_a_full_disk_leaves_the_ledger_as_it_was(
    written: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    before, write = written.read_bytes(), os.write

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        if fails == "the disk itself":
            full.setattr(os, "fsync", refuse)
        else:
            half = fails == "half a line"
            full.setattr(os, "write", lambda file, line: write(file, line[:40]) if half else refuse())
        with pytest.raises(OSError, match="No space left"):
            ledger.append(written, {"kind": "lost"}, signer=ledger.signer("reviewer"))

    assert before == written.read_bytes()
    ledger.append(written, {"kind": "next"}, signer=ledger.signer("reviewer"))
    assert 5 == len(ledger.verify(written))


def test_a_line_that_is_no_entry_is_named(written: Path) -> None:
    lines = written.read_text().splitlines(keepends=True)
    rewrite(written, [lines[0], '{"hash":"../../elsewhere"}\n', *lines[2:]])

    with pytest.raises(LedgerError, match="line 2: it is no entry"):
        ledger.verify(written)


def test_long_entries_are_followed_correctly(workspace: Path) -> None:
    path = workspace / "long.jsonl"
    signer = ledger.signer("pipeline")
    for size in (10, 200_000, 70_000, 3):
        ledger.append(path, {"evidence": "x" * size}, signer=signer)

    assert [0, 1, 2, 3] == [entry.sequence for entry in ledger.verify(path)]


def _append_many(path: Path, writer: int) -> None:
    signer = ledger.signer(f"writer-{writer}")
    for number in range(10):
        ledger.append(path, {"writer": writer, "number": number}, signer=signer)


def test_four_processes_append_without_losing_or_breaking_anything(workspace: Path) -> None:
    path = workspace / "shared.jsonl"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_append_many, args=(path, writer)) for writer in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    entries: tuple[Entry, ...] = ledger.verify(path)

    assert [0, 0, 0, 0] == [process.exitcode for process in processes]
    assert list(range(40)) == [entry.sequence for entry in entries]
    for writer in range(4):
        assert list(range(10)) == [e.event["number"] for e in entries if e.event["writer"] == writer]


def test_who_follows_a_ledger_gets_every_line_once(written: Path) -> None:
    followed = ledger.verify_since(written, None)
    signer = ledger.signer("reviewer")
    ledger.append(written, {"kind": "fifth", "text": "Grüße"}, signer=signer)
    ledger.append(written, {"kind": "sixth"}, signer=signer)

    added = ledger.verify_since(written, followed.last)
    nothing = ledger.verify_since(written, added.last)

    assert (4, True) == (len(followed.entries), followed.is_whole)
    assert (["fifth", "sixth"], False) == ([entry.event["kind"] for entry in added.entries], added.is_whole)
    assert ((), False, added.last) == (nothing.entries, nothing.is_whole, nothing.last)
    assert ledger.verify(written) == followed.entries + added.entries


FOLLOWED = {
    "the line that was verified last": (3, "line 4: the content does not match"),
    "a line before it, which is then in another place": (0, "line 1: the content does not match"),
    "a line after it": (4, "line 5: the content does not match"),
}


@pytest.mark.parametrize("way", FOLLOWED)
def test_a_changed_line_is_named_to_who_follows(written: Path, way: str) -> None:
    changed, words = FOLLOWED[way]
    followed = ledger.verify_since(written, None)
    ledger.append(written, {"kind": "decision", "number": 4}, signer=ledger.signer("reviewer"))
    lines = written.read_text().splitlines(keepends=True)
    lines[changed] = lines[changed].replace(f'"number":{changed}', '"number":77')
    rewrite(written, lines)

    with pytest.raises(LedgerError, match=words):
        ledger.verify_since(written, followed.last)


def test_lines_that_nobody_trusted_signed_are_named_to_who_follows(written: Path, tmp_path: Path) -> None:
    followed = ledger.verify_since(written, None)
    ledger.append(written, {"number": 4}, signer=ledger.signer("reviewer"))
    forged = json.loads(written.read_text().splitlines()[4]) | {"signature": "0" * 128}
    rewrite(
        written,
        [
            *written.read_text().splitlines(keepends=True)[:4],
            json.dumps(forged, sort_keys=True, separators=(",", ":")) + "\n",
        ],
    )

    with pytest.raises(LedgerError, match="line 5: the signature is not that of 'reviewer'"):
        ledger.verify_since(written, followed.last)


@pytest.mark.parametrize("left", [0, 2, 4])
def test_a_deleted_end_is_noticed_by_who_follows(written: Path, left: int) -> None:
    followed = ledger.verify_since(written, None)
    ledger.append(written, {}, signer=ledger.signer("reviewer"))
    rewrite(written, written.read_text().splitlines(keepends=True)[:left])

    with pytest.raises(LedgerError, match="5 lines were written"):
        ledger.verify_since(written, followed.last)
    written.unlink()
    with pytest.raises(LedgerError, match="gone or empty, and 5 lines were written"):
        ledger.verify_since(written, followed.last)


def test_a_ledger_that_began_anew_is_followed_from_its_beginning(written: Path, workspace: Path) -> None:
    followed = ledger.verify_since(written, None)
    shutil.rmtree(workspace)
    ledger.append(written, {"kind": "new"}, signer=ledger.signer("reviewer"))

    again = ledger.verify_since(written, followed.last)

    assert (["new"], True) == ([entry.event["kind"] for entry in again.entries], again.is_whole)


def test_a_memory_that_is_behind_what_was_verified_is_checked_against_the_whole(written: Path) -> None:
    heads = {path: path.read_text() for path in (keys() / "heads").iterdir()}
    ledger.append(written, {}, signer=ledger.signer("reviewer"))
    followed = ledger.verify_since(written, None)
    for path, remembered in heads.items():
        path.write_text(remembered)

    again = ledger.verify_since(written, followed.last)

    assert (5, True) == (len(again.entries), again.is_whole)


def test_who_follows_while_four_processes_append_misses_and_repeats_nothing(workspace: Path) -> None:
    path = workspace / "shared.jsonl"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_append_many, args=(path, writer)) for writer in range(4)]
    for process in processes:
        process.start()
    seen: list[int] = []
    last = None
    while len(seen) < 40 and (any(each.is_alive() for each in processes) or len(seen) == 0):
        added = ledger.verify_since(path, last)
        seen, last = [*seen, *(entry.sequence for entry in added.entries)], added.last
    for process in processes:
        process.join(60)
    seen += [entry.sequence for entry in ledger.verify_since(path, last).entries]

    assert list(range(40)) == seen


def test_private_keys_are_readable_by_their_owner_alone(written: Path) -> None:
    assert 0o600 == os.stat(keys() / "signer-reviewer.key").st_mode & 0o777


def test_a_signer_has_a_plain_name(workspace: Path) -> None:
    with pytest.raises(UserError, match="no signer can be called"):
        ledger.signer("../reviewer")


def test_a_workspace_that_was_removed_as_a_whole_begins_anew(written: Path, workspace: Path) -> None:
    shutil.rmtree(workspace)

    assert ledger.verify(written) == ()
    ledger.append(written, {}, signer=ledger.signer("reviewer"))

    assert len(ledger.verify(written)) == 1


def seen(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Return everything below a folder with its content; a folder's time changes with each of its names."""
    paths = sorted([folder, *folder.rglob("*")])
    return {path: (path.stat().st_mtime_ns, b"" if path.is_dir() else path.read_bytes()) for path in paths}


def test_keys_that_are_read_only_sign_and_nothing_is_written_beside_them(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILROOM_STATE", str(tmp_path / "state"))
    before = seen(keys())

    ledger.append(written, {}, signer=ledger.signer("reviewer"))

    assert 5 == len(ledger.verify(written))
    assert before == seen(keys())
    rewrite(written, written.read_text().splitlines(keepends=True)[:4])
    with pytest.raises(LedgerError, match="line 5: it is missing; 5 lines were written"):
        ledger.verify(written)


def test_what_was_remembered_beside_the_keys_counts_after_the_state_has_a_place_of_its_own(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(written, written.read_text().splitlines(keepends=True)[:3])
    monkeypatch.setenv("MAILROOM_STATE", str(tmp_path / "state"))

    with pytest.raises(LedgerError, match="line 4: it is missing"):
        ledger.verify(written)
    with pytest.raises(LedgerError, match="line 4: it is missing"):
        ledger.append(written, {}, signer=ledger.signer("reviewer"))


def test_a_damaged_memory_is_named(written: Path) -> None:
    for kept in (keys() / "heads").iterdir():
        kept.write_bytes(b"\xff one two three")

    with pytest.raises(LedgerError, match="no longer says which line came last; restore it"):
        ledger.verify(written)


def test_no_line_stands_whose_head_cannot_be_written(written: Path) -> None:
    before, heads, aside = written.read_bytes(), keys() / "heads", keys() / "aside"
    heads.rename(aside)
    heads.write_text("no folder can be made here, whoever asks")

    with pytest.raises(OSError, match="heads"):
        ledger.append(written, {"kind": "lost"}, signer=ledger.signer("reviewer"))

    assert before == written.read_bytes()
    heads.unlink()
    aside.rename(heads)
    ledger.append(written, {"kind": "next"}, signer=ledger.signer("reviewer"))
    assert 5 == len(ledger.verify(written))


def test_a_place_where_nothing_can_be_remembered_or_made_says_what_to_do(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MAILROOM_KEYS", str(tmp_path / "file" / "keys"))

    with pytest.raises(UserError, match="set MAILROOM_STATE to a folder"):
        ledger.signer("reviewer")
    monkeypatch.setenv("MAILROOM_STATE", str(tmp_path / "state"))
    with pytest.raises(UserError, match=r"no key .*signer-reviewer.key, and none can be made"):
        ledger.signer("reviewer")
