"""A pseudonym is undone with the key, for a reason, on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from data import governance
from data.recognisers.found import KINDS
from data.redact import pseudonym
from data.reveal import TellingReasonError, placeholder_of, reveal
from data.workspace import UserError, keys, secret


@pytest.fixture
def archive(tmp_path: Path, workspace: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "a.eml").write_text(
        "From: Anna Lindqvist <Anna@Harbour.example>\nTo: bert@harbour.example\nSubject: call\n\n"
        "Call me at +49 40 1234567, or write to anna@harbour.example.\n"
    )
    return folder


def test_shows_the_values_of_a_pseudonym_and_signs_the_access(archive: Path) -> None:
    mark = pseudonym("EMAIL", "anna@harbour.example", key=secret("redaction"))

    found = reveal(mark.strip("[]"), str(archive), reason="subject access request 12", by="officer")

    assert ("Anna Lindqvist <anna@harbour.example>", "anna@harbour.example") == found
    entry = governance.verified()[-1].event
    assert ("reveal", "officer", mark, len(found)) == (
        *(entry["kind"], entry["by"], entry["pseudonym"]),
        entry["found"],
    )
    assert "harbour" not in governance.ledger_path().read_text()


def test_the_place_that_senders_share_is_found_too(archive: Path) -> None:
    mark = pseudonym("DOMAIN", "harbour.example", key=secret("redaction"))

    assert ("harbour.example",) == reveal(mark, str(archive), reason="which mail gateway", by="officer")


def test_a_number_in_a_text_is_found_too(archive: Path) -> None:
    mark = pseudonym("PHONE", "+49 40 1234567", key=secret("redaction"))

    assert ("+49 40 1234567",) == reveal(mark, str(archive), reason="request 12")


def test_what_only_an_attachment_says_is_found_too(archive: Path) -> None:
    (archive / "b.eml").write_text(
        "From: bert@harbour.example\nTo: carl@harbour.example\nSubject: list\nMIME-Version: 1.0\n"
        "Content-Type: multipart/mixed; boundary=cut\n\n--cut\nContent-Type: text/plain\n\nSee below.\n"
        "--cut\nContent-Type: text/csv; name=list.csv\nContent-Disposition: attachment; filename=list.csv\n"
        "\nname,mail\nDora,dora@elsewhere.example\n--cut--\n"
    )
    mark = pseudonym("EMAIL", "dora@elsewhere.example", key=secret("redaction"))

    assert ("dora@elsewhere.example",) == reveal(mark, str(archive), reason="request 12")


def test_a_reason_that_names_whom_it_reveals_is_written_down_nowhere(archive: Path) -> None:
    mark = pseudonym("EMAIL", "anna@harbour.example", key=secret("redaction"))

    with pytest.raises(TellingReasonError) as told:
        reveal(mark, str(archive), reason="Lindqvist complained")

    assert "indqvist" not in str(told.value)
    assert "withheld" == governance.verified()[-1].event["reason"]
    assert "indqvist" not in governance.ledger_path().read_text()
    assert reveal(mark, str(archive), reason="harbour audit, item 12")  # a host is no name


def test_whoever_counts_the_time_ends_the_search(archive: Path) -> None:
    mark = pseudonym("EMAIL", "anna@harbour.example", key=secret("redaction"))

    def over() -> None:
        raise TimeoutError("over")

    with pytest.raises(TimeoutError):
        reveal(mark, str(archive), reason="request 12", before_each=over)
    assert not governance.ledger_path().exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pseudonym_of_every_kind_is_one(kind: str) -> None:
    assert f"[{kind}_1f3a9c2b]" == placeholder_of(f"{kind}_1F3A9C2B")


def test_without_key_reason_or_pseudonym_it_is_one_line(archive: Path) -> None:
    for wanted, reason, said in (
        ("EMAIL_1f3a9c2b", " ", "say why"),
        ("anna@harbour.example", "request", "is written like"),
        ("EMAIL_1f3a9c2b", "request", "no redaction key"),
    ):
        with pytest.raises(UserError, match=said):
            reveal(wanted, str(archive), reason=reason)

    assert not (keys() / "redaction.key").exists()
