"""How long messages are kept, and which are held whatever their age: one YAML file, remembered when given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from data import governance
from data.declared import read_declared
from data.sources import BANG
from data.workspace import locate

Channel = Literal["email", "chat", "transcript"]
NAMED = ("sender", "recipients", "subject", "text", "full_text", "attachments")


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Stated):
    """Messages of a channel, or of all, expire at an age."""

    older_than_days: int = Field(ge=0, le=36_500)
    channel: Channel | None = None


class Hold(_Stated):
    """What must not go: messages for which everything holds that is stated here."""

    name: str = Field(pattern=r"^[\w .:/-]{1,80}$")
    subjects: tuple[str, ...] = ()
    channel: Channel | None = None
    source: str = ""
    since: date | None = None
    until: date | None = None

    @model_validator(mode="after")
    def _says_what_is_held(self) -> Self:
        if not (self.subjects or self.channel or self.source or self.since or self.until):
            raise ValueError("state subjects, channel, source, since or until")
        if any(subject.casefold() in self.name.casefold() for subject in self.subjects):
            raise ValueError("its name is written into the ledger; name the matter, not the person")
        return self


class Policy(_Stated):
    """The whole of ``retention.yaml``."""

    as_of: date | None = None
    rules: tuple[Rule, ...] = ()
    holds: tuple[Hold, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        if len({hold.name for hold in self.holds}) != len(self.holds):
            raise ValueError("two holds have the same name")
        return self


@dataclass(frozen=True, slots=True)
class KeyedHold:
    """A hold as the workspace remembers it: people by their pseudonyms."""

    name: str
    pseudonyms: tuple[str, ...] = ()
    channel: str = ""
    source: str = ""
    since: str = ""
    until: str = ""

    def covers(self, row: Mapping[str, Any]) -> bool:
        """Say whether a message is held; one without a date is, by a hold on dates: it may be among them."""
        if self.channel and row["channel"] != self.channel:
            return False
        if not str(row["source"]).replace(BANG, "!").startswith(self.source.replace(BANG, "!")):
            return False  # a folder's name, too, is held as it is written on disk
        if sent := row["sent_at"]:
            day = sent.date().isoformat()
            if day < self.since or (self.until and day > self.until):
                return False
        if not self.pseudonyms:
            return True
        written = repr([row.get(name) for name in NAMED])
        return any(pseudonym in written for pseudonym in self.pseudonyms)


@dataclass(frozen=True, slots=True)
class Orders:
    """What a preparation or an erasure must obey; a hold wins over both."""

    rules: tuple[Rule, ...] = ()
    as_of: date | None = None
    holds: tuple[KeyedHold, ...] = ()
    suppressed: frozenset[str] = frozenset()

    def held_by(self, row: Mapping[str, Any]) -> str:
        """Return the name of the first hold on a message, or nothing."""
        return next((hold.name for hold in self.holds if hold.covers(row)), "")

    def is_expired(self, row: Mapping[str, Any]) -> bool:
        """Say whether a message is too old; one without a date never is."""
        sent: datetime | None = row["sent_at"]
        if sent is None:
            return False
        today = self.as_of or datetime.now(UTC).date()
        return any(
            rule.channel in (None, row["channel"])
            and sent.date() < today - timedelta(days=rule.older_than_days)
            for rule in self.rules
        )

    @property
    def asks_for_nothing(self) -> bool:
        return not self.rules and not self.suppressed

    @property
    def digest(self) -> str:
        """Name what was ordered: under other orders, what had been taken out is read again."""
        stated = [self.as_of, self.rules, self.holds, sorted(self.suppressed)]
        return hashlib.sha256(repr(stated).encode()).hexdigest()


def read_policy(path: str | Path) -> Policy:
    """Return the policy of a file.

    Raises:
        UserError: it cannot be read, or says something that no policy says; in one line, without its values.
    """
    return read_declared(
        locate(path), Policy, what="the retention policy", way_out="docs/archive.md has an example"
    )


def orders_of(retention: str | Path, *, key: bytes, by: str = "") -> Orders:
    """Return what is to be obeyed now: the policy that is given, which replaces the former one on record.

    Without a policy the one that was given last holds: what has expired does not come back.
    """
    if retention:
        _remember(read_policy(retention), key, by)
    remembered = remembered_rules()
    return Orders(remembered.rules, remembered.as_of, remembered_holds(), governance.suppressed())


def _keyed(hold: Hold, key: bytes) -> KeyedHold:
    return KeyedHold(
        name=hold.name,
        pseudonyms=tuple(sorted(governance.pseudonyms_of(hold.subjects, key=key))),
        channel=hold.channel or "",
        source=hold.source,
        since=hold.since.isoformat() if hold.since else "",
        until=hold.until.isoformat() if hold.until else "",
    )


def remembered_rules() -> Policy:
    """Return the rules that count now, and their day, without the holds.

    Raises:
        UserError: the record of them is damaged.
    """
    path = governance.rules_path()
    try:
        return Policy.model_validate(governance.read(path, {"as_of": None, "rules": []}))
    except ValidationError:
        raise governance.damaged(path) from None


def remembered_holds() -> tuple[KeyedHold, ...]:
    """Return the holds that count now, by keyed pseudonym.

    Raises:
        UserError: the record of them is damaged.
    """
    stored = governance.read(governance.holds_path(), {"holds": []})["holds"]
    return tuple(KeyedHold(**{**each, "pseudonyms": tuple(each["pseudonyms"])}) for each in stored)


def _remember(policy: Policy, key: bytes, by: str) -> None:
    before, now = remembered_holds(), tuple(_keyed(hold, key) for hold in policy.holds)
    for kind, holds in (
        ("hold released", [hold for hold in before if hold not in now]),
        ("hold added", [hold for hold in now if hold not in before]),
    ):
        for hold in holds:
            governance.record(kind, by=by, hold=hold.name, digest=_digest(hold))
    if set(before) != set(now):
        governance.write(governance.holds_path(), {"holds": [asdict(hold) for hold in now]})
    rules = policy.model_copy(update={"holds": ()})
    if rules != remembered_rules():
        governance.record("rules changed", by=by, rules=len(rules.rules), digest=_digest(rules))
        governance.write(governance.rules_path(), rules.model_dump(mode="json", exclude={"holds"}))


def _digest(stated: object) -> str:
    return hashlib.sha256(repr(stated).encode()).hexdigest()
