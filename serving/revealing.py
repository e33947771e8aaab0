"""Whose pseudonym it is, over the wire: only where a gateway was set up for it, for a reason, on record.

A pseudonym is a keyed hash: nothing undoes it but reading the raw archive again. So a gateway reveals
only when its operator lays archive and key beside it, which most should not: ``mailroom reveal`` does the
same for whoever holds both, elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict, Field, field_validator

from data.redact import redact
from data.reveal import reveal
from serving.access import RIGHTS, Role
from serving.limits import Rate, deadline, seconds_left


class BusyError(Exception):
    """Another pseudonym is being revealed, or this caller has to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__("too many pseudonyms are asked for; wait as long as Retry-After says")
        self.seconds = seconds


class Reveals(BaseModel):
    """What a gateway needs to undo pseudonyms; a part of its settings that is absent by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    archive: str = Field(min_length=1, description="the raw archive, readable by the gateway")
    roles: tuple[Role, ...] = Field(default=("approver", "admin"), description="none but these")
    per_hour: int = Field(default=10, ge=1, description="of one key, or one person with tokens")
    seconds: float = Field(default=300.0, gt=0, description="an archive that takes longer to read gives 504")

    @field_validator("roles")
    @classmethod
    def _have_the_right(cls, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        if unable := [role for role in roles if "reveal" not in RIGHTS[role]]:
            raise ValueError(f"{unable[0]} has no right to reveal")
        return roles


class Revealer:
    """Reads the archive for one caller at a time: it costs a core, and a person's name."""

    def __init__(self, reveals: Reveals) -> None:
        self._reveals = reveals
        self._rate = Rate(reveals.per_hour / 60, reveals.per_hour)
        self._reading = threading.Lock()

    def values(self, placeholder: str, *, reason: str, caller: str, by: str) -> tuple[str, ...]:
        """Return the values of a pseudonym; who, which, why and how many stand in the ledger by then.

        Raises:
            BusyError: somebody else is being answered, or the caller has to wait.
            DeadlineError: the archive takes too long to read; nothing is revealed then.
            TellingReasonError: the reason names whom it is given for.
            UserError: no archive, or no redaction key.
        """
        with self._alone(), deadline(self._reveals.seconds):
            if seconds := self._rate.wait(caller):
                raise BusyError(seconds)
            return reveal(
                placeholder,
                self._reveals.archive,
                reason=reason,
                by=by,
                before_each=lambda: seconds_left(1),
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._reading.acquire(blocking=False):
            raise BusyError(10)
        try:
            yield
        finally:
            self._reading.release()


def is_telling(reason: str) -> bool:
    """Say whether a reason, which is written into the audit, holds personal data in a form that is known."""
    return bool(redact(reason, key=b"").spans)
