"""Who was erased is in no byte of the workspace, and does not come back."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from made_archive import NAME, SECRET_WORDS, SPOKEN, SUBJECT, write_archive

from data import governance
from data.account import account
from data.dataset import read_chunks, read_manifest, read_messages, read_rejects
from data.prepare import prepare
from data.scan import scan, sought
from data.shingles import Traces
from data.unfinished import unfinished_path
from data.workspace import UserError, home, secret, tracking
from pipelines import cli
from pipelines.erase import Erasure, erase
from serving.archive import open_archive
from serving.kept import keep_part

pytestmark = pytest.mark.slow


@pytest.fixture
def archive(tmp_path: Path, workspace: Path) -> Path:
    return write_archive(tmp_path / "archive")


def erased(**options: str) -> Erasure:
    done = erase([SUBJECT, NAME], confirm=lambda _: True, **options)
    assert done is not None
    return done


def remains() -> dict[str, int]:
    key = secret("redaction")
    wanted = sought(
        governance.pseudonyms_of([SUBJECT, NAME], key=key), [SUBJECT], Traces.of([SECRET_WORDS, SPOKEN])
    )
    return scan(home(), wanted, left_out=[governance.folder()]).hits


def test_an_erased_person_is_in_no_byte_and_does_not_come_back(archive: Path, workspace: Path) -> None:
    prepared = workspace / "prepared"
    before = prepare(str(archive), prepared, spark_master="local[2]")
    assert remains()

    done = erased(by="officer")

    assert done.scan.is_clean, str(done)
    assert remains() == {}
    after = read_manifest(prepared)
    assert after.counts.balance
    assert before.counts.read == after.counts.read
    assert 3 == after.reasons["erased"]
    assert "retired" in str(account(prepared))
    texts = {row["message_id"]: row["text"] for row in read_messages(prepared).to_pylist()}
    chunks = read_chunks(prepared).to_pylist()
    assert texts
    assert all(texts[each["message_id"]][each["start"] : each["end"]] == each["text"] for each in chunks)

    shutil.rmtree(workspace / "intake")
    again = prepare(str(archive), prepared, spark_master="local[2]", reread=True)

    assert remains() == {}
    assert again.counts == after.counts
    assert {"erased"} == set(read_rejects(prepared)["reason"].to_pylist())
    assert ["erasure begun", "erasure", "retention run"] == [
        entry.event["kind"] for entry in governance.verified()
    ]
    assert SUBJECT not in governance.ledger_path().read_text()


def test_what_is_held_stays_and_what_is_old_goes(archive: Path, workspace: Path, tmp_path: Path) -> None:
    policy = tmp_path / "retention.yaml"
    policy.write_text(
        "as_of: 2025-01-01\n"
        "rules:\n  - {channel: email, older_than_days: 151}\n"
        "holds:\n  - {name: matter 7, source: 0.eml}\n"
    )
    manifest = prepare(str(archive), workspace / "prepared", spark_master="local[2]", retention=str(policy))

    assert manifest.counts.balance
    assert {"expired": 1} == manifest.reasons
    assert ["1.eml"] == read_rejects(workspace / "prepared")["source"].to_pylist()

    done = erased()

    assert {"matter 7": 1} == done.tally.holds
    assert "0.eml" in read_messages(workspace / "prepared")["source"].to_pylist()
    assert done.scan.is_clean, str(done)
    assert done.scan.held_rows

    again = prepare(str(archive), workspace / "prepared", spark_master="local[2]")
    assert {"erased": 2, "expired": 1} == again.reasons
    policy.write_text("rules: []\n")
    loose = prepare(str(archive), workspace / "prepared", spark_master="local[2]", retention=str(policy))
    assert "expired" not in loose.reasons


def test_evidence_that_repeats_erased_words_is_removed(archive: Path, workspace: Path) -> None:
    prepare(str(archive), workspace / "prepared", spark_master="local[2]")
    page = workspace / "mlartifacts" / "report.html"
    page.parent.mkdir()
    page.write_text(f"<p>{SECRET_WORDS}</p>")
    figures = workspace / "figures.json"
    mark = sorted(governance.pseudonyms_of([SUBJECT], key=secret("redaction")))[0]
    figures.write_text(json.dumps({"sender": mark}))
    stubborn = workspace / "binary.bin"
    stubborn.write_bytes(b"\0\0" + mark.encode() + b"\0")

    done = erased()

    assert not page.exists()
    assert "[EMAIL_00000000]" == json.loads(figures.read_text())["sender"]
    assert {"binary.bin": 1} == done.scan.hits


def test_models_that_have_learnt_from_it_are_named(archive: Path, workspace: Path) -> None:
    import mlflow

    digest = prepare(str(archive), workspace / "prepared", spark_master="local[2]").digest
    tracking()
    with mlflow.start_run(tags={"mailroom.dataset_digest": digest}) as run:
        pass
    with mlflow.start_run(tags={"mailroom.dataset_digest": "another"}):
        pass

    done = erased()

    assert [run.info.run_id] == [model.run_id for model in done.models]
    assert f"trained on what was erased, train again and retire: run {run.info.run_id}" in str(done)
    assert digest != read_manifest(workspace / "prepared").digest

    of_another = erase(["bert@harbour.example"], confirm=lambda _: True)

    assert of_another is not None
    assert [run.info.run_id] == [model.run_id for model in of_another.models]


def test_what_is_kept_for_releases_is_erased_too(archive: Path, workspace: Path, tmp_path: Path) -> None:
    made = tmp_path / "step" / "prepared"
    digest = prepare(str(archive), made, spark_master="local[2]").digest
    kept = keep_part("dataset", made, digest)
    assert any(name.startswith("kept/") for name in remains())

    assert erased().scan.is_clean

    assert remains() == {}
    assert kept == keep_part("dataset", made, digest)
    assert [digest] == list(read_manifest(kept).former_digests)
    opened = open_archive(str(tmp_path / "gone"), digest)
    assert opened is not None
    opened.close()


def test_an_interrupted_erasure_goes_on(archive: Path, workspace: Path) -> None:
    import mlflow

    digest = prepare(str(archive), workspace / "prepared", spark_master="local[2]").digest
    tracking()
    with mlflow.start_run(tags={"mailroom.dataset_digest": digest}) as run:
        pass
    other = write_dataset_beside(workspace)
    with pytest.raises(RuntimeError, match="does not balance"):
        erased()  # the second dataset was tampered with; the first is erased by then
    shutil.rmtree(other)

    done = erased()

    assert done.scan.is_clean, str(done)
    assert 3 == len(done.tally.message_ids), "the memory of the archive still knows whose they were"
    assert [run.info.run_id] == [model.run_id for model in done.models]
    assert 3 == read_manifest(workspace / "prepared").reasons["erased"]


def test_an_interrupted_erasure_still_knows_what_it_has_to_find(
    archive: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(str(archive), workspace / "prepared", spark_master="local[2]")
    page, stays = workspace / "report.html", workspace / "findings.json"
    page.write_text(f"<p>{SECRET_WORDS}</p>")
    stays.write_text(json.dumps({"said": SPOKEN}))
    with monkeypatch.context() as interrupting:
        interrupting.setattr("pipelines.erase.scan", killed)  # by then the intakes are rewritten
        with pytest.raises(KeyboardInterrupt):
            erased()

    for _ in range(2):
        again = erased()

        assert {"findings.json": 1} == again.scan.hits
        assert 3 == len(again.tally.message_ids)
        assert not page.exists()
    assert SECRET_WORDS not in repr([path.read_bytes() for path in governance.folder().iterdir()])

    stays.unlink()
    assert erased().scan.is_clean
    assert not unfinished_path().exists()


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def write_dataset_beside(workspace: Path) -> Path:
    """Write a copy of the dataset, which comes after it, that has lost its rejects and duplicates."""
    other = shutil.copytree(workspace / "prepared", workspace / "prepared-2")
    for file in (other / "duplicates").glob("*.parquet"):
        file.unlink()
    return other


def test_the_command_reads_the_subject_from_its_input_and_fails_on_a_hit(
    archive: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(str(archive), workspace / "prepared", spark_master="local[2]")
    (workspace / "binary.bin").write_bytes(b"\0" + SUBJECT.encode())
    monkeypatch.setattr(sys, "argv", ["mailroom", "erase", "--yes", "--by", "officer"])
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SUBJECT}\n{NAME}\n"))

    with pytest.raises(SystemExit) as ended:
        cli.main()

    said = capsys.readouterr().out
    assert 1 == ended.value.code
    assert "1 hits in binary.bin" in said
    assert SUBJECT not in said
    assert NAME not in said


class Terminal(io.StringIO):
    """Standard input at which somebody sits, and whether it was read."""

    was_read = False

    def isatty(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> str:
        self.was_read = True
        return super().read(size)


@pytest.mark.parametrize("is_sure", [False, True])
def test_the_command_says_what_it_waits_for_and_refuses_before_it_reads(
    is_sure: bool, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal("\n")
    monkeypatch.setattr(sys, "argv", ["mailroom", "erase", *["--yes"] * is_sure])
    monkeypatch.setattr(sys, "stdin", terminal)

    with pytest.raises(SystemExit) as ended:
        cli.main()

    said = capsys.readouterr().err
    assert (2, is_sure) == (ended.value.code, terminal.was_read)
    assert ("then Ctrl-D" in said, "add --yes" in said) == (is_sure, not is_sure)


def test_nobody_is_erased_by_a_no_or_without_a_name(archive: Path, workspace: Path) -> None:
    prepare(str(archive), workspace / "prepared", spark_master="local[2]")

    assert erase([SUBJECT], confirm=lambda _: False) is None
    with pytest.raises(UserError, match="nobody to erase"):
        erase([" "], confirm=lambda _: True)

    assert not governance.ledger_path().exists()
