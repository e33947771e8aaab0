from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path

import pytest

from data import ledger
from data.retention import orders_of
from pipelines import fingerprint
from pipelines.fingerprint import (
    archive_fingerprint,
    code_fingerprint,
    decisions_fingerprint,
    governance_fingerprint,
)
from pipelines.run import Request, parameters_of


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "archive" / "inbox").mkdir(parents=True)
    (tmp_path / "archive" / "inbox" / "1.eml").write_text("one")
    return tmp_path / "archive"


def test_the_same_archive_has_the_same_fingerprint(archive: Path) -> None:
    assert archive_fingerprint(archive) == archive_fingerprint(archive)


def test_new_changed_and_renamed_mail_changes_the_fingerprint(archive: Path) -> None:
    seen = {archive_fingerprint(archive)}

    (archive / "inbox" / "2.eml").write_text("two")
    seen.add(archive_fingerprint(archive))
    (archive / "inbox" / "2.eml").write_text("three")
    seen.add(archive_fingerprint(archive))
    (archive / "inbox" / "2.eml").rename(archive / "inbox" / "3.eml")
    seen.add(archive_fingerprint(archive))
    os.utime(archive / "inbox" / "3.eml", (1, 1))
    seen.add(archive_fingerprint(archive))

    assert len(seen) == 5


@pytest.mark.parametrize("of", ["sample", "s3://bucket/mail", "{archive}"])
def test_changed_labels_change_what_a_graph_is_sent_whatever_they_label(
    of: str, archive: Path, tmp_path: Path, workspace: Path
) -> None:
    labels = tmp_path / "labels.csv"
    request = Request(archive=of.format(archive=archive), labels=str(labels))
    labels.write_text("source,label\n")
    before = parameters_of(request)

    labels.write_text("source,label\na,b\n")

    assert before["archive_fingerprint"] != parameters_of(request)["archive_fingerprint"]


def test_rules_that_are_remembered_count_and_so_does_the_day(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "retention.yaml"
    seen = {governance_fingerprint()}

    for stated in ("as_of: 2026-01-01\nrules: [{older_than_days: 9}]\n", "rules: [{older_than_days: 9}]\n"):
        policy.write_text(stated)
        orders_of(policy, key=b"k" * 32)
        for day in (1, 2):
            monkeypatch.setattr(fingerprint, "datetime", on(day))
            seen.add(governance_fingerprint())

    assert 4 == len(seen)  # nothing, one day whatever the calendar says, and two days


def on(day: int) -> type[datetime]:
    class Calendar(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Calendar:
            return cls(2026, 7, day, tzinfo=tz)

    return Calendar


def test_a_file_name_that_is_no_text_is_still_a_name(archive: Path) -> None:
    before = archive_fingerprint(archive)

    (archive / os.fsdecode(b"\xff.eml")).write_text("x")

    assert before != archive_fingerprint(archive)


def test_only_what_a_person_decided_is_news_to_the_pipeline(tmp_path: Path) -> None:
    log = tmp_path / "decisions.jsonl"
    seen = [decisions_fingerprint(log)]
    for signer in ("pipeline", "gate", "ada", "pipeline", "grace"):
        with log.open("a") as handle:
            handle.write(json.dumps({"signer": signer, "hash": f"{signer}{len(seen)}"}) + "\n")
        seen.append(decisions_fingerprint(log))

    assert seen[:3] == ["", "", ""]
    assert seen[3] == seen[4]
    assert len({seen[2], seen[3], seen[5]}) == 3


def test_a_reason_with_a_line_separator_of_its_own_is_read(log_of_reasons: Path) -> None:
    assert decisions_fingerprint(log_of_reasons)


@pytest.fixture
def log_of_reasons(workspace: Path) -> Path:
    """A log as the ledger writes it: what JSON need not escape stands in it as it is."""
    path = workspace / "decisions.jsonl"
    event = {"kind": "approved", "reason": "first\u2028second\u0085third"}
    ledger.append(path, event, signer=ledger.signer("ada"))
    return path


@pytest.mark.parametrize(
    ("imported", "edited", "changes"),
    [
        ("from data.prepare import prepare", "data/a.py", True),
        ("from data.prepare import prepare", "training/a.py", False),
        ("from training.classifier import train_classifier", "data/a.py", True),
        ("from training.classifier import train_classifier", "serving/a.py", False),
        ("import evaluation.evaluate", "training/recipe.yaml", True),
        ("import json", "data/a.py", False),
        ("import json", "locks/cpu.txt", True),
        ("import json", "locks/bench.txt", False),
        ("%magic", "serving/a.py", True),
    ],
)
def test_code_counts_where_the_notebook_stands_on_it(
    write_notebook: Callable[..., Path], tmp_path: Path, imported: str, edited: str, changes: bool
) -> None:
    notebook = write_notebook("01_x", "", imported)
    for package in ("data", "training", "serving", "evaluation", "locks"):
        (tmp_path / "root" / package / "__pycache__").mkdir(parents=True)
    before = code_fingerprint(notebook, root=tmp_path / "root")

    (tmp_path / "root" / "data" / "__pycache__" / "a.pyc").write_text("compiled")
    assert before == code_fingerprint(notebook, root=tmp_path / "root")
    (tmp_path / "root" / edited).write_text("edited")

    assert changes == (before != code_fingerprint(notebook, root=tmp_path / "root"))


def test_a_recipe_of_ones_own_counts(write_notebook: Callable[..., Path], tmp_path: Path) -> None:
    notebook, recipe = write_notebook("01_x", ""), tmp_path / "recipe.yaml"
    recipe.write_text("seed: 1")
    before = code_fingerprint(notebook, (recipe,), root=tmp_path)

    recipe.write_text("seed: 2")

    assert before != code_fingerprint(notebook, (recipe,), root=tmp_path)


def test_a_graph_is_sent_the_fingerprint_of_an_archive_that_lies_here(archive: Path, workspace: Path) -> None:
    before = parameters_of(Request(archive=str(archive)))
    (archive / "inbox" / "2.eml").write_text("two")
    after = parameters_of(Request(archive=str(archive), retention="/only/the/steps/see.yaml"))
    elsewhere = parameters_of(Request(archive="/only/the/steps/see"))

    assert before["archive_fingerprint"]
    assert before["archive_fingerprint"] != after["archive_fingerprint"]
    assert elsewhere["archive_fingerprint"] == ""
