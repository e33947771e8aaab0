"""Personal data planted everywhere, in every format, is in nothing that preparing writes, says or raises."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from data.account import account
from data.dataset import read_messages, read_rejects
from data.intake import Refused, Tally, batched, take
from data.normalise import Normal
from data.prepare import prepare
from data.sample import write_sample
from data.sources import discover
from data.workspace import secret
from tests.data import canaries


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A sample with the canaries, a label and questions about them, below ``tmp_path / "archive"``."""
    archive = write_sample(tmp_path / "archive", seed=3, messages=200)
    canaries.plant(archive)
    canaries.plant_labels(archive)
    return archive


@pytest.mark.slow
def test_no_canary_is_in_any_byte_that_preparing_writes_or_prints(
    archive: Path, workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    manifest = prepare(str(archive), workspace / "prepared", spark_master="local[2]")
    print(account(workspace / "prepared"))
    printed = capfd.readouterr()

    assert canaries.in_text(printed.out + printed.err) == []
    found = canaries.search(workspace)
    assert str(found).splitlines()[1:] == []
    assert found.files > 10
    assert manifest.counts.balance

    messages = read_messages(workspace / "prepared").to_pylist()
    planted = [row for row in messages if row["source"].startswith("canaries/")]
    assert len(planted) > 30, "the canaries were not read"
    assert any("[EMAIL_" in row["full_text"] and "[PHONE_" in row["full_text"] for row in planted)
    assert read_rejects(workspace / "prepared").num_rows > 5


def test_the_search_finds_canaries_in_every_disguise(tmp_path: Path) -> None:
    canaries.plant(tmp_path)

    found = canaries.search(tmp_path)

    assert {"eml/headers.eml", "packed/canary.eml.gz", "tables/rows.parquet"} <= {
        name.partition("canaries/")[2].partition(":")[0].partition("!")[0] for name in found.hits
    }


@pytest.mark.parametrize(
    "place", ["data.intake.normalise", "data.read_mail.parse", "data.normalise.find_zones"]
)
def test_a_bug_costs_one_message_and_is_told_by_its_place_alone(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], place: str
) -> None:
    def stumble(*read: object, **_: object) -> None:
        raise ValueError(f"invalid literal: {read!r} for {canaries.address('raised')}")

    monkeypatch.setattr(place, stumble)
    items = [item for item in discover(archive) if item.source == "canaries/mail/canaries.mbox"]

    taken = [each for item in items for each in take(item, secret("redaction"))]

    entries = sum(each.entries for each in taken if isinstance(each, Tally))
    refused = [each.entry.reason for each in taken if isinstance(each, Refused)]
    assert refused == ["unexpected_error"] * entries
    said = capfd.readouterr().err
    assert canaries.in_text(said) == []
    assert len(re.findall(r" failed: ValueError at data/\w+\.py:\d+; left out as a reject", said)) == entries


def test_what_is_left_of_a_file_that_breaks_off_is_one_reject_each(archive: Path) -> None:
    item = next(item for item in discover(archive) if item.source == "canaries/mail/canaries.mbox")
    (archive / item.source).unlink()

    taken = list(take(item, secret("redaction")))

    assert [each.entry.locator for each in taken if isinstance(each, Refused)] == list(range(item.count))
    assert {each.entry.reason for each in taken if isinstance(each, Refused)} == {"unreadable_file"}
    assert taken[-1] == Tally(item.source, item.count)


def test_a_message_that_cannot_be_written_is_a_reject_and_the_others_stay(
    archive: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    item = next(item for item in discover(archive) if item.source == "canaries/mail/canaries.mbox")
    taken = list(enumerate(take(item, secret("redaction"))))
    broken = [
        (n, replace(each, sender="\ud800") if n == 1 and isinstance(each, Normal) else each)
        for n, each in taken
    ]

    rows = [row for batch in batched(iter(broken)) for row in batch.to_pylist()]

    expected = ["reject" if n == 1 else "message" for n in range(item.count)]
    assert [row["outcome"] for row in rows] == [*expected, "tally"]
    assert (rows[1]["reason"], rows[1]["locator"]) == ("unexpected_error", 1)
    assert canaries.in_text(capfd.readouterr().err) == []
