"""What the workspace must remember of its duties: rules, holds, erased subjects, and a signed record of both.

Everything in ``governance/`` of the workspace is keyed: pseudonyms, counts and digests, nobody in clear.
While an erasure is not finished, the hashes of erased words lie there too.
"""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data import ledger
from data.recognisers.people import TITLE
from data.redact import PLACEHOLDER, Redaction, pseudonym, redact
from data.workspace import UserError, home, write_atomically

SIGNER = "governance"
REMARK = re.compile(r"\([^()]*\)")
AROUND_NAME = " \t\"'<>[](),:;"


def folder() -> Path:
    return home() / "governance"


def ledger_path() -> Path:
    return folder() / "ledger.jsonl"


def suppression_path() -> Path:
    return folder() / "suppressed.json"


def holds_path() -> Path:
    return folder() / "holds.json"


def rules_path() -> Path:
    return folder() / "rules.json"


def record(kind: str, *, by: str = "", **event: object) -> ledger.Entry:
    """Sign an event into the ledger; ``event`` holds counts and digests, never a subject.

    Raises:
        UserError: the ledger is damaged, so nothing may be added.
    """
    who = by or getpass.getuser()
    try:
        return ledger.append(ledger_path(), {"kind": kind, "by": who, **event}, signer=ledger.signer(SIGNER))
    except ledger.LedgerError as error:
        raise UserError(f"the ledger {ledger_path()} is damaged: {error}; restore it from a backup") from None


def verified() -> tuple[ledger.Entry, ...]:
    """Return the ledger's entries after checking every hash and signature.

    Raises:
        UserError: the ledger is not as it was written.
    """
    try:
        return ledger.verify(ledger_path())
    except ledger.LedgerError as error:
        raise UserError(f"the ledger {ledger_path()} does not verify: {error}; restore a backup") from None


def pseudonyms_of(subjects: Iterable[str], *, key: bytes) -> frozenset[str]:
    """Return the placeholders that stand for a person: of each address or name, as redaction makes them.

    What stands for a part of a name is not among them: it means everybody who is called so.
    """
    found: set[str] = set()
    for subject in subjects:
        found.add(pseudonym("EMAIL" if "@" in subject else "PERSON", subject, key=key))
        redacted = redact(subject.strip(), key=key)
        marks = [match[0] for match in PLACEHOLDER.finditer(redacted.text)]
        emails = [mark for mark in marks if mark.startswith("[EMAIL_")]
        found.update(emails if "@" in subject else [mark for mark in marks if mark == redacted.text])
        name = _display_name(subject.strip(), redacted) if emails or "@" not in subject else ""
        if " " in name:
            found.add(pseudonym("PERSON", name, key=key))
    return frozenset(found)


def _display_name(subject: str, redacted: Redaction) -> str:
    """Return the name that goes with an address, without quotes, brackets, remarks and titles."""
    for span in reversed(redacted.spans):
        if span.kind == "EMAIL":
            subject = subject[: span.start] + subject[span.end :]
    name = REMARK.sub("", subject).strip(AROUND_NAME) or subject.strip(AROUND_NAME)
    while title := TITLE.match(name):
        name = name[title.end() :].lstrip()
    return name


def neutral(placeholder: str) -> str:
    """Return a placeholder of the same length that tells nobody apart."""
    return PLACEHOLDER.sub(r"[\1_00000000]", placeholder)


def suppressed() -> frozenset[str]:
    """Return the pseudonyms of everybody who was erased."""
    return frozenset(read(suppression_path(), {"pseudonyms": []})["pseudonyms"])


def suppress(pseudonyms: Iterable[str]) -> None:
    """Add to those who are erased from whatever is prepared from now on."""
    write(suppression_path(), {"pseudonyms": sorted({*suppressed(), *pseudonyms})})


def read(path: Path, otherwise: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document of this folder.

    Raises:
        UserError: it is damaged; going on would forget a hold or bring an erased person back.
    """
    if not path.exists():
        return otherwise
    try:
        document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document.keys() == otherwise.keys():
            return document
    except (OSError, ValueError, AttributeError):
        pass
    raise damaged(path)


def damaged(path: Path) -> UserError:
    """Return what to say when a document of this folder is not as it was written."""
    return UserError(f"{path} is damaged; restore it from a backup, nothing is prepared or erased without it")


def write(path: Path, document: Mapping[str, Any]) -> None:
    with write_atomically(path) as unfinished:
        unfinished.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
