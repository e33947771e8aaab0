"""Which column of a table holds what of a message: columns.yaml at an archive's root, or the usual names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from data.declared import read_declared

_Name = Annotated[str, Field(min_length=1)]


class Columns(BaseModel):
    """The column, or the key of a JSON line, that holds each field of a message."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    text: _Name = "text"
    subject: _Name = "subject"
    sender: _Name = "sender"
    recipients: _Name = "recipients"
    sent_at: _Name = "sent_at"
    message_id: _Name = "message_id"
    thread_id: _Name = "thread"
    channel: _Name = "channel"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.model_dump().values()))


def read_columns(path: Path) -> Columns:
    """Return the columns that a file names; without the file, and for what it leaves out, the usual ones.

    Raises:
        UserError: the file cannot be read, is no YAML mapping, or names a field that messages do not have.
    """
    if not path.is_file():
        return Columns()
    way_out = f"write lines such as text: body; the fields are {', '.join(Columns.model_fields)}"
    return read_declared(path, Columns, what="the columns", way_out=way_out)
