"""What reviewers said is kept, vouched for, and can be forgotten without breaking the chain."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from data import feedback, ledger
from data.feedback import Label, Proposal, Said
from data.workspace import UserError

pytestmark = pytest.mark.usefixtures("workspace")


def records() -> list[Path]:
    return sorted((feedback.folder() / "records").iterdir())


def test_labels_and_proposals_come_back_with_who_and_when() -> None:
    said = Said("mailroom-classifier 3", "spam", 0.4)
    feedback.add([Proposal("m1", "uncertain", said)], reviewer="ada")
    feedback.add([Label("m1", "ordinary", "uncertain", "a newsletter", said)], reviewer="ada")

    history = feedback.read()

    assert [("ada", Proposal("m1", "uncertain", said))] == [
        (event.reviewer, record) for event, record in history.proposals
    ]
    assert [Label("m1", "ordinary", "uncertain", "a newsletter", said)] == [
        record for _, record in history.labels
    ]
    assert "ada" == ledger.verify(feedback.ledger_path())[-1].signer


def test_the_chain_itself_names_no_message() -> None:
    feedback.add([Label("0123456789abcdef01234567", "spam")], reviewer="ada")

    assert "0123456789abcdef01234567" not in feedback.ledger_path().read_text()
    assert "spam" not in feedback.ledger_path().read_text()


def test_a_changed_record_is_noticed() -> None:
    feedback.add([Label("m1", "spam")], reviewer="ada")
    path = records()[0]
    path.write_text(path.read_text().replace("spam", "ordinary"))

    with pytest.raises(UserError, match=r"1 records of .* were changed or removed"):
        feedback.read()


def test_a_record_that_nobody_signed_does_not_count() -> None:
    feedback.add([Label("m1", "spam")], reviewer="ada")
    forged = records()[0].read_text().replace("m1", "m2")
    with records()[0].open("a") as file:
        file.write(forged)

    assert ["m1"] == [record.message_id for _, record in feedback.read().labels]


def test_erasing_forgets_a_message_and_the_chain_still_verifies() -> None:
    feedback.add([Label("m1", "spam"), Label("m2", "ordinary")], reviewer="ada")
    feedback.add([Proposal("m1", "random")], reviewer="bo")

    assert 2 == feedback.erase({"m1"})
    assert 0 == feedback.erase({"m1"})

    history = feedback.read()
    assert ["m2"] == [record.message_id for _, record in history.labels]
    assert (2, ()) == (history.erased, history.proposals)
    assert "m1" not in "".join(path.read_text() for path in records())
    assert "erased" == ledger.verify(feedback.ledger_path())[-1].event["kind"]


def test_an_interrupted_erasure_is_finished_by_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    feedback.add([Label("m1", "spam")], reviewer="ada")
    before = records()[0].read_bytes()
    feedback.erase({"m1"})
    records()[0].write_bytes(before)  # as if the process had ended between the chain and the records

    assert () == feedback.read().labels
    feedback.erase(())
    assert b"m1" not in records()[0].read_bytes()


def test_what_an_interrupted_write_has_left_is_erased_too() -> None:
    feedback.add([Label("m1", "spam")], reviewer="ada")
    orphan = records()[0].with_name("orphan.jsonl")
    orphan.write_text(records()[0].read_text().replace("m1", "m2"))

    assert 0 == feedback.erase({"m2"})
    assert "m2" not in orphan.read_text()
    assert 1 == len(feedback.read().labels)


def test_a_label_that_is_given_during_an_erasure_is_erased_or_stays_but_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feedback.add([Label("m1", "spam")], reviewer="ada")
    append, eraser = feedback._append, threading.Thread(target=feedback.erase, args=({"m2"},))

    def late(event: Mapping[str, object], signer: ledger.Signer) -> None:
        if event["kind"] == "labels":
            eraser.start()
            eraser.join(0.3)  # it waits for its turn: what is added here is not in the chain yet
        append(event, signer)

    monkeypatch.setattr(feedback, "_append", late)
    feedback.add([Label("m2", "spam"), Label("m3", "spam")], reviewer="ada")
    eraser.join()

    history = feedback.read()
    assert (["m1", "m3"], 1) == ([record.message_id for _, record in history.labels], history.erased)


def test_what_a_killed_write_has_left_goes_with_an_erasure() -> None:
    feedback.add([Label("m1", "spam")], reviewer="ada")
    old, new = (records()[0].with_name(f"{name}.part") for name in ("old", "new"))
    for left in (old, new):
        left.write_text(records()[0].read_text())
    os.utime(old, (1, 1))

    feedback.erase(())

    assert (False, True) == (old.exists(), new.exists()), "one that is being written stays"


@pytest.mark.parametrize("reason", ["x" * 201, "she wrote to anna.lindqvist@harbour.example"])
def test_a_reason_that_tells_is_refused_and_nothing_is_kept(reason: str) -> None:
    with pytest.raises(UserError, match="a reason has at most"):
        feedback.add([Label("m1", "spam"), Label("m2", "spam", reason=reason)], reviewer="ada")

    assert () == feedback.read().labels


@pytest.mark.parametrize("name", ["gate", "Pipeline", "governance"])
def test_nobody_labels_in_the_name_of_the_pipeline(name: str) -> None:
    with pytest.raises(UserError, match="signs for the pipeline"):
        feedback.add([Label("m1", "spam")], reviewer=name)


def test_forgetting_in_an_empty_workspace_makes_no_ledger() -> None:
    assert 0 == feedback.erase({"m1"})
    assert not feedback.folder().exists()


def test_an_open_record_knows_what_others_add_and_what_is_erased_meanwhile() -> None:
    kept_open = feedback.OpenRecord()
    said = Said("mailroom-classifier 3", "spam", 0.4)
    feedback.add([Proposal("m1", "uncertain", said), Proposal("m2", "random")], reviewer="ada")
    assert 1 == len(kept_open.history_of("m1").proposals)
    feedback.add([Label("m1", "spam")], reviewer="bo")
    feedback.erase({"m2"})

    assert ["spam"] == [record.label for _, record in kept_open.history_of("m1").labels]
    assert () == kept_open.history_of("m2").events
    assert feedback.read() == kept_open.history()
    assert 1 == kept_open.history().erased


def test_an_open_record_checks_what_was_added_and_a_new_reading_everything() -> None:
    kept_open = feedback.OpenRecord()
    feedback.add([Label("m1", "spam")], reviewer="ada")
    kept_open.history()
    (first,) = records()
    first.write_text(first.read_text().replace("spam", "ordinary"))

    feedback.add([Label("m2", "spam")], reviewer="ada")
    assert ["spam"] == [record.label for _, record in kept_open.history_of("m2").labels]
    with pytest.raises(UserError, match=r"1 records of .* were changed or removed"):
        feedback.read()

    feedback.add([Label("m3", "spam")], reviewer="ada")
    (third,) = (path for path in records() if "m3" in path.read_text())
    before = third.read_text()
    third.write_text(before.replace("spam", "ordinary"))
    with pytest.raises(UserError, match=r"were changed or removed"):
        kept_open.history_of("m3")
    third.write_text(before)
    first.write_text(first.read_text().replace("ordinary", "spam"))
    assert 3 == len(kept_open.history().labels), "what was restored from a backup counts again"


def test_a_batch_that_cannot_be_written_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    feedback.add([Label("m1", "spam")], reviewer="ada")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            feedback.add([Label("m2", "spam")], reviewer="ada")

    assert 1 == len(records())
