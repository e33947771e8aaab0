"""An error that is told again says what was being done, where and of what type: nothing of a person."""

from __future__ import annotations

import pytest

from data import redact
from data.unsaid import UnexpectedError, unsaid

SOURCE = "export/jane.roe@example.org.mbox"


def test_names_no_person_of_a_file_name() -> None:
    match = r"^reading .*\[EMAIL\], entry 7 failed: ValueError"
    with pytest.raises(UnexpectedError, match=match) as told, unsaid(f"reading {SOURCE}, entry 7"):
        int("jane.roe@example.org")

    assert "jane" not in str(told.value)


def test_says_nothing_of_the_file_where_redaction_itself_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(redact, "redact", broken)
    match = r"^preparing an entry failed: ValueError"
    with pytest.raises(UnexpectedError, match=match) as told, unsaid(f"reading {SOURCE}, entry 7"):
        int("seven")

    assert "jane" not in str(told.value)
